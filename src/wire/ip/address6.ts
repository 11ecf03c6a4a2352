/** IPv6 addresses as 16 octets, and as text. RFC 4291 §2, RFC 5952. */
import { fromHex, Reader, sameBytes, Writer } from '../reader.js';

export const UNSPECIFIED6 = new Uint8Array(16);
/** RFC 4291 §2.7.1. */
export const ALL_NODES = fromHex('ff020000000000000000000000000001');

/** `fe80::` and the interface identifier of 8 octets. RFC 4291 §2.5.6. */
export const linkLocal = (interfaceId: Uint8Array): Uint8Array =>
  new Writer(16).u64(0xfe80_0000_0000_0000n).bytes(interfaceId).done();

export const isUnspecified = (address: Uint8Array): boolean => sameBytes(address, UNSPECIFIED6);

/** RFC 5952 §4: lower case, no leading zeros, the first longest run of two or more zero fields as `::`. */
export function formatIpv6(address: Uint8Array): string {
  const r = new Reader(address);
  const fields = Array.from({ length: 8 }, () => r.u16().toString(16));
  let [at, longest] = [0, 1];
  for (let i = 0; i < 8; i++) {
    const rest = fields.slice(i);
    const end = rest.findIndex((f) => f !== '0');
    const run = end === -1 ? rest.length : end;
    if (run > longest) [at, longest] = [i, run];
  }
  if (longest < 2) return fields.join(':');
  return `${fields.slice(0, at).join(':')}::${fields.slice(at + longest).join(':')}`;
}

/** A network as its number; `length` bits of it count. */
export interface Prefix6 {
  readonly prefix: bigint;
  readonly length: number;
}

export const prefixOctets = ({ prefix }: Prefix6): Uint8Array => {
  const mask = 0xffff_ffff_ffff_ffffn;
  return new Writer(16)
    .u64(prefix >> 64n)
    .u64(prefix & mask)
    .done();
};

/** `2001:db8::/64` */
export const showPrefix6 = (p: Prefix6): string => `${formatIpv6(prefixOctets(p))}/${p.length}`;
