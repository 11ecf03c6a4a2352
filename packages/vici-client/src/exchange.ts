/**
 * One dialogue at a time over one connection, with events beside it. VICI has no sequence numbers: an answer belongs to
 * the only request in flight. Read "Commands" and "Events" in the strongSwan VICI README first.
 */
import type { Duplex } from 'node:stream';
import { CommandAborted, CommandTimeout, ConnectionLost, ProtocolError, type ViciError } from './errors.js';
import type { Section } from './message.js';
import { type Answer, decodePacket, encodePacket, type Request } from './packet.js';
import { Transport } from './transport.js';

/**
 * What one caller has to say: yields the packets to send, is resumed with charon's answers, returns the result or
 * throws the caller's error. A ProtocolError it throws ends the connection.
 */
export type Dialogue<T> = Generator<Request, T, Answer>;

export interface RunOptions {
  /** Limit in ms from the first packet sent to the last answer, whatever the wait in the queue; Infinity for none. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Sees the events that arrive while this dialogue is in flight and not given up. */
  readonly onEvent?: ((name: string, event: Section) => void) | undefined;
}

export interface ExchangeHandlers {
  event(name: string, event: Section): void;
  /** Called once; nothing follows. */
  end(why: ViciError): void;
}

interface Job {
  readonly name: string;
  readonly dialogue: Dialogue<unknown>;
  readonly timeoutMs: number;
  readonly onEvent: RunOptions['onEvent'];
  /** Tells the caller, once; undefined afterwards. */
  settle: ((error: unknown, value?: unknown) => void) | undefined;
}

export class Exchange {
  readonly #transport: Transport;
  readonly #handlers: ExchangeHandlers;
  readonly #drainMs: number;
  /** In the order of the calls; one that is given up leaves from the middle. */
  readonly #queue = new Set<Job>();
  #inFlight: Job | undefined;
  /** Both are of the one in flight: its limit until it is given up, from then on how long its answer is awaited. */
  #limit: NodeJS.Timeout | undefined;
  #drain: NodeJS.Timeout | undefined;
  #inbox: (Uint8Array | ViciError)[] = [];
  #held = false;
  #failure: ViciError | undefined;

  constructor(stream: Duplex, drainMs: number, handlers: ExchangeHandlers) {
    this.#drainMs = drainMs;
    this.#handlers = handlers;
    const received = (item: Uint8Array | ViciError) => {
      this.#inbox.push(item);
      this.#deliver();
    };
    this.#transport = new Transport(stream, { segment: received, end: received });
  }

  get failure(): ViciError | undefined {
    return this.#failure;
  }

