// What the in-memory twin reads and writes of packets, as src/parse.cc, src/icmp.cc and src/segment.cc do.
// RFC 2661 §3.1, RFC 1661 §2, RFC 791, RFC 8200, RFC 9293.
import { type AddressBytes, sameBytes } from './address.js';

export const PPP_IPV4 = 0x0021;
export const PPP_IPV6 = 0x0057;

const u16 = (b: Uint8Array, at: number): number => ((b[at] ?? 0) << 8) | (b[at + 1] ?? 0);

function put16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >> 8;
  b[at + 1] = value;
}

export type L2tp =
  | { readonly kind: 'control' }
  | {
      readonly kind: 'data';
      readonly tunnelId: number;
      readonly sessionId: number;
      readonly ns: number | undefined;
      readonly payload: Uint8Array;
    }
  | { readonly kind: 'short' }
  | { readonly kind: 'version' };

export function parseL2tp(b: Uint8Array): L2tp {
  if (b.length < 2) return { kind: 'short' };
  if ((b[1]! & 0x0f) !== 2) return { kind: 'version' };
  const flags = b[0]!;
  if (flags & 0x80) return b.length < 12 ? { kind: 'short' } : { kind: 'control' };
  const end = flags & 0x40 ? u16(b, 2) : b.length;
  const ids = flags & 0x40 ? 4 : 2;
  const numbered = (flags & 0x08) !== 0;
  let at = ids + 4 + (numbered ? 4 : 0);
  if ((flags & 0x40 && b.length < 4) || end > b.length || end < at) return { kind: 'short' };
  if (flags & 0x02) {
    if (end < at + 2) return { kind: 'short' };
    at += 2 + u16(b, at);
    if (at > end) return { kind: 'short' };
  }
  const ns = numbered ? u16(b, ids + 4) : undefined;
  return { kind: 'data', tunnelId: u16(b, ids), sessionId: u16(b, ids + 2), ns, payload: b.subarray(at, end) };
}

/** Tolerates a missing ff03 and a one-octet protocol field (RFC 1661 §6.5, §6.6). */
export function parsePpp(b: Uint8Array): { readonly protocol: number; readonly information: Uint8Array } | undefined {
  const at = b.length >= 2 && b[0] === 0xff && b[1] === 0x03 ? 2 : 0;
  const first = b[at];
  if (first === undefined || first === 0xff) return undefined;
  if (first & 1) return { protocol: first, information: b.subarray(at + 1) };
  if (b.length < at + 2) return undefined;
  return { protocol: u16(b, at), information: b.subarray(at + 2) };
}

export interface Ip {
  readonly version: 4 | 6;
  readonly header: number;
  readonly protocol: number;
  readonly dontFragment: boolean;
  readonly fragment: boolean;
  readonly later: boolean;
  readonly source: AddressBytes;
  readonly destination: AddressBytes;
  /** The packet by its own length field. */
  readonly packet: Uint8Array;
}

export function parseIp(b: Uint8Array): Ip | undefined {
  const version = (b[0] ?? 0) >> 4;
  if (version === 4 && b.length >= 20) {
    const header = (b[0]! & 0x0f) * 4;
    const length = u16(b, 2);
    if (header < 20 || length < header || length > b.length) return undefined;
    const f = u16(b, 6);
    // No datagram reaches beyond 65535 octets (RFC 791 §3.1).
    if ((f & 0x1fff) * 8 + length > 65_535) return undefined;
    return {
      version,
      header,
      protocol: b[9]!,
      dontFragment: (f & 0x4000) !== 0,
      fragment: (f & 0x3fff) !== 0,
      later: (f & 0x1fff) !== 0,
      source: b.slice(12, 16),
      destination: b.slice(16, 20),
      packet: b.subarray(0, length),
    };
  }
  if (version !== 6 || b.length < 40 || 40 + u16(b, 4) > b.length) return undefined;
  return {
    version,
    header: 40,
    protocol: b[6]!,
    dontFragment: true,
    fragment: false,
    later: false,
    source: b.slice(8, 24),
    destination: b.slice(24, 40),
    packet: b.subarray(0, 40 + u16(b, 4)),
  };
}

/** 255.255.255.255 included. */
export function isMulticast(a: AddressBytes): boolean {
  if (a.length === 16) return a[0] === 0xff;
  return (a[0]! & 0xf0) === 0xe0 || a.every((octet) => octet === 0xff);
}

