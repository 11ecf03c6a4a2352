/** Checks between settings: addresses that must not meet, limits that contradict each other, choices worth a warning. */

import { accessSync, constants, realpathSync } from 'node:fs';
import { isIP } from 'node:net';
import type { NetworkInterfaceInfo } from 'node:os';
import { dirname, join } from 'node:path';
import ipaddr from 'ipaddr.js';
import type { RawListener } from '../io/firewall.js';
import { inRange, ipv4Network, ipv4ToNumber, numberToIpv4, overlap } from '../proto/aaa/address.js';
import { validityProblems } from './certificates.js';
import type { Config, IkeConfig, OriginOf } from './config.js';
import type { PoolRange } from './config-format.js';
import type { Settings } from './config-schema.js';
import { ConfigError, type Origin, show } from './errors.js';
import { LEAST_IPV6_MTU } from './mtu.js';
import { FULL_TUNNEL, splitTunnelProblem, tooManyToTell } from './split-tunnel.js';
import { UserStore } from './users.js';

/** pool.gateway, or what `auto` stands for. @throws ConfigError when it cannot be the gateway of this pool */
export function gatewayOf(pool: Settings['pool'], origin: OriginOf): string {
  const [head] = pool.ipv4;
  if (pool.gateway === 'auto') {
    const n = head!.network ? head!.first + 1 : head!.first - 1;
    const taken = pool.ipv4.some((r) => !r.network && inRange(n, r));
    if (!head!.network && (taken || (n & 0xff) === 0 || (n & 0xff) === 0xff))
      throw new ConfigError(
        origin('pool.gateway'),
        'pool.gateway',
        `auto finds no address before ${showRange(head!)}`,
        'an IPv4 address outside the ranges of pool.ipv4',
      );
    return numberToIpv4(n);
  }
  const gateway = ipv4ToNumber(pool.gateway)!;
  const inside = pool.ipv4.find((r) => (r.network ? gateway === r.first || gateway === r.last : inRange(gateway, r)));
  if (inside !== undefined)
    throw new ConfigError(
      origin('pool.gateway'),
      'pool.gateway',
      `${pool.gateway} ${inside.network ? 'is the first or last address of' : 'lies inside the range'} ${showRange(inside)} of pool.ipv4`,
      inside.network ? 'another address of the network' : 'an address outside the ranges',
    );
  return pool.gateway;
}

/** @throws ConfigError for the first contradiction */
export function checkConfig(config: Config): void {
  const { pool, routes, limits, listen, origin } = config;
  pool.ranges.forEach((a, i) => {
    const clash = pool.ranges.findIndex((b, j) => j < i && overlap(a, b));
    if (clash !== -1)
      throw new ConfigError(
        origin('pool.ipv4', [i]),
        'pool.ipv4',
        `${showRange(a)} overlaps ${showRange(pool.ranges[clash]!)}`,
        'ranges that do not overlap',
      );
  });
  for (const [i, route] of routes.entries()) {
    const network = ipv4Network(route)!;
    // A network around the pool is fine: the pool's own route is more specific.
    const clash = pool.ranges.find((r) => overlap(r, network) && !(network.first <= r.first && r.last <= network.last));
    if (clash !== undefined)
      throw new ConfigError(
        origin('routes', [i]),
        `routes[${i}]`,
        `${route} overlaps ${showRange(clash)} of pool.ipv4`,
        'networks outside the pool, or around all of it',
      );
  }
  checkKeys(config);
  checkDhcp(config);
  checkIpv6(config);
  if (listen.addresses !== 'auto') refuseInPool(config, listen.addresses);
  checkRaw(config);
  if (limits.halfOpenPerAddress > limits.halfOpen)
    throw new ConfigError(
      origin('limits.half_open_per_address'),
      'limits.half_open_per_address',
      `${limits.halfOpenPerAddress} is more than limits.half_open`,
      `at most ${limits.halfOpen}`,
    );
}

/** @throws ConfigError */
export function checkDhcp({ dhcp, routes, origin }: Config): void {
  const wrong = dhcp.routes === 'auto' ? undefined : splitTunnelProblem(dhcp.routes, routes);
  if (wrong === undefined) return;
  const { at, problem, allowed } = wrong;
  const key = at === undefined ? 'dhcp.routes' : `dhcp.routes[${at}]`;
  throw new ConfigError(origin('dhcp.routes', at === undefined ? [] : [at]), key, problem, allowed);
}

