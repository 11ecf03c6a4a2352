/**
 * Prefixes of one length out of a network: the /64 of a session, what is delegated to a router. A user gets the last one
 * again while nobody else needed it. A plain table, no I/O; every call costs O(1) amortised.
 */
import type { Prefix6 } from '../../wire/ip/address6.js';

export class PrefixPool {
  readonly #network: Prefix6;
  readonly #length: number;
  /** How many there are, bounded: a number of sessions never comes near. */
  readonly size: number;
  /** Index -> user. */
  readonly #leased = new Map<number, string>();
  /** Given back, the one longest ago first. */
  readonly #free = new Set<number>();
  /** user -> index, the least recently leased first. */
  readonly #last = new Map<string, number>();
  readonly #remember: number;
  /** Never handed out until now: from here on. */
  #next = 0;

  /** `length` is at least the network's. */
  constructor(network: Prefix6, length: number, remember = MAX_REMEMBERED_USERS) {
    this.#network = network;
    this.#length = length;
    this.#remember = remember;
    this.size = Math.min(2 ** (length - network.length), MAX_PREFIXES);
  }

  get leased(): number {
    return this.#leased.size;
  }

  /** Undefined: all are leased. */
  acquire(user: string): Prefix6 | undefined {
    const last = this.#last.get(user);
    if (last !== undefined && !this.#leased.has(last)) return this.#lease(last, user);
    const index = this.#next < this.size ? this.#next++ : this.#free.values().next().value;
    return index === undefined ? undefined : this.#lease(index, user);
  }

  /** What was acquired here. */
  release({ prefix }: Prefix6): void {
    const index = Number((prefix - this.#network.prefix) >> BigInt(128 - this.#length));
    if (this.#leased.delete(index)) this.#free.add(index);
  }

  #lease(index: number, user: string): Prefix6 {
    this.#free.delete(index);
    this.#leased.set(index, user);
    this.#last.delete(user);
    this.#last.set(user, index);
    if (this.#last.size > this.#remember) this.#last.delete(this.#last.keys().next().value!);
    return { prefix: this.#network.prefix + (BigInt(index) << BigInt(128 - this.#length)), length: this.#length };
  }
}

/* Implementation */
const MAX_REMEMBERED_USERS = 65_536;
const MAX_PREFIXES = 1 << 20;
