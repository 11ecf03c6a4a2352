/** IP addresses and prefixes, text <-> octets. RFC 4291 §2.2 (text forms), RFC 5952 (the one form we write). */
import { isIPv4, isIPv6 } from 'node:net';

/** 4 or 16 octets. */
export type Ip = Uint8Array;

export interface Prefix {
  readonly address: Ip;
  readonly length: number;
}

/** Undefined when `text` is no address; zones (`%eth0`) are none. */
export function parseIp(text: string): Ip | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split('.').map(Number));
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const [head, tail] = text.split('::');
  const before = groups(head ?? '');
  const after = groups(tail ?? '');
  const zeros = new Array<number>(16 - before.length - after.length).fill(0);
  return Uint8Array.from([...before, ...zeros, ...after]);
}

/** `address/length`; undefined when either part is wrong. */
export function parsePrefix(text: string): Prefix | undefined {
  const [, host, digits] = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text) ?? [];
  const address = host === undefined ? undefined : parseIp(host);
  const length = Number(digits);
  return address === undefined || length > address.length * 8 ? undefined : { address, length };
}

export function formatIp(ip: Ip): string {
  if (ip.length === 4) return ip.join('.');
  const words = Array.from({ length: 8 }, (_, i) => (ip[2 * i]! << 8) | ip[2 * i + 1]!);
  // RFC 5952 §5: the well-known IPv4-mapped prefix keeps its dotted tail.
  if (words.slice(0, 6).join() === '0,0,0,0,0,65535') return `::ffff:${ip.subarray(12).join('.')}`;
  const hex = words.map((word) => word.toString(16));
  const { at, length } = longestZeros(words);
  if (length < 2) return hex.join(':'); // §4.2.2: one zero field is not shortened
  return `${hex.slice(0, at).join(':')}::${hex.slice(at + length).join(':')}`;
}

export const formatPrefix = (prefix: Prefix): string => `${formatIp(prefix.address)}/${prefix.length}`;

/** Whether two addresses of one family agree in their first `length` bits. */
export function sameNetwork(a: Ip, b: Ip, length: number): boolean {
  return a.length === b.length && sameOctets(maskIp(a, length), maskIp(b, length));
}

/** `ip` with the bits beyond `length` cleared. */
export function maskIp(ip: Ip, length: number): Ip {
  return ip.map((octet, i) => octet & (0xff00 >> Math.min(8, Math.max(0, length - 8 * i))) & 0xff);
}

export const sameOctets = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((octet, i) => octet === b[i]);

function groups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const word = Number.parseInt(group, 16);
    return [word >> 8, word & 0xff];
  });
}

// RFC 5952 §4.2.3: the longest run, the first among equals.
function longestZeros(words: readonly number[]): { at: number; length: number } {
  let best = { at: 0, length: 0 };
  for (let at = 0; at < words.length; at++) {
    let length = 0;
    while (words[at + length] === 0) length++;
    if (length > best.length) best = { at, length };
  }
  return best;
}