function checkIpv6({ ipv6, ppp, origin }: Config): void {
  const { prefix, delegate, delegateLength } = ipv6;
  const fail = (key: string, problem: string, allowed: string): never => {
    throw new ConfigError(origin(key), key, problem, allowed);
  };
  const idle = (['delegate', 'dns', 'routes'] as const).find((key) => ipv6[key] !== null && ipv6[key].length > 0);
  if (prefix === null)
    return idle && fail(`ipv6.${idle}`, 'means nothing while IPv6 is off', 'with ipv6.prefix, which switches it on');
  if (ppp.mtu !== 'auto' && ppp.mtu < LEAST_IPV6_MTU)
    fail('ppp.mtu', `${ppp.mtu} is too small for IPv6 inside the tunnels (ipv6.prefix)`, `at least ${LEAST_IPV6_MTU}`);
  if (delegate === null) return;
  if (Number(delegate.split('/')[1]) > delegateLength)
    fail(
      'ipv6.delegate_length',
      `${delegateLength} is larger than ${delegate} of ipv6.delegate`,
      'a length beyond its own',
    );
  const [a, b] = [prefix, delegate].map((network) => ipaddr.IPv6.parseCIDR(network));
  const [short, long] = a![1] < b![1] ? [a!, b!] : [b!, a!];
  if (long[0].match(short)) fail('ipv6.delegate', `${delegate} overlaps ${prefix} of ipv6.prefix`, 'another network');
}

function checkRaw({ listen: { addresses, raw }, ike, origin }: Config): void {
  const everyone = raw?.peers.findIndex(isVast) ?? -1;
  if (everyone !== -1)
    throw new ConfigError(
      origin('listen.raw', ['peers', everyone]),
      `listen.raw.peers[${everyone}]`,
      `${raw?.peers[everyone]} is too large a part of everyone`,
      'the networks of the peers, of /8 or longer in IPv4 and /16 or longer in IPv6',
    );
  if (ike === null && addresses !== 'auto')
    throw new ConfigError(
      origin('listen.addresses'),
      'listen.addresses',
      'serves IPsec, but there is no section ike',
      'a section ike, or only listen.raw',
    );
}

const isVast = (network: string): boolean => {
  const [address = '', length] = network.split('/');
  return Number(length) < (isIP(address) === 4 ? 8 : 16);
};

/** Each network and each identity has one key, and somebody must be able to connect. */
function checkKeys({ ike, origin }: Config): void {
  if (ike === null) return;
  const seen = new Set<string>();
  for (const [i, { peers }] of ike.pskRanges.entries())
    for (const peer of peers)
      once(peer, origin('ike.psk_ranges', [i]), `ike.psk_ranges[${i}].peers`, 'each network in one place');
  for (const [i, { id }] of ike.pskIds.entries())
    once(id, origin('ike.psk_ids', [i]), `ike.psk_ids[${i}].id`, 'each identity once');
  const { psk, pskRanges, pskIds, certificates, aggressive } = ike;
  if (psk === null && pskRanges.length + pskIds.length === 0 && certificates === null)
    throw new ConfigError(
      origin('ike.psk_file'),
      'ike.psk_file',
      'none leaves no way for a client to authenticate',
      'a file; or none with ike.psk_ranges, ike.psk_ids or ike.certificates',
    );
  if (aggressive && pskIds.length === 0)
    throw new ConfigError(
      origin('ike.aggressive'),
      'ike.aggressive',
      'true serves nobody without ike.psk_ids',
      'false, or keys for the identities of these clients in ike.psk_ids',
    );

  function once(what: string, at: Origin, key: string, allowed: string): void {
    if (seen.has(what)) throw new ConfigError(at, key, `${show(what)} has a key already`, allowed);
    seen.add(what);
  }
}

/**
 * Our addresses for peers without IPsec: those of the interface, of the peers' families. Undefined without `listen.raw`.
 * @throws ConfigError when there is none
 */
export function rawListener(config: Config, interfaces: Interfaces): RawListener | undefined {
  const { raw } = config.listen;
  if (raw === null) return undefined;
  const own = globalAddresses(interfaces);
  const here = own.filter((a) => a.on === raw.interface).map((a) => a.address);
  const families = raw.peers.map((peer) => isIP(peer.split('/')[0]!));
  const addresses = here.filter((a) => families.includes(isIP(a)));
  if (addresses.length > 0) return { ...raw, addresses };
  throw new ConfigError(
    config.origin('listen.raw', ['interface']),
    'listen.raw.interface',
    `${raw.interface} has ${here.length === 0 ? 'no address on this host' : 'no address of the family of listen.raw.peers'}`,
    `any of ${[...new Set(own.map((a) => a.on))].sort().join(', ') || 'no interface at present'}`,
  );
}

