/** What a native client cannot take from a gateway, in sentences: sections 1, 2.3, 3.3, 3.4, 4.2, 7 and 9. */
import { readAvpFrames } from '../../src/wire/l2tp/avp.js';

const MESSAGE_TYPE = '800800000000';
/** SCCRP: Message Type, Protocol Version, Framing Capabilities, Host Name, Assigned Tunnel ID (3.3). */
const SCCRP = 2;
const SCCRP_NEEDS = [2, 3, 7, 9];
const ICRP = 11;
const CHALLENGE = 11;

const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');

/** A control packet of the gateway; `secret`: a tunnel secret is configured. */
export function complaintsAboutControl(datagram: Uint8Array, secret: boolean): string[] {
  const complaints: string[] = [];
  const flags = (datagram[0]! << 8) | datagram[1]!;
  if (flags !== 0xc802) complaints.push(`header flags ${flags.toString(16)}: 2.3 allows T, L and S alone`);
  if (((datagram[2]! << 8) | datagram[3]!) !== datagram.length) complaints.push('Length is not that of the datagram');
  if (datagram.length === 12) return complaints;
  const { frames, bad } = readAvpFrames(datagram.subarray(12));
  if (bad !== undefined) complaints.push('an AVP does not fit');
  if (!hex(datagram.subarray(12)).startsWith(MESSAGE_TYPE))
    complaints.push('the first AVP is not 8008 0000 0000 (4.2)');
  const types = frames.map((f) => f.type);
  const message = frames[0]?.value[1];
  if (message === SCCRP)
    for (const type of SCCRP_NEEDS) if (!types.includes(type)) complaints.push(`SCCRP without AVP ${type} (3.3)`);
  if (message === ICRP && !types.includes(14)) complaints.push('ICRP without Assigned Session ID (2.3)');
  if (!secret && types.includes(CHALLENGE)) complaints.push('a Challenge, and no tunnel secret is configured (1.6)');
  for (const { vendor, M, H, reserved } of frames) {
    if (vendor !== 0 && M) complaints.push('a vendor AVP with M (2.3)');
    if (H || reserved !== 0) complaints.push('a hidden AVP, or reserved bits (3.3)');
  }
  return complaints;
}

const VJ = 2;
const LCP = 'c021';
const IPCP = '8021';
const CCP = '80fd';

/** A data message of the gateway and the PPP frame in it. */
export function complaintsAboutFrame(datagram: Uint8Array, payload: Uint8Array): string[] {
  const complaints: string[] = [];
  const flags = (datagram[0]! << 8) | datagram[1]!;
  // T clear, no O, no P, no reserved bits; L and S are taken by all.
  if ((flags & ~0x4800) !== 0x0002) complaints.push(`data header flags ${flags.toString(16)} (2.3)`);
  const addressed = payload[0] === 0xff && payload[1] === 0x03;
  const frame = addressed ? payload.subarray(2) : payload;
  if ((frame[0]! & 1) === 1) complaints.push('a compressed protocol field (7, 9.6)');
  const protocol = hex(frame.subarray(0, 2));
  if (protocol === LCP && !addressed) complaints.push('LCP without ff03 (2.4, 9.6)');
  if (protocol === CCP) complaints.push('CCP, which nobody asked for (2.4)');
  if (protocol === LCP && frame[2] === 7) complaints.push('Code-Reject (2.4: Identification is ignored silently)');
  if (protocol === IPCP && frame[2] === 1) {
    for (let at = 6; at + 1 < frame.length; at += Math.max(2, frame[at + 1]!)) {
      if (frame[at] === VJ) complaints.push('VJ compression offered (2.4)');
      if (frame[at]! > 128) complaints.push('name servers asked of a client (3.4)');
    }
  }
  return complaints;
}