  /** Queues a dialogue. Rejects with what it throws, CommandTimeout, CommandAborted, or the reason the connection ended. */
  run<T>(name: string, dialogue: Dialogue<T>, { timeoutMs, signal, onEvent }: RunOptions): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#failure) throw this.#failure;
      if (signal?.aborted) throw new CommandAborted(name, false, signal.reason);
      const aborted = () => this.#giveUp(job, (sent) => new CommandAborted(name, sent, signal?.reason));
      signal?.addEventListener('abort', aborted);
      const settle: Job['settle'] = (error, value) => {
        job.settle = undefined;
        signal?.removeEventListener('abort', aborted);
        if (error === undefined) resolve(value as T);
        else reject(error);
      };
      const job: Job = { name, dialogue, timeoutMs, onEvent, settle };
      this.#queue.add(job);
      this.#startNext();
    });
  }

  /** Ends the connection; what is queued or in flight rejects with the reason. */
  end(why: ViciError): void {
    if (this.#failure) return;
    this.#failure = why;
    this.#stopTimers();
    this.#transport.close();
    for (const job of [this.#inFlight, ...this.#queue]) job?.settle?.(why);
    this.#queue.clear();
    this.#inbox = [];
    this.#inFlight = undefined;
    this.#handlers.end(why);
  }

  #startNext(): void {
    while (!this.#inFlight && !this.#failure) {
      const job = this.#queue.values().next().value;
      if (!job) return;
      this.#queue.delete(job);
      this.#inFlight = job;
      this.#advance(job, () => job.dialogue.next());
      if (this.#inFlight === job && job.settle) this.#startLimit(job);
    }
  }

  #startLimit(job: Job): void {
    const { name, timeoutMs } = job;
    const expired = () => this.#giveUp(job, () => new CommandTimeout(name, timeoutMs));
    if (timeoutMs < TIMER_LIMIT) this.#limit = setTimeout(expired, timeoutMs);
  }

  #stopTimers(): void {
    clearTimeout(this.#limit);
    clearTimeout(this.#drain);
  }

  #advance(job: Job, step: () => IteratorResult<Request, unknown>): void {
    try {
      const next = step();
      // Given up between two packets: what was answered counts (a registration), the rest is not sent.
      if (!next.done && job.settle) {
        this.#transport.send(encodePacket(next.value));
        return;
      }
      if (next.done) job.settle?.(undefined, next.value);
    } catch (error) {
      job.settle?.(error);
      if (error instanceof ProtocolError) this.end(error);
    }
    this.#stopTimers();
    this.#inFlight = undefined;
  }

  /** The caller is told at once; an answer still to come is awaited, or it would be taken for the next command's. */
  #giveUp(job: Job, error: (sent: boolean) => ViciError): void {
    const sent = this.#inFlight === job;
    job.settle?.(error(sent));
    this.#queue.delete(job);
    if (!sent) return;
    clearTimeout(this.#limit);
    const silent = () =>
      this.end(new ConnectionLost(`vici: charon did not answer ${job.name} within ${this.#drainMs} ms of its end`));
    this.#drain = setTimeout(silent, this.#drainMs);
  }

  #deliver(): void {
    while (!this.#held) {
      const item = this.#inbox.shift();
      if (item === undefined) return;
      if (item instanceof Uint8Array) this.#receive(item);
      else this.end(item);
    }
  }

  #receive(segment: Uint8Array): void {
    const decoded = decodePacket(segment);
    if (!decoded.ok) {
      this.end(new ProtocolError(`vici: malformed packet: ${decoded.why} (octet ${decoded.at})`));
      return;
    }
    const packet = decoded.value;
    switch (packet.type) {
      case 'EVENT':
        // A dialogue that was given up sees no more of its stream.
        if (this.#inFlight?.settle) this.#inFlight.onEvent?.(packet.name, packet.message);
        this.#handlers.event(packet.name, packet.message);
        break;
      case 'CMD_RESPONSE':
      case 'CMD_UNKNOWN':
      case 'EVENT_CONFIRM':
      case 'EVENT_UNKNOWN':
        this.#answer(packet);
        break;
      case 'CMD_REQUEST':
      case 'EVENT_REGISTER':
      case 'EVENT_UNREGISTER':
        this.end(new ProtocolError(`vici: charon sent ${packet.type}, which only a client may`));
        break;
    }
  }

  #answer(answer: Answer): void {
    const job = this.#inFlight;
    if (!job) {
      this.end(new ProtocolError(`vici: charon sent ${answer.type}, and nothing was asked`));
      return;
    }
    this.#advance(job, () => job.dialogue.next(answer));
    this.#startNext();
    // What awaits this answer runs before any event that followed it: else a listing (`list-sas`) would overwrite the
    // news that came after it. Promise continuations run before the next immediate.
    this.#held = true;
    setImmediate(() => {
      this.#held = false;
      this.#deliver();
    });
  }
}

/** Calls a function of the user's. What it throws is an uncaught exception: not ours to handle, nor to stumble over. */
export function callOut(f: () => void): void {
  try {
    f();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}

/** The longest delay a Node timer takes, in ms; anything longer is no limit. */
const TIMER_LIMIT = 2 ** 31;
