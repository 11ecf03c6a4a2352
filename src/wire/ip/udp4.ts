/** A UDP datagram in an IPv4 packet: what the gateway answers itself inside a tunnel. RFC 791 §3.1, RFC 768. */
import { Reader, Writer } from '../reader.js';
import { type Decoded, malformed, ok } from '../result.js';
import { internetChecksum } from './checksum.js';

export interface Udp4 {
  /** Dotted quads. */
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Uint8Array;
}

const UDP = 17;
const IP_HEADER = 20; // without options
const UDP_HEADER = 8;
const DONT_FRAGMENT = 0x4000;
const TTL = 64;

/** A whole datagram, its checksums looked at; fragments are not put together. Octets behind the packet are ignored. */
export function decodeUdp4(bytes: Uint8Array): Decoded<Udp4> {
  const first = new Reader(bytes);
  const versionAndLength = first.u8();
  first.skip(1);
  const total = first.u16();
  const header = (versionAndLength & 0x0f) * 4;
  if (versionAndLength >> 4 !== 4 || header < IP_HEADER || total < header + UDP_HEADER || total > bytes.length)
    return malformed(0, 'RFC 791 §3.1', 'IPv4 header');
  const r = new Reader(bytes.subarray(4, header));
  r.skip(2);
  if ((r.u16() & ~DONT_FRAGMENT) !== 0) return malformed(6, 'RFC 791 §3.1', 'a fragment');
  r.skip(1);
  if (r.u8() !== UDP) return malformed(9, 'RFC 791 §3.1', 'Protocol is not UDP');
  if (internetChecksum(bytes.subarray(0, header)) !== 0) return malformed(10, 'RFC 791 §3.1', 'Header Checksum');
  r.skip(2);
  const addresses = r.bytes(8);
  return decodeUdp(bytes.subarray(header, total), header, addresses);
}

function decodeUdp(bytes: Uint8Array, at: number, addresses: Uint8Array): Decoded<Udp4> {
  const r = new Reader(bytes);
  const [sourcePort, destinationPort, length, checksum] = [r.u16(), r.u16(), r.u16(), r.u16()];
  if (length < UDP_HEADER || length > bytes.length) return malformed(at + 4, 'RFC 768', 'Length');
  const datagram = bytes.subarray(0, length);
  // 0: the sender made none.
  if (checksum !== 0 && internetChecksum(addresses, pseudo(length), datagram) !== 0)
    return malformed(at + 6, 'RFC 768', 'Checksum');
  const payload = datagram.subarray(UDP_HEADER);
  const [source, destination] = [addresses.subarray(0, 4).join('.'), addresses.subarray(4).join('.')];
  return ok({ source, destination, sourcePort, destinationPort, payload });
}

/** With DF, so that its Identification may be 0 (RFC 6864 §4.1). */
export function encodeUdp4({ source, destination, sourcePort, destinationPort, payload }: Udp4): Uint8Array {
  const length = UDP_HEADER + payload.length;
  const addresses = Uint8Array.from([...source.split('.'), ...destination.split('.')], Number);
  const ip = new Writer(IP_HEADER + length)
    .u16(0x4500)
    .u16(IP_HEADER + length)
    .u16(0)
    .u16(DONT_FRAGMENT);
  ip.u8(TTL).u8(UDP).u16(0).bytes(addresses);
  ip.patch16(10, internetChecksum(ip.done()));
  const udp = new Writer(length).u16(sourcePort).u16(destinationPort).u16(length).u16(0).bytes(payload);
  // RFC 768: a checksum of 0 is sent as all ones.
  udp.patch16(6, internetChecksum(addresses, pseudo(length), udp.done()) || 0xffff);
  return ip.bytes(udp.done()).done();
}

/** What of the pseudo header is behind the addresses. */
const pseudo = (length: number): Uint8Array => new Writer(4).u16(UDP).u16(length).done();
