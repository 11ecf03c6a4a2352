/** Neighbour discovery on a point-to-point link: solicitations in, advertisements out. RFC 4861 §4, RFC 8106 §5. */
import { Reader, Writer } from '../reader.js';
import { type Decoded, malformed, ok } from '../result.js';
import { isUnspecified } from './address6.js';
import { domains } from './names.js';
import { ICMPV6, type Packet6 } from './packet6.js';

export type Solicitation =
  | { readonly type: 'router' }
  /** `target`: whose link-layer address is asked for, 16 octets. */
  | { readonly type: 'neighbor'; readonly target: Uint8Array };

const ROUTER_SOLICITATION = 133;
const ROUTER_ADVERTISEMENT = 134;
const NEIGHBOR_SOLICITATION = 135;
const NEIGHBOR_ADVERTISEMENT = 136;
/** §6.1.1, §7.1.1: such a packet was not forwarded by anyone. */
export const HOP_LIMIT = 255;

/** §6.1.1, §7.1.1: what fails a check is silently discarded. */
export function decodeSolicitation({ protocol, hopLimit, source, payload }: Packet6): Decoded<Solicitation> {
  const r = new Reader(payload);
  const type = r.u8();
  const code = r.u8();
  r.skip(6); // checksum, reserved
  if (protocol !== ICMPV6 || hopLimit !== HOP_LIMIT || code !== 0 || r.overrun)
    return malformed(40, 'RFC 4861 §6.1.1', 'not a solicitation from the link');
  if (type !== ROUTER_SOLICITATION && type !== NEIGHBOR_SOLICITATION)
    return malformed(40, 'RFC 4861 §4', `ICMPv6 type ${type}`);
  const target = type === NEIGHBOR_SOLICITATION ? r.bytes(16) : undefined;
  const linkLayer = linkLayerOption(r);
  if (r.overrun) return malformed(48, 'RFC 4861 §4.6', 'option length');
  if (linkLayer && isUnspecified(source))
    return malformed(48, 'RFC 4861 §6.1.1', 'a link-layer address of the unspecified address');
  return ok(target === undefined ? { type: 'router' } : { type: 'neighbor', target });
}

/** Whether there is a Source Link-layer Address; reads to the end, and beyond when a length is wrong. */
function linkLayerOption(r: Reader): boolean {
  let found = false;
  while (r.left > 0 && !r.overrun) {
    found = r.u8() === 1 || found;
    const units = r.u8();
    r.skip(units === 0 ? -1 : units * 8 - 2); // §4.6: 0 is not valid
  }
  return found;
}

/** §7.2.4: there is no link-layer address to tell; that we answer is what the asker wants to know. */
export const neighborAdvertisement = (target: Uint8Array, solicited: boolean): Uint8Array =>
  // R (router), S, O
  new Writer(24)
    .u8(NEIGHBOR_ADVERTISEMENT)
    .u8(0)
    .u16(0)
    .u32(solicited ? 0xe000_0000 : 0xa000_0000)
    .bytes(target)
    .done();

export interface RouterAdvertisement {
  /** Seconds; 0: not a default router. */
  readonly routerLifetime: number;
  /** A /64, 16 octets. */
  readonly prefix: Uint8Array;
  /** Seconds. */
  readonly validLifetime: number;
  readonly preferredLifetime: number;
  readonly mtu: number;
  /** 16 octets each. */
  readonly dns: readonly Uint8Array[];
  readonly domain: string | null;
  /** Seconds, of name servers and domain. */
  readonly dnsLifetime: number;
}

/** Flag O: the rest is told by stateless DHCPv6. The prefix is for addresses (A), nothing in it is on the link (no L). */
export function encodeRouterAdvertisement(ra: RouterAdvertisement): Uint8Array {
  const w = new Writer().u8(ROUTER_ADVERTISEMENT).u8(0).u16(0).u8(64).u8(0x40).u16(ra.routerLifetime).u32(0).u32(0);
  w.u8(5).u8(1).u16(0).u32(ra.mtu);
  w.u8(3).u8(4).u8(64).u8(0x40).u32(ra.validLifetime).u32(ra.preferredLifetime).u32(0).bytes(ra.prefix);
  if (ra.dns.length > 0) {
    w.u8(25)
      .u8(1 + 2 * ra.dns.length)
      .u16(0)
      .u32(ra.dnsLifetime);
    for (const address of ra.dns) w.bytes(address);
  }
  if (ra.domain !== null) {
    const names = domains([ra.domain]);
    const units = 1 + Math.ceil(names.length / 8);
    w.u8(31)
      .u8(units)
      .u16(0)
      .u32(ra.dnsLifetime)
      .bytes(names)
      .bytes(new Uint8Array(units * 8 - 8 - names.length));
  }
  return w.done();
}
