/** Addresses, prefixes and IPv4 ranges as prefixes: what routes, rules and the kernel understand. RFC 4632 §3. */
import { isIP } from 'node:net';

/** Addresses, prefixes and IPv4 ranges to prefixes. Throws on anything else: nothing unchecked reaches a rule. */
export function prefixes(list: readonly string[]): string[] {
  return list.flatMap((item) => {
    const [from = '', to] = item.split('-');
    if (to !== undefined && isIP(from) === 4 && isIP(to) === 4) return rangePrefixes(number(from), number(to));
    const [address = '', length, ...more] = item.split('/');
    const bits = isIP(address) === 4 ? 32 : isIP(address) === 6 && !address.includes('%') ? 128 : -1;
    const n = length === undefined ? bits : /^\d{1,3}$/.test(length) ? Number(length) : -1;
    if (bits < 0 || n < 0 || n > bits || more.length > 0) throw new Error(`not an address, prefix or range: ${item}`);
    return [`${address}/${n}`];
  });
}

/** The fewest prefixes that cover from..to exactly. */
function rangePrefixes(from: number, to: number): string[] {
  const out: string[] = [];
  while (from <= to) {
    let size = 1;
    while (size < 2 ** 32 && from % (size * 2) === 0 && from + size * 2 - 1 <= to) size *= 2;
    out.push(`${dotted(from)}/${32 - Math.log2(size)}`);
    from += size;
  }
  return out;
}

const number = (dotted: string): number => dotted.split('.').reduce((n, octet) => n * 256 + Number(octet), 0);
const dotted = (n: number): string => [24, 16, 8, 0].map((shift) => Math.floor(n / 2 ** shift) % 256).join('.');
