/** Reliable delivery of control messages: Ns/Nr, windows, slow start, backoff, ZLB. RFC 2661 §5.8, Appendix A. */
import { after, type Instant } from '../machine.js';

export interface RetransmitConfig {
  /** First retransmission after this long; doubled for each further one (§5.8 recommends 1 s). */
  readonly initialMs: number;
  /** Longest interval (§5.8: MUST be no less than 8 s). */
  readonly capMs: number;
  /** Retransmissions before the peer counts as lost (§5.8 recommends 5). */
  readonly tries: number;
}

/** What goes on the wire; the owner writes header and tunnel id around it. An empty body is a ZLB. */
export interface Outgoing {
  readonly sessionId: number;
  readonly Ns: number;
  readonly Nr: number;
  readonly body: Uint8Array;
}

export interface Delivered {
  readonly sessionId: number;
  readonly body: Uint8Array;
}

export type Received =
  | { readonly kind: 'delivered'; readonly messages: readonly Delivered[] }
  /** Kept for later, seen before, or a ZLB: nothing to process. */
  | { readonly kind: 'zlb' | 'duplicate' | 'held' }
  /** Ahead of others and too large to be kept: the peer sends it again. */
  | { readonly kind: 'early' }
  /** Outside the windows: not from a peer that follows §5.8. */
  | { readonly kind: 'invalid'; readonly why: string };

/* Specification */
/** §4.4.3: the peer's window until its Receive Window Size AVP says otherwise. */
export const DEFAULT_WINDOW = 4;
const MODULO = 0x1_0000;
/** §5.8: the last received number and the 32767 before it are duplicates. */
const HALF = 0x8000;

/* Implementation */
/** Messages waiting for the peer's acknowledgement or window; beyond it the peer makes us talk and does not listen. */
export const MAX_QUEUED = 256;
/** Octets of a message that is kept for those before it. No client's is as long, and a window may be full of them. */
export const MAX_HELD_BODY = 2_048;

interface Pending {
  readonly sessionId: number;
  readonly body: Uint8Array;
  readonly keepalive: boolean;
  sent: number;
}

/** Serial number distance from `a` to `b`, 0..65535. */
const distance = (a: number, b: number): number => (b - a + MODULO) % MODULO;

/** How long a message is retried before the peer counts as lost: §5.7's full retransmission cycle (31 s by default). */
export function fullCycleMs(c: RetransmitConfig): number {
  let sum = 0;
  for (let n = 0; n <= c.tries; n++) sum += interval(c, n);
  return sum;
}

const interval = (c: RetransmitConfig, n: number): number => Math.min(c.initialMs * 2 ** Math.min(n, 16), c.capMs);

export class ReliableChannel {
  readonly #config: RetransmitConfig;
  readonly #transmit: (out: Outgoing) => void;
  readonly #receiveWindow: number;

  /** Unacknowledged and unsent messages; the first `#sent` of them are in flight. */
  readonly #queue: Pending[] = [];
  /** Ns of `#queue[0]`. */
  #una = 0;
  #sent = 0;
  /** Ns after the highest ever transmitted; stays when a timeout starts over from `#una`. */
  #next = 0;
  /** Next Ns expected from the peer, which is our Nr. */
  #Nr = 0;
  readonly #held = new Map<number, Delivered>();
  #ackOwed = false;

  #peerWindow = DEFAULT_WINDOW;
  #cwnd = 1;
  #ssthresh = DEFAULT_WINDOW;
  #acksInAvoidance = 0;
  #retransmitAt: Instant | undefined;
  /** Data came from the peer since the head of the queue was first sent. */
  #lifeSeen = false;
  #hurry = false;

  constructor(config: RetransmitConfig, receiveWindow: number, transmit: (out: Outgoing) => void) {
    this.#config = config;
    this.#receiveWindow = receiveWindow;
    this.#transmit = transmit;
  }

  /** Every message given to send() has been acknowledged. */
  get idle(): boolean {
    return this.#queue.length === 0;
  }

  /** The owner must give up: more than MAX_QUEUED messages wait. */
  get overfull(): boolean {
    return this.#queue.length > MAX_QUEUED;
  }

  nextTimeout(): Instant | undefined {
    return this.#retransmitAt;
  }

  /** The peer's Receive Window Size AVP; Appendix A: SSTHRESH starts there. */
  setPeerWindow(size: number): void {
    this.#peerWindow = size;
    this.#ssthresh = size;
    this.#cwnd = Math.min(this.#cwnd, size);
  }

  /**
   * Queues a message; flush() sends what the window allows. A keepalive (HELLO) only asks whether the peer lives: while its
   * data arrives, the peer is not lost for leaving that unanswered.
   */
  send(sessionId: number, body: Uint8Array, keepalive = false): void {
    this.#queue.push({ sessionId, body, keepalive, sent: 0 });
  }

  /** Data arrived from the peer. */
  sawLife(): void {
    this.#lifeSeen = true;
  }

  /** The last messages: they go at once, not behind one that is not acknowledged; the peer's window still holds. */
  hurry(): void {
    this.#hurry = true;
  }

