/**
 * Prometheus' endpoint and the health check, over HTTP on loopback or a unix socket; read only. `GET /metrics`, and `GET /health`:
 * 200 while clients are let in, else 503.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { Metrics } from './metrics.js';
import { clearSocket } from './unix-socket.js';

/* Implementation */
const MAX_CONNECTIONS = 16;

export interface Health {
  readonly ready: boolean;
  readonly state: string;
  readonly draining: string | null;
}

export class MetricsServer {
  readonly #server: Server;
  readonly #listen: string;

  private constructor(server: Server, listen: string) {
    this.#server = server;
    this.#listen = listen;
  }

  /** `listen` is `address:port`, the address in brackets for IPv6, or an absolute path. */
  static async open(listen: string, metrics: Metrics, health: () => Health): Promise<MetricsServer> {
    const server = createServer((req, res) => {
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
    server.maxConnections = MAX_CONNECTIONS;
    server.headersTimeout = 5_000;
    server.requestTimeout = 5_000;
    if (listen.startsWith('/')) clearSocket('metrics.listen', listen);
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) =>
        reject(new Error(`metrics.listen: ${listen} cannot be opened (${error.code})`)),
      );
      if (listen.startsWith('/')) server.listen(listen, resolve);
      else
        server.listen(Number(listen.replace(/^.*:/, '')), listen.replace(/:\d+$/, '').replace(/^\[|\]$/g, ''), resolve);
    });
    if (listen.startsWith('/')) chmodSync(listen, 0o660);
    return new MetricsServer(server, listen);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    if (this.#listen.startsWith('/')) rmSync(this.#listen, { force: true });
  }
}
