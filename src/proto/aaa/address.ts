/** IPv4 addresses as numbers, for range arithmetic. RFC 791 §3.2. */

/** The 32-bit value of a dotted quad, or undefined when the text is anything else (leading zeros included). */
export function ipv4ToNumber(text: string): number | undefined {
  const m = QUAD.exec(text);
  if (m === null) return undefined;
  let value = 0;
  for (const octet of m.slice(1)) {
    if (Number(octet) > 255) return undefined;
    value = value * 256 + Number(octet);
  }
  return value;
}

/** The range of the IPv4 network an `address/length` lies in; undefined for IPv6. */
export function ipv4Network(cidr: string): Ipv4Range | undefined {
  const [address = '', bits] = cidr.split('/');
  const n = ipv4ToNumber(address);
  if (n === undefined) return undefined;
  const size = 2 ** (32 - Number(bits));
  const first = Math.floor(n / size) * size;
  return { first, last: first + size - 1 };
}

/** The dotted quad of a 32-bit value. */
export const numberToIpv4 = (n: number): string => `${n >>> 24}.${(n >>> 16) & 0xff}.${(n >>> 8) & 0xff}.${n & 0xff}`;

/** Both ends included. */
export interface Ipv4Range {
  readonly first: number;
  readonly last: number;
}

export const inRange = (n: number, range: Ipv4Range): boolean => n >= range.first && n <= range.last;

export const overlap = (a: Ipv4Range, b: Ipv4Range): boolean => a.first <= b.last && b.first <= a.last;

const QUAD = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;
