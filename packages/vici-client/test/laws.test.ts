/** Laws of the pure layers: what is encoded is decoded, and no bytes whatever break the decoders. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { InvalidMessage, Section } from 'vici-client';
import { decodeMessage, ELEMENT, type Element, encodeMessage } from 'vici-client/message';
import { decodePacket, encodePacket, PACKET, type Packet, type PacketType } from 'vici-client/packet';
import { Deframer, frame, SEGMENT_LIMIT } from 'vici-client/transport';

const name = fc.oneof(
  fc.constantFrom('gw', 'child-sas', '__proto__', '10', ''),
  fc.uint8Array({ maxLength: 8 }).map((b) => Buffer.from(b).toString('latin1')),
);
const octets = fc.uint8Array({ maxLength: 12 });
const { message } = fc.letrec<{ message: Section; element: Element }>((tie) => ({
  message: fc.array(tie('element'), { maxLength: 4, depthIdentifier: 'm' }).map((e) => new Section(e)),
  element: fc.oneof(
    { maxDepth: 4, depthIdentifier: 'm' },
    fc.record({ kind: fc.constant('value' as const), name, value: octets }),
    fc.record({ kind: fc.constant('list' as const), name, items: fc.array(octets, { maxLength: 3 }) }),
    fc.record({ kind: fc.constant('section' as const), name, section: tie('message') }),
  ),
}));
const packet: fc.Arbitrary<Packet> = fc
  .tuple(fc.constantFrom(...(Object.keys(PACKET) as PacketType[])), name, message)
  .map(([type, name, message]) => {
    const shape = PACKET[type];
    return { type, ...(shape.named && { name }), ...(shape.message && { message }) } as Packet;
  });

/** A message as comparable data, octets as hex. */
const plain = (s: Section): unknown[] =>
  s.elements.map((e) => {
    if (e.kind === 'value') return [e.name, hex(e.value)];
    return e.kind === 'list' ? [e.name, e.items.map(hex)] : [e.name, { section: plain(e.section) }];
  });
const hex = (b: Uint8Array) => Buffer.from(b).toString('hex');
const plainPacket = (p: Packet) => ({ ...p, message: 'message' in p ? plain(p.message) : undefined });
const law = <T>(arbitrary: fc.Arbitrary<T>, holds: (value: T) => void) => fc.assert(fc.property(arbitrary, holds));
/** Octets are a value that encodes to the same octets, or an error with an offset inside. Says which. */
const isPacket = (b: Uint8Array): boolean => {
  const decoded = decodePacket(b);
  if (decoded.ok) assert.equal(hex(encodePacket(decoded.value)), hex(b));
  else assert.ok(decoded.at >= 0 && decoded.at <= b.length && decoded.why !== '');
  return decoded.ok;
};

t.test('message: decode(encode(m)) = m', async () => {
  law(message, (m) => {
    const decoded = decodeMessage(encodeMessage(m));
    assert.ok(decoded.ok);
    assert.deepEqual(plain(decoded.value), plain(m));
  });
});

t.test('packet: decode(encode(p)) = p, all eight types', async () => {
  law(packet, (p) => {
    const decoded = decodePacket(encodePacket(p));
    assert.ok(decoded.ok);
    assert.deepEqual(plainPacket(decoded.value), plainPacket(p));
  });
});

t.test('packet: every prefix and every changed octet is a value or a clean error', async (t) => {
  let [prefixes, changes] = [0, 0];
  law(fc.tuple(packet, fc.integer({ min: 1, max: 255 })), ([p, flip]) => {
    const b = encodePacket(p);
    for (let at = 0; at < b.length; at++) {
      if (isPacket(b.subarray(0, at))) prefixes++;
      if (isPacket(b.map((octet, i) => (i === at ? octet ^ flip : octet)))) changes++;
    }
  });
  t.ok(prefixes > 0, 'a message cut between two elements of its root is one');
  t.ok(changes > 0, 'a message with another value is one');
});

t.test('packet: any octets, and any sequence of element types', async () => {
  law(fc.uint8Array({ maxLength: 64 }), (b) => void isPacket(b));
  const elements = fc.array(fc.constantFrom(...Object.values(ELEMENT), 0, 65), { maxLength: 40 });
  law(elements, (b) => void isPacket(Uint8Array.from([PACKET.CMD_RESPONSE.code, ...b])));
});

t.test('transport: segments survive every cut of the stream', async (t) => {
  const segments = [Uint8Array.of(), Uint8Array.of(1, 2, 3), Buffer.alloc(300, 7), Uint8Array.of(9)];
  const stream = Buffer.concat(segments.map(frame));
  const through = (chunks: Uint8Array[]) => {
    const d = new Deframer();
    return chunks.flatMap((c) => d.push(c).segments).map(hex);
  };
  const want = segments.map(hex);
  for (let at = 0; at <= stream.length; at++)
    assert.deepEqual(through([stream.subarray(0, at), stream.subarray(at)]), want, `cut at ${at}`);
  t.same(through([...stream].map((octet) => Uint8Array.of(octet))), want, 'octet by octet');
  law(fc.array(fc.integer({ min: 0, max: stream.length }), { maxLength: 8 }), (cuts) => {
    const at = [0, ...cuts.sort((a, b) => a - b), stream.length];
    assert.deepEqual(through(at.slice(1).map((end, i) => stream.subarray(at[i], end))), want);
  });
});

t.test('transport: 512 KiB both ways', async (t) => {
  const most = new Uint8Array(SEGMENT_LIMIT);
  t.equal(new Deframer().push(frame(most)).segments[0]?.length, SEGMENT_LIMIT);
  t.throws(() => frame(new Uint8Array(SEGMENT_LIMIT + 1)), InvalidMessage);
  const d = new Deframer();
  const header = Buffer.alloc(4);
  header.writeUInt32BE(SEGMENT_LIMIT + 1);
  const { segments, malformed } = d.push(Buffer.concat([frame(Uint8Array.of(5)), header]));
  t.same(segments.map(hex), ['05'], 'what came before is still delivered');
  t.match(malformed, { ok: false, why: 'segment over 524288 octets' });
  t.ok(d.push(frame(Uint8Array.of(5))).malformed, 'no framing after that');
});
