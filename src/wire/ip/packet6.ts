/** ICMPv6 and UDP directly in an IPv6 packet: what the gateway answers itself inside a tunnel. RFC 8200, RFC 4443, RFC 768. */
import { Reader, Writer } from '../reader.js';
import { type Decoded, malformed, ok } from '../result.js';
import { internetChecksum } from './checksum.js';

export interface Packet6 {
  /** 16 octets each. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly hopLimit: number;
  readonly protocol: number;
  /** ICMPv6 or UDP, its header included; the checksum was looked at. */
  readonly payload: Uint8Array;
}

export const ICMPV6 = 58;
export const UDP = 17;
const HEADER = 40;
const CHECKSUM_AT: Readonly<Record<number, number>> = { [ICMPV6]: 2, [UDP]: 6 };

/** Without extension headers; octets behind the packet are ignored. */
export function decodePacket6(bytes: Uint8Array): Decoded<Packet6> {
  const r = new Reader(bytes);
  const version = r.u32() >>> 28;
  const length = r.u16();
  const protocol = r.u8();
  const hopLimit = r.u8();
  const source = r.bytes(16).slice();
  const destination = r.bytes(16).slice();
  const payload = r.bytes(length).slice();
  if (version !== 6 || r.overrun) return malformed(0, 'RFC 8200 §3', 'IPv6 header');
  if (CHECKSUM_AT[protocol] === undefined) return malformed(6, 'RFC 8200 §4', 'neither ICMPv6 nor UDP');
  const packet = { source, destination, hopLimit, protocol, payload };
  // RFC 8200 §8.1: without exception; a checksum of 0 never fits.
  return checksum(packet) === 0 ? ok(packet) : malformed(HEADER, 'RFC 8200 §8.1', 'Checksum');
}

/** `payload` with a checksum of 0, which is filled in. */
export function encodePacket6(packet: Packet6): Uint8Array {
  const { source, destination, hopLimit, protocol, payload } = packet;
  const w = new Writer(HEADER + payload.length).u32(0x6000_0000).u16(payload.length).u8(protocol).u8(hopLimit);
  w.bytes(source).bytes(destination).bytes(payload);
  // RFC 768: a checksum of 0 is sent as all ones.
  return w.patch16(HEADER + CHECKSUM_AT[protocol]!, checksum(packet) || 0xffff).done();
}

const checksum = ({ source, destination, protocol, payload }: Packet6): number =>
  internetChecksum(source, destination, new Writer(8).u32(payload.length).u32(protocol).done(), payload);

export interface Udp6 {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly data: Uint8Array;
}

export function decodeUdp6({ payload }: Packet6): Decoded<Udp6> {
  const r = new Reader(payload);
  const [sourcePort, destinationPort, length] = [r.u16(), r.u16(), r.u16()];
  r.skip(2);
  if (r.overrun || length < 8 || length > payload.length) return malformed(HEADER + 4, 'RFC 768', 'Length');
  return ok({ sourcePort, destinationPort, data: payload.subarray(8, length) });
}

export const encodeUdp6 = ({ sourcePort, destinationPort, data }: Udp6): Uint8Array =>
  new Writer(8 + data.length)
    .u16(sourcePort)
    .u16(destinationPort)
    .u16(8 + data.length)
    .u16(0)
    .bytes(data)
    .done();
