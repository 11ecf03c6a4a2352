/** Sessions and throughput of the last hours, for the status page: one point each 30 s, the oldest forgotten. */

/** Bits per second of inner IP packets since the point before; `in` is from the clients. */
export interface HistoryPoint {
  /** ms since 1970. */
  readonly at: number;
  readonly sessions: number;
  readonly in: number;
  readonly out: number;
}

/** What is true when a point is taken. */
export interface Sample {
  readonly sessions: { readonly up: number };
  /** Of the sessions that live. */
  readonly octets: { readonly in: number; readonly out: number };
}

export const HISTORY_STEP_MS = 30_000;
/** Six hours. */
export const MAX_POINTS = 720;

export class History {
  readonly #look: () => Sample;
  #points: HistoryPoint[] = [];
  /** Octets of the sessions that have ended. */
  readonly #past = { in: 0, out: 0 };
  #before: { readonly at: number; readonly in: number; readonly out: number } | undefined;

  constructor(look: () => Sample) {
    this.#look = look;
  }

  /** Oldest first. */
  get points(): readonly HistoryPoint[] {
    return this.#points;
  }

  /** An event of the log: what an ended session has carried still counts. */
  event(event: string, { octetsIn, octetsOut }: Readonly<Record<string, unknown>>): void {
    if (event !== 'session.end') return;
    this.#past.in += Number(octetsIn ?? 0);
    this.#past.out += Number(octetsOut ?? 0);
  }

  /** `at` in ms since 1970. A clock that was set back makes a point without rates. */
  sample(at: number): void {
    const { sessions, octets } = this.#look();
    const now = { at, in: octets.in + this.#past.in, out: octets.out + this.#past.out };
    const { at: then, ...before } = this.#before ?? now;
    const seconds = (at - then) / 1000;
    const rate = (direction: 'in' | 'out') =>
      seconds > 0 ? Math.max(0, Math.round((8 * (now[direction] - before[direction])) / seconds)) : 0;
    this.#before = now;
    this.#points = [...this.#points, { at, sessions: sessions.up, in: rate('in'), out: rate('out') }].slice(
      -MAX_POINTS,
    );
  }
}