/** What JS answers, as src/punt.cc: DHCP, DHCPv6, solicitations (RFC 4861 §6.1.1, §7.1.1). */
export function puntKind(ip: Ip, gateway: readonly AddressBytes[]): 'dhcp' | 'dhcpv6' | 'solicitation' | undefined {
  const udp = ip.protocol === 17 && !ip.fragment && ip.packet.length >= ip.header + 8;
  const port = udp ? u16(ip.packet, ip.header + 2) : 0;
  const everyone = isMulticast(ip.destination);
  if (ip.version === 4) {
    return port === 67 && (everyone || gateway.some((a) => sameBytes(a, ip.destination))) ? 'dhcp' : undefined;
  }
  if (port === 547 && everyone) return 'dhcpv6';
  const icmp = ip.protocol === 58 && ip.packet.length >= 48 && ip.packet[7] === 255 ? ip.packet[40] : undefined;
  return icmp === 133 || icmp === 135 ? 'solicitation' : undefined;
}

function checksum(...parts: readonly Uint8Array[]): number {
  let s = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i += 2) s += u16(part, i);
  }
  while (s > 0xffff) s = (s & 0xffff) + Math.floor(s / 0x10000);
  return ~s & 0xffff;
}

/** RFC 2474 §3: of the IPv4 TOS or IPv6 Traffic Class octet. */
export const dscp = (ip: Uint8Array): number =>
  ip[0]! >> 4 === 4 ? ip[1]! >> 2 : ((ip[0]! & 15) << 2) | (ip[1]! >> 6);

/** Lowers the MSS option of a TCP SYN in place (RFC 9293 §3.7.1, RFC 1624). */
export function clampMss(ip: Ip, mss: number): void {
  if (ip.protocol !== 6 || ip.later || ip.packet.length < ip.header + 20) return;
  const tcp = ip.packet.subarray(ip.header);
  const end = (tcp[12]! >> 4) * 4;
  if ((tcp[13]! & 2) === 0 || end < 20 || end > tcp.length) return;
  for (let at = 20; at < end; ) {
    const kind = tcp[at]!;
    const length = kind === 1 ? 1 : (tcp[at + 1] ?? 0);
    if (kind === 0 || (kind !== 1 && (at + 2 > end || length < 2 || at + length > end))) return;
    if (kind === 2 && length === 4) {
      if (u16(tcp, at + 2) <= mss) return;
      const swap = (w: number) => (at & 1 ? ((w & 0xff) << 8) | (w >> 8) : w);
      const before = swap(u16(tcp, at + 2));
      put16(tcp, at + 2, mss);
      const words = [~u16(tcp, 16) & 0xffff, ~before & 0xffff, swap(mss)];
      put16(tcp, 16, checksum(...words.map((w) => Uint8Array.of(w >> 8, w))));
      return;
    }
    at += length;
  }
}

/** RFC 1122 §3.2.2, RFC 4443 §2.4 (e). */
export function mayAnswerWithError(ip: Ip): boolean {
  const from = ip.source;
  if (from.every((octet) => octet === 0) || isMulticast(from) || isMulticast(ip.destination) || ip.later) return false;
  const type = ip.packet[ip.header];
  if (ip.version === 6) return mayAnswerIpv6(ip);
  if (from[0] === 0 || from[0] === 127 || from[0]! >= 240) return false;
  if (ip.protocol !== 1) return true;
  return type !== undefined && (type === 0 || type === 8 || (type >= 13 && type <= 18));
}

/** RFC 4443 §2.4 (e.1), behind extension headers too; none about what cannot be followed to its upper-layer header. */
function mayAnswerIpv6({ protocol, header, packet }: Ip): boolean {
  for (let next = protocol, at = header, i = 0; i < 8; i++) {
    if (next === 58) return (packet[at] ?? 0) >= 128;
    const fragment = next === 44;
    if (!fragment && next !== 0 && next !== 43 && next !== 60) return at < packet.length;
    if (at + 8 > packet.length || (fragment && (u16(packet, at + 2) & 0xfff8) !== 0)) return false;
    next = packet[at]!;
    at += fragment ? 8 : (packet[at + 1]! + 1) * 8;
  }
  return false;
}

