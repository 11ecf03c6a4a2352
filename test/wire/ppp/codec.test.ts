import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import {
  decodeChap,
  decodeMsChapV2Failure,
  decodeMsChapV2Success,
  decodeMsChapV2Value,
  encodeChap,
  encodeMsChapV2Failure,
  encodeMsChapV2Success,
  encodeMsChapV2Value,
} from '../../../src/wire/ppp/chap.js';
import { type ControlPacket, decodeControl, encodeControl, printable } from '../../../src/wire/ppp/control.js';
import { decodeEap, decodeMd5Value, type EapPacket, encodeEap, encodeMd5Value } from '../../../src/wire/ppp/eap.js';
import { decodeFrame, encodeFrame } from '../../../src/wire/ppp/frame.js';
import { IPCP, ipcpOptions } from '../../../src/wire/ppp/ipcp.js';
import { LCP, lcpOptions } from '../../../src/wire/ppp/lcp.js';
import { decodePap, encodePap } from '../../../src/wire/ppp/pap.js';
import { fromHex, toHex } from '../../../src/wire/reader.js';
import { describeFrame } from '../../lib/ppp-text.js';

const u8 = fc.integer({ min: 0, max: 255 });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const octets = (max = 64, min = 0) => fc.uint8Array({ minLength: min, maxLength: max });
const options = fc.array(fc.record({ type: u8, data: octets(20) }), { maxLength: 12 });

const controlPacket: fc.Arbitrary<ControlPacket> = fc.oneof(
  fc.record({
    code: fc.constantFrom('Configure-Request', 'Configure-Ack', 'Configure-Nak', 'Configure-Reject'),
    id: u8,
    options,
  }),
  fc.record({ code: fc.constantFrom('Terminate-Request', 'Terminate-Ack'), id: u8, data: octets() }),
  fc.record({ code: fc.constant('Code-Reject'), id: u8, rejected: octets() }),
  fc.record({
    code: fc.constant('Protocol-Reject'),
    id: u8,
    protocol: fc.integer({ min: 0, max: 0xffff }),
    information: octets(),
  }),
  fc.record({
    code: fc.constantFrom('Echo-Request', 'Echo-Reply', 'Discard-Request'),
    id: u8,
    magic: u32,
    data: octets(),
  }),
  fc.record({ code: fc.constant('Identification'), id: u8, magic: u32, message: octets() }),
  fc.record({ code: fc.constant('Time-Remaining'), id: u8, magic: u32, seconds: u32, message: octets() }),
  fc.record({ code: fc.constant('unknown'), number: fc.integer({ min: 14, max: 255 }), id: u8, data: octets() }),
);

const eapPacket: fc.Arbitrary<EapPacket> = fc.oneof(
  fc.record({ code: fc.constantFrom('Request', 'Response'), id: u8, type: u8, data: octets() }),
  fc.record({ code: fc.constantFrom('Success', 'Failure'), id: u8 }),
);

/** Views and Buffers compare as the octets they are. */
const plain = (v: unknown): unknown =>
  JSON.parse(JSON.stringify(v, (_, x) => (x instanceof Uint8Array ? toHex(x) : x)));

t.test('law: decode(encode(v)) = v', async () => {
  fc.assert(
    fc.property(controlPacket, (p) => {
      const back = decodeControl(encodeControl(p), 'lcp');
      assert.deepEqual(back.ok && plain(back.value), plain(p));
    }),
  );
  fc.assert(
    fc.property(
      fc.constantFrom('Challenge' as const, 'Response' as const),
      u8,
      octets(255, 1),
      octets(),
      (code, id, value, name) => {
        assert.deepEqual(
          plain(decodeChap(encodeChap({ code, id, value, name }))),
          plain({ ok: true, value: { code, id, value, name } }),
        );
      },
    ),
  );
  const sized = (n: number) => octets(n, n);
  fc.assert(
    fc.property(u8, sized(516), sized(16), sized(16), sized(24), (id, encryptedPassword, encryptedHash, ...parts) => {
      const [peerChallenge, ntResponse] = parts;
      const value = {
        code: 'Change-Password',
        id,
        encryptedPassword,
        encryptedHash,
        peerChallenge,
        ntResponse,
      } as const;
      assert.equal(encodeChap(value).length, 586);
      assert.deepEqual(plain(decodeChap(encodeChap(value))), plain({ ok: true, value }));
    }),
  );
  fc.assert(
    fc.property(eapPacket, octets(8), (value, padding) => {
      // RFC 3748 §4.1: octets outside the range of Length are padding.
      const bytes = Uint8Array.of(...encodeEap(value), ...padding);
      assert.deepEqual(plain(decodeEap(bytes)), plain({ ok: true, value }));
    }),
  );
  fc.assert(
    fc.property(octets(255, 1), octets(), (value, name) => {
      assert.deepEqual(
        plain(decodeMd5Value(encodeMd5Value({ value, name }))),
        plain({ ok: true, value: { value, name } }),
      );
    }),
  );
  fc.assert(
    fc.property(u8, octets(255), octets(255), (id, peerId, password) => {
      const packet = { code: 'Authenticate-Request', id, peerId, password } as const;
      assert.deepEqual(plain(decodePap(encodePap(packet))), plain({ ok: true, value: packet }));
    }),
  );
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0x7fff }), octets(), (half, information) => {
      // RFC 1661 §2: odd; ff03 and one-octet numbers are what §6.5 and §6.6 take away.
      const protocol = ((half << 1) | 1) & 0xfeff || 1;
      assert.deepEqual(
        plain(decodeFrame(encodeFrame(protocol, information))),
        plain({ ok: true, value: { protocol, information } }),
      );
    }),
  );
});

