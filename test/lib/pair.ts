/**
 * Two machines on one virtual clock with a link between them that delays, loses, repeats and reorders as scripted or
 * as a seeded generator says. Knows no protocol: the caller says which outputs are packets and how they arrive.
 */
import { type Instant, instant, type Machine, type Random } from '../../src/proto/machine.js';

/** mulberry32: small, seeded, good enough to shake machines. 0 <= x < 1. */
export function seeded(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = a;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

export const seededRandom = (seed: number): Random => {
  const next = seeded(seed);
  return (n) => Uint8Array.from({ length: n }, () => Math.floor(next() * 256));
};

/** What happens to one packet: when (ms from now) its copies arrive. Empty: lost. */
export type Fate = readonly number[];

/** `nth` counts all packets from 0. */
export type LinkScript = (packet: {
  readonly from: 'a' | 'b';
  readonly nth: number;
  readonly data: Uint8Array;
}) => Fate;

export const perfect =
  (latencyMs = 10): LinkScript =>
  () => [latencyMs];

/** Loses these packets (by number), delivers the rest. */
export const losing =
  (lost: readonly number[], latencyMs = 10): LinkScript =>
  ({ nth }) =>
    lost.includes(nth) ? [] : [latencyMs];

/** Loss, duplication and reordering with the given probabilities. */
export function noisy(seed: number, p: { loss: number; duplicate: number; reorder: number }): LinkScript {
  const chance = seeded(seed);
  const delay = () => 5 + Math.floor(chance() * 20) + (chance() < p.reorder ? Math.floor(chance() * 3_000) : 0);
  return () => {
    if (chance() < p.loss) return [];
    return chance() < p.duplicate ? [delay(), delay()] : [delay()];
  };
}

export interface Side<In, Out> {
  readonly machine: Machine<In, Out>;
  /** The packet in an output, if it is one. */
  readonly packet: (out: Out) => Uint8Array | undefined;
  /** The input by which a packet of the other side arrives. */
  readonly arrive: (data: Uint8Array) => In;
}

interface Event {
  readonly at: Instant;
  readonly order: number;
  readonly run: () => void;
}

export class Pair<In, Out> {
  readonly #sides: Record<'a' | 'b', Side<In, Out>>;
  readonly #link: LinkScript;
  readonly #describe: (data: Uint8Array) => string;
  #events: Event[] = [];
  #now = instant(0);
  #nth = 0;
  #order = 0;
  /** Outputs that are not packets, by side, in order. */
  readonly out: Record<'a' | 'b', Out[]> = { a: [], b: [] };
  /** One line per packet: `0 a> SCCRQ Ns=0 Nr=0`, with LOST or the number of copies. */
  readonly trace: string[] = [];

  constructor(
    a: Side<In, Out>,
    b: Side<In, Out>,
    link: LinkScript = perfect(),
    describe: (data: Uint8Array) => string = () => '',
  ) {
    this.#sides = { a, b };
    this.#link = link;
    this.#describe = describe;
  }

  get now(): Instant {
    return this.#now;
  }

  input(side: 'a' | 'b', input: In): void {
    this.#sides[side].machine.handle(this.#now, input);
    this.#drain(side);
  }

  /** Runs until `ms` have passed. Fails when the machines loop without letting time pass. */
  run(ms: number): void {
    const end = instant(this.#now + ms);
    for (let idle = 0; ; ) {
      const at = this.#nextAt();
      if (at === undefined || at > end) break;
      idle = at > this.#now ? 0 : idle + 1;
      if (idle > 10_000) throw new Error(`stuck at ${this.#now}: time does not pass`);
      this.#now = instant(Math.max(at, this.#now));
      this.#tick();
    }
    this.#now = end;
  }

  #nextAt(): Instant | undefined {
    const times = [this.#events[0]?.at, this.#sides.a.machine.nextTimeout(), this.#sides.b.machine.nextTimeout()];
    const known = times.filter((t) => t !== undefined);
    return known.length === 0 ? undefined : (Math.min(...known) as Instant);
  }

  #tick(): void {
    const due = this.#events.filter((e) => e.at <= this.#now);
    this.#events = this.#events.filter((e) => e.at > this.#now);
    for (const e of due) e.run();
    for (const side of ['a', 'b'] as const) {
      const { machine } = this.#sides[side];
      const at = machine.nextTimeout();
      if (at !== undefined && at <= this.#now) machine.handleTimeout(this.#now);
      this.#drain(side);
    }
  }

  #drain(side: 'a' | 'b'): void {
    const { machine, packet } = this.#sides[side];
    for (let out = machine.poll(); out !== undefined; out = machine.poll()) {
      const data = packet(out);
      if (data === undefined) this.out[side].push(out);
      else this.#carry(side, data);
    }
  }

  #carry(from: 'a' | 'b', data: Uint8Array): void {
    const to = from === 'a' ? 'b' : 'a';
    const fate = this.#link({ from, nth: this.#nth++, data });
    const note = fate.length === 1 ? '' : fate.length === 0 ? ' LOST' : ` x${fate.length}`;
    this.trace.push(`${this.#now} ${from}> ${this.#describe(data)}${note}`);
    for (const delay of fate) {
      const run = () => {
        this.#sides[to].machine.handle(this.#now, this.#sides[to].arrive(data));
        this.#drain(to);
      };
      this.#events.push({ at: instant(this.#now + delay), order: this.#order++, run });
    }
    this.#events.sort((x, y) => x.at - y.at || x.order - y.order);
  }
}
