/**
 * What a client does with one connection: commands, streamed commands, event subscriptions. Read "Client-initiated
 * commands" and "Server-issued events" in the strongSwan VICI README first.
 */
import type { Duplex } from 'node:stream';
import {
  Closed,
  CommandFailed,
  CommandUnknown,
  ConnectFailed,
  EventUnknown,
  ProtocolError,
  type ViciError,
} from './errors.js';
import { callOut, type Dialogue, Exchange } from './exchange.js';
import { Section, type SectionInput } from './message.js';
import { DEFAULT_ENDPOINT, openStream } from './transport.js';

/** The commands that stream, and the event that carries their stream. */
export const STREAMED = {
  'list-sas': 'list-sa',
  'list-policies': 'list-policy',
  'list-conns': 'list-conn',
  'list-certs': 'list-cert',
  'list-authorities': 'list-authority',
  initiate: 'control-log',
  terminate: 'control-log',
} as const;
export type StreamedCommand = keyof typeof STREAMED;

export type EventListener = (event: Section) => void;

export interface CommandOptions {
  /** Limit in ms from when the command is sent to its response; Infinity for none. */
  readonly timeoutMs?: number | undefined;
  /** Gives the command up at any time, in the queue too: `AbortSignal.timeout(ms)` limits both together. */
  readonly signal?: AbortSignal | undefined;
}

export interface SessionOptions {
  /** Limit in ms to connect, and the default limit of a command; 10 000. */
  readonly timeoutMs?: number | undefined;
  /**
   * A command given up (timeout, abort) may still be answered, and VICI has no sequence numbers: the commands behind it
   * wait this long for its answer (ms; 5 000), then the connection is ended with ConnectionLost.
   */
  readonly drainMs?: number | undefined;
}

/** The calls a {@link Session} and a reconnecting Client have in common. */
export interface Commands {
  /**
   * Runs a command and resolves with its response. Rejects with CommandUnknown, CommandFailed (`success=no`),
   * CommandTimeout, CommandAborted, InvalidMessage, or the reason the connection ended. The code that awaits it runs
   * before the listeners of events that charon sent after the response.
   */
  request(command: string, args?: SectionInput, options?: CommandOptions): Promise<Section>;
  /** The same for a streamed command; `onEvent` sees each streamed event, in order, before the response resolves. */
  streamTo(command: StreamedCommand, args: SectionInput, onEvent: EventListener, o?: CommandOptions): Promise<Section>;
  /** The same, resolving with all streamed events. */
  list(command: StreamedCommand, args?: SectionInput, options?: CommandOptions): Promise<Section[]>;
  /** The same as an iterator: yields the events, returns the response. Leaving the loop early aborts the command. */
  stream(command: StreamedCommand, args?: SectionInput, o?: CommandOptions): AsyncGenerator<Section, Section, void>;
}

export class Session implements Commands {
  readonly #exchange: Exchange;
  readonly #timeoutMs: number;
  readonly #registered = new Set<string>();
  readonly #listeners = new Map<string, Set<EventListener>>();

  /** Resolves with the reason when the session ends: {@link Closed} after close(). Never rejects. */
  readonly ended: Promise<ViciError>;

  /** Speaks VICI over an open stream; {@link Session.connect} opens one. */
  constructor(stream: Duplex, options: SessionOptions = {}) {
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    let end: (why: ViciError) => void = () => {};
    this.ended = new Promise((resolve) => {
      end = resolve;
    });
    this.#exchange = new Exchange(stream, options.drainMs ?? DRAIN_MS, {
      event: (name, event) => {
        for (const listener of [...(this.#listeners.get(name) ?? [])]) callOut(() => listener(event));
      },
      end,
    });
  }

  /** Connects to `unix:///path`, `/path` or `tcp://host:port`. Rejects with {@link ConnectFailed}. */
  static async connect(
    endpoint: string = DEFAULT_ENDPOINT,
    options: SessionOptions & { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Session> {
    const limit = new AbortController();
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    const late = new ConnectFailed(`vici: no connection to ${endpoint} within ${timeoutMs} ms`);
    const timer = timeoutMs < 2 ** 31 ? setTimeout(() => limit.abort(late), timeoutMs) : undefined;
    try {
      const signal = options.signal ? AbortSignal.any([options.signal, limit.signal]) : limit.signal;
      return new Session(await openStream(endpoint, signal), options);
    } finally {
      clearTimeout(timer);
    }
  }

  /** False once the session has ended. */
  get open(): boolean {
    return this.#exchange.failure === undefined;
  }

  async request(command: string, args: SectionInput = {}, options: CommandOptions = {}): Promise<Section> {
    return this.#run(command, commandDialogue(command, Section.from(args)), options);
  }

  async streamTo(
    command: StreamedCommand,
    args: SectionInput,
    onEvent: EventListener,
    options: CommandOptions = {},
  ): Promise<Section> {
    const stream = STREAMED[command];
    const register = this.#registration(stream);
    const request = commandDialogue(command, Section.from(args));
    // DEVIATION README "Client-initiated commands": the stream's event stays registered for the session. charon raises
    // it for the requesting connection alone, so that costs nothing and saves two round trips per command.
    const both = (function* (): Dialogue<Section> {
      yield* register;
      return yield* request;
    })();
    return this.#run(command, both, options, (name, event) => {
      if (name === stream) callOut(() => onEvent(event));
    });
  }

  async list(command: StreamedCommand, args: SectionInput = {}, options: CommandOptions = {}): Promise<Section[]> {
    const events: Section[] = [];
    await this.streamTo(command, args, (event) => events.push(event), options);
    return events;
  }

  async *stream(
    command: StreamedCommand,
    args: SectionInput = {},
    options: CommandOptions = {},
  ): AsyncGenerator<Section, Section, void> {
    const events: Section[] = [];
    let wake = () => {};
    let finished = false;
    const take = (event: Section) => {
      events.push(event);
      wake();
    };
    const left = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, left.signal]) : left.signal;
    const response = this.streamTo(command, args, take, { ...options, signal });
    const finish = () => {
      finished = true;
      wake();
    };
    response.then(finish, finish);
    try {
      while (!finished || events.length > 0) {
        yield* events.splice(0);
        if (finished || events.length > 0) continue;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return await response;
    } finally {
      left.abort();
    }
  }

