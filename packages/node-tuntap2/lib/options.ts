/** Parses what callers hand in, once, into what drivers take. Every refusal is one sentence: key, value, what is allowed. */
import { inspect } from 'node:util';
import { formatIp, type Ip, maskIp, parseIp, parsePrefix, sameOctets } from './address.js';
import { type AddressEntry, type DriverOptions, MAIN_TABLE, type RouteEntry } from './driver.js';
import { invalid } from './errors.js';
import type { Offload, Route, TuntapOptions } from './types.js';

/* Specification: linux/if.h, linux/if_tun.h, drivers/net/tun.c */
const NAME_MAX_OCTETS = 15;
const QUEUES_MAX = 256;
/** The smallest MTU of IPv4 (RFC 791 §3.2) and of the kernel's TUN driver; the largest the driver takes, TAP a little less. */
const MTU_MIN = 68;
const MTU_MAX = 65_535;

/** TUN_F_* bits. */
export const OFFLOADS: Readonly<Record<Offload, number>> = {
  csum: 0x01,
  tso4: 0x02,
  tso6: 0x04,
  'tso-ecn': 0x08,
  uso4: 0x20,
  uso6: 0x40,
};

export const offloadNames = (bits: number): Offload[] =>
  (Object.keys(OFFLOADS) as Offload[]).filter((name) => (bits & OFFLOADS[name]) !== 0);

export interface ParsedOptions extends DriverOptions {
  readonly mtu: number | undefined;
}

const OPEN = 'openTuntap';

export function parseOptions(options: TuntapOptions): ParsedOptions {
  if (typeof options !== 'object' || options === null)
    throw invalid(OPEN, `options: ${show(options)} is not an object`);
  const unknown = Object.keys(options).find((key) => !KEYS.has(key));
  if (unknown !== undefined) throw invalid(OPEN, `${unknown}: unknown option, known are ${[...KEYS].join(', ')}`);
  const { mode, name, queues = 1, vnetHeader = false, offloads = [], mtu, persist } = options;
  if (mode !== 'tun' && mode !== 'tap') throw invalid(OPEN, `mode: ${show(mode)} is neither 'tun' nor 'tap'`);
  if (name !== undefined) checkName(name);
  if (!isInteger(queues, 1, QUEUES_MAX)) {
    throw invalid(OPEN, `queues: ${show(queues)} is not an integer from 1 to ${QUEUES_MAX}`);
  }
  checkFlag('vnetHeader', vnetHeader);
  if (persist !== undefined) checkFlag('persist', persist);
  if (mtu !== undefined) checkMtu(OPEN, mtu);
  return {
    tap: mode === 'tap',
    name: name ?? '',
    queues,
    vnetHeader,
    offloads: parseOffloads(offloads, vnetHeader),
    persist,
    mtu,
  };
}

export function checkMtu(where: string, mtu: unknown): void {
  if (isInteger(mtu, MTU_MIN, MTU_MAX)) return;
  throw invalid(where, `mtu: ${show(mtu)} is not an integer from ${MTU_MIN} to ${MTU_MAX}`);
}

export function parseAddress(where: string, address: string, peer?: string): AddressEntry {
  const parsed = typeof address === 'string' ? parsePrefix(address) : undefined;
  if (parsed === undefined) {
    throw invalid(
      where,
      `address: ${show(address)} is not an address with a prefix length, such as 192.0.2.1/24 or 2001:db8::1/64`,
    );
  }
  const local = parsed.address;
  return { local, prefix: parsed.length, peer: peer === undefined ? local : sibling(where, 'peer', peer, local) };
}

