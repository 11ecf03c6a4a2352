/**
 * What every protocol machine looks like: values and the time go in, values come out. No clock, no timer, no random
 * source and no socket in here; the daemon's one drive loop (or a test on a virtual clock) supplies them.
 */

/** Monotonic time in milliseconds. */
export type Instant = number & { readonly __brand: 'Instant' };

export const instant = (ms: number): Instant => ms as Instant;
export const after = (now: Instant, ms: number): Instant => (now + ms) as Instant;

export interface Machine<In, Out> {
  /** A datagram, a command or a lower-layer event. */
  handle(now: Instant, input: In): void;
  /** Time has passed. Calling it early is a harmless no-op. */
  handleTimeout(now: Instant): void;
  /** Drain until undefined. Order matters: outputs are in the order they must take effect. */
  poll(): Out | undefined;
  /** When to call handleTimeout, or undefined when nothing is armed. */
  nextTimeout(): Instant | undefined;
}

/** `n` unpredictable octets; the daemon passes node:crypto's randomBytes, tests a seeded generator. */
export type Random = (n: number) => Uint8Array;

/** Named one-shot timers. */
export class TimerTable<Name extends string> {
  readonly #at = new Map<Name, Instant>();

  set(name: Name, at: Instant): void {
    this.#at.set(name, at);
  }

  clear(name: Name): void {
    this.#at.delete(name);
  }

  clearAll(): void {
    this.#at.clear();
  }

  has(name: Name): boolean {
    return this.#at.has(name);
  }

  /** The earliest armed timer. */
  next(): Instant | undefined {
    let min: Instant | undefined;
    for (const at of this.#at.values()) if (min === undefined || at < min) min = at;
    return min;
  }

  /** Disarms and returns the timers due at `now`, earliest first. */
  due(now: Instant): Name[] {
    const names = [...this.#at].filter(([, at]) => at <= now).sort((a, b) => a[1] - b[1]);
    for (const [name] of names) this.#at.delete(name);
    return names.map(([name]) => name);
  }
}

/** First-in first-out queue of outputs, drained by poll(). */
export class Outbox<Out> {
  #items: Out[] = [];
  #head = 0;

  push(out: Out): void {
    this.#items.push(out);
  }

  poll(): Out | undefined {
    if (this.#head < this.#items.length) return this.#items[this.#head++];
    if (this.#head > 0) this.#items = [];
    this.#head = 0;
    return undefined;
  }
}
