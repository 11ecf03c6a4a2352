/**
 * The router a client with IPv6 sees at the other end of its link: advertises a prefix and name servers, answers who is
 * there, serves DHCPv6. RFC 4861 §6.2, §7.2; RFC 8106; RFC 8415.
 */
import { ALL_NODES, isUnspecified, type Prefix6 } from '../../wire/ip/address6.js';
import {
  decodeSolicitation,
  encodeRouterAdvertisement,
  HOP_LIMIT,
  neighborAdvertisement,
} from '../../wire/ip/discovery.js';
import {
  decodePacket6,
  decodeUdp6,
  encodePacket6,
  encodeUdp6,
  ICMPV6,
  type Packet6,
  UDP,
} from '../../wire/ip/packet6.js';
import { Reader, sameBytes } from '../../wire/reader.js';
import type { Malformed } from '../../wire/result.js';
import { after, type Instant, type Machine, Outbox, type Random, TimerTable } from '../machine.js';
import { type Delegation, Dhcp6Server } from './dhcp6.js';

export interface RouterConfig {
  /** Link-local addresses of the two ends, 16 octets. */
  readonly ours: Uint8Array;
  readonly peer: Uint8Array;
  /** A /64, 16 octets. */
  readonly prefix: Uint8Array;
  /** Octets, at least 1280. */
  readonly mtu: number;
  /** 16 octets each. */
  readonly dns: readonly Uint8Array[];
  readonly domain: string | null;
  readonly duid: Uint8Array;
  readonly delegation?: Delegation;
  readonly random: Random;
}

export type RouterIn =
  /** The link is open. */
  | { readonly type: 'start' }
  /** An IPv6 packet that is not transit. */
  | { readonly type: 'packet'; readonly data: Uint8Array }
  /** What is delegated is given back; the machine is spent. */
  | { readonly type: 'stop' };

export type RouterOut =
  | { readonly type: 'packet'; readonly data: Uint8Array }
  | { readonly type: 'delegated' | 'withdrawn'; readonly prefix: Prefix6 }
  | { readonly type: 'ignored'; readonly ref: string; readonly why: string };

/* Specification: RFC 4861 §6.2.1, §10; milliseconds. */
const MAX_INTERVAL = 600_000;
const MIN_INTERVAL = 200_000;
const INITIAL_INTERVAL = 16_000;
const INITIAL_ADVERTISEMENTS = 3;
const MAX_RA_DELAY = 500;
const ROUTER_LIFETIME = 1_800; // s
/* Implementation: seconds. The link is gone long before; advertisements come in time. */
const VALID = 86_400;
const PREFERRED = 14_400;

const CLIENT_PORT = 546;
const SERVER_PORT = 547;

export class Router implements Machine<RouterIn, RouterOut> {
  readonly #config: RouterConfig;
  readonly #out = new Outbox<RouterOut>();
  readonly #timers = new TimerTable<'advertise' | 'solicited'>();
  readonly #dhcp: Dhcp6Server;
  #advertised = 0;

