/** A value that cannot be printed by accident: every way of turning it into text gives `***`. */
import { inspect } from 'node:util';

const HIDDEN = '***';

/** Holds a password, a key or a hash; only `reveal()` gives it back, so every use is one search away. */
export class Secret<T extends string | Uint8Array = string> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** The only way out. */
  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return HIDDEN;
  }

  toJSON(): string {
    return HIDDEN;
  }

  [Symbol.toPrimitive](): string {
    return HIDDEN;
  }

  [inspect.custom](): string {
    return HIDDEN;
  }
}
