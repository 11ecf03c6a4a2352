/**
 * The control socket: HTTP and JSON over a unix socket (mode 0660), for `lockstep`.
 *
 *   GET  /status                 -> StatusView
 *   GET  /sessions               -> SessionView[]
 *   GET  /pool                   -> PoolView
 *   GET  /trace?peer&after&limit -> TraceView
 *   POST /reload                 -> {} when all was taken over (what SIGHUP does), else the sentence that says why not
 *   POST /disconnect {"target"}  -> {"disconnected": n}
 *   POST /drain {"cancel", "close", "redirect"} -> StatusView
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { readJson } from './local-http.js';
import type { TraceQuery, TraceView } from './timeline.js';
import { clearSocket } from './unix-socket.js';
import type { SessionView } from './view.js';

export interface StatusView {
  readonly state: 'starting' | 'listening' | 'closed' | 'stopping';
  /** Why 1701 is shut, when it is. */
  readonly reason: string | null;
  readonly version: string;
  readonly listen: readonly string[];
  /** Why nobody new is let in, when it is so. */
  readonly draining: string | null;
  /** Clients with an ESP SA, connected or not. */
  readonly sas: number;
  readonly tunnels: number;
  readonly sessions: number;
  readonly drops: Readonly<Record<string, number>>;
  /** Peers that are there and sent what belongs to others' tunnels (RFC 3193 §3.3): packets that were dropped. */
  readonly violations: readonly Violations[];
}

export interface Violations {
  readonly mark: number;
  readonly remote: string;
  readonly remoteId: string;
  readonly data: number;
  readonly control: number;
}

export interface PoolView {
  readonly ranges: readonly string[];
  readonly gateway: string;
  readonly dynamic: { readonly size: number; readonly leased: number };
  readonly fixed: { readonly size: number; readonly leased: number };
  readonly leases: readonly { readonly address: string; readonly user: string; readonly fixed: boolean }[];
}

export interface DrainRequest {
  /** End a drain instead. */
  readonly cancel: boolean;
  /** Close what is up, rather than wait for it to end. */
  readonly close: boolean;
  /** Another gateway's address for whoever asks; null: `l2tp.redirect`. */
  readonly redirect: string | null;
}

export interface ControlHandlers {
  status(): StatusView;
  sessions(): SessionView[];
  pool(): PoolView;
  trace(query: TraceQuery): TraceView;
  /** Rejects with the sentence of a refusal. */
  reload(): void | Promise<void>;
  disconnect(target: string): number;
  /** Begun when it returns; the status tells how far it is. */
  drain(request: DrainRequest): void;
}

export class ControlServer {
  readonly #server: Server;
  readonly #path: string;

  private constructor(server: Server, path: string) {
    this.#server = server;
    this.#path = path;
  }

  /** Refuses when another daemon answers on the socket; a leftover of a dead one is replaced. */
  static async open(path: string, handlers: ControlHandlers): Promise<ControlServer> {
    if (await answers(path)) throw new Error(`control.socket: ${path} is in use: another lockstepd is running`);
    clearSocket('control.socket', path);
    const server = createServer((req, res) => {
      handle(req, handlers).then(
        ([status, body]) => send(res, status, body),
        (error: Error) => send(res, 400, { error: error.message }),
      );
    });
    server.headersTimeout = 5_000;
    server.requestTimeout = 5_000;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    chmodSync(path, 0o660);
    return new ControlServer(server, path);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    rmSync(this.#path, { force: true });
  }
}

const handle = async (req: IncomingMessage, h: ControlHandlers): Promise<[number, unknown]> => {
  const url = new URL(req.url ?? '/', 'http://control');
  switch (`${req.method} ${url.pathname}`) {
    case 'GET /status':
      return [200, h.status()];
    case 'GET /sessions':
      return [200, h.sessions()];
    case 'GET /pool':
      return [200, h.pool()];
    case 'GET /trace':
      return [200, h.trace(traceQuery(url.searchParams))];
    case 'POST /reload':
      await h.reload();
      return [200, {}];
    case 'POST /drain':
      h.drain(drainRequest(await readJson(req)));
      return [200, h.status()];
    case 'POST /disconnect': {
      const { target } = (await readJson(req)) as { target?: unknown };
      if (typeof target !== 'string' || target === '') {
        return [400, { error: 'target: expected a user name, an address or a session id' }];
      }
      return [200, { disconnected: h.disconnect(target) }];
    }
    default:
      return [404, { error: `no such call: ${req.method} ${req.url}` }];
  }
};

const traceQuery = (given: URLSearchParams): TraceQuery => {
  const number = (name: 'after' | 'limit') => {
    const text = given.get(name);
    if (text === null) return {};
    if (!/^\d{1,15}$/.test(text)) throw new Error(`${name}: expected a number`);
    return { [name]: Number(text) };
  };
  const peer = given.get('peer');
  return { ...(peer === null ? {} : { peer }), ...number('after'), ...number('limit') };
};

const drainRequest = (body: object): DrainRequest => {
  const { cancel = false, close = true, redirect = null } = body as Partial<Record<keyof DrainRequest, unknown>>;
  if (typeof cancel !== 'boolean') throw new Error('cancel: expected true or false');
  if (typeof close !== 'boolean') throw new Error('close: expected true or false');
  if (redirect !== null && (typeof redirect !== 'string' || isIP(redirect) === 0))
    throw new Error('redirect: expected an IP address or null');
  return { cancel, close, redirect };
};

const send = (res: ServerResponse, status: number, body: unknown): void => {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(`${JSON.stringify(body)}\n`);
};

const answers = (socketPath: string): Promise<boolean> =>
  callControl(socketPath, 'GET', '/status').then(
    () => true,
    () => false,
  );

/** The client's side, for `lockstep` and for tests. Rejects with the server's sentence or a connection error. */
export const callControl = (
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  body?: object,
): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const req = request({ socketPath, method, path, timeout: 10_000 }, (res) => {
      let text = '';
      res.setEncoding('utf8');
      res.on('data', (chunk: string) => {
        text += chunk;
      });
      res.on('end', () => {
        try {
          const value = JSON.parse(text) as { error?: string };
          if (res.statusCode === 200) resolve(value);
          else reject(new Error(value.error ?? `HTTP ${res.statusCode}`));
        } catch {
          reject(new Error('the daemon gave an answer that is not JSON'));
        }
      });
    });
    req.on('timeout', () => req.destroy(new Error('the daemon did not answer within 10 s')));
    req.on('error', reject);
    req.end(body === undefined ? undefined : JSON.stringify(body));
  });
