/** IPv6 of sessions: which prefixes they have, and the router each of them sees (src/proto/inside/router.ts). */
import { createHash } from 'node:crypto';
import ipaddr from 'ipaddr.js';
import type { Dataplane } from '../io/dataplane.js';
import { PrefixPool } from '../proto/aaa/prefix-pool.js';
import { Router, type RouterOut } from '../proto/inside/router.js';
import type { Random } from '../proto/machine.js';
import { linkLocal, type Prefix6, prefixOctets, showPrefix6 } from '../wire/ip/address6.js';
import { encodeFrame, PROTOCOL } from '../wire/ppp/frame.js';
import { Reader, toHex, Writer } from '../wire/reader.js';
import { never } from '../wire/result.js';
import type { Config } from './config.js';
import type { Drive } from './drive.js';
import { idFields } from './facts.js';
import type { Log } from './log.js';
import { LEAST_IPV6_MTU } from './mtu.js';
import type { Session } from './registry.js';

/** Our interface identifier, the same in all sessions: fe80::1. */
export const OUR_INTERFACE_ID = new Writer(8).u64(1n).done();

/** Log lines of one session. */
const MAX_SAID = 20;

export interface Ipv6Settings {
  /** A /64: shared by all. A shorter one: each session gets a /64 of it. */
  readonly network: Prefix6;
  /** Prefixes of `length` out of `network`, for routers. */
  readonly delegate: { readonly network: Prefix6; readonly length: number } | null;
  readonly dns: readonly Uint8Array[];
  readonly domain: string | null;
  readonly duid: Uint8Array;
}

export interface Ipv6Options {
  /** Absent: off. */
  readonly ipv6?: Ipv6Settings;
  readonly drive: Drive;
  readonly dataplane: Dataplane;
  readonly log: Log;
  readonly link: { readonly random: Random };
}

export class Ipv6 {
  readonly #o: Ipv6Options;
  /** Absent: the network is shared. */
  readonly #pool: PrefixPool | undefined;
  readonly #delegated: PrefixPool | undefined;
  /** Of a shared network: interface identifiers in hex, which make the addresses. */
  readonly #holders = new Map<string, Session>();
  /** What was said of a session: a peer opens, closes and asks as often as it likes. */
  readonly #said = new WeakMap<Session, Set<string>>();

  constructor(options: Ipv6Options) {
    this.#o = options;
    const { network, delegate = null } = options.ipv6 ?? {};
    if (network !== undefined && network.length < 64) this.#pool = new PrefixPool(network, 64);
    if (delegate !== null) this.#delegated = new PrefixPool(delegate.network, delegate.length);
  }

  /** Another session has the address that this identifier makes. */
  taken(session: Session, interfaceId: Uint8Array): boolean {
    const holder = this.#holders.get(toHex(interfaceId));
    return holder !== undefined && holder !== session;
  }