  /** Drops what was never transmitted, so that a StopCCN need not wait behind it. */
  dropUnsent(): void {
    this.#queue.length = distance(this.#una, this.#next);
  }

  /** Forgets all that was to be delivered: the peer is leaving. Received messages are still acknowledged. */
  stopSending(): void {
    this.#queue.length = 0;
    this.#una = this.#next;
    this.#sent = 0;
    this.#retransmitAt = undefined;
  }

  /** Takes a control packet's numbers and body (empty for a ZLB); what it delivers is in order and without repeats. */
  receive(now: Instant, sessionId: number, Ns: number, Nr: number, body: Uint8Array): Received {
    const acked = distance(this.#una, Nr);
    const inFlight = distance(this.#una, this.#next);
    if (acked > inFlight && acked < HALF) return { kind: 'invalid', why: `Nr ${Nr} acknowledges what was not sent` };
    if (acked > 0 && acked <= inFlight) this.#acknowledge(now, acked);

    // §5.8: a ZLB takes no slot in the sequence, its Ns says nothing.
    if (body.length === 0) return { kind: 'zlb' };
    const ahead = distance(this.#Nr, Ns);
    if (ahead >= HALF) {
      // §5.8 MUST: acknowledge a duplicate, its acknowledgement may have been lost.
      this.#ackOwed = true;
      return { kind: 'duplicate' };
    }
    if (ahead >= this.#receiveWindow) return { kind: 'invalid', why: `Ns ${Ns} is beyond the receive window` };
    if (ahead > 0) {
      if (body.length > MAX_HELD_BODY) return { kind: 'early' };
      // §5.8 MAY: queued for in-order delivery. Copied (a Buffer's slice would not): the datagram is not ours to keep.
      if (!this.#held.has(Ns)) this.#held.set(Ns, { sessionId, body: Uint8Array.from(body) });
      return { kind: 'held' };
    }
    this.#ackOwed = true;
    const messages: Delivered[] = [{ sessionId, body }];
    this.#Nr = (Ns + 1) % MODULO;
    for (let next = this.#held.get(this.#Nr); next; next = this.#held.get(this.#Nr)) {
      this.#held.delete(this.#Nr);
      messages.push(next);
      this.#Nr = (this.#Nr + 1) % MODULO;
    }
    return { kind: 'delivered', messages };
  }

  /** Sends what the windows allow, then a ZLB at once if an acknowledgement is still owed (a window-1 peer waits for it). */
  flush(now: Instant): void {
    const window = this.#hurry ? this.#peerWindow : this.#cwnd;
    while (this.#sent < this.#queue.length && this.#sent < window) {
      this.#transmitAt(now, this.#sent++);
    }
    if (this.#ackOwed) this.#put({ sessionId: 0, body: EMPTY }, this.#next);
  }

  /** Retransmits when due; 'lost' when the peer has not acknowledged a message after the last try. */
  handleTimeout(now: Instant): 'lost' | undefined {
    if (this.#retransmitAt === undefined || now < this.#retransmitAt) return undefined;
    const head = this.#queue[0]!;
    if (head.sent > this.#config.tries) {
      if (!head.keepalive || this.#queue.length > 1 || !this.#lifeSeen) return 'lost';
      head.sent = 0; // its Ns is taken: it is sent for another cycle
    }
    // Appendix A: half the window into SSTHRESH, slow start again. The rest of the flight follows as the window opens.
    this.#ssthresh = Math.max(1, Math.floor(this.#cwnd / 2));
    this.#cwnd = 1;
    this.#acksInAvoidance = 0;
    this.#retransmitAt = undefined;
    this.#sent = 1;
    this.#transmitAt(now, 0);
    return undefined;
  }

  #acknowledge(now: Instant, count: number): void {
    this.#queue.splice(0, count);
    this.#una = (this.#una + count) % MODULO;
    this.#sent = Math.max(0, this.#sent - count);
    if (this.#cwnd < this.#ssthresh) this.#cwnd++;
    else if (++this.#acksInAvoidance >= this.#cwnd) {
      this.#acksInAvoidance = 0;
      this.#cwnd++;
    }
    this.#cwnd = Math.min(this.#cwnd, this.#peerWindow);
    this.#retransmitAt = this.#sent > 0 ? after(now, interval(this.#config, this.#queue[0]!.sent - 1)) : undefined;
  }

  #transmitAt(now: Instant, index: number): void {
    const message = this.#queue[index]!;
    const Ns = (this.#una + index) % MODULO;
    if (Ns === this.#next) this.#next = (Ns + 1) % MODULO;
    if (index === 0 && message.sent === 0) this.#lifeSeen = false;
    message.sent++;
    this.#retransmitAt ??= after(now, interval(this.#config, message.sent - 1));
    this.#put(message, Ns);
  }

  #put({ sessionId, body }: Delivered, Ns: number): void {
    this.#ackOwed = false;
    this.#transmit({ sessionId, Ns, Nr: this.#Nr, body });
  }
}

const EMPTY = new Uint8Array(0);
