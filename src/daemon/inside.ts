/** The inside of the gateway: the one TUN device of all sessions, our address on it and the routes of the pool. */
import { prefixes } from '../io/prefixes.js';
import { openTuntap, type Tuntap } from '../io/tun.js';
import { type Ipv4Range, numberToIpv4 } from '../proto/aaa/address.js';

export interface InsideOptions {
  readonly name: string;
  /** Our end's address in every session. */
  readonly gateway: string;
  readonly ranges: readonly Ipv4Range[];
  /** Fixed addresses of users outside the ranges. */
  readonly fixed: Iterable<string>;
  /** IPv6 networks of clients. */
  readonly networks6?: readonly string[];
  /** Largest MTU of any session. */
  readonly mtu: number;
}

export class Inside {
  readonly #tun: Tuntap;
  readonly #options: InsideOptions;
  readonly #routes = new Set<string>();

  private constructor(tun: Tuntap, options: InsideOptions) {
    this.#tun = tun;
    this.#options = options;
  }

  /** Creates the device, up, addressed and routed; all or nothing. Throws TuntapError. */
  static open(options: InsideOptions): Inside {
    const tun = openTuntap({ mode: 'tun', name: options.name, mtu: options.mtu, queues: 1, ...LARGE });
    try {
      tun.addAddress(`${options.gateway}/32`);
      tun.setUp(true);
      const inside = new Inside(tun, options);
      inside.routeTo(options.fixed);
      return inside;
    } catch (error) {
      tun.close();
      throw error;
    }
  }

  /** Also routes these addresses; the old ones' routes stay, sessions may be using them. Throws TuntapError. */
  routeTo(fixed: Iterable<string>): void {
    for (const destination of routesOf({ ...this.#options, fixed })) {
      if (this.#routes.has(destination)) continue;
      this.#tun.addRoute({ destination });
      this.#routes.add(destination);
    }
  }

  get name(): string {
    return this.#tun.name;
  }

  get fds(): number[] {
    return this.#tun.queues.map((q) => q.fd);
  }

  /** Packets of `fds` have a virtio_net_hdr. */
  get vnetHeader(): boolean {
    return this.#tun.vnetHeader;
  }

  close(): void {
    this.#tun.close();
  }
}

/**
 * One read or write carries a train of TCP segments or datagrams, which the packet thread cuts or has merged: a system call
 * per packet is what limits it. A kernel without USO (before 6.2) gets along without.
 */
const LARGE = { vnetHeader: true, offloads: ['csum', 'tso4', 'tso6', 'tso-ecn', 'uso4', 'uso6'] } as const;

const routesOf = (options: InsideOptions): string[] => {
  const covered = new Set(prefixes(options.ranges.map(showRange)));
  for (const address of options.fixed) covered.add(`${address}/32`);
  covered.delete(`${options.gateway}/32`);
  return [...covered, ...(options.networks6 ?? [])];
};

/** `a.b.c.d-e.f.g.h` */
export const showRange = (range: Ipv4Range): string => `${numberToIpv4(range.first)}-${numberToIpv4(range.last)}`;
