import fc from 'fast-check';
import t from 'tap';
import { type DhcpMessage, decodeDhcp, encodeDhcp } from '../../../src/wire/dhcp/message.js';
import { dhcpOptions } from '../../../src/wire/dhcp/options.js';
import { readRoutes, writeRoutes } from '../../../src/wire/dhcp/routes.js';
import type { RawOption } from '../../../src/wire/ppp/options.js';
import { fromHex, toHex } from '../../../src/wire/reader.js';
import { octets, vectors } from '../../lib/vectors.js';

const MESSAGE: DhcpMessage = {
  op: 1,
  htype: 8,
  hlen: 6,
  xid: 0xdeadbeef,
  flags: 0x8000,
  ciaddr: '10.9.0.2',
  giaddr: '0.0.0.0',
  chaddr: fromHex('00000001000000000000000000000001'),
  options: [{ type: 53, data: Uint8Array.of(8) }],
};
/** A message whose options, file and sname fields hold these octets. */
const fields = (options: string, file = '', sname = ''): Uint8Array => {
  const bytes = Uint8Array.of(...encodeDhcp(MESSAGE).subarray(0, 240), ...fromHex(options));
  bytes.set(fromHex(sname), 44);
  bytes.set(fromHex(file), 108);
  return bytes;
};
const show = (bytes: Uint8Array): string => {
  const message = decodeDhcp(bytes);
  return message.ok ? dhcpOptions.show(message.value.options) : `${message.ref} ${message.why}`;
};
const hex = (options: readonly RawOption[]) => options.map(({ type, data }) => `${type} ${toHex(data)}`);

t.test('law: RFC 2131 §2, and back; no prefix is taken for it', async (t) => {
  const quad = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((a) => a.join('.'));
  const option = fc.record({ type: fc.integer({ min: 1, max: 254 }), data: fc.uint8Array({ maxLength: 9 }) });
  const plain = fc.uniqueArray(
    option.filter(({ type }) => type !== 52),
    { selector: (o) => o.type, maxLength: 8 },
  );
  fc.assert(
    fc.property(quad, fc.uint8Array({ minLength: 16, maxLength: 16 }), plain, (ciaddr, chaddr, options) => {
      const message = { ...MESSAGE, ciaddr, chaddr, options };
      const bytes = encodeDhcp(message);
      const back = decodeDhcp(bytes);
      if (!back.ok || bytes.length < 300) return false;
      const same = JSON.stringify({ ...back.value, options: hex(back.value.options), chaddr: toHex(chaddr) });
      return same === JSON.stringify({ ...message, options: hex(options), chaddr: toHex(back.value.chaddr) });
    }),
  );
  const bytes = encodeDhcp(MESSAGE);
  for (let n = 0; n < 240; n++) t.match(decodeDhcp(bytes.subarray(0, n)), { ok: false, ref: 'RFC 2131 §3' });
  t.match(decodeDhcp(bytes.with(236, 0)), { ok: false, why: 'magic cookie' });
});