export function parseRoute(where: string, route: Route): RouteEntry {
  if (typeof route !== 'object' || route === null) throw invalid(where, `route: ${show(route)} is not an object`);
  const { destination, via, source, metric = 0, table = MAIN_TABLE } = route;
  const parsed = typeof destination === 'string' ? parsePrefix(destination) : undefined;
  if (parsed === undefined) {
    throw invalid(where, `destination: ${show(destination)} is not a prefix, such as 198.51.100.0/24 or 2001:db8::/32`);
  }
  const network = maskIp(parsed.address, parsed.length);
  if (!sameOctets(network, parsed.address)) {
    throw invalid(
      where,
      `destination: ${destination} has bits beyond its prefix, write ${formatIp(network)}/${parsed.length}`,
    );
  }
  if (!isInteger(metric, 0, 0xffff_ffff))
    throw invalid(where, `metric: ${show(metric)} is not an integer from 0 to 4294967295`);
  if (!isInteger(table, 1, 0xffff_ffff))
    throw invalid(where, `table: ${show(table)} is not an integer from 1 to 4294967295`);
  return {
    destination: network,
    prefix: parsed.length,
    via: via === undefined ? undefined : sibling(where, 'via', via, network),
    source: source === undefined ? undefined : sibling(where, 'source', source, network),
    metric,
    table,
  };
}

export const isInteger = (value: unknown, min: number, max: number): value is number =>
  Number.isInteger(value) && (value as number) >= min && (value as number) <= max;

/** A value for an error message: short, on one line. */
export function show(value: unknown): string {
  const text = inspect(value, { breakLength: Number.POSITIVE_INFINITY, depth: 0 });
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

const KEYS = new Set(['mode', 'name', 'queues', 'vnetHeader', 'offloads', 'mtu', 'persist']);

// dev_valid_name() of the kernel, and no surprises for those who read names in logs: printable ASCII.
function checkName(name: unknown): void {
  const fine =
    typeof name === 'string' &&
    name.length <= NAME_MAX_OCTETS &&
    /^[!-~]+$/.test(name) &&
    !/[/:]/.test(name) &&
    name !== '.' &&
    name !== '..' &&
    !name.replace('%d', '').includes('%');
  if (fine) return;
  throw invalid(
    OPEN,
    `name: ${show(name)} is not an interface name: 1 to ${NAME_MAX_OCTETS} printable ASCII characters without space, '/' and ':', '%' only in one '%d'`,
  );
}

function checkFlag(key: string, value: unknown): void {
  if (typeof value !== 'boolean') throw invalid(OPEN, `${key}: ${show(value)} is neither true nor false`);
}

// What the kernel's set_offload() refuses with a bare EINVAL, said in words.
function parseOffloads(offloads: readonly Offload[], vnetHeader: boolean): number {
  if (!Array.isArray(offloads)) throw invalid(OPEN, `offloads: ${show(offloads)} is not a list`);
  let bits = 0;
  for (const offload of offloads as readonly Offload[]) {
    if (!Object.hasOwn(OFFLOADS, offload)) {
      throw invalid(OPEN, `offloads: ${show(offload)} is unknown, known are ${Object.keys(OFFLOADS).join(', ')}`);
    }
    bits |= OFFLOADS[offload];
  }
  const has = (offload: Offload): boolean => (bits & OFFLOADS[offload]) !== 0;
  if (bits !== 0 && !vnetHeader) throw invalid(OPEN, 'offloads: need vnetHeader: true');
  if (bits !== 0 && !has('csum')) throw invalid(OPEN, `offloads: ${offloads.join(', ')} need csum as well`);
  if (has('tso-ecn') && !has('tso4') && !has('tso6'))
    throw invalid(OPEN, 'offloads: tso-ecn needs tso4 or tso6 as well');
  if (has('uso4') !== has('uso6')) throw invalid(OPEN, 'offloads: uso4 and uso6 are accepted only together');
  return bits;
}

function sibling(where: string, key: string, text: string, like: Ip): Ip {
  const ip = typeof text === 'string' ? parseIp(text) : undefined;
  if (ip?.length === like.length) return ip;
  throw invalid(where, `${key}: ${show(text)} is not an IPv${like.length === 4 ? 4 : 6} address`);
}
