/**
 * A connection that comes back: connect, subscribe, resynchronise, serve, and again after a loss. charon's events are
 * lost while there is no connection, so the state is listed anew each time, after the subscriptions: what changes during
 * the listing then arrives as an event.
 */
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Closed, EventUnknown, NotConnected, type ViciError } from './errors.js';
import { callOut } from './exchange.js';
import type { Section, SectionInput } from './message.js';
import {
  type CommandOptions,
  type Commands,
  type EventListener,
  Session,
  type SessionOptions,
  type StreamedCommand,
} from './session.js';
import { DEFAULT_ENDPOINT } from './transport.js';

export interface Backoff {
  /** Longest first delay in ms; doubles with each failure. 100. */
  readonly firstMs?: number;
  /** Bound of the delay in ms. 10 000. */
  readonly maxMs?: number;
  /** Jitter in [0, 1); Math.random. */
  readonly random?: () => number;
}

/** The delay in ms after the n-th failure in a row (from 1): between half and all of `min(maxMs, firstMs * 2^(n-1))`. */
export function backoffDelay(failures: number, { firstMs = 100, maxMs = 10_000, random = Math.random }: Backoff = {}) {
  return Math.min(maxMs, firstMs * 2 ** (failures - 1)) * (0.5 + random() / 2);
}

export interface ClientOptions extends SessionOptions {
  /** `unix:///path`, `/path`, `tcp://host:port`, or a function that opens the stream. charon's default path. */
  readonly endpoint?: string | ((signal: AbortSignal) => Promise<Duplex>);
  /** Registered on every connection, before `resync`. */
  readonly events?: Readonly<Record<string, EventListener>>;
  /**
   * Awaited on every connection after the registrations, before `connected`: load the configuration, list the SAs. If it
   * throws, or the connection is lost meanwhile, the connection is given up and tried again.
   */
  readonly resync?: (session: Session) => Promise<void> | void;
  readonly backoff?: Backoff;
  readonly onConnected?: () => void;
  /** The connection ended after it was `connected`. Not called for close(). */
  readonly onLost?: (why: ViciError) => void;
  /** An attempt failed (connecting, registering, resync), or the connection was lost; the next is made in `delayMs`. */
  readonly onRetry?: (why: unknown, delayMs: number, failures: number) => void;
  /** This charon lacks one of `events`: go on without it. Without this function the attempt fails. */
  readonly onEventUnknown?: (why: EventUnknown) => void;
}

export type ClientState = 'connecting' | 'connected' | 'closed';

export class Client implements Commands {
  readonly #options: ClientOptions;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  #session: Session | undefined;
  #waiting: { resolve: () => void; reject: (why: Closed) => void }[] = [];

  /** Starts to connect at once. */
  constructor(options: ClientOptions = {}) {
    this.#options = options;
    this.#running = this.#run();
  }

  get state(): ClientState {
    if (this.#closing.signal.aborted) return 'closed';
    return this.#session?.open ? 'connected' : 'connecting';
  }

  /** Resolves when connected and resynchronised, at once if so already. Rejects with Closed. */
  connected(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.state === 'closed') reject(closed());
      else if (this.state === 'connected') resolve();
      else this.#waiting.push({ resolve, reject });
    });
  }

  /** As {@link Session.request}; rejects with NotConnected before `connected` and after a loss. Nothing is sent twice. */
  async request(command: string, args?: SectionInput, options?: CommandOptions): Promise<Section> {
    return this.#current.request(command, args, options);
  }

  async streamTo(command: StreamedCommand, args: SectionInput, onEvent: EventListener, options?: CommandOptions) {
    return this.#current.streamTo(command, args, onEvent, options);
  }

  async list(command: StreamedCommand, args?: SectionInput, options?: CommandOptions): Promise<Section[]> {
    return this.#current.list(command, args, options);
  }

  async *stream(command: StreamedCommand, args?: SectionInput, options?: CommandOptions) {
    return yield* this.#current.stream(command, args, options);
  }

  /** Ends the connection and the attempts; resolves when nothing runs any more. */
  async close(): Promise<void> {
    this.#closing.abort(closed());
    for (const { reject } of this.#waiting.splice(0)) reject(closed());
    await this.#running;
  }

  get #current(): Session {
    if (this.state === 'closed') throw closed();
    if (this.#session?.open) return this.#session;
    throw new NotConnected('vici: not connected to charon');
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    const { backoff, onRetry } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      const why = await this.#serve(() => {
        failures = 0;
      });
      if (signal.aborted) return;
      failures += 1;
      const delayMs = backoffDelay(failures, backoff);
      callOut(() => onRetry?.(why, delayMs, failures));
      await delay(delayMs, undefined, { signal }).catch(() => {});
    }
  }

  /** One connection from start to end; resolves with the reason of its end. */
  async #serve(succeeded: () => void): Promise<unknown> {
    const { onConnected, onLost } = this.#options;
    const { signal } = this.#closing;
    let session: Session | undefined;
    const close = () => session?.close();
    signal.addEventListener('abort', close);
    try {
      session = await this.#open();
      if (signal.aborted) return undefined;
      const lost = session.ended.then((why) => Promise.reject(why));
      await Promise.race([this.#prepare(session), lost]);
      if (!session.open) return await session.ended;
      succeeded();
      this.#session = session;
      for (const { resolve } of this.#waiting.splice(0)) resolve();
      callOut(() => onConnected?.());
      const why = await session.ended;
      if (!signal.aborted) callOut(() => onLost?.(why));
      return why;
    } catch (error) {
      return error;
    } finally {
      signal.removeEventListener('abort', close);
      session?.close();
      this.#session = undefined;
    }
  }

  async #open(): Promise<Session> {
    const { endpoint = DEFAULT_ENDPOINT } = this.#options;
    const { signal } = this.#closing;
    if (typeof endpoint === 'string') return Session.connect(endpoint, { ...this.#options, signal });
    return new Session(await endpoint(signal), this.#options);
  }

  async #prepare(session: Session): Promise<void> {
    const { events = {}, resync, onEventUnknown } = this.#options;
    for (const [event, listener] of Object.entries(events)) {
      try {
        await session.subscribe(event, listener);
      } catch (error) {
        if (!(error instanceof EventUnknown) || !onEventUnknown) throw error;
        onEventUnknown(error);
      }
    }
    await resync?.(session);
  }
}

const closed = () => new Closed('vici: the client was closed');
