// Packets for tests, built the long way round and with a checksum of their own.

export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
export const toHex = (b: Uint8Array): string => Buffer.from(b).toString('hex');
export const u16 = (n: number): number[] => [(n >> 8) & 0xff, n & 0xff];

/** The octets of an address; at most one `::`, no dotted tail. */
export function ip(text: string): number[] {
  if (!text.includes(':')) return text.split('.').map(Number);
  const [head = '', tail = ''] = text.split('::');
  const words = (part: string) => part.split(':').filter((w) => w !== '');
  const zeros = new Array<string>(8 - words(head).length - words(tail).length).fill('0');
  return [...words(head), ...zeros, ...words(tail)].flatMap((w) => u16(Number.parseInt(w, 16)));
}

/** One's complement of the one's complement sum (RFC 1071); 0 over a block whose checksum is right. */
export function checksum(octets: readonly number[]): number {
  let s = 0;
  octets.forEach((o, i) => {
    s += i % 2 === 0 ? o << 8 : o;
  });
  while (s > 0xffff) s = (s & 0xffff) + (s >>> 16);
  return ~s & 0xffff;
}

export interface V4 {
  readonly from: string;
  readonly to: string;
  readonly protocol?: number;
  readonly payload?: readonly number[];
  readonly dontFragment?: boolean;
  readonly options?: readonly number[];
  readonly id?: number;
}

export function ipv4(p: V4): Uint8Array {
  const payload = p.payload ?? [];
  const options = p.options ?? [];
  const header = 20 + options.length;
  const h = [
    ...[0x40 | (header / 4), 0, ...u16(header + payload.length)],
    ...[...u16(p.id ?? 0x1234), p.dontFragment ? 0x40 : 0, 0, 64, p.protocol ?? 17, 0, 0],
    ...ip(p.from),
    ...ip(p.to),
    ...options,
  ];
  h.splice(10, 2, ...u16(checksum(h)));
  return Uint8Array.from([...h, ...payload]);
}

export function ipv6(p: {
  readonly from: string;
  readonly to: string;
  readonly protocol?: number;
  readonly payload?: readonly number[];
  readonly hopLimit?: number;
}): Uint8Array {
  const payload = p.payload ?? [];
  const h = [0x60, 0, 0, 0, ...u16(payload.length), p.protocol ?? 17, p.hopLimit ?? 64, ...ip(p.from), ...ip(p.to)];
  return Uint8Array.from([...h, ...payload]);
}

export const udp = (sport: number, dport: number, data: readonly number[] = []): number[] => [
  ...u16(sport),
  ...u16(dport),
  ...u16(8 + data.length),
  0,
  0,
  ...data,
];

/** UDP with a right checksum for these addresses. */
export function sealed(from: string, to: string, datagram: readonly number[]): number[] {
  const d = [...datagram];
  d.splice(6, 2, ...u16(checksum([...ip(from), ...ip(to), 0, 17, ...u16(d.length), ...d]) || 0xffff));
  return d;
}

/** A TCP segment with a right checksum for these addresses. */
export function tcp(
  from: string,
  to: string,
  flags: number,
  options: readonly number[],
  sequence = 1,
  data: readonly number[] = [],
): number[] {
  const t = [
    ...[...u16(40000), ...u16(80), ...u16(sequence >>> 16), ...u16(sequence & 0xffff), 0, 0, 0, 0],
    ...[((20 + options.length) / 4) << 4, flags, 0xff, 0xff, 0, 0, 0, 0],
    ...options,
    ...data,
  ];
  t.splice(16, 2, ...u16(checksum([...ip(from), ...ip(to), 0, 6, ...u16(t.length), ...t])));
  return t;
}

/** 0 when the TCP, UDP, ICMPv6 or (without pseudo header) ICMP checksum of an IP packet is right. */
export function transportChecksum(p: Uint8Array): number {
  const v4 = p[0]! >> 4 === 4;
  const body = [...p.subarray(v4 ? (p[0]! & 15) * 4 : 40)];
  const protocol = v4 ? p[9]! : p[6]!;
  if (protocol === 1) return checksum(body);
  return checksum([...p.subarray(v4 ? 12 : 8, v4 ? 20 : 40), 0, protocol, ...u16(body.length), ...body]);
}

/** 0 when the IPv4 header checksum is right. */
export const headerChecksum = (p: Uint8Array): number => checksum([...p.subarray(0, (p[0]! & 15) * 4)]);

/** An L2TP data message: flags octet, what follows it up to the payload, ids, payload. */
export const l2tp = (tunnelId: number, sessionId: number, payload: Iterable<number>): Uint8Array =>
  Uint8Array.from([0, 2, ...u16(tunnelId), ...u16(sessionId), ...payload]);

export const ppp = (protocol: number, information: Iterable<number> = []): number[] => [
  0xff,
  0x03,
  ...u16(protocol),
  ...information,
];

export const ZLB = hex('c802 000c 0001 0000 0000 0000');
