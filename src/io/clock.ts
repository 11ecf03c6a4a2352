/** The monotonic clock and its one alarm. */
import type { Clock } from './ports.js';

/** setTimeout() fires at once when asked for more than 2^31-1 ms. */
const LONGEST = 0x7fffffff;

export class MonotonicClock implements Clock {
  #timer: NodeJS.Timeout | undefined;

  /** CLOCK_MONOTONIC as the packet thread reads it, for its times are compared; performance.now() starts with the process. */
  now(): number {
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1_000 + nanoseconds / 1e6;
  }

  arm(at: number | undefined, ring: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (at === undefined) return;
    const left = at - this.now();
    // A timer may fire up to 1 ms early; and far alarms come in steps.
    this.#timer = setTimeout(
      () => (this.now() >= at ? ring() : this.arm(at, ring)),
      Math.min(Math.max(Math.ceil(left), 0), LONGEST),
    );
  }
}
