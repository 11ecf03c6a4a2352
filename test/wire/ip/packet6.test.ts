import fc from 'fast-check';
import t from 'tap';
import { formatIpv6, linkLocal, showPrefix6, UNSPECIFIED6 } from '../../../src/wire/ip/address6.js';
import {
  decodeSolicitation,
  encodeRouterAdvertisement,
  neighborAdvertisement,
} from '../../../src/wire/ip/discovery.js';
import {
  decodePacket6,
  decodeUdp6,
  encodePacket6,
  encodeUdp6,
  ICMPV6,
  type Packet6,
  UDP,
} from '../../../src/wire/ip/packet6.js';
import { fromHex, toHex } from '../../../src/wire/reader.js';

const OURS = linkLocal(fromHex('0000000000000001'));
const PEER = linkLocal(fromHex('0200000000000042'));
const flip = (bytes: Uint8Array, at: number, bits: number): Uint8Array => {
  const changed = bytes.slice();
  changed[at] = changed[at]! ^ bits;
  return changed;
};

t.test('addresses: RFC 5952 §4', async (t) => {
  const table: [hex: string, text: string][] = [
    ['fe800000000000000200000000000042', 'fe80::200:0:0:42'],
    ['20010db8000000000001000000000001', '2001:db8::1:0:0:1'],
    ['20010db8000000010001000100010001', '2001:db8:0:1:1:1:1:1'],
    ['00000000000000000000000000000000', '::'],
    ['00000000000000000000000000000001', '::1'],
    ['20010db8000100000000000000000000', '2001:db8:1::'],
  ];
  for (const [hex, text] of table) t.equal(formatIpv6(fromHex(hex)), text);
  t.equal(showPrefix6({ prefix: 0x20010db8_00000042_00000000_00000000n, length: 64 }), '2001:db8:0:42::/64');
});

t.test('law: what is encoded is decoded again, no prefix of it, and no change of one bit', async () => {
  const address = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const data = fc.uint8Array({ maxLength: 40 });
  fc.assert(
    fc.property(address, address, data, fc.nat(1_000), (source, destination, payload, at) => {
      const udp = encodeUdp6({ sourcePort: 546, destinationPort: 547, data: payload });
      const bytes = encodePacket6({ source, destination, hopLimit: 255, protocol: UDP, payload: udp });
      const back = decodePacket6(bytes);
      const datagram = back.ok ? decodeUdp6(back.value) : back;
      return (
        datagram.ok &&
        toHex(datagram.value.data) === toHex(payload) &&
        datagram.value.destinationPort === 547 &&
        bytes.every((_, n) => !decodePacket6(bytes.subarray(0, n)).ok) &&
        !decodePacket6(flip(bytes, 8 + (at % (bytes.length - 8)), 1)).ok
      );
    }),
  );
});

t.test('what is no such packet: RFC 8200 §3, §8.1', async (t) => {
  const icmp = {
    source: PEER,
    destination: OURS,
    hopLimit: 255,
    protocol: ICMPV6,
    payload: fromHex('8500000000000000'),
  };
  const good = encodePacket6(icmp);
  t.match(decodePacket6(flip(good, 0, 0x20)), { ok: false, ref: 'RFC 8200 §3' });
  t.match(decodePacket6(flip(good, 6, 0xff)), { ok: false, ref: 'RFC 8200 §4' });
  t.match(decodePacket6(flip(good, 40, 1)), { ok: false, ref: 'RFC 8200 §8.1' });
  t.ok(decodePacket6(Uint8Array.of(...good, 1, 2)).ok, 'octets behind it');
  const zero = encodeUdp6({ sourcePort: 0, destinationPort: 0, data: new Uint8Array(0) });
  for (const length of [7, 9]) {
    const payload = Uint8Array.of(...zero.subarray(0, 4), 0, length, 0, 0);
    t.match(decodeUdp6({ ...icmp, payload }), { ok: false, ref: 'RFC 768' });
  }
  // All words of the sum are zero but the two lengths and the protocol: a payload that makes it 0 is sent as ffff.
  const none = { source: UNSPECIFIED6, destination: UNSPECIFIED6, hopLimit: 1, protocol: UDP };
  const sum = toHex(
    encodePacket6({
      ...none,
      payload: encodeUdp6({ sourcePort: 0, destinationPort: 0, data: fromHex('0000') }),
    }).subarray(46, 48),
  );
  const packet = encodePacket6({
    ...none,
    payload: encodeUdp6({ sourcePort: 0, destinationPort: 0, data: fromHex(sum) }),
  });
  t.equal(toHex(packet.subarray(46, 48)), 'ffff');
});

