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

interface Entry {
  handleTimeout(now: Instant): void;
  /** Due time under which the entry now stands in the heap; undefined = not in it. */
  at: number | undefined;
  removed: boolean;
}

export class Drive {
  readonly #clock: Clock;
  readonly #heap: DueHeap = new DueHeap();
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
    let draining = false;
    const drain = () => {
      if (draining) return; // the outer drain takes what this input produced, in order
      draining = true;
      try {
        for (let out = machine.poll(); out !== undefined && !entry.removed; out = machine.poll()) onOut(out);
      } finally {
        draining = false;
      }
      this.#schedule(entry, entry.removed ? undefined : machine.nextTimeout());
    };
    const entry: Entry = {
      at: undefined,
      removed: false,
      handleTimeout: (now) => {
        machine.handleTimeout(now);
        drain();
      },
    };
    drain();
    return {
      input: (input) => {
        if (entry.removed) return;
        machine.handle(this.now(), input);
        drain();
      },
      remove: () => {
        entry.removed = true;
        this.#schedule(entry, undefined);
      },
    };
  }

  /** A one-shot callback after `ms`; the returned function cancels it. */
  after(ms: number, callback: () => void): () => void {
    const entry: Entry = {
      at: undefined,
      removed: false,
      handleTimeout: () => {
        entry.removed = true;
        callback();
      },
    };
    this.#schedule(entry, this.#clock.now() + ms);
    return () => {
      entry.removed = true;
      this.#schedule(entry, undefined);
    };
  }

  /** Forgets every machine and timer, and those yet to come. */
  stop(): void {
    this.#stopped = true;
    this.#heap.clear();
    this.#arm();
  }

  #schedule(entry: Entry, at: number | undefined): void {
    if (entry.at === at || this.#stopped) return;
    entry.at = at; // an older place in the heap is recognised as stale when it surfaces
    if (at !== undefined) this.#heap.push({ at, entry });
    this.#arm();
  }

  #arm(): void {
    const next = this.#heap.nextLive();
    if (next === this.#armed) return;
    this.#armed = next;
    this.#clock.arm(next, () => this.#ring());
  }

  #ring(): void {
    this.#armed = undefined;
    const now = this.now();
    for (let due = this.#heap.popDue(now); due !== undefined; due = this.#heap.popDue(now)) {
      due.at = undefined;
      due.handleTimeout(now);
    }
    this.#arm();
  }
}

interface Due {
  at: number;
  entry: Entry;
}

/** Binary min-heap with lazy deletion: an item whose entry has moved on is dropped when it reaches the top. */
class DueHeap {
  #items: Due[] = [];

  push(item: Due): void {
    const items = this.#items;
    let i = items.push(item) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (items[parent]!.at <= item.at) break;
      items[i] = items[parent]!;
      i = parent;
    }
    items[i] = item;
  }

  nextLive(): number | undefined {
    while (this.#items.length > 0 && !live(this.#items[0]!)) this.#pop();
    return this.#items[0]?.at;
  }

  popDue(now: number): Entry | undefined {
    const next = this.nextLive();
    return next === undefined || next > now ? undefined : this.#pop().entry;
  }

  clear(): void {
    this.#items = [];
  }

  #pop(): Due {
    const items = this.#items;
    const top = items[0]!;
    const last = items.pop()!;
    if (items.length === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && items[child + 1]!.at < items[child]!.at) child++;
      if (items[child]!.at >= last.at) break;
      items[i] = items[child]!;
      i = child;
    }
    items[i] = last;
    return top;
  }
}

const live = (due: Due): boolean => !due.entry.removed && due.entry.at === due.at;