/**
 * The addresses to serve with IPsec: those configured, or with `auto` every global one of the host (pass `os.networkInterfaces()`).
 * @throws ConfigError when there is none, a configured one is not the host's, or the pool meets the host's own networks
 */
export function listenAddresses(config: Config, interfaces: Interfaces): readonly string[] {
  const refuse = (problem: string, allowed: string): never => {
    throw new ConfigError(config.origin('listen.addresses'), 'listen.addresses', problem, allowed);
  };
  const { addresses } = config.listen;
  const raw = rawListener(config, interfaces);
  const own = outsideAddresses(config, interfaces);
  const all = [...new Set(own.map((a) => a.address))].sort();
  refuseInPool(config, all);
  if (!config.reachability.proxyArp) refuseConnected(config, own);
  if (config.ike === null) return [];
  const names = all.filter((a) => raw?.addresses.includes(a) !== true);
  if (addresses === 'auto' && names.length === 0)
    refuse('auto finds no address on this host', 'a host with an address besides loopback, or a list');
  const both = addresses === 'auto' ? undefined : addresses.find((a) => raw?.addresses.includes(a));
  if (both !== undefined) refuse(`${both} is the address of listen.raw`, 'addresses of other interfaces');
  const foreign = addresses === 'auto' ? undefined : addresses.find((a) => !names.includes(a));
  if (foreign !== undefined) refuse(`${foreign} is not an address of this host`, `auto, or any of ${names.join(', ')}`);
  return addresses === 'auto' ? names : addresses;
}

export type Interfaces = NodeJS.Dict<NetworkInterfaceInfo[]>;

/** Every address of the host that others can reach, with its interface. */
export const globalAddresses = (interfaces: Interfaces): (NetworkInterfaceInfo & { readonly on: string })[] =>
  Object.entries(interfaces)
    .flatMap(([on, infos]) => (infos ?? []).map((info) => ({ ...info, on })))
    .filter((a) => !a.internal && !isLinkLocal(a.address));

/** Those that are not our own TUN device's, which carries pool.gateway: after a crash it may still be there. */
export const outsideAddresses = ({ pool }: Config, interfaces: Interfaces): ReturnType<typeof globalAddresses> =>
  globalAddresses(interfaces).filter((a) => a.address !== pool.gateway);

function refuseInPool(config: Config, addresses: readonly string[]): void {
  for (const address of addresses) {
    const n = ipv4ToNumber(address);
    const range = n === undefined ? undefined : config.pool.ranges.find((r) => inRange(n, r));
    if (range !== undefined && address !== config.pool.gateway)
      throw new ConfigError(
        config.origin('pool.ipv4'),
        'pool.ipv4',
        `${showRange(range)} contains ${address}, where this host listens`,
        'addresses the host does not have',
      );
  }
}

/** Hosts of a connected network would look for a client on their own wire. */
function refuseConnected(config: Config, own: ReturnType<typeof globalAddresses>): void {
  for (const { cidr, on } of own) {
    const network = cidr === null ? undefined : ipv4Network(cidr);
    const range = network && config.pool.ranges.find((r) => overlap(r, network));
    if (range !== undefined)
      throw new ConfigError(
        config.origin('pool.ipv4'),
        'pool.ipv4',
        `${showRange(range)} overlaps ${showRange({ ...network!, network: true })}, where ${on} is`,
        'addresses of no connected network, or part of one with reachability.proxy_arp: true',
      );
  }
}

/**
 * All that can be found wrong before a start, of the configuration on this host and of its users: what `lockstepd`, `--check`,
 * `lockstep config check` and `lockstep doctor` go by.
 * @throws ConfigError
 */
export function checkOnHost(config: Config, interfaces: Interfaces) {
  const users = UserStore.load(config.usersFile);
  const listening = { listen: listenAddresses(config, interfaces), raw: rawListener(config, interfaces) };
  users.check(config, ownAddresses(listening));
  return { users, listening };
}

/** Where clients reach us. */
export const ownAddresses = (at: { listen: readonly string[]; raw: RawListener | undefined }): readonly string[] => [
  ...at.listen,
  ...(at.raw?.addresses ?? []),
];

