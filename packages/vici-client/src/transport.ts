/**
 * The transport layer: segments behind a 32-bit length over a unix or TCP stream. The Deframer is pure; the rest is the
 * socket. Read "Transport protocol" in the strongSwan VICI README first.
 */
import { createConnection } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  ConnectFailed,
  ConnectionLost,
  InvalidMessage,
  type Malformed,
  ProtocolError,
  type ViciError,
} from './errors.js';

/** Specification: octets of a segment, without its length field, in either direction. */
export const SEGMENT_LIMIT = 512 * 1024;
/** Where charon listens unless strongswan.conf says otherwise. */
export const DEFAULT_ENDPOINT = 'unix:///var/run/charon.vici';

/** Puts the length field before a segment. Throws {@link InvalidMessage} above 512 KiB: charon would ignore it. */
export function frame(segment: Uint8Array): Uint8Array {
  if (segment.length > SEGMENT_LIMIT)
    throw new InvalidMessage(`vici: a request of ${segment.length} octets exceeds the limit of ${SEGMENT_LIMIT}`);
  const out = Buffer.allocUnsafe(4 + segment.length);
  out.writeUInt32BE(segment.length);
  out.set(segment, 4);
  return out;
}

/** Cuts a stream, in whatever chunks it comes, into segments. Holds at most one incomplete segment. */
export class Deframer {
  #chunks: Uint8Array[] = [];
  #held = 0;
  #length: number | undefined;

  /** The segments completed by this chunk. `malformed` (over-long segment) is final: the stream has lost its framing. */
  push(chunk: Uint8Array): { readonly segments: Uint8Array[]; readonly malformed?: Malformed } {
    const segments: Uint8Array[] = [];
    if (chunk.length > 0) this.#chunks.push(chunk);
    this.#held += chunk.length;
    for (;;) {
      if (this.#length === undefined) {
        if (this.#held < 4) return { segments };
        this.#length = Buffer.from(this.#take(4)).readUInt32BE();
      }
      if (this.#length > SEGMENT_LIMIT)
        return { segments, malformed: { ok: false, at: 0, why: `segment over ${SEGMENT_LIMIT} octets` } };
      if (this.#held < this.#length) return { segments };
      segments.push(this.#take(this.#length));
      this.#length = undefined;
    }
  }

  /** Joins chunks only when a segment is complete, so a long one in small chunks costs one copy. */
  #take(length: number): Uint8Array {
    const [first] = this.#chunks;
    const all = this.#chunks.length === 1 && first ? first : Buffer.concat(this.#chunks);
    this.#chunks = all.length > length ? [all.subarray(length)] : [];
    this.#held -= length;
    return all.subarray(0, length);
  }
}

export type Endpoint = { readonly path: string } | { readonly host: string; readonly port: number };

/** `unix:///path`, `/path` or `tcp://host:port`, as in strongswan.conf's `charon.plugins.vici.socket`. */
export function parseEndpoint(uri: string): Endpoint {
  const path = /^(?:unix:\/\/)?(\/.+)$/.exec(uri)?.[1];
  if (path !== undefined) return { path };
  const tcp = /^tcp:\/\/(?:\[([^\]]+)\]|([^:[\]/]+)):(\d{1,5})$/.exec(uri);
  const host = tcp?.[1] ?? tcp?.[2];
  const port = Number(tcp?.[3]);
  if (host === undefined || port < 1 || port > 0xffff)
    throw new ConnectFailed(`vici: ${uri} is not an endpoint: allowed are unix:///path, /path and tcp://host:port`);
  return { host, port };
}

/** Opens the stream. Rejects with {@link ConnectFailed}, also when `signal` fires first (its reason is the cause). */
export function openStream(uri: string, signal?: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(parseEndpoint(uri));
    const settle = (error?: unknown) => {
      signal?.removeEventListener('abort', aborted);
      socket.off('connect', connected).off('error', settle);
      if (error === undefined) return resolve(socket);
      socket.on('error', () => {}).destroy();
      const { code } = error as { code?: unknown };
      const why = typeof code === 'string' ? code : 'aborted';
      const failed = new ConnectFailed(`vici: cannot connect to ${uri}: ${why}`, { cause: error });
      reject(error instanceof ConnectFailed ? error : failed);
    };
    const connected = () => settle();
    const aborted = () => settle(signal?.reason ?? new Error('aborted'));
    socket.on('connect', connected).on('error', settle);
    if (signal?.aborted) aborted();
    else signal?.addEventListener('abort', aborted);
  });
}

export interface TransportHandlers {
  segment(octets: Uint8Array): void;
  /** Called once, after the last segment. */
  end(error: ViciError): void;
}

/** Segments over a stream. */
export class Transport {
  readonly #stream: Duplex;
  readonly #handlers: TransportHandlers;
  readonly #deframer = new Deframer();
  #ended = false;

  constructor(stream: Duplex, handlers: TransportHandlers) {
    this.#stream = stream;
    this.#handlers = handlers;
    stream
      .on('data', (chunk: Uint8Array) => this.#receive(chunk))
      .on('error', (cause) => this.#end(new ConnectionLost('vici: the connection to charon failed', { cause })))
      .on('end', () => this.#end(new ConnectionLost('vici: charon closed the connection')))
      .on('close', () => this.#end(new ConnectionLost('vici: the connection to charon was closed')));
  }

  send(segment: Uint8Array): void {
    this.#stream.write(frame(segment));
  }

  close(): void {
    this.#ended = true;
    this.#stream.destroy();
  }

  #receive(chunk: Uint8Array): void {
    if (this.#ended) return;
    const { segments, malformed } = this.#deframer.push(chunk);
    for (const segment of segments) this.#handlers.segment(segment);
    if (malformed) this.#end(new ProtocolError(`vici: charon sent a ${malformed.why}`));
  }

  #end(error: ViciError): void {
    if (this.#ended) return;
    this.close();
    this.#handlers.end(error);
  }
}