t.test('solicitations: RFC 4861 §6.1.1, §7.1.1', async (t) => {
  const packet = (payload: string, over: Partial<Packet6> = {}): Packet6 => ({
    source: PEER,
    destination: OURS,
    hopLimit: 255,
    protocol: ICMPV6,
    payload: fromHex(payload),
    ...over,
  });
  const target = 'fe800000000000000000000000000001';
  t.same(decodeSolicitation(packet('8500 0000 00000000')), { ok: true, value: { type: 'router' } });
  t.ok(decodeSolicitation(packet('8500 0000 00000000 0101 020000000042')).ok, 'Source Link-layer Address');
  t.ok(decodeSolicitation(packet('8500 0000 00000000 fe01 000000000000')).ok, 'an option nobody knows');
  t.ok(decodeSolicitation(packet('8500 0000 00000000', { source: UNSPECIFIED6 })).ok, 'before it has an address');
  t.same(decodeSolicitation(packet(`8700 0000 00000000 ${target}`)), {
    ok: true,
    value: { type: 'neighbor', target: fromHex(target) },
  });
  const bad: [name: string, packet: Packet6][] = [
    ['forwarded', packet('8500 0000 00000000', { hopLimit: 254 })],
    ['code', packet('8501 0000 00000000')],
    ['short', packet('8500 0000 000000')],
    ['UDP', packet('8500 0000 00000000', { protocol: UDP })],
    ['an advertisement', packet('8600 0000 00000000')],
    ['no target', packet('8700 0000 00000000 fe80')],
    ['an option of length 0', packet('8500 0000 00000000 0100 000000000000')],
    ['an option beyond the packet', packet('8500 0000 00000000 0102 000000000000')],
    ['a link-layer address of nobody', packet('8500 0000 00000000 0101 020000000042', { source: UNSPECIFIED6 })],
  ];
  for (const [name, p] of bad) t.match(decodeSolicitation(p), { ok: false }, name);
});

t.test('advertisements, to the byte: RFC 4861 §4.2, §4.4, §4.6, RFC 8106 §5', async (t) => {
  const ra = {
    routerLifetime: 1_800,
    prefix: fromHex('20010db8000000420000000000000000'),
    validLifetime: 86_400,
    preferredLifetime: 14_400,
    mtu: 1_400,
    dns: [fromHex('20010db8000000000000000000000053')],
    domain: 'corp.example',
    dnsLifetime: 1_800,
  };
  const head = '86000000 40400708 00000000 00000000 0501000000000578'; // hop limit 64, O, 1800 s; MTU 1400
  const prefix = '03044040 00015180 00003840 00000000 20010db8000000420000000000000000'; // A and not L
  const dns = '19030000 00000708 20010db8000000000000000000000053';
  const search = '1f030000 00000708 04636f7270 076578616d706c65 00 0000';
  t.equal(toHex(encodeRouterAdvertisement(ra)), `${head}${prefix}${dns}${search}`.replaceAll(' ', ''));
  t.equal(toHex(encodeRouterAdvertisement({ ...ra, dns: [], domain: null })), `${head}${prefix}`.replaceAll(' ', ''));
  t.equal(toHex(neighborAdvertisement(OURS, true)), `88000000e0000000${toHex(OURS)}`);
  t.equal(toHex(neighborAdvertisement(OURS, false)), `88000000a0000000${toHex(OURS)}`);
});