/** ICMP fragmentation needed (RFC 1191 §4) or packet too big (RFC 4443 §3.2), from the packet's destination. */
export function tooBigError(ip: Ip, mtu: number): Uint8Array {
  const v4 = ip.version === 4;
  const header = v4 ? 20 : 40;
  const quoted = ip.packet.subarray(0, v4 ? 548 : 1232);
  const out = new Uint8Array(header + 8 + quoted.length);
  const icmp = out.subarray(header);
  icmp.set(quoted, 8);
  put16(icmp, 6, mtu);
  if (v4) {
    out.set([0x45, 0xc0]);
    put16(out, 2, out.length);
    out.set([64, 1], 8);
    out.set(ip.destination, 12);
    out.set(ip.source, 16);
    put16(out, 10, checksum(out.subarray(0, 20)));
    icmp.set([3, 4]);
    put16(icmp, 2, checksum(icmp));
    return out;
  }
  out[0] = 0x60;
  put16(out, 4, icmp.length);
  out.set([58, 64], 6);
  out.set(ip.destination, 8);
  out.set(ip.source, 24);
  icmp[0] = 2;
  const pseudo = Uint8Array.of(icmp.length >> 8, icmp.length, 0, 58);
  put16(icmp, 2, checksum(out.subarray(8, 40), pseudo, icmp));
  return out;
}

/** RFC 791 §3.2, for packets without DF. */
export function fragmentIpv4(ip: Ip, mtu: number): Uint8Array[] {
  const before = u16(ip.packet, 6);
  const payload = ip.packet.subarray(ip.header);
  const out: Uint8Array[] = [];
  let head: Uint8Array = ip.packet.slice(0, ip.header);
  for (let at = 0; at < payload.length; ) {
    const n = Math.min((mtu - head.length) & ~7, payload.length - at);
    const more = at + n < payload.length || (before & 0x2000) !== 0;
    put16(head, 2, head.length + n);
    put16(head, 6, (before & 0x8000) | (more ? 0x2000 : 0) | (((before & 0x1fff) + at / 8) & 0x1fff));
    put16(head, 10, 0);
    put16(head, 10, checksum(head));
    out.push(Uint8Array.of(...head, ...payload.subarray(at, at + n)));
    if (at === 0) head = laterHeader(ip.packet, ip.header);
    at += n;
  }
  return out;
}

/** Later fragments carry only the options with the copied flag. */
function laterHeader(packet: Uint8Array, header: number): Uint8Array {
  const out = [...packet.subarray(0, 20)];
  for (let at = 20; at < header && packet[at] !== 0; ) {
    const n = packet[at] === 1 ? 1 : at + 1 < header ? packet[at + 1]! : 0;
    if (n === 0 || (packet[at] !== 1 && n < 2) || at + n > header) break;
    if (packet[at]! & 0x80) out.push(...packet.subarray(at, at + n));
    at += n;
  }
  while (out.length % 4 !== 0) out.push(0);
  out[0] = 0x40 | (out.length / 4);
  return Uint8Array.from(out);
}

export interface DataHeader {
  readonly peerTunnelId: number;
  readonly peerSessionId: number;
  readonly lengthBit: boolean;
  readonly acfc: boolean;
  /** Absent: no S bit. */
  readonly ns: number | undefined;
}

/** An L2TP data message around a PPP frame: ff03 left out for IP only, and only with ACFC. */
export function dataMessage(h: DataHeader, protocol: number, information: Uint8Array): Uint8Array {
  const compressed = h.acfc && (protocol === PPP_IPV4 || protocol === PPP_IPV6);
  const ppp = compressed ? [] : [0xff, 0x03];
  const numbers = h.ns === undefined ? [] : [h.ns >> 8, h.ns & 0xff, 0, 0];
  const total = (h.lengthBit ? 8 : 6) + numbers.length + ppp.length + 2 + information.length;
  const length = h.lengthBit ? [total >> 8, total & 0xff] : [];
  const ids = [h.peerTunnelId >> 8, h.peerTunnelId & 0xff, h.peerSessionId >> 8, h.peerSessionId & 0xff];
  const flags = (h.lengthBit ? 0x40 : 0) | (h.ns === undefined ? 0 : 0x08);
  const head = [flags, 2, ...length, ...ids, ...numbers, ...ppp, protocol >> 8, protocol & 0xff];
  const out = new Uint8Array(head.length + information.length);
  out.set(head);
  out.set(information, head.length);
  return out;
}
