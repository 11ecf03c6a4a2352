/** HTTP for this host alone: on loopback, or on a unix socket of mode 0660. */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { clearSocket } from './unix-socket.js';

/* Implementation */
const MAX_CONNECTIONS = 16;
const MAX_BODY = 4096;

export interface LocalServer {
  close(): Promise<void>;
}

/**
 * `listen` is `address:port`, the address in brackets for IPv6, or an absolute path; `key` is the setting that says so.
 * Rejects with a sentence.
 */
export async function serveLocal(key: string, listen: string, answer: RequestListener): Promise<LocalServer> {
  const isPath = listen.startsWith('/');
  const server = createServer(answer);
  server.maxConnections = MAX_CONNECTIONS;
  server.headersTimeout = 5_000;
  server.requestTimeout = 5_000;
  if (isPath) clearSocket(key, listen);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(new Error(`${key}: ${listen} cannot be opened (${error.code})`)),
    );
    if (isPath) server.listen(listen, resolve);
    else
      server.listen(Number(listen.replace(/^.*:/, '')), listen.replace(/:\d+$/, '').replace(/^\[|\]$/g, ''), resolve);
  });
  if (isPath) chmodSync(listen, 0o660);
  return {
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      if (isPath) rmSync(listen, { force: true });
    },
  };
}

/** The request's body. Rejects with a sentence when it is no JSON object, or too long. */
export async function readJson(req: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  let text = '';
  for await (const chunk of req) {
    text += chunk;
    if (text.length > MAX_BODY) throw new Error('the request is too long');
  }
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) throw new Error('expected a JSON object');
  return value as Record<string, unknown>;
}
