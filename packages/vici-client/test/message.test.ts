import { inspect } from 'node:util';
import t from 'tap';
import { DEPTH_LIMIT, InvalidMessage, Section, type SectionInput } from 'vici-client';
import { decodeMessage, encodeMessage } from 'vici-client/message';
import { decodePacket, encodePacket } from 'vici-client/packet';

const hex = (b: Uint8Array) => Buffer.from(b).toString('hex');
const bytes = (s: string) => Buffer.from(s.replace(/\s/g, ''), 'hex');
const decoded = (b: Uint8Array) => {
  const m = decodeMessage(b);
  if (!m.ok) throw new Error(m.why);
  return m.value;
};

/** VICI README, "Encoding example". */
const EXAMPLE = `
  03 04 6b657931 0006 76616c756531
  01 08 73656374696f6e31
    01 0b 7375622d73656374696f6e  03 04 6b657932 0006 76616c756532  02
    04 05 6c69737431  05 0005 6974656d31  05 0005 6974656d32  06
  02`;

t.test("the README's example, both ways", async (t) => {
  const data = { key1: 'value1', section1: { 'sub-section': { key2: 'value2' }, list1: ['item1', 'item2'] } };
  t.equal(hex(encodeMessage(Section.from(data))), hex(bytes(EXAMPLE)));
  const m = decoded(bytes(EXAMPLE));
  t.same(m.toStrings(), data);
  t.equal(m.text('key1'), 'value1');
  t.equal(m.section('section1')?.section('sub-section')?.text('key2'), 'value2');
  t.same(m.section('section1')?.list('list1'), ['item1', 'item2']);
});

t.test('malformed messages: where and why, never what', async (t) => {
  const rows: [what: string, message: string, at: number, why: RegExp][] = [
    ['unknown element', '03 01 61 0000 07', 5, /unknown element type/],
    ['element 0', '00', 0, /unknown element type/],
    ['SECTION_END first', '02', 0, /without SECTION_START/],
    ['one SECTION_END too many', '01 01 61 02 02', 4, /without SECTION_START/],
    ['section open at the end', '01 01 61', 3, /section not closed/],
    ['list open at the end', '04 01 61', 3, /list not closed/],
    ['item outside a list', '05 0000', 0, /outside a list/],
    ['LIST_END first', '06', 0, /without LIST_START/],
    ['key in a list', '04 01 61 03 01 62 0000 06', 3, /may follow in a list/],
    ['section in a list', '04 01 61 01 01 62 02 06', 3, /may follow in a list/],
    ['list in a list', '04 01 61 04 01 62 06 06', 3, /may follow in a list/],
    ['name too long', '03 05 61', 0, /ends after the message/],
    ['no name length', '01', 0, /ends after the message/],
    ['value too long', '03 01 61 0002 61', 0, /ends after the message/],
    ['half a value length', '03 01 61 00', 0, /ends after the message/],
    ['item too long', '04 01 61 05 ffff 61', 3, /ends after the message/],
    ['too deep', '01 00'.repeat(DEPTH_LIMIT + 1) + '02'.repeat(DEPTH_LIMIT + 1), 2 * DEPTH_LIMIT, /deeper than/],
  ];
  for (const [what, message, at, why] of rows) t.match(decodeMessage(bytes(message)), { ok: false, at, why }, what);
  t.ok(decodeMessage(bytes('01 00'.repeat(DEPTH_LIMIT) + '02'.repeat(DEPTH_LIMIT))).ok, 'the deepest allowed');
  t.ok(decodeMessage(new Uint8Array()).ok, 'the empty message');
});

t.test('malformed packets', async (t) => {
  const rows: [what: string, packet: string, at: number, why: string][] = [
    ['nothing', '', 0, 'empty packet'],
    ['type 8', '08', 0, 'unknown packet type'],
    ['event without a name', '07', 1, 'name ends after the packet'],
    ['name too long', '07 05 61', 1, 'name ends after the packet'],
    ['octets after CMD_UNKNOWN', '02 00', 1, 'octets after CMD_UNKNOWN'],
    ['octets after a registration', '03 01 61 00', 3, 'octets after EVENT_REGISTER'],
    ['malformed message', '07 01 61 02', 3, 'SECTION_END without SECTION_START'],
  ];
  for (const [what, packet, at, why] of rows) t.same(decodePacket(bytes(packet)), { ok: false, at, why }, what);
  t.equal(hex(encodePacket({ type: 'EVENT_REGISTER', name: 'log' })), '03036c6f67');
  t.equal(hex(encodePacket({ type: 'CMD_REQUEST', name: 'stats', message: new Section() })), '00057374617473');
});

