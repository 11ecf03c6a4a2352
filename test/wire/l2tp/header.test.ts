import fc from 'fast-check';
import t from 'tap';
import { decodePacket, encodeControl, encodeData } from '../../../src/wire/l2tp/header.js';
import { fromHex, toHex } from '../../../src/wire/reader.js';

const u16 = fc.nat({ max: 0xffff });

t.test('law: control headers come back, flags are c802 (MS-L2TPIE 3.1.5.1)', async (t) => {
  fc.assert(
    fc.property(u16, u16, u16, u16, fc.uint8Array({ maxLength: 40 }), (tunnelId, sessionId, Ns, Nr, body) => {
      const bytes = encodeControl({ tunnelId, sessionId, Ns, Nr }, body);
      const packet = decodePacket(bytes);
      const want = { header: { kind: 'control', tunnelId, sessionId, Ns, Nr }, payload: toHex(body) };
      return (
        packet.ok &&
        toHex(bytes.subarray(0, 2)) === 'c802' &&
        JSON.stringify({ ...packet.value, payload: toHex(packet.value.payload) }) === JSON.stringify(want)
      );
    }),
  );
  t.pass('no counterexample');
});

t.test('data headers: L, S, O, P in any combination (§3.1)', async (t) => {
  const frame = 'ff03c021';
  const rows: [string, string, object][] = [
    ['plain, Android', `0002 0001 0002 ${frame}`, { priority: false }],
    ['L, Apple', `4002 000c 0001 0002 ${frame}`, {}],
    ['L and octets beyond Length', `4002 000c 0001 0002 ${frame} 00`, {}],
    ['S', `0802 0001 0002 0007 ffff ${frame}`, { Ns: 7 }],
    ['L S', `4802 0010 0001 0002 0007 0000 ${frame}`, { Ns: 7 }],
    ['O with padding', `0202 0001 0002 0003 aabbcc ${frame}`, {}],
    ['all', `4b02 0014 0001 0002 0009 0000 0002 aabb ${frame}`, { Ns: 9, priority: true }],
  ];
  for (const [name, hex, want] of rows) {
    const packet = decodePacket(fromHex(hex));
    t.match(packet, { ok: true, value: { header: { kind: 'data', tunnelId: 1, sessionId: 2, ...want } } }, name);
    t.equal(packet.ok && toHex(packet.value.payload), frame, name);
  }
});

t.test('law: data headers come back', async (t) => {
  fc.assert(
    fc.property(
      u16,
      u16,
      fc.option(u16, { nil: undefined }),
      fc.uint8Array({ maxLength: 40 }),
      (tunnelId, sessionId, Ns, f) => {
        const packet = decodePacket(encodeData({ tunnelId, sessionId, ...(Ns === undefined ? {} : { Ns }) }, f));
        if (!packet.ok || packet.value.header.kind !== 'data') return false;
        const { header, payload } = packet.value;
        return (
          header.tunnelId === tunnelId &&
          header.sessionId === sessionId &&
          header.Ns === Ns &&
          toHex(payload) === toHex(f)
        );
      },
    ),
  );
  t.pass('no counterexample');
});