  constructor(config: RouterConfig) {
    this.#config = config;
    const { duid, dns, domain, delegation } = config;
    this.#dhcp = new Dhcp6Server({
      ...{ duid, dns, domain },
      ...(delegation === undefined ? {} : { delegation }),
      delegated: (prefix) => this.#out.push({ type: 'delegated', prefix }),
      withdrawn: (prefix) => this.#out.push({ type: 'withdrawn', prefix }),
    });
  }

  poll(): RouterOut | undefined {
    return this.#out.poll();
  }

  nextTimeout(): Instant | undefined {
    const [a, b] = [this.#timers.next(), this.#dhcp.nextTimeout()];
    return a === undefined || (b !== undefined && b < a) ? b : a;
  }

  handleTimeout(now: Instant): void {
    const due = this.#timers.due(now);
    if (due.includes('advertise')) this.#periodic(now);
    else if (due.includes('solicited')) this.#advertise();
    this.#dhcp.handleTimeout(now);
  }

  handle(now: Instant, input: RouterIn): void {
    if (input.type === 'start') this.#periodic(now);
    else if (input.type === 'packet') this.#receive(now, input.data);
    else {
      this.#timers.clearAll();
      this.#dhcp.stop();
    }
  }

  /** RFC 4861 §6.2.4. One of these answers a solicitation too. */
  #periodic(now: Instant): void {
    this.#timers.clear('solicited');
    this.#advertise();
    this.#advertised += 1;
    const random = MIN_INTERVAL + Math.floor((MAX_INTERVAL - MIN_INTERVAL) * this.#fraction());
    const interval = this.#advertised < INITIAL_ADVERTISEMENTS ? Math.min(random, INITIAL_INTERVAL) : random;
    this.#timers.set('advertise', after(now, interval));
  }

  #receive(now: Instant, data: Uint8Array): void {
    const packet = decodePacket6(data);
    if (!packet.ok) return this.#ignore(packet);
    if (packet.value.protocol === UDP) this.#dhcpReceived(now, packet.value);
    else this.#solicited(now, packet.value);
  }

  #solicited(now: Instant, packet: Packet6): void {
    const solicitation = decodeSolicitation(packet);
    if (!solicitation.ok) return this.#ignore(solicitation);
    if (solicitation.value.type === 'router') {
      // RFC 4861 §6.2.6: after a random delay; those that come meanwhile have the same answer.
      if (!this.#timers.has('solicited')) this.#timers.set('solicited', after(now, MAX_RA_DELAY * this.#fraction()));
      return;
    }
    const { target } = solicitation.value;
    // §7.2.3: for another; among them the client's own, which it looks for duplicates of (RFC 4862 §5.4).
    if (!sameBytes(target, this.#config.ours)) return;
    const asker = isUnspecified(packet.source) ? undefined : packet.source;
    this.#sendIcmp(asker ?? ALL_NODES, neighborAdvertisement(target, asker !== undefined));
  }

  #dhcpReceived(now: Instant, packet: Packet6): void {
    const udp = decodeUdp6(packet);
    if (!udp.ok) return this.#ignore(udp);
    const { ours, peer } = this.#config;
    if (!sameBytes(packet.source, peer) || udp.value.destinationPort !== SERVER_PORT)
      return this.#ignore({ ref: 'RFC 8415 §13', why: 'not from the client’s link-local address' });
    const reply = this.#dhcp.receive(now, udp.value.data);
    if (!reply.ok) return this.#ignore(reply);
    const payload = encodeUdp6({ sourcePort: SERVER_PORT, destinationPort: CLIENT_PORT, data: reply.value });
    this.#send({ source: ours, destination: peer, hopLimit: HOP_LIMIT, protocol: UDP, payload });
  }

  #advertise(): void {
    const { prefix, mtu, dns, domain } = this.#config;
    const lifetimes = { routerLifetime: ROUTER_LIFETIME, validLifetime: VALID, preferredLifetime: PREFERRED };
    // RFC 8106 §5.1: three times the interval is its default.
    const dnsLifetime = (3 * MAX_INTERVAL) / 1_000;
    this.#sendIcmp(ALL_NODES, encodeRouterAdvertisement({ ...lifetimes, prefix, mtu, dns, domain, dnsLifetime }));
  }

  #sendIcmp(destination: Uint8Array, payload: Uint8Array): void {
    this.#send({ source: this.#config.ours, destination, hopLimit: HOP_LIMIT, protocol: ICMPV6, payload });
  }

  /** What does not fit the link is not sent: nothing here is fragmented. */
  #send(packet: Packet6): void {
    const data = encodePacket6(packet);
    const { mtu } = this.#config;
    if (data.length > mtu) this.#ignore({ ref: 'RFC 8200 §5', why: `an answer of ${data.length} octets, MTU ${mtu}` });
    else this.#out.push({ type: 'packet', data });
  }

  #ignore({ ref, why }: Pick<Malformed, 'ref' | 'why'>): void {
    this.#out.push({ type: 'ignored', ref, why });
  }

  /** From 0 to 1. */
  #fraction(): number {
    return new Reader(this.#config.random(2)).u16() / 0x10000;
  }
}
