/**
 * Prometheus' endpoint and the health check; read only. `GET /metrics`, and `GET /health`: 200 while clients are let in,
 * else 503.
 */
import { type LocalServer, serveLocal } from './local-http.js';
import type { Metrics } from './metrics.js';

export interface Health {
  readonly ready: boolean;
  readonly state: string;
  readonly draining: string | null;
}

/** `listen` is what serveLocal() takes. Rejects with a sentence. */
export const serveMetrics = (listen: string, metrics: Metrics, health: () => Health): Promise<LocalServer> =>
  serveLocal('metrics.listen', listen, (req, res) => {
    const send = (status: number, type: string, body: string) =>
      void res
        .writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
        .end(req.method === 'HEAD' ? '' : body);
    if (req.method !== 'GET' && req.method !== 'HEAD') return send(405, 'text/plain', 'read only\n');
    const path = req.url?.split('?')[0];
    if (path === '/health') {
      const now = health();
      return send(now.ready ? 200 : 503, 'application/json', `${JSON.stringify(now)}\n`);
    }
    if (path !== '/metrics') return send(404, 'text/plain', '/metrics or /health\n');
    metrics.text().then(
      (text) => send(200, metrics.contentType, text),
      () => send(500, 'text/plain', 'the metrics cannot be read\n'),
    );
  });
