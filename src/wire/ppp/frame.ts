/**
 * The PPP encapsulation: a protocol number, then the information. RFC 1661 §2, §6.5, §6.6; RFC 2661 §5.3.
 *
 * What we send always carries the two-octet protocol field and no address and control octets: every client takes it.
 * What we receive may have `ff 03` in front (RFC 1661 §6.6) and a one-octet protocol field (§6.5), negotiated or not.
 */
import { Reader, Writer } from '../reader.js';
import { type Decoded, malformed, ok } from '../result.js';

/** Assigned protocol numbers that we name. Control protocols are c000-ffff (LCP class) and 8000-bfff (NCPs). */
export const PROTOCOL = {
  ip: 0x0021,
  ipv6: 0x0057,
  ipcp: 0x8021,
  ecp: 0x8053,
  ipv6cp: 0x8057,
  ccp: 0x80fd,
  cdpcp: 0x8207,
  acscp: 0x8235,
  mplscp: 0x8281,
  lcp: 0xc021,
  pap: 0xc023,
  lqr: 0xc025,
  cbcp: 0xc029,
  chap: 0xc223,
  eap: 0xc227,
} as const;

export interface Frame {
  readonly protocol: number;
  readonly information: Uint8Array;
}

const ALL_STATIONS_UI = 0xff03; // RFC 1662 §3.1: address ff, control 03

/** Splits a frame; takes `ff 03` and a compressed protocol field as they come. */
export function decodeFrame(bytes: Uint8Array): Decoded<Frame> {
  // §6.5: 0x00ff is never assigned, so a first octet of ff can only be the address field.
  const addressed = bytes.length >= 2 && new Reader(bytes).u16() === ALL_STATIONS_UI;
  const r = new Reader(addressed ? bytes.subarray(2) : bytes);
  const first = r.u8();
  // §2: the least significant bit of the last octet is 1, of the one before it 0.
  const protocol = (first & 1) === 1 ? first : (first << 8) | r.u8();
  if (r.overrun) return malformed(bytes.length, 'RFC 1661 §2', 'frame ends inside its Protocol field');
  if ((protocol & 1) === 0) return malformed(bytes.length - r.left, 'RFC 1661 §2', 'Protocol field is even');
  return ok({ protocol, information: r.rest() });
}

/** A frame as we send it: two-octet protocol field first. */
export const encodeFrame = (protocol: number, information: Uint8Array): Uint8Array =>
  new Writer(2 + information.length).u16(protocol).bytes(information).done();

const NAMES = new Map<number, string>(Object.entries(PROTOCOL).map(([name, n]) => [n, name.toUpperCase()]));

/** For logs: `IPCP`, or `0x8281` for one without a name here. */
export const protocolName = (n: number): string => NAMES.get(n) ?? `0x${n.toString(16).padStart(4, '0')}`;