/** What the pool must never hand out, beside fixed addresses. */
export function excludedAddresses({ pool }: Config): string[] {
  const edges = pool.ranges.filter((r) => r.network).flatMap((r) => [r.first, r.last].map(numberToIpv4));
  return [...new Set([pool.gateway, ...edges])];
}

interface Warning {
  readonly event: string;
  readonly hint: string;
}

/** Choices that work but deserve a line in the log at each start. */
export function configWarnings(config: Config): Warning[] {
  const warnings: Warning[] = [];
  const warn = (event: string, hint: string) => warnings.push({ event, hint });
  if (config.listen.raw !== null)
    warn(
      'config.raw',
      `listen.raw serves L2TP without IPsec on ${config.listen.raw.interface} to ${config.listen.raw.peers.join(', ')}: whoever is on that network reads and forges what passes`,
    );
  if (config.ike?.legacy === true)
    warn(
      'config.legacy-crypto',
      'ike.legacy accepts MODP-1024, which a strong attacker can break: switch it off when no client needs it',
    );
  if (config.ppp.auth.includes('pap'))
    warn('config.pap', 'ppp.auth allows pap: the gateway sees passwords in clear inside the tunnel');
  if (config.ppp.passwordChange && !replaceable(config.usersFile))
    warn(
      'users.not-writable',
      `ppp.password_change is on, and ${config.usersFile} or its directory cannot be written: put users_file where the daemon may write, such as ${join(config.stateDir, 'users.yaml')}`,
    );
  if (config.identity.size > 0 && !provable(config.ike))
    warn(
      'config.identity-unproven',
      '`identity` binds users, but nothing proves an identity: these users are refused. It takes ike.certificates, or ike.psk_ids with psk_file: none',
    );
  if (config.dhcp.routes !== 'auto' && config.dhcp.routes.includes(FULL_TUNNEL))
    warn(
      'config.full-tunnel',
      `dhcp.routes has ${FULL_TUNNEL}: also clients set up for a split tunnel send all their traffic through the gateway`,
    );
  if (tooManyToTell(config))
    warn(
      'config.routes-not-told',
      'the networks of `routes` do not fit into a DHCP option, so clients with a split tunnel are told none: name the most important ones in dhcp.routes',
    );
  for (const warning of config.ike === null ? [] : ikeWarnings(config.ike)) warnings.push(warning);
  return warnings;
}

/** A draft is made beside it, and takes its place. */
const replaceable = (file: string): boolean => {
  try {
    accessSync(dirname(realpathSync(file)), constants.W_OK);
    return true;
  } catch {
    return false;
  }
};

function provable(ike: IkeConfig | null): boolean {
  if (ike === null) return false;
  const { certificates, pskIds, aggressive, psk, allowForeign } = ike;
  return certificates !== null || (pskIds.length > 0 && (aggressive || (psk === null && !allowForeign)));
}

function ikeWarnings({ psk, pskRanges, pskIds, aggressive, certificates }: IkeConfig): Warning[] {
  const warnings: Warning[] = [];
  const warn = (event: string, hint: string) => warnings.push({ event, hint });
  if (aggressive)
    warn(
      'config.aggressive-mode',
      'ike.aggressive lets whoever knows an identity of ike.psk_ids fetch a hash to guess its key from: give those clients IKEv2 or certificates',
    );
  if (pskIds.length > 0 && !aggressive)
    warn(
      'config.psk-ids-ikev2-only',
      'the keys of ike.psk_ids serve clients with IKEv2 only: Windows, macOS and iOS use IKEv1, and with it the key of their address',
    );
  for (const problem of certificates ? validityProblems(certificates, new Date()) : [])
    warn('config.certificate-validity', `${problem}: renew it before clients are refused`);
  for (const key of [...(psk === null ? [] : [psk]), ...[...pskRanges, ...pskIds].map((k) => k.psk)])
    if (key.reveal().length < STRONG_PSK)
      warn(
        'config.short-psk',
        `a pre-shared key has fewer than ${STRONG_PSK} characters: whoever records one handshake can guess it offline`,
      );
  return warnings;
}

const isLinkLocal = (address: string): boolean => /^(169\.254\.|fe[89ab][0-9a-f]:)/i.test(address);

const showRange = (r: PoolRange): string =>
  show(
    r.network
      ? `${numberToIpv4(r.first)}/${32 - Math.log2(r.last - r.first + 1)}`
      : `${numberToIpv4(r.first)}-${numberToIpv4(r.last)}`,
  );

/* Implementation */ const STRONG_PSK = 20;
