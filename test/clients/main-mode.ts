/** The first Main Mode packet of a client, from its data, and the answer to it. RFC 2408 §3, RFC 2409 §5, Appendix A; RFC 2407 §4.4. */
import { Reader, Writer } from '../../src/wire/reader.js';
import type { Ike, Suite } from './client.js';
import { octets } from './emulator.js';

/** RFC 2409, Appendix A; RFC 4868, RFC 4753. */
const CIPHERS: Readonly<Record<string, readonly [number, number?]>> = {
  des: [1],
  '3des': [5],
  aes128: [7, 128],
  aes192: [7, 192],
  aes256: [7, 256],
};
const HASHES: Readonly<Record<string, number>> = { md5: 1, sha1: 2, sha256: 4, sha384: 5, sha512: 6 };
const GROUPS: Readonly<Record<string, number>> = {
  modp1024: 2,
  modp1536: 5,
  modp2048: 14,
  modp3072: 15,
  ecp256: 19,
  ecp384: 20,
};
const ENCRYPTION = 1;
const HASH = 2;
const AUTHENTICATION = 3;
const GROUP = 4;
const LIFE_TYPE = 11;
const LIFE_DURATION = 12;
const KEY_LENGTH = 14;
const PRE_SHARED_KEY = 1;
const SECONDS = 1;
const SA = 1;
const VENDOR_ID = 13;
const MAIN_MODE = 2;

/** An attribute of two octets (RFC 2408 §3.3). */
const tv = (type: number, value: number): Uint8Array =>
  new Writer(4)
    .u16(0x8000 | type)
    .u16(value)
    .done();

/** Attributes of one transform: Windows' order, and racoon's (Apple, Android). */
function attributes(suite: Suite, { encoding, lifetime }: Ike): Uint8Array[] {
  const [cipher = '', hash = '', group = ''] = suite.split('-');
  const [algorithm, bits] = CIPHERS[cipher]!;
  const enc = [tv(ENCRYPTION, algorithm), ...(bits === undefined ? [] : [tv(KEY_LENGTH, bits)])];
  const tail = [tv(HASH, HASHES[hash]!), tv(GROUP, GROUPS[group]!)];
  const auth = tv(AUTHENTICATION, PRE_SHARED_KEY);
  const life = tv(LIFE_TYPE, SECONDS);
  // Windows writes the duration as four octets, always.
  return encoding === 'microsoft'
    ? [...enc, ...tail, auth, life, new Writer(8).u16(LIFE_DURATION).u16(4).u32(lifetime).done()]
    : [life, duration(lifetime), ...enc, auth, ...tail];
}

const duration = (seconds: number): Uint8Array =>
  seconds < 0x1_0000 ? tv(LIFE_DURATION, seconds) : new Writer(8).u16(LIFE_DURATION).u16(4).u32(seconds).done();

const payload = (next: number, body: Uint8Array): Uint8Array =>
  new Writer(4 + body.length)
    .u8(next)
    .u8(0)
    .u16(4 + body.length)
    .bytes(body)
    .done();

const concat = (parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts));

/** `cookie`: 8 octets. */
export function mainMode1(ike: Ike, cookie: Uint8Array): Uint8Array {
  const transforms = ike.offers.map((suite, i) => {
    const head = new Writer(4)
      .u8(i + 1)
      .u8(1)
      .u16(0)
      .done();
    return payload(i + 1 < ike.offers.length ? 3 : 0, concat([head, ...attributes(suite, ike)]));
  });
  // Proposal 1, ISAKMP, no SPI.
  const proposal = payload(0, concat([Uint8Array.of(1, 1, 0, ike.offers.length), ...transforms]));
  // DOI IPsec, SIT_IDENTITY_ONLY.
  const sa = concat([Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 1), proposal]);
  const ids = ike.vendorIds.map((hex) => octets(hex));
  const chain = [
    payload(ids.length > 0 ? VENDOR_ID : 0, sa),
    ...ids.map((id, i) => payload(i + 1 < ids.length ? VENDOR_ID : 0, id)),
  ];
  const body = concat(chain);
  const header = new Writer(28)
    .bytes(cookie)
    .bytes(new Uint8Array(8))
    .u8(SA)
    .u8(0x10)
    .u8(MAIN_MODE)
    .u8(0)
    .u32(0)
    .u32(28 + body.length)
    .done();
  return concat([header, body]);
}

export interface Answer {
  readonly exchange: number;
  /** The one transform chosen; absent in a notification. */
  readonly suite?: Suite;
  readonly lifetime?: number;
  readonly vendorIds: readonly string[];
  /** The responder's SA payload as it stands. */
  readonly sa?: string;
  readonly notify?: number;
}

/** What a responder said. */
export function answerOf(packet: Uint8Array): Answer {
  const r = new Reader(packet);
  r.skip(16);
  let type = r.u8();
  r.u8();
  const exchange = r.u8();
  r.skip(1 + 4 + 4);
  const vendorIds: string[] = [];
  let answer: Omit<Answer, 'exchange' | 'vendorIds'> = {};
  while (type !== 0 && !r.overrun) {
    const next = r.u8();
    r.u8();
    const body = r.bytes(r.u16() - 4);
    if (type === SA) answer = { ...answer, ...chosen(body), sa: Buffer.from(body).toString('hex') };
    if (type === VENDOR_ID) vendorIds.push(Buffer.from(body).toString('hex'));
    // Notification: DOI, protocol, SPI size, type.
    if (type === 11) answer = { ...answer, notify: (body[6]! << 8) | body[7]! };
    type = next;
  }
  return { exchange, vendorIds, ...answer };
}

function chosen(sa: Uint8Array): Pick<Answer, 'suite' | 'lifetime'> {
  // DOI, situation; proposal header and its four octets; transform header and its four octets.
  const r = new Reader(sa);
  r.skip(8 + 4 + 4 + 4 + 4);
  const values = new Map<number, number>();
  while (r.left > 0 && !r.overrun) {
    const type = r.u16();
    values.set(type & 0x7fff, type & 0x8000 ? r.u16() : r.bytes(r.u16()).reduce((sum, o) => sum * 256 + o, 0));
  }
  const name = (table: Readonly<Record<string, number>>, value?: number) =>
    Object.keys(table).find((key) => table[key] === value) ?? `${value}`;
  const cipher = Object.keys(CIPHERS).find((key) => {
    const [algorithm, bits] = CIPHERS[key]!;
    return algorithm === values.get(ENCRYPTION) && bits === values.get(KEY_LENGTH);
  });
  const lifetime = values.get(LIFE_DURATION);
  return {
    suite: [cipher, name(HASHES, values.get(HASH)), name(GROUPS, values.get(GROUP))].join('-'),
    ...(lifetime === undefined ? {} : { lifetime }),
  };
}
