/**
 * The one drive loop: handle -> drain poll -> arm timer. Machines are pure (src/proto/machine.ts); this gives them
 * the clock and carries their outputs to whoever owns them.
 */
import type { Clock } from '../io/ports.js';
import { type Instant, instant, type Machine } from '../proto/machine.js';

/** A machine under the drive loop. */
export interface Driven<In> {
  input(input: In): void;
  /** Out of the loop: later inputs and timeouts do nothing. */
  remove(): void;
}

/** Something to be woken: at most one place in the heap each. */
interface Entry {
  handleTimeout(now: Instant): void;
  /** When; undefined: not in the heap. */
  at: number | undefined;
  /** Place in the heap while `at` is set. */
  place: number;
}

/** A machine under the loop. A class and not closures: there is one of each for every session. */
class Engine<In, Out> implements Entry, Driven<In> {
  at: number | undefined = undefined;
  place = 0;
  readonly #machine: Machine<In, Out>;
  readonly #onOut: (out: Out) => void;
  readonly #loop: Loop;
  #draining = false;
  #removed = false;

  constructor(machine: Machine<In, Out>, onOut: (out: Out) => void, loop: Loop) {
    this.#machine = machine;
    this.#onOut = onOut;
    this.#loop = loop;
  }

  input(input: In): void {
    if (this.#removed) return;
    this.#machine.handle(this.#loop.now(), input);
    this.drain();
  }

  handleTimeout(now: Instant): void {
    this.#machine.handleTimeout(now);
    this.drain();
  }

  remove(): void {
    this.#removed = true;
    this.#loop.schedule(this, undefined);
  }

  drain(): void {
    if (this.#draining) return; // the outer drain takes what this input produced, in order
    this.#draining = true;
    try {
      for (let out = this.#machine.poll(); out !== undefined && !this.#removed; out = this.#machine.poll())
        this.#onOut(out);
    } finally {
      this.#draining = false;
      this.#loop.schedule(this, this.#removed ? undefined : this.#machine.nextTimeout());
    }
  }
}

/** What the loop does for its entries. */
interface Loop {
  now(): Instant;
  schedule(entry: Entry, at: number | undefined): void;
}

export class Drive {
  readonly #clock: Clock;
  readonly #heap: DueHeap = new DueHeap();
  readonly #loop: Loop = { now: () => this.now(), schedule: (entry, at) => this.#schedule(entry, at) };
  #armed: number | undefined;
  #stopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): Instant {
    return instant(this.#clock.now());
  }

  /** Puts a machine under the loop. `onOut` may feed inputs back, to this machine or another. */
  add<In, Out>(machine: Machine<In, Out>, onOut: (out: Out) => void): Driven<In> {
    const engine = new Engine(machine, onOut, this.#loop);
    engine.drain();
    return engine;
  }

  /** A one-shot callback after `ms`; the returned function cancels it. */
  after(ms: number, callback: () => void): () => void {
    const entry: Entry = { at: undefined, place: 0, handleTimeout: callback };
    this.#schedule(entry, this.#clock.now() + ms);
    return () => this.#schedule(entry, undefined);
  }

  /** Forgets every machine and timer, and those yet to come. */
  stop(): void {
    this.#stopped = true;
    this.#heap.clear();
    this.#arm();
  }

  #schedule(entry: Entry, at: number | undefined): void {
    if (entry.at === at || this.#stopped) return;
    this.#heap.move(entry, at);
    this.#arm();
  }

  #arm(): void {
    const next = this.#heap.first()?.at;
    if (next === this.#armed) return;
    this.#armed = next;
    this.#clock.arm(next, () => this.#ring());
  }

  #ring(): void {
    this.#armed = undefined;
    const now = this.now();
    for (let due = this.#heap.first(); due !== undefined && due.at! <= now; due = this.#heap.first()) {
      this.#heap.move(due, undefined);
      due.handleTimeout(now);
    }
    this.#arm();
  }
}

/** Binary min-heap whose entries know their place, so that one that moves on leaves nothing behind. */
class DueHeap {
  #entries: Entry[] = [];

  first(): Entry | undefined {
    return this.#entries[0];
  }

  clear(): void {
    this.#entries = [];
  }

  /** Puts an entry where it belongs; undefined: takes it out. */
  move(entry: Entry, at: number | undefined): void {
    const entries = this.#entries;
    if (entry.at === undefined) {
      entry.place = entries.length;
      entries.push(entry);
    }
    entry.at = at;
    if (at !== undefined) return this.#settle(entry);
    const last = entries.pop()!;
    if (last === entry) return;
    last.place = entry.place;
    entries[last.place] = last;
    this.#settle(last);
  }

  #settle(entry: Entry): void {
    const entries = this.#entries;
    const at = entry.at!;
    let i = entry.place;
    for (let parent = (i - 1) >> 1; i > 0 && entries[parent]!.at! > at; parent = (i - 1) >> 1) {
      this.#put(entries[parent]!, i);
      i = parent;
    }
    for (let child = 2 * i + 1; child < entries.length; child = 2 * i + 1) {
      if (child + 1 < entries.length && entries[child + 1]!.at! < entries[child]!.at!) child++;
      if (entries[child]!.at! >= at) break;
      this.#put(entries[child]!, i);
      i = child;
    }
    this.#put(entry, i);
  }

  #put(entry: Entry, place: number): void {
    this.#entries[place] = entry;
    entry.place = place;
  }
}