  /**
   * Registers for an event. Resolves with the function that unsubscribes; rejects with EventUnknown. Listeners are
   * called in the order of arrival. What a listener throws is an uncaught exception: it is not the session's to handle.
   */
  async subscribe(event: string, listener: EventListener): Promise<() => Promise<void>> {
    const own: EventListener = (e) => listener(e); // so that one function can subscribe twice
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(own));
    const remove = () => {
      if (listeners.delete(own) && listeners.size === 0) this.#listeners.delete(event);
    };
    try {
      await this.#run(event, this.#registration(event));
    } catch (error) {
      remove();
      throw error;
    }
    return async () => {
      remove();
      if (this.open) await this.#run(event, this.#deregistration(event));
    };
  }

  /** Ends the session; what is queued or in flight rejects with Closed. */
  close(): void {
    this.#exchange.end(new Closed('vici: the session was closed'));
  }

  #run<T>(
    name: string,
    dialogue: Dialogue<T>,
    { timeoutMs = this.#timeoutMs, signal }: CommandOptions = {},
    onEvent?: (name: string, event: Section) => void,
  ): Promise<T> {
    return this.#exchange.run(name, dialogue, { timeoutMs, signal, onEvent });
  }

  /** charon keeps a list, not a set, of who registered: registering twice would deliver each event twice. */
  *#registration(event: string): Dialogue<void> {
    if (this.#registered.has(event)) return;
    const answer = yield { type: 'EVENT_REGISTER', name: event };
    if (answer.type === 'EVENT_UNKNOWN') throw new EventUnknown(event);
    if (answer.type !== 'EVENT_CONFIRM') throw misplaced(answer.type, event);
    this.#registered.add(event);
  }

  *#deregistration(event: string): Dialogue<void> {
    if (this.#listeners.has(event) || !this.#registered.delete(event)) return; // others listen
    const answer = yield { type: 'EVENT_UNREGISTER', name: event };
    if (answer.type === 'EVENT_UNKNOWN') throw new EventUnknown(event);
    if (answer.type !== 'EVENT_CONFIRM') throw misplaced(answer.type, event);
  }
}

function* commandDialogue(command: string, message: Section): Dialogue<Section> {
  const answer = yield { type: 'CMD_REQUEST', name: command, message };
  if (answer.type === 'CMD_UNKNOWN') throw new CommandUnknown(command);
  if (answer.type !== 'CMD_RESPONSE') throw misplaced(answer.type, command);
  if (answer.message.text('success') !== 'no') return answer.message;
  throw new CommandFailed(command, masked(answer.message.text('errmsg') ?? '', message), answer.message);
}

const misplaced = (type: string, name: string) => new ProtocolError(`vici: charon answered ${name} with ${type}`);

/** 5.9.8 does not repeat keys or PINs in an errmsg; should another version do so, they end here. */
function masked(errmsg: string, request: Section): string {
  return ['data', 'pin', 'secret']
    .map((name) => request.text(name))
    .reduce<string>((out, secret) => (secret ? out.replaceAll(secret, '***') : out), errmsg);
}

/** Our choices, in ms. */
const TIMEOUT_MS = 10_000;
const DRAIN_MS = 5_000;
