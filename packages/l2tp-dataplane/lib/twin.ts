// What the in-memory twin keeps: sessions with their limits and counters, and the bounded queue of upcalls.
import type { PrefixBytes } from './address.js';
import type { Path, SessionCounters, SessionDrop, SessionSpec, Upcall } from './types.js';

/** src/limit.h */
export class Limit {
  #left: number;
  #last = 0;
  constructor(
    readonly perSecond: number,
    readonly burst: number,
  ) {
    this.#left = burst;
  }

  take(now: number, cost = 1): boolean {
    if (now > this.#last) {
      this.#left = Math.min(this.burst, this.#left + ((now - this.#last) / 1000) * this.perSecond);
      this.#last = now;
    }
    if (this.#left < cost) return false;
    this.#left -= cost;
    return true;
  }
}

/** src/limit.h: bits per second, 0 = no limit. */
export class Rate {
  #left: number;
  #last = 0;
  readonly #full: number;
  constructor(readonly bitsPerSecond: number) {
    this.#full = Math.max(bitsPerSecond / 10, 2 * 65_535 * 8);
    this.#left = this.#full;
  }

  take(octets: number, now: number): boolean {
    if (this.bitsPerSecond === 0) return true;
    if (now > this.#last) {
      this.#left = Math.min(this.#full, this.#left + ((now - this.#last) / 1000) * this.bitsPerSecond);
      this.#last = now;
    }
    if (this.#left < octets * 8) return false;
    this.#left -= octets * 8;
    return true;
  }
}

/** src/sequence.h */
export class Sequence {
  on = false;
  #next = 0;
  #expected: number | undefined;
  #behind = 0;
  #behindNext = 0;

  next(): number {
    const ns = this.#next;
    this.#next = (ns + 1) & 0xffff;
    return ns;
  }

  /** How far a number is ahead of the next one expected; 0 = it is that one, or behind, or the first of all. */
  ahead(ns: number): number {
    const by = this.#expected === undefined ? 0 : (ns - this.#expected) & 0xffff;
    return by < 0x8000 ? by : 0;
  }

  isNext(ns: number): boolean {
    return ns === this.#expected;
  }

  take(ns: number): boolean {
    const ahead = this.#expected === undefined || ((ns - this.#expected) & 0xffff) < 0x8000;
    const far = !ahead && ((this.#expected! - ns) & 0xffff) > 1024;
    this.#behind = !far ? 0 : this.#behind > 0 && ns === this.#behindNext ? this.#behind + 1 : 1;
    this.#behindNext = (ns + 1) & 0xffff;
    if (!ahead && this.#behind < 5) return false;
    this.#expected = (ns + 1) & 0xffff;
    this.#behind = 0;
    return true;
  }
}

/** Messages that came before their time, in order. */
export interface Held {
  readonly ns: number;
  readonly payload: Uint8Array;
}

/** Who is behind a confirmed mark. */
export class Peer {
  readonly control = new Limit(2000, 512);
  readonly frames = new Limit(4000, 1000);
  violations = 0n;
  reportedUntil = 0;
}

export class Session {
  readonly sequence = new Sequence();
  reorder = 0;
  held: Held[] = [];
  heldSince = 0;
  path: Path;
  open = false;
  clampMss = true;
  dscp: 'copy' | number = 0;
  acfc = false;
  lengthBit = true;
  mtu = 1400;
  prefixes: readonly PrefixBytes[] = [];
  up = new Rate(0);
  down = new Rate(0);
  readonly punts = new Limit(10, 20);
  readonly frames = new Limit(200, 200);
  readonly errors = new Limit(20, 20);
  reportedUntil = 0;
  readonly count = { packetsIn: 0n, octetsIn: 0n, packetsOut: 0n, octetsOut: 0n, lastTraffic: 0 };
  readonly drops: Partial<Record<SessionDrop, bigint>> = {};

  constructor(readonly spec: SessionSpec) {
    this.path = spec.path;
  }

  drop(why: SessionDrop): void {
    this.drops[why] = (this.drops[why] ?? 0n) + 1n;
  }

  counters(): SessionCounters {
    return { ...this.count, drops: { ...this.drops } };
  }
}

export const key = (tunnelId: number, sessionId: number): number => tunnelId * 65_536 + sessionId;

export const samePath = (a: Path, b: Path): boolean =>
  a.mark === b.mark && a.local === b.local && a.remote === b.remote && a.remotePort === b.remotePort;

/** src/upcalls.h: each class has its own room. */
const ROOM = {
  confirmed: { items: 4096, bytes: 4 << 20 },
  raw: { items: 4096, bytes: 4 << 20 },
  unconfirmed: { items: 256, bytes: 512 << 10 },
  frame: { items: 4096, bytes: 4 << 20 },
  punt: { items: 1024, bytes: 2 << 20 },
} as const;
type Class = keyof typeof ROOM;

/** A batch on its way up. False: no room for that kind. */
export class UpcallQueue {
  #batch: Upcall[] = [];
  readonly #used = new Map<Class, { readonly items: number; readonly bytes: number }>();

  get size(): number {
    return this.#batch.length;
  }

  push(u: Upcall): boolean {
    const c = classOf(u);
    const used = this.#used.get(c) ?? { items: 0, bytes: 0 };
    const bytes = used.bytes + (u.kind === 'violation' ? 0 : u.data.length);
    if (used.items >= ROOM[c].items || bytes > ROOM[c].bytes) return false;
    this.#used.set(c, { items: used.items + 1, bytes });
    this.#batch.push(u);
    return true;
  }

  take(): Upcall[] {
    this.#used.clear();
    const batch = this.#batch;
    this.#batch = [];
    return batch;
  }
}

function classOf(u: Upcall): Class {
  if (u.kind === 'control') {
    if (!u.confirmed) return 'unconfirmed';
    return u.path.mark === 0 ? 'raw' : 'confirmed';
  }
  return u.kind === 'frame' ? 'frame' : 'punt';
}
