// IP addresses and prefixes as bytes, and their canonical text: RFC 4291 §2.2, RFC 5952.
import { isIPv4, isIPv6 } from 'node:net';

/** 4 or 16 octets. */
export type AddressBytes = Uint8Array;

export interface PrefixBytes {
  /** No bit set beyond `length`. */
  readonly address: AddressBytes;
  readonly length: number;
}

/** Undefined when `text` is not an address; zones (`%eth0`) are not accepted. */
export function parseAddress(text: string): AddressBytes | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number);
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const [head = '', tail] = text.split('::');
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const words = [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back];
  return Uint8Array.from(words.flatMap((w) => [w >> 8, w & 0xff]));
}

function groups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((g) => {
    if (!g.includes('.')) return [Number.parseInt(g, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = g.split('.').map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}

/** `address/length`, or a bare address for all its bits; host bits are cleared. Undefined when it is neither. */
export function parsePrefix(text: string): PrefixBytes | undefined {
  const [host = '', digits, ...more] = text.split('/');
  const address = parseAddress(host);
  if (address === undefined || more.length > 0) return undefined;
  if (digits === undefined) return { address, length: address.length * 8 };
  if (!/^\d{1,3}$/.test(digits) || Number(digits) > address.length * 8) return undefined;
  return { address: masked(address, Number(digits)), length: Number(digits) };
}

/** The first `length` bits, the rest zero. */
export function masked(address: AddressBytes, length: number): AddressBytes {
  return address.map((octet, i) => octet & (0xff00 >> Math.min(8, Math.max(0, length - i * 8))));
}

export function contains(prefix: PrefixBytes, address: AddressBytes): boolean {
  return address.length === prefix.address.length && sameBytes(masked(address, prefix.length), prefix.address);
}

export function samePrefix(a: PrefixBytes, b: PrefixBytes): boolean {
  return a.length === b.length && sameBytes(a.address, b.address);
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((octet, i) => octet === b[i]);
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as `::`. */
export function formatAddress(bytes: AddressBytes): string {
  if (bytes.length === 4) return bytes.join('.');
  const words = Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! << 8) | bytes[2 * i + 1]!);
  let best = { at: -1, n: 1 };
  for (let at = 0; at < 8; at++) {
    let n = 0;
    while (at + n < 8 && words[at + n] === 0) n++;
    if (n > best.n) best = { at, n };
  }
  const text = (w: number[]) => w.map((x) => x.toString(16)).join(':');
  // ::a.b.c.d and ::ffff:a.b.c.d (RFC 5952 §5), as inet_ntop writes them.
  const mapped = best.at === 0 && (best.n === 6 || (best.n === 5 && words[5] === 0xffff));
  if (mapped) return `::${best.n === 5 ? 'ffff:' : ''}${bytes.slice(12).join('.')}`;
  if (best.at < 0) return text(words);
  return `${text(words.slice(0, best.at))}::${text(words.slice(best.at + best.n))}`;
}
