/**
 * The status page: the page's files, what it asks for, and the one thing it may do. For browsers on this host, or behind an ssh
 * tunnel.
 *
 *   GET  /                           -> the page
 *   GET  /api/overview?search=TEXT   -> Overview
 *   GET  /api/history                -> HistoryPoint[]
 *   POST /api/disconnect {"target"}  -> {"disconnected": n}
 *
 * A page of anybody in the same browser can send requests here. None gets an answer under another name than this host's own
 * (DNS rebinding); none may disconnect without a header that browsers let only our own page send (CSRF).
 */
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import type { ControlHandlers, StatusView } from './control.js';
import { HISTORY_STEP_MS, type History } from './history.js';
import { type LocalServer, readJson, serveLocal } from './local-http.js';
import type { AttemptView } from './timeline.js';
import type { Found } from './view.js';

/** What the page shows, but for its plots. */
export interface Overview extends Found {
  readonly status: StatusView;
  /** Attempts that came to nothing, and sessions that ended with a fault; newest first. */
  readonly failed: readonly AttemptView[];
}

export interface PageHandlers extends Pick<ControlHandlers, 'status' | 'trace' | 'disconnect'> {
  find(text: string, limit: number): Found;
}

/* Implementation */
/** More than this nobody reads: the search finds the others. */
const MAX_SHOWN = 200;
const ATTEMPTS_LOOKED_AT = 400;
const MAX_FAILED = 50;

/** `/` is the page. The script is compiled, the others are as in the sources. */
const FILES: Readonly<Record<string, readonly [place: string, type: string]>> = {
  '/': ['../../../src/page/index.html', 'text/html; charset=utf-8'],
  '/page.css': ['../../../src/page/page.css', 'text/css; charset=utf-8'],
  '/page.js': ['../page/page.js', 'text/javascript; charset=utf-8'],
  '/plot.js': ['../page/plot.js', 'text/javascript; charset=utf-8'],
};

const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

type Answer = readonly [status: number, body: unknown];

/** `listen` is what serveLocal() takes. Rejects with a sentence. */
export async function serveStatusPage(listen: string, handlers: PageHandlers, history: History): Promise<LocalServer> {
  const files = new Map(
    Object.entries(FILES).map(([path, [place, type]]) => {
      return [path, { type, text: readFileSync(new URL(place, import.meta.url), 'utf8') }];
    }),
  );
  const sample = () => history.sample(Date.now());
  const server = await serveLocal('status_page.listen', listen, (req, res) => {
    const send = (status: number, type: string, body: string) =>
      void res.writeHead(status, { ...HEADERS, 'content-type': type }).end(req.method === 'HEAD' ? '' : body);
    const [path = '/', query] = req.url?.split('?', 2) ?? [];
    const file = files.get(path);
    const reading = req.method === 'GET' || req.method === 'HEAD';
    if (!ownHost(req)) return send(421, 'text/plain', 'ask for localhost\n');
    if (file !== undefined && reading) return send(200, file.type, file.text);
    answer(`${reading ? 'GET' : req.method} ${path}`, new URLSearchParams(query), req, handlers, history)
      .catch((error: Error): Answer => [400, { error: error.message }])
      .then(([status, body]) => send(status, 'application/json', `${JSON.stringify(body)}\n`));
  });
  sample();
  const sampler = setInterval(sample, HISTORY_STEP_MS);
  sampler.unref();
  return {
    close: () => {
      clearInterval(sampler);
      return server.close();
    },
  };
}

const answer = async (
  what: string,
  query: URLSearchParams,
  req: IncomingMessage,
  handlers: PageHandlers,
  history: History,
): Promise<Answer> => {
  switch (what) {
    case 'GET /api/overview':
      return [200, overview(handlers, query.get('search') ?? '')];
    case 'GET /api/history':
      return [200, history.points];
    case 'POST /api/disconnect': {
      if (!ownPage(req)) return [403, { error: 'only the status page itself may ask for this' }];
      const { target } = await readJson(req);
      if (typeof target !== 'string' || target === '') throw new Error('target: expected a session id');
      return [200, { disconnected: handlers.disconnect(target) }];
    }
    default:
      return [404, { error: `no such page: ${what}` }];
  }
};

const overview = ({ status, find, trace }: PageHandlers, search: string): Overview => ({
  status: status(),
  ...find(search, MAX_SHOWN),
  failed: trace({ limit: ATTEMPTS_LOOKED_AT }).attempts.filter(hasFailed).reverse().slice(0, MAX_FAILED),
});

const hasFailed = (a: AttemptView): boolean => a.cause !== null && (a.shows.length > 0 || a.stage !== 'up');

/** The name in the address bar is one of this host's loopback; with an ssh tunnel it is, too. */
const ownHost = ({ headers }: IncomingMessage): boolean =>
  /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i.test(headers.host ?? '');

/** A header of its own makes a browser ask first, and nobody says yes; `Origin` and `Sec-Fetch-Site` say who asks. */
const ownPage = ({ headers }: IncomingMessage): boolean =>
  headers['x-lockstep'] === 'status-page' &&
  headers['content-type'] === 'application/json' &&
  (headers.origin === undefined || headers.origin === `http://${headers.host}`) &&
  (headers['sec-fetch-site'] ?? 'same-origin') === 'same-origin';
