/**
 * Address leases for sessions: dynamic ranges, fixed addresses, and the address a user had last time (RFC 1332 §3.3 lets
 * the server choose). A plain table, no I/O; every call costs O(1) amortised.
 *
 * An address of a range is in exactly one state: fresh (the cursor has not reached it and nobody asked for it), leased,
 * free again, or reserved (excluded, or some user's fixed address).
 */
import { type Ipv4Range, inRange, ipv4ToNumber, numberToIpv4 } from './address.js';

export interface PoolConfig {
  /** Disjoint; handed out in this order. */
  readonly ranges: readonly Ipv4Range[];
  /** Never handed out: the gateway, listen addresses. */
  readonly exclude?: Iterable<string>;
  /** user -> address, inside or outside the ranges; nobody else gets it. */
  readonly fixed?: Iterable<readonly [user: string, address: string]>;
  /** How many users' last addresses are remembered (the longest unused is forgotten first). */
  readonly remember?: number;
}

export class AddressPool {
  readonly #ranges: readonly Ipv4Range[];
  readonly #excluded: ReadonlySet<number>;
  readonly #remember: number;
  /** Leased address -> user. */
  readonly #leased = new Map<number, string>();
  /** Released addresses, the one released longest ago first: a returning user likely finds the old address. */
  readonly #free = new Set<number>();
  /** user -> last address, the least recently leased first. */
  readonly #last = new Map<string, number>();
  #fixed = new Map<string, number>();
  #fixedAddresses = new Set<number>();
  /** The next fresh address is `#next` of `#ranges[#range]`. */
  #range = 0;
  #next: number;

  constructor(config: PoolConfig) {
    this.#ranges = config.ranges;
    this.#excluded = new Set([...(config.exclude ?? [])].map(ipv4ToNumber).filter((n) => n !== undefined));
    this.#remember = config.remember ?? MAX_REMEMBERED_USERS;
    this.#next = config.ranges[0]?.first ?? 0;
    this.setFixed(config.fixed ?? []);
  }

  /** Addresses leased now, fixed ones included. */
  get leased(): number {
    return this.#leased.size;
  }

  /** How many addresses there are: those of the ranges that are for anyone, and the users' own. */
  get size(): { readonly dynamic: number; readonly fixed: number } {
    const inRanges = this.#ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
    const reserved = new Set([...this.#excluded, ...this.#fixedAddresses]);
    const taken = [...reserved].filter((n) => this.#ranges.some((r) => inRange(n, r))).length;
    return { dynamic: inRanges - taken, fixed: this.#fixedAddresses.size };
  }

  /** What is leased now, in the order of leasing. */
  *leases(): IterableIterator<{ readonly address: string; readonly user: string; readonly fixed: boolean }> {
    for (const [n, user] of this.#leased) yield { address: numberToIpv4(n), user, fixed: this.#fixed.get(user) === n };
  }

  /** Who holds `address`, if anyone. */
  holder(address: string): string | undefined {
    const n = ipv4ToNumber(address);
    return n === undefined ? undefined : this.#leased.get(n);
  }

  /**
   * Leases an address to `user`: the user's fixed one and no other if there is one; else `preferred` (what the client
   * asked for), else the user's last, else a fresh one, else the one free for longest. Undefined: exhausted, or the
   * fixed address is in use.
   */
  acquire(user: string, preferred?: string): string | undefined {
    const fixed = this.#fixed.get(user);
    if (fixed !== undefined) return this.#leased.has(fixed) ? undefined : this.#lease(fixed, user);
    const wanted = preferred === undefined ? undefined : ipv4ToNumber(preferred);
    for (const n of [wanted, this.#last.get(user)])
      if (n !== undefined && this.#isDynamic(n) && !this.#leased.has(n)) return this.#lease(n, user);
    const n = this.#takeFresh() ?? this.#free.values().next().value;
    return n === undefined ? undefined : this.#lease(n, user);
  }

  /** Gives an address back; false when it was not leased. */
  release(address: string): boolean {
    const n = ipv4ToNumber(address);
    if (n === undefined || !this.#leased.delete(n)) return false;
    if (this.#isDynamic(n)) this.#free.add(n);
    return true;
  }

  /** Replaces the fixed addresses (the users file was reloaded). Leases in force stay until they are released. */
  setFixed(fixed: Iterable<readonly [user: string, address: string]>): void {
    const before = this.#fixedAddresses;
    this.#fixed = new Map();
    for (const [user, address] of fixed) {
      const n = ipv4ToNumber(address);
      if (n !== undefined) this.#fixed.set(user, n);
    }
    this.#fixedAddresses = new Set(this.#fixed.values());
    for (const n of this.#fixedAddresses) this.#free.delete(n);
    for (const n of before) if (this.#isDynamic(n) && !this.#leased.has(n) && this.#passed(n)) this.#free.add(n);
  }

  #lease(n: number, user: string): string {
    this.#free.delete(n);
    this.#leased.set(n, user);
    this.#last.delete(user);
    this.#last.set(user, n);
    if (this.#last.size > this.#remember) this.#last.delete(this.#last.keys().next().value!);
    return numberToIpv4(n);
  }

  /** Advances the cursor to an address nobody has had. Each address is passed once in the life of the pool. */
  #takeFresh(): number | undefined {
    for (; this.#range < this.#ranges.length; this.#next = this.#ranges[++this.#range]?.first ?? 0) {
      const { last } = this.#ranges[this.#range]!;
      while (this.#next <= last) {
        const n = this.#next++;
        if (this.#isDynamic(n) && !this.#leased.has(n) && !this.#free.has(n)) return n;
      }
    }
    return undefined;
  }

  /** The cursor is beyond `n`. */
  #passed(n: number): boolean {
    const range = this.#ranges.findIndex((r) => inRange(n, r));
    return range !== -1 && (range < this.#range || (range === this.#range && n < this.#next));
  }

  /** Inside a range and reserved for nobody. */
  #isDynamic(n: number): boolean {
    return !this.#excluded.has(n) && !this.#fixedAddresses.has(n) && this.#ranges.some((r) => inRange(n, r));
  }
}

/* Implementation */ const MAX_REMEMBERED_USERS = 65_536;
