import fc from 'fast-check';
import t from 'tap';
import { internetChecksum } from '../../../src/wire/ip/checksum.js';
import { decodeUdp4, encodeUdp4 } from '../../../src/wire/ip/udp4.js';
import { fromHex, toHex } from '../../../src/wire/reader.js';

const octet = fc.integer({ min: 0, max: 255 });
const address = fc.tuple(octet, octet, octet, octet).map((o) => o.join('.'));
const port = fc.integer({ min: 0, max: 65_535 });

/** RFC 1071 §3: the example's octets and their sum. */
t.test('checksum: RFC 1071 §3, odd lengths, several parts', async (t) => {
  const words = fromHex('0001f203f4f5f6f7');
  t.equal(internetChecksum(words), ~0xddf2 & 0xffff);
  t.equal(internetChecksum(words.subarray(0, 4), words.subarray(4)), internetChecksum(words));
  t.equal(internetChecksum(Uint8Array.of(1)), ~0x0100 & 0xffff);
});

t.test('law: what is encoded is decoded again, and no prefix of it', async () => {
  fc.assert(
    fc.property(
      address,
      address,
      port,
      port,
      fc.uint8Array({ maxLength: 50 }),
      (source, destination, a, b, payload) => {
        const datagram = { source, destination, sourcePort: a, destinationPort: b, payload };
        const bytes = encodeUdp4(datagram);
        const back = decodeUdp4(bytes);
        return (
          back.ok &&
          JSON.stringify({ ...back.value, payload: toHex(back.value.payload) }) ===
            JSON.stringify({ ...datagram, payload: toHex(payload) }) &&
          bytes.every((_, n) => !decodeUdp4(bytes.subarray(0, n)).ok)
        );
      },
    ),
  );
});

t.test('what is no whole UDP datagram', async (t) => {
  const good = encodeUdp4({
    source: '10.9.0.2',
    destination: '10.9.0.1',
    sourcePort: 68,
    destinationPort: 67,
    payload: Uint8Array.of(1, 2, 3),
  });
  /** Octets at offsets of the IP header, its checksum made right again. */
  const ip = (changes: Record<number, number>): Uint8Array => {
    const bytes = good.slice();
    for (const [at, value] of Object.entries(changes)) bytes[Number(at)] = value;
    bytes.set([0, 0], 10);
    const sum = internetChecksum(bytes.subarray(0, 20));
    bytes.set([sum >> 8, sum & 0xff], 10);
    return bytes;
  };
  const changed = (at: number, value: number): Uint8Array => {
    const bytes = good.slice();
    bytes[at] = value;
    return bytes;
  };
  const table: [why: string, ref: string, bytes: Uint8Array][] = [
    ['IPv4 header', 'RFC 791 §3.1', ip({ 0: 0x65 })],
    ['IPv4 header', 'RFC 791 §3.1', ip({ 0: 0x44 })],
    ['IPv4 header', 'RFC 791 §3.1', ip({ 3: 27 })],
    ['a fragment', 'RFC 791 §3.1', ip({ 6: 0x20 })],
    ['a fragment', 'RFC 791 §3.1', ip({ 7: 1 })],
    ['Protocol is not UDP', 'RFC 791 §3.1', ip({ 9: 6 })],
    ['Header Checksum', 'RFC 791 §3.1', changed(15, 9)],
    ['Length', 'RFC 768', changed(25, 7)],
    ['Length', 'RFC 768', changed(25, 12)],
    ['Checksum', 'RFC 768', changed(28, 9)],
  ];
  for (const [why, ref, bytes] of table) t.match(decodeUdp4(bytes), { ok: false, why, ref }, `${why} ${toHex(bytes)}`);
  const none = good.slice();
  none.set([0, 0], 26);
  t.ok(decodeUdp4(none).ok, 'RFC 768: 0 is no checksum (Apple sends none)');
  t.match(decodeUdp4(Uint8Array.of(...good, 9, 9)), { value: { payload: Uint8Array.of(1, 2, 3) } }, 'octets behind it');
});

t.test('RFC 768: a checksum that comes out as 0 is sent as ffff', async (t) => {
  const datagram = (payload: Uint8Array) =>
    encodeUdp4({ source: '0.0.0.1', destination: '0.0.0.1', sourcePort: 1, destinationPort: 1, payload });
  const sum = datagram(Uint8Array.of(0, 0)).subarray(26, 28);
  t.equal(toHex(datagram(Uint8Array.from(sum)).subarray(26, 28)), 'ffff');
});
