/** What lets clients reach the gateway, and their packets pass through it: firewall rules and kernel settings. */
import type { Firewall } from '../io/firewall.js';
import type { Reachability } from '../io/firewall-rules.js';
import { IPV4_FORWARD, IPV6_FORWARD, proxyArp } from '../io/sysctl.js';
import { inRange, ipv4ToNumber } from '../proto/aaa/address.js';
import type { Config } from './config.js';
import type { Host, Listening } from './host.js';
import { showRange } from './inside.js';
import type { Log } from './log.js';
import type { UserStore } from './users.js';

/* Implementation */
/** So many of another's rules are named in the log. */
const MARK_RULES = 20;

export interface ReachOptions {
  readonly host: Pick<Host, 'openFirewall' | 'foreignDropPolicies' | 'markUsers' | 'sysctls' | 'ike'>;
  /** As the gateway started with: none of it changes by a reload. */
  readonly config: Config;
  readonly users: UserStore;
  readonly raw: Listening['raw'];
  /** The TUN device. */
  readonly tun: string;
  readonly log: Log;
}

export class Reach {
  readonly #o: ReachOptions;
  /** Addresses clients have had since the start, as ranges and single ones: what NAT is for. */
  readonly #leasable: Set<string>;
  #firewall: Firewall | undefined;
  #closed = false;
  /** The end of the last call of the firewall: one after the other. */
  #calls: Promise<unknown> = Promise.resolve();

  constructor(options: ReachOptions) {
    this.#o = options;
    this.#leasable = new Set([...options.config.pool.ranges.map(showRange), ...this.#fixedOutside(options.users)]);
  }

  get backend(): Firewall['backend'] | undefined {
    return this.#firewall?.backend;
  }

  /** The guard first, then what lets clients in and their packets through. */
  async open(): Promise<void> {
    const { host, config } = this.#o;
    const { accept, ipForward, proxyArp: arp, interface: inside } = config.reachability;
    this.#firewall = await host.openFirewall();
    if (ipForward) await host.sysctls.set(IPV4_FORWARD, '1');
    if (ipForward && config.ipv6.prefix !== null) await host.sysctls.set(IPV6_FORWARD, '1');
    if (arp) await host.sysctls.set(proxyArp(inside ?? 'all'), '1');
    await this.#put();
    if (accept) await this.#warnOfDrops();
    await this.#warnOfMarks();
  }

  /** New fixed addresses; those of before stay, sessions may be using them. */
  addUsers(users: UserStore): void {
    const addresses = this.#fixedOutside(users).filter((address) => !this.#leasable.has(address));
    if (addresses.length === 0) return;
    this.#put(addresses).then(
      () => {
        for (const address of addresses) this.#leasable.add(address);
      },
      (error: unknown) => this.#o.log.error('firewall.not-updated', { addresses, error }),
    );
  }

  /** Puts back what somebody took out; resolves to whether something was, rejects when that cannot be done. */
  async mend(): Promise<boolean> {
    const firewall = this.#firewall;
    if (firewall === undefined || this.#closed || (await this.#call(() => firewall.stands()))) return false;
    await this.#put();
    return !this.#closed;
  }

  /** All but the guard. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#call(() => this.#firewall?.removeReachability());
  }

  async removeGuard(): Promise<void> {
    await this.#call(() => this.#firewall?.removeAll());
  }

  /** Everything, with NAT for these addresses as well. */
  #put(more: readonly string[] = []): Promise<void> {
    return this.#call(async () => {
      if (!this.#closed) await this.#firewall?.apply(this.#reachability(more));
    });
  }

  #call<T>(act: () => T | Promise<T>): Promise<T> {
    const done = this.#calls.then(act);
    this.#calls = done.catch(() => {});
    return done;
  }

  #reachability(more: readonly string[]): Reachability {
    const { nat, accept, interface: inside } = this.#o.config.reachability;
    return {
      tun: this.#o.tun,
      accept,
      rawOnly: this.#o.config.ike === null,
      routes: reachable(this.#o.config),
      ...(inside === null ? {} : { inside }),
      masquerade: nat === 'auto' ? [...new Set([...this.#leasable, ...more])] : [],
    };
  }

  async #warnOfDrops(): Promise<void> {
    const { host, config, raw, log } = this.#o;
    const ports = [...(config.ike === null ? [] : ['UDP 500, 4500, ESP']), ...(raw === undefined ? [] : ['UDP 1701'])];
    const hint = `an accept of ours cannot overrule it: accept ${ports.join(', ')} and forwarded packets there`;
    for (const chain of await host.foreignDropPolicies()) log.warn('firewall.foreign-drop', { chain, hint });
  }

  async #warnOfMarks(): Promise<void> {
    if (this.#o.host.ike === undefined) return;
    const rules = await this.#o.host.markUsers();
    if (rules.length === 0) return;
    this.#o.log.warn('firewall.mark-collision', {
      rules: rules.slice(0, MARK_RULES),
      ...(rules.length > MARK_RULES ? { more: rules.length - MARK_RULES } : {}),
      hint: "each client's packets have a mark of their own, from 1 to 65535 and, after as many, above: let these rules use marks of 0x1000000 and above, with a mask such as 0xff000000, and leave UDP 1701 out",
    });
  }

  /** Users' addresses that no range of the pool holds. */
  #fixedOutside(users: UserStore): string[] {
    const { ranges } = this.#o.config.pool;
    return users.addresses.filter((address) => !ranges.some((range) => inRange(ipv4ToNumber(address)!, range)));
  }
}

/** Empty: any. With networks of one family alone, all of the other may be reached. */
function reachable({ routes, ipv6 }: Config): readonly string[] {
  if (ipv6.prefix === null || routes.length + ipv6.routes.length === 0) return routes;
  return [...(routes.length > 0 ? routes : ANY4), ...(ipv6.routes.length > 0 ? ipv6.routes : ANY6)];
}

/* In pieces: not every version of the firewall tools takes a network of everything in a list. */
const ANY4 = ['0.0.0.0/1', '128.0.0.0/1'];
/** RFC 4291 §2.4, RFC 4193 §3.1: global and unique local addresses. */
const ANY6 = ['2000::/3', 'fc00::/7'];