t.test('law: an option with a value encodes to the octets it came from', async () => {
  for (const codec of [lcpOptions, ipcpOptions]) {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.values({ ...LCP, ...IPCP }).map((s) => s.type)),
        octets(8),
        (type, data) => {
          const meaning = codec.decode({ type, data });
          if (meaning.kind === 'value') assert.deepEqual(plain(codec.encode(meaning as never)), plain({ type, data }));
        },
      ),
    );
  }
});

t.test('law: any octets at all are decoded without an exception', async () => {
  const protocol = fc.constantFrom('c021', '8021', 'c023', 'c223', 'c227', '8057', 'ff03c021');
  fc.assert(
    fc.property(protocol, octets(80), (head, rest) => {
      assert.equal(typeof describeFrame(Uint8Array.of(...fromHex(head), ...rest)), 'string');
    }),
    { numRuns: 2000 },
  );
});

t.test('a PAP string longer than its length octet is cut, not spilled', async (t) => {
  const back = decodePap(encodePap({ code: 'Authenticate-Nak', id: 1, message: new Uint8Array(300).fill(97) }));
  t.equal(back.ok && 'message' in back.value && back.value.message.length, 255);
});

t.test('RFC 2759 §4: the Value is 16 + 8 + 24 + 1 octets', async (t) => {
  const value = { peerChallenge: new Uint8Array(16).fill(1), ntResponse: new Uint8Array(24).fill(2) };
  const bytes = encodeMsChapV2Value(value);
  t.equal(toHex(bytes), `${'01'.repeat(16)}${'00'.repeat(8)}${'02'.repeat(24)}00`);
  t.same(plain(decodeMsChapV2Value(bytes)), plain({ ok: true, value }));
  t.match(decodeMsChapV2Value(bytes.subarray(1)), { ok: false, ref: 'RFC 2759 §4' });
});

t.test('RFC 2759 §5: the Success message, upper-case hex', async (t) => {
  const authenticatorResponse = fromHex('407A5589115FD0D6209F510FE9C04566932CDA56');
  const bytes = encodeMsChapV2Success({ authenticatorResponse, message: 'Welcome' });
  t.equal(bytes.toString(), 'S=407A5589115FD0D6209F510FE9C04566932CDA56 M=Welcome');
  t.same(
    plain(decodeMsChapV2Success(bytes)),
    plain({ ok: true, value: { authenticatorResponse, message: 'Welcome' } }),
  );
  t.match(decodeMsChapV2Success(bytes.subarray(0, 42)), { ok: true, value: { message: '' } });
  t.match(decodeMsChapV2Success(bytes.subarray(0, 41)), { ok: false });
});

t.test('RFC 2759 §6: the Failure message as Windows reads it', async (t) => {
  const challenge = fromHex('000102030405060708090a0b0c0d0e0f');
  const failure = { error: 691, retry: true, challenge, version: 3, message: 'no\nway' };
  const bytes = encodeMsChapV2Failure(failure);
  t.equal(bytes.toString(), 'E=691 R=1 C=000102030405060708090A0B0C0D0E0F V=3 M=no\nway');
  t.same(plain(decodeMsChapV2Failure(bytes)), plain({ ok: true, value: failure }));
  t.match(decodeMsChapV2Failure(Buffer.from('E=691 R=0 C=00 V=3')), { ok: false, ref: 'RFC 2759 §6' });
  t.match(decodeMsChapV2Failure(Buffer.from(`E=648 R=0 C=${'0'.repeat(32)} V=3`)), {
    ok: true,
    value: { error: 648, retry: false, message: '' },
  });
});

t.test('text for a log: printable, bounded, nothing for binary data', async (t) => {
  t.equal(printable(Buffer.from('MSRASV5.20')), 'MSRASV5.20');
  t.equal(printable(Buffer.from('two\nlines')), 'two?lines');
  t.equal(printable(fromHex('00010203ff')), '');
  t.equal(printable(new Uint8Array(0)), '');
  t.equal(printable(new Uint8Array(500).fill(65)).length, 128);
});
