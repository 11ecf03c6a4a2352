// Every argument of the interface is checked here, once for both implementations: EINVAL names the field and what is allowed.
import { formatAddress, parseAddress, parsePrefix } from './address.js';
import { failure } from './errors.js';
import type { ControlPacket, DataplaneOptions, Listener, Path, SessionSpec, SessionState } from './types.js';

export const DEFAULT_RECEIVE_BUFFER = 4 << 20;
export const DEFAULT_MAX_SESSIONS = 65_536;
export const MAX_PREFIXES = 1024;
export const MAX_REORDER = 64;
/** IPv4's least MTU (RFC 791 §3.2), and what a UDP datagram has room for beside L2TP and PPP headers. */
export const MTU_RANGE = [68, 65_491] as const;
/** Bits per second. */
export const MAX_LIMIT = 1_000_000_000_000;
const MAX_DATAGRAM = 65_507;
/** src/forward.h. A frame begins with its protocol; the longest header before that is L2TP's with Length, Ns and Nr, and ff03. */
export const MAX_FRAME = MAX_DATAGRAM - 14;

function bad(where: string, what: string, value: unknown, allowed: string): never {
  throw failure('EINVAL', where, `${what} is ${JSON.stringify(value) ?? String(value)}, allowed: ${allowed}`);
}

function integer(where: string, what: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    bad(where, what, value, `an integer from ${min} to ${max}`);
  }
  return value;
}

export const checkId = (where: string, what: string, value: unknown): number => integer(where, what, value, 1, 0xffff);
export function checkIds(where: string, tunnelId: unknown, sessionId: unknown): void {
  checkId(where, 'tunnelId', tunnelId);
  checkId(where, 'sessionId', sessionId);
}
export const checkMark = (where: string, value: unknown): number => integer(where, 'mark', value, 1, 0xffff_ffff);

function address(where: string, what: string, value: unknown): string {
  const bytes = typeof value === 'string' ? parseAddress(value) : undefined;
  return bytes === undefined ? bad(where, what, value, 'an IPv4 or IPv6 address without a zone') : formatAddress(bytes);
}

function prefix(where: string, what: string, value: unknown): string {
  const p = typeof value === 'string' ? parsePrefix(value) : undefined;
  return p === undefined ? bad(where, what, value, 'address/length') : `${formatAddress(p.address)}/${p.length}`;
}

const family = (text: string) => (text.includes(':') ? 6 : 4);

/** With the addresses in canonical form. `leastPort` 0: of what was received, for nothing can be sent there. */
export function checkPath(where: string, path: Path, leastPort = 1): Path {
  const mark = integer(where, 'path.mark', path.mark, 0, 0xffff_ffff);
  const local = address(where, 'path.local', path.local);
  const remote = address(where, 'path.remote', path.remote);
  if (family(local) !== family(remote)) bad(where, 'path.remote', remote, `the family of path.local, ${local}`);
  return { mark, local, remote, remotePort: integer(where, 'path.remotePort', path.remotePort, leastPort, 0xffff) };
}

export function checkSpec(spec: SessionSpec): SessionSpec {
  const id = (key: 'tunnelId' | 'sessionId' | 'peerTunnelId' | 'peerSessionId') =>
    checkId('addSession', key, spec[key]);
  return {
    tunnelId: id('tunnelId'),
    sessionId: id('sessionId'),
    peerTunnelId: id('peerTunnelId'),
    peerSessionId: id('peerSessionId'),
    path: checkPath('addSession', spec.path),
  };
}

export function checkState(where: string, state: SessionState): SessionState {
  for (const key of ['open', 'clampMss', 'acfc', 'lengthBit', 'sequencing', 'smallFirst'] as const) {
    const value: unknown = state[key];
    if (value !== undefined && typeof value !== 'boolean') bad(where, key, value, 'true or false');
  }
  if (state.mtu !== undefined) integer(where, 'mtu', state.mtu, ...MTU_RANGE);
  if (state.reorder !== undefined) integer(where, 'reorder', state.reorder, 0, MAX_REORDER);
  if (state.dscp !== undefined && state.dscp !== 'copy') {
    const { dscp } = state;
    if (!Number.isInteger(dscp) || dscp < 0 || dscp > 63) bad(where, 'dscp', dscp, '"copy" or an integer from 0 to 63');
  }
  if (state.limit !== undefined) {
    for (const key of ['up', 'down'] as const) integer(where, `limit.${key}`, state.limit[key], 0, MAX_LIMIT);
  }
  if (state.prefixes === undefined) return state;
  if (state.prefixes.length > MAX_PREFIXES) {
    bad(where, 'prefixes.length', state.prefixes.length, `at most ${MAX_PREFIXES}`);
  }
  return { ...state, prefixes: [...new Set(state.prefixes.map((p, i) => prefix(where, `prefixes[${i}]`, p)))] };
}

export type CheckedListener = Listener & { readonly port: number };

export function checkListeners(listeners: readonly Listener[]): CheckedListener[] {
  if (listeners.length === 0) bad('listen', 'listeners', [], 'at least one');
  return listeners.map((l, i) => {
    const what = `listeners[${i}]`;
    const bound = address('listen', `${what}.address`, l.address);
    const port = integer('listen', `${what}.port`, l.port ?? 1701, 1, 0xffff);
    if (l.raw === undefined) return { address: bound, port };
    // Without IPsec nothing but the address says where packets are taken from.
    if (bound === '0.0.0.0' || bound === '::') bad('listen', `${what}.address`, bound, 'one address of the interface');
    if (!/^[^\s/]{1,15}$/.test(l.raw.interface)) {
      bad('listen', `${what}.raw.interface`, l.raw.interface, 'an interface name');
    }
    const peers = l.raw.peers.map((p, j) => prefix('listen', `${what}.raw.peers[${j}]`, p));
    return { address: bound, port, raw: { interface: l.raw.interface, peers } };
  });
}

export function checkDatagrams(packets: readonly ControlPacket[]): ControlPacket[] {
  return packets.map(({ path, data }) => ({ path: checkPath('sendControl', path), data: octets('sendControl', data) }));
}

/** How long it is the peer may have chosen (an answer to its Echo-Request): too long is a drop. */
export const checkFrame = (frame: Uint8Array): Uint8Array => octets('sendFrame', frame, 2, Number.POSITIVE_INFINITY);

function octets(where: string, data: Uint8Array, min = 1, max = MAX_DATAGRAM): Uint8Array {
  if (!(data instanceof Uint8Array)) bad(where, 'data', typeof data, 'a Uint8Array');
  if (data.length < min || data.length > max) {
    bad(where, 'data.length', data.length, `${min} to ${max}`);
  }
  return data;
}

export interface CheckedOptions {
  readonly tunFds: readonly number[];
  readonly vnetHeader: boolean;
  readonly receiveBuffer: number;
  readonly maxSessions: number;
  readonly gateway: readonly string[];
}

export function checkOptions(options: DataplaneOptions): CheckedOptions {
  return {
    tunFds: options.tunFds.map((fd, i) => integer('open', `tunFds[${i}]`, fd, 0, 0x7fff_ffff)),
    vnetHeader: options.vnetHeader === true,
    receiveBuffer: integer('open', 'receiveBuffer', options.receiveBuffer ?? DEFAULT_RECEIVE_BUFFER, 4096, 1 << 30),
    maxSessions: integer('open', 'maxSessions', options.maxSessions ?? DEFAULT_MAX_SESSIONS, 1, 1 << 20),
    gateway: (options.gateway ?? []).map((a, i) => address('open', `gateway[${i}]`, a)),
  };
}