t.test('octets are kept, order and repeated names too', async (t) => {
  const b = bytes('03 01 61 0003 ff00fe  01 01 73 03 01 78 0001 31 02  01 01 73 03 01 78 0001 32 02  03 01 61 0001 7a');
  const m = decoded(b);
  t.equal(hex(m.bytes('a')!), 'ff00fe', 'the first of a name');
  t.same(
    m.sections().map(([name, s]) => [name, s.text('x')]),
    [
      ['s', '1'],
      ['s', '2'],
    ],
  );
  t.same(m.toStrings(), { a: '\ufffd\0\ufffd', s: { x: '1' }, 's#2': { x: '2' }, 'a#2': 'z' });
  t.equal(hex(encodeMessage(m)), hex(b));
  t.same([m.text('s'), m.list('a'), m.section('a'), m.items('none')], [undefined, undefined, undefined, undefined]);
});

t.test('a name from the peer is only a name', async (t) => {
  const m = decoded(encodeMessage(Section.from(new Map([['__proto__', { polluted: 'yes' }]]))));
  t.equal(Object.getPrototypeOf(m.toStrings()), Object.prototype);
  t.equal(({} as { polluted?: string }).polluted, undefined);
  t.same(Object.keys(m.toStrings()), ['__proto__']);
});

t.test('plain data to messages', async (t) => {
  const rows: [what: string, data: SectionInput, want: unknown][] = [
    [
      'number, boolean, bigint',
      { n: 1701, y: true, n2: false, b: 2n ** 64n },
      { n: '1701', y: 'yes', n2: 'no', b: '18446744073709551616' },
    ],
    ['undefined is left out', { a: undefined, b: '' }, { b: '' }],
    [
      'octets',
      { a: Uint8Array.of(0x6f, 0x6b), l: [Uint8Array.of(0x31), 2, 'drei'] },
      { a: 'ok', l: ['1', '2', 'drei'] },
    ],
    ['empty list and section', { l: [], s: {} }, { l: [], s: {} }],
    ['a message in a message', { s: Section.from({ a: 1 }) }, { s: { a: '1' } }],
    ['UTF-8 values', { a: 'Schlüssel' }, { a: 'Schlüssel' }],
  ];
  for (const [what, data, want] of rows) t.same(decoded(encodeMessage(Section.from(data))).toStrings(), want, what);
  const ordered = Section.from(
    new Map<string, SectionInput>([
      ['b', {}],
      ['10', {}],
      ['9', {}],
    ]),
  );
  t.same(
    ordered.elements.map((e) => e.name),
    ['b', '10', '9'],
    'a Map keeps the order of integer-like names',
  );
});

t.test('what VICI cannot carry is refused by key, not by value', async (t) => {
  const SECRET = 'hunter2hunter2';
  const deep = (n: number): SectionInput => (n === 0 ? {} : { s: deep(n - 1) });
  const rows: [what: string, data: unknown, message: RegExp][] = [
    [
      'value over 64 KiB',
      { conn: { psk: SECRET.repeat(5000) } },
      /the value of conn\.psk has 70000 octets, 65535 are allowed/,
    ],
    ['item over 64 KiB', { conn: { ids: [SECRET.repeat(5000)] } }, /conn\.ids has 70000/],
    ['name over 255', { ['n'.repeat(256)]: SECRET }, /must have at most 255 octets/],
    ['name not ASCII', { 'k€y': SECRET }, /ASCII only/],
    ['NaN', { a: { b: Number.NaN, c: SECRET } }, /a\.b must be text/],
    ['null', { a: null, b: SECRET }, /a must be text/],
    ['list of sections', { a: [{ b: SECRET }] }, /a must be text/],
    ['function', { a: () => SECRET }, /a must be text/],
    ['too deep', deep(DEPTH_LIMIT + 1), /deeper than 64/],
  ];
  for (const [what, data, message] of rows) {
    const thrown = t.throws(() => encodeMessage(Section.from(data as SectionInput)), InvalidMessage, what) as Error;
    t.match(thrown.message, message);
    t.notMatch(inspect(thrown), SECRET);
  }
  const max = { ['n'.repeat(255)]: 'v'.repeat(65_535) };
  t.same(decoded(encodeMessage(Section.from(max))).toStrings(), max, 'the largest allowed');
});

t.test('printing a message shows its shape, not its values', async (t) => {
  const m = Section.from({ id: 'psk-1', data: 'hunter2', owners: ['a', 'b'], s: { x: 'hunter2' } });
  t.equal(inspect(m), 'Section{id data owners[2] s{x}}');
  t.equal(JSON.stringify(m), '{}');
});
