/** A virtual clock for the drive loop: run() jumps from alarm to alarm. */
import type { Clock } from '../../src/io/ports.js';

export class VirtualClock implements Clock {
  #now = 0;
  #alarm: { at: number; ring: () => void } | undefined;

  now(): number {
    return this.#now;
  }

  arm(at: number | undefined, ring: () => void): void {
    this.#alarm = at === undefined ? undefined : { at, ring };
  }

  get armed(): number | undefined {
    return this.#alarm?.at;
  }

  run(until: number): void {
    while (this.#alarm !== undefined && this.#alarm.at <= until) {
      const { at, ring } = this.#alarm;
      this.#alarm = undefined;
      this.#now = Math.max(this.#now, at);
      ring();
    }
    this.#now = until;
  }
}