t.test('options: RFC 2132 §2, RFC 2131 §4.1 (overload), RFC 3396 §5 (long options)', async (t) => {
  const table: [name: string, bytes: Uint8Array, want: string][] = [
    ['pads and an end', fields('0000 350108 00 ff 0c0161'), '<type 8>'],
    ['no end', fields('350108'), '<type 8>'],
    ['nothing', fields(''), ''],
    ['a length beyond the message', fields('3502'), 'RFC 2132 §2 option length'],
    ['a type without a length', fields('35'), 'RFC 2132 §2 option length'],
    ['in two pieces', fields('0f03 636f72 0f01 70 ff'), '<domain corp>'],
    ['in file', fields('340101 ff', '350108 ff'), '<overload 1> <type 8>'],
    ['in sname', fields('340102 ff', '350101 ff', '350108 ff'), '<overload 2> <type 8>'],
    ['in both, file first', fields('340103 ff', '3701 79 ff', '3701 f9 ff'), '<overload 3> <asks 79f9>'],
    ['overload without a value', fields('3400 ff'), '<overload bad length >'],
    [
      'file: a length beyond the field',
      fields('340101 ff', `${'00'.repeat(126)} 3502`),
      'RFC 2132 §2 option length in file or sname',
    ],
    ['sname: the same', fields('340102 ff', '', `${'00'.repeat(63)} 35`), 'RFC 2132 §2 option length in file or sname'],
    [
      'servers',
      fields('0608 0a0b0b35 0a0b0b36 2c03 0a0b0b ff'),
      '<dns 10.11.11.53 10.11.11.54> <nbns bad length 0a0b0b>',
    ],
    ['no server, no name', fields('0600 0f00 ff'), '<dns bad length > <domain bad length >'],
    ['routes', fields('7908 180a0b0b 0a090001 ff'), '<routes 10.11.11.0/24 via 10.9.0.1>'],
    [
      'client',
      fields('3d02 0800 3c08 4d53465420352e30 3902 0240 ff'),
      '<client 0800> <vendor-class MSFT 5.0> <max-size 576>',
    ],
  ];
  for (const [name, bytes, want] of table) t.equal(show(bytes), want, name);
});

t.test('a type that comes again and again costs what the packet is long: RFC 3396 §5', async (t) => {
  const parts = 21_000;
  const bytes = fields('2b0161'.repeat(parts));
  const before = process.cpuUsage();
  const message = decodeDhcp(bytes);
  const { user, system } = process.cpuUsage(before);
  t.equal(message.ok && message.value.options[0]?.data.length, parts);
  // A few milliseconds; joined anew for each part it was eleven seconds.
  t.ok(user + system < 1_000_000, `${user + system} µs`);
});

t.test('the captured and documented requests, and every change of one octet', async (t) => {
  const all = vectors('dhcp-inform.txt');
  t.ok(all.length >= 3);
  for (const v of all) {
    const payload = octets(v, 'request').subarray(28);
    t.match(show(payload), /^<type 8>/, v.name);
    for (let n = 0; n < payload.length; n++)
      for (const change of [1, 0x80, 0xff]) show(payload.with(n, payload[n]! ^ change));
  }
});

t.test('RFC 3442: prefix length, significant octets, gateway', async (t) => {
  // The table of RFC 3442: subnet, mask, destination descriptor.
  const table: [network: string, descriptor: string][] = [
    ['0.0.0.0/0', '00'],
    ['10.0.0.0/8', '080a'],
    ['10.0.0.0/24', '180a0000'],
    ['10.17.0.0/16', '100a11'],
    ['10.27.129.0/24', '180a1b81'],
    ['10.229.0.128/25', '190a e50080'],
    ['10.198.122.47/32', '200ac67a2f'],
  ];
  for (const [network, descriptor] of table) {
    const bytes = fromHex(`${descriptor} 0a090001`);
    t.equal(toHex(writeRoutes([{ network, gateway: '10.9.0.1' }])), toHex(bytes), network);
    t.same(readRoutes(bytes), [{ network, gateway: '10.9.0.1' }], network);
    for (let n = 0; n < bytes.length; n++) t.equal(readRoutes(bytes.subarray(0, n)), undefined, `${network}, ${n}`);
  }
  t.equal(readRoutes(fromHex(`21 0a0b0b0b0b 0a090001`)), undefined, 'a prefix of 33');
  const all = table.map(([network]) => ({ network, gateway: '10.9.0.1' }));
  t.same(readRoutes(writeRoutes(all)), all, 'several');
});

t.test('one of a list of options, by name', async (t) => {
  const message = decodeDhcp(fields('350108 0600 ff'));
  if (!message.ok) throw new Error(message.why);
  t.equal(dhcpOptions.find(message.value.options, 'messageType'), 8);
  t.equal(dhcpOptions.find(message.value.options, 'dns'), undefined, 'not well formed');
  t.equal(dhcpOptions.find(message.value.options, 'domain'), undefined, 'not there');
});
