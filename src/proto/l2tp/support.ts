/** Small helpers of the L2TP machines: unpredictable ids (RFC 2661 §9.1), rates, names fit for a log. */
import type { Instant, Random } from '../machine.js';

/** A random non-zero 16-bit id that is not `taken`; the caller keeps fewer than 65535 of them. */
export function pickId(random: Random, taken: (id: number) => boolean): number {
  const [hi = 0, lo = 0] = random(2);
  let id = (hi << 8) | lo;
  while (id === 0 || taken(id)) id = (id + 1) & 0xffff;
  return id;
}

/** At most `max` per `windowMs`, with a count of what was refused. */
export class Rate {
  #since = Number.NEGATIVE_INFINITY;
  #taken = 0;
  #refused = 0;

  constructor(
    readonly max: number,
    readonly windowMs: number,
  ) {}

  take(now: Instant): boolean {
    if (now - this.#since >= this.windowMs) {
      this.#since = now;
      this.#taken = 0;
    }
    if (this.#taken >= this.max) {
      this.#refused++;
      return false;
    }
    this.#taken++;
    return true;
  }

  /** How many were refused since this was asked last. */
  refused(): number {
    const n = this.#refused;
    this.#refused = 0;
    return n;
  }
}

const MAX_NAME = 255;

/** A peer's text for logs and records: no NUL (Apple's host name ends with one), no control characters, bounded. */
export const printable = (s: string): string =>
  s
    .replace(/\0+$/, '')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the point.
    .replace(/[\u0000-\u001f\u007f-\u009f]/g, '?')
    .slice(0, MAX_NAME);

/** `{ [key]: value }`, or nothing when undefined. */
export const optional = <K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } =>
  value === undefined ? {} : ({ [key]: value } as { [P in K]: V });
