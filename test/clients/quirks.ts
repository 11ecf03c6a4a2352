/** What goes wrong with clients and on the way to them, each as something an emulator does: sections 8 and 9. */

import { fromHex } from '../../src/wire/reader.js';
import { seeded } from '../lib/pair.js';
import type { Image } from './client.js';
import type { Quirks } from './emulator.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** The AVPs of a body. */
function avps(body: Uint8Array): Uint8Array[] {
  const list: Uint8Array[] = [];
  for (let at = 0; at < body.length; ) {
    const length = ((body[at]! & 3) << 8) | body[at + 1]!;
    list.push(body.subarray(at, at + length));
    at += length;
  }
  return list;
}

const joined = (list: readonly Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(list));
const typeOf = (avp: Uint8Array): string => hex(avp.subarray(2, 6));
const HOST_NAME = '00000007';
const RESULT_CODE = '00000001';

const replacing =
  (type: string, other: string) =>
  (message: Image, body: Uint8Array): Uint8Array =>
    type === RESULT_CODE && message !== 'CDN' && message !== 'StopCCN'
      ? body
      : joined(avps(body).map((avp) => (typeOf(avp) === type ? fromHex(other) : avp)));

const without =
  (...types: string[]) =>
  (message: Image, body: Uint8Array): Uint8Array =>
    message === 'SCCRQ' ? joined(avps(body).filter((avp) => !types.includes(typeOf(avp)))) : body;

const loss = (seed: number, share: number) => {
  const chance = seeded(seed);
  return () => chance() < share;
};

/** Loses the first `count` messages of a type that come from one side. */
const losing = (from: 'client' | 'gateway', type: number, count: number): NonNullable<Quirks['loses']> => {
  let left = count;
  return (side, datagram) => {
    const control = datagram.length > 19 && datagram[0]! >= 0x80;
    if (side !== from || !control || datagram[19] !== type || left === 0) return false;
    left -= 1;
    return true;
  };
};

/** Made anew for each dial: some remember. */
export const QUIRKS: Readonly<Record<string, () => Quirks>> = {
  'the first ZLB to it is lost': () => ({ losesFirstZlb: 'received' }),
  'its first ZLB is lost': () => ({ losesFirstZlb: 'sent' }),
  'each control packet twice': () => ({ copies: 2 }),
  'each control packet four times': () => ({ copies: 4 }),
  'control packets overtake each other': () => ({ reorders: true }),
  'HELLO to tunnel 0': () => ({ hellosToTunnelZero: 3 }),
  'HELLO during call setup': () => ({ helloDuringSetup: true }),
  'three first Configure-Requests unanswered': () => ({ deafFor: 3 }),
  'DHCPINFORM three times': () => ({ dhcpInforms: 3 }),
  'NUL in the host name': () => ({ rewrites: replacing(HOST_NAME, '800a 0000 0007 61622063'.replace('2063', '6300')) }),
  'Result Code of 8 octets': () => ({ rewrites: replacing(RESULT_CODE, '8008 0000 0001 0003') }),
  'Result Code of 10 octets': () => ({ rewrites: replacing(RESULT_CODE, '800a 0000 0001 0003 0000') }),
  'Result Code of 14 octets, code in the wrong order': () => ({
    rewrites: replacing(RESULT_CODE, '800e 0000 0001 0300 deadbeefcafe'),
  }),
  'Result Code with text': () => ({ rewrites: replacing(RESULT_CODE, '800d 0000 0001 0003 0000 627965') }),
  'Result Code of 6 octets, no value at all': () => ({ rewrites: replacing(RESULT_CODE, '8006 0000 0001') }),
  'AVPs in another order': () => ({
    rewrites: (_, body) => {
      const [type, ...rest] = avps(body);
      return joined([type!, ...rest.reverse()]);
    },
  }),
  'no Bearer, Firmware, Vendor': () => ({ rewrites: without('00000004', '00000006', '00000008') }),
  'no Receive Window Size': () => ({ rewrites: without('0000000a') }),
  'Receive Window Size 1': () => ({ rewrites: replacing('0000000a', '8008 0000 000a 0001') }),
  'Framing Capabilities 0': () => ({ rewrites: replacing('00000003', '800a 0000 0003 00000000') }),
  'an unknown vendor AVP in each message': () => ({
    rewrites: (_, body) => Uint8Array.of(...body, ...fromHex('000a 2a2a 0001 01020304')),
  }),
  'the first SCCRP is lost': () => ({ loses: losing('gateway', 2, 1) }),
  'two ICRPs are lost': () => ({ loses: losing('gateway', 11, 2) }),
  'the first ICCN is lost': () => ({ loses: losing('client', 12, 1) }),
  'one packet of ten is lost': () => ({ loses: loss(7, 0.1) }),
};