  /** The peer may use IPv6 from now on. */
  open(session: Session, interfaceId: Uint8Array): void {
    const { ipv6, log } = this.#o;
    this.close(session);
    if (ipv6 === undefined || session.user === undefined) return;
    if (session.mtu < LEAST_IPV6_MTU) {
      const why = `IPv6 needs an MTU of ${LEAST_IPV6_MTU}`;
      if (this.#isNews(session, why)) log.info('ipv6.not-opened', { ...idFields(session), mtu: session.mtu, why });
      return;
    }
    const prefix = this.#pool === undefined ? ipv6.network : this.#pool.acquire(session.user);
    if (prefix === undefined) {
      const hint = 'ipv6.prefix has no /64 left: make it a larger network';
      if (this.#isNews(session, hint)) log.warn('ipv6.no-prefix', { ...idFields(session), hint });
      return;
    }
    const own = this.#pool === undefined ? { prefix: prefix.prefix | number(interfaceId), length: 128 } : prefix;
    if (this.#pool === undefined) this.#holders.set(toHex(interfaceId), session);
    session.ipv6 = { interfaceId, prefix, own, delegated: [] };
    this.#admit(session);
  }

  /** Both ends are ready: the router speaks. */
  up(session: Session): void {
    const { ipv6, drive, log, link } = this.#o;
    const state = session.ipv6;
    if (ipv6 === undefined || state === undefined || session.user === undefined) return;
    const { user } = session;
    const pool = this.#delegated;
    const router = new Router({
      ours: linkLocal(OUR_INTERFACE_ID),
      peer: linkLocal(state.interfaceId),
      prefix: prefixOctets(state.prefix),
      mtu: session.mtu,
      dns: ipv6.dns,
      domain: ipv6.domain,
      duid: ipv6.duid,
      ...(pool === undefined
        ? {}
        : { delegation: { acquire: () => pool.acquire(user), release: (p) => pool.release(p) } }),
      random: link.random,
    });
    state.router = drive.add(router, (out) => this.#onRouter(session, out));
    state.router.input({ type: 'start' });
    const own = showPrefix6(state.own);
    if (this.#isNews(session, `up ${own}`)) log.info('ipv6.up', { ...idFields(session), prefix: own });
  }

  /** An IPv6 packet that the packet thread did not forward. */
  packet(session: Session, data: Uint8Array): void {
    session.ipv6?.router?.input({ type: 'packet', data });
  }

  /** The prefixes are free again. */
  close(session: Session): void {
    const state = session.ipv6;
    if (state === undefined) return;
    state.router?.input({ type: 'stop' });
    state.router?.remove();
    if (this.#pool === undefined) this.#holders.delete(toHex(state.interfaceId));
    else this.#pool.release(state.prefix);
    session.ipv6 = undefined;
    this.#admit(session);
  }

  #onRouter(session: Session, out: RouterOut): void {
    const { dataplane, log } = this.#o;
    const { tunnelId, sessionId } = session.ids;
    switch (out.type) {
      case 'packet':
        return dataplane.sendFrame(tunnelId, sessionId, encodeFrame(PROTOCOL.ipv6, out.data));
      case 'delegated':
      case 'withdrawn': {
        const others = session.ipv6?.delegated.filter((p) => p.prefix !== out.prefix.prefix) ?? [];
        if (session.ipv6 !== undefined)
          session.ipv6.delegated = out.type === 'delegated' ? [...others, out.prefix] : others;
        const fields = { ...idFields(session), prefix: showPrefix6(out.prefix) };
        if (this.#isNews(session, `${out.type} ${fields.prefix}`))
          log.info(out.type === 'delegated' ? 'ipv6.delegated' : 'ipv6.withdrawn', fields);
        return this.#admit(session);
      }
      case 'ignored':
        log.debug('ipv6.ignored', { ...idFields(session), ref: out.ref, why: out.why });
        return;
      default:
        return never(out);
    }
  }

  /** Not said of this session yet, nor too much else. */
  #isNews(session: Session, what: string): boolean {
    const said = this.#said.get(session) ?? new Set();
    this.#said.set(session, said);
    if (said.has(what) || said.size >= MAX_SAID) return false;
    said.add(what);
    return true;
  }

  #admit(session: Session): void {
    const { tunnelId, sessionId } = session.ids;
    if (!session.withdrawn) this.#o.dataplane.updateSession(tunnelId, sessionId, { prefixes: prefixesOf(session) });
  }
}

/** What the peer may send from, and is sent. */
export function prefixesOf({ address, ipv6 }: Session): string[] {
  const v4 = address === undefined ? [] : [`${address}/32`];
  if (ipv6 === undefined) return v4;
  const local = { prefix: number(linkLocal(ipv6.interfaceId)), length: 128 };
  return [...v4, ...[local, ipv6.own, ...ipv6.delegated].map(showPrefix6)];
}

/** What `lockstep sessions` shows. */
export const globalPrefixes = ({ ipv6 }: Session): string[] =>
  ipv6 === undefined ? [] : [ipv6.own, ...ipv6.delegated].map(showPrefix6);

/** From the configuration; undefined: off. */
export function ipv6Settings({ ipv6, dhcp, l2tp }: Config): Ipv6Settings | undefined {
  if (ipv6.prefix === null) return undefined;
  // RFC 6355 §4: a UUID; of what makes this gateway, so that it is the same after a restart.
  const id = createHash('sha256').update(`${l2tp.hostName} ${ipv6.prefix}`).digest().subarray(0, 16);
  return {
    network: parsePrefix(ipv6.prefix),
    delegate: ipv6.delegate === null ? null : { network: parsePrefix(ipv6.delegate), length: ipv6.delegateLength },
    dns: ipv6.dns.map(octets),
    domain: dhcp.domain,
    duid: new Writer(18).u16(4).bytes(id).done(),
  };
}

const octets = (address: string): Uint8Array => Uint8Array.from(ipaddr.IPv6.parse(address).toByteArray());

const number = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes)}`);

function parsePrefix(network: string): Prefix6 {
  const [address = '', length] = network.split('/');
  const r = new Reader(octets(address));
  return { prefix: (r.u64() << 64n) | r.u64(), length: Number(length) };
}
