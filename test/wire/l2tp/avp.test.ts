import fc from 'fast-check';
import t from 'tap';
import {
  AVP,
  type AvpKey,
  type Avps,
  avpKey,
  avpName,
  readAvpFrames,
  recognizeAvps,
  writeAvpFrame,
  writeAvps,
} from '../../../src/wire/l2tp/avp.js';
import { hide } from '../../../src/wire/l2tp/hiding.js';
import { fromHex, toHex, Writer } from '../../../src/wire/reader.js';
import { octets, title, vectors } from '../../lib/vectors.js';
import { json } from './describe.js';

const one = (bytes: Uint8Array, secret?: Uint8Array) => {
  const { frames, bad } = readAvpFrames(bytes);
  return { bad, results: [...recognizeAvps(frames, secret)] };
};

const encode = (avps: Avps): Uint8Array => {
  const w = new Writer();
  writeAvps(w, avps);
  return w.done();
};

t.test('golden AVPs decode, and encode back byte for byte', async (t) => {
  const seen = new Set<string>();
  for (const v of vectors('rfc2661-avp.txt')) {
    const bytes = octets(v, 'decode');
    const { bad, results } = one(bytes);
    t.equal(bad, undefined, title(v));
    t.equal(results.length, 1, title(v));
    const [avp] = results;
    if (!avp) continue;
    if (v.field.problem) {
      t.equal(avp.problem?.why, v.field.problem, title(v));
      continue;
    }
    if (avp.problem) {
      t.fail(`${title(v)}: ${avp.problem.why}`);
      continue;
    }
    seen.add(avp.key);
    const { M, H } = avp.frame;
    t.equal(`${avp.key} ${json(avp.value)} M=${Number(M)} H=${Number(H)}`, v.field.match, title(v));
    const back = toHex(encode({ [avp.key]: avp.value }));
    t[v.field.differs ? 'not' : 'equal'](back, toHex(bytes), title(v));
    const w = new Writer();
    writeAvpFrame(w, avp.frame);
    t.equal(toHex(w.done()), toHex(bytes), `${title(v)}: as framed`);
  }
  t.strictSame([...seen].sort(), Object.keys(AVP).sort(), 'every row of the table has a vector');
});

t.test('the table: types of RFC 2661 §4.4 but 20, no two rows alike', async (t) => {
  const ids = Object.values(AVP).map((s) => `${'vendor' in s ? s.vendor : 0}/${s.type}`);
  t.equal(new Set(ids).size, ids.length);
  for (let type = 0; type < 40; type++) t.equal(avpKey(0, type) !== undefined, type !== 20, `type ${type}`);
  t.equal(avpName(0, 9), 'Assigned Tunnel ID');
  t.equal(avpName(311, 1), 'Microsoft Correlation ID');
  t.equal(avpName(311, 2), 'AVP 2 of vendor 311');
});

t.test('§4.4 MUST: which AVPs go without the M bit, and which are never hidden', async (t) => {
  const keys = (Object.keys(AVP) as AvpKey[]).filter((key) => AVP[key].ref.startsWith('RFC 2661'));
  const optional = keys.filter((key) => !AVP[key].M);
  t.strictSame(optional, [
    'tieBreaker',
    'firmwareRevision',
    'vendorName',
    'physicalChannelId',
    'initialReceivedConfReq',
    'lastSentConfReq',
    'lastReceivedConfReq',
    'proxyAuthenType',
    'proxyAuthenName',
    'proxyAuthenChallenge',
    'proxyAuthenId',
    'proxyAuthenResponse',
    'privateGroupId',
    'rxConnectSpeed',
  ]);
  const clear = keys.filter((key) => AVP[key].hide === 'never');
  t.strictSame(clear, [
    'messageType',
    'resultCode',
    'protocolVersion',
    'tieBreaker',
    'hostName',
    'receiveWindowSize',
    'q931Cause',
    'randomVector',
    'sequencingRequired',
  ]);
  for (const key of clear) {
    const { name, type, M } = AVP[key];
    const w = new Writer();
    writeAvpFrame(w, { M, H: true, reserved: 0, vendor: 0, type, value: new Uint8Array(16) });
    t.equal(one(w.done(), fromHex('01')).results[0]?.problem?.why, `${name}: hidden`);
  }
});

t.test('§4.1: a value longer than 1017 octets does not fit', async (t) => {
  const value = new Uint8Array(1_018);
  t.throws(() => encode({ challenge: value }), { message: 'Challenge: 1018 octets' });
  t.equal(encode({ challenge: value.subarray(1) }).length, 1_023);
});

t.test('a long Error Message is cut to fit, and absent values are left out', async (t) => {
  t.equal(encode({ resultCode: { result: 2, message: 'x'.repeat(2_000) } }).length, 1_023);
  t.equal(toHex(encode({ resultCode: { result: 2, message: '' } })), '800a0000000100020000');
  t.equal(encode({ hostName: undefined } as unknown as Avps).length, 0);
});

t.test('§4.1: framing errors end reading at the AVP they are in', async (t) => {
  const good = '8008000000000006';
  for (const [tail, why] of [
    ['80', 'one octet'],
    ['8006000000', 'five octets'],
    ['80050000000000', 'Length 5'],
    ['80000000000000', 'Length 0'],
    ['8009000000090001', 'Length beyond the message'],
  ] as const) {
    const { frames, bad } = readAvpFrames(fromHex(good + tail));
    t.equal(frames.length, 1, why);
    t.equal(bad, 8, why);
  }
});

t.test('§4.3: hidden AVPs take the last Random Vector before them', async (t) => {
  const secret = fromHex('73656372657431');
  const [rv1, rv2] = [fromHex('00112233445566778899aabbccddeeff'), fromHex('ffeeddccbbaa99887766554433221100')];
  const w = new Writer();
  const hidden = (key: 'vendorName' | 'calledNumber', value: string, rv: Uint8Array) => {
    const { type, M } = AVP[key];
    const bytes = hide(type, Buffer.from(value), secret, rv, new Uint8Array(5));
    writeAvpFrame(w, { M, H: true, reserved: 0, vendor: 0, type, value: bytes });
  };
  writeAvps(w, { randomVector: rv1 });
  hidden('vendorName', 'a vendor name of more than sixteen octets', rv1);
  writeAvps(w, { randomVector: rv2 });
  hidden('calledNumber', '555', rv2);
  const message = w.done();

  const values = (s?: Uint8Array) => one(message, s).results.map((r) => (r.problem ? r.problem.why : json(r.value)));
  const vectorsSeen = [rv1, rv2].map((rv) => JSON.stringify(toHex(rv)));
  t.strictSame(values(secret), [
    vectorsSeen[0],
    '"a vendor name of more than sixteen octets"',
    vectorsSeen[1],
    '"555"',
  ]);
  const why = 'hidden, and no tunnel secret is configured';
  t.strictSame(values(), [vectorsSeen[0], `Vendor Name: ${why}`, vectorsSeen[1], `Called Number: ${why}`]);
  t.match(values(fromHex('00')), [vectorsSeen[0], /Vendor Name: cannot be unhidden/, vectorsSeen[1], /^Called Number/]);

  const orphan = fromHex('400a 0000 0008 0000 0000');
  t.equal(one(orphan, secret).results[0]?.problem?.why, 'Vendor Name: hidden without a Random Vector before it');
});

const text = fc.string({ unit: 'grapheme', maxLength: 60 });
const bytes = (min = 0, max = 60) => fc.uint8Array({ minLength: min, maxLength: max });
const u16 = fc.nat({ max: 0xffff });
const u32 = fc.nat({ max: 0xffff_ffff });
const maybe = <T>(key: string, arb: fc.Arbitrary<T>) =>
  fc.option(
    arb.map((v) => ({ [key]: v })),
    { nil: {} },
  );
const join = (...parts: fc.Arbitrary<object>[]) => fc.tuple(...parts).map((xs) => Object.assign({}, ...xs) as object);
const some = text.filter((s) => s !== '');
const counters = ['crcErrors', 'framingErrors', 'hardwareOverruns', 'bufferOverruns', 'timeouts', 'alignmentErrors'];

/** One generator per row; the type makes it complete. */
const VALUE: Record<AvpKey, fc.Arbitrary<unknown>> = {
  messageType: u16,
  // A code of 0xNN00 is read in the wrong byte order on purpose.
  resultCode: join(
    fc.nat({ max: 0xff }).map((result) => ({ result })),
    fc.oneof(
      fc.constant({}),
      join(
        u16.map((error) => ({ error })),
        maybe('message', some),
      ),
    ),
  ),
  protocolVersion: fc.record({ version: fc.nat({ max: 255 }), revision: fc.nat({ max: 255 }) }),
  framingCapabilities: u32,
  bearerCapabilities: u32,
  tieBreaker: bytes(8, 8),
  firmwareRevision: u16,
  hostName: some,
  vendorName: text,
  assignedTunnelId: u16.filter((v) => v > 0),
  receiveWindowSize: u16.filter((v) => v > 0),
  challenge: bytes(1),
  q931Cause: join(fc.record({ code: u16, message: fc.nat({ max: 255 }) }), maybe('advisory', some)),
  challengeResponse: bytes(16, 16),
  assignedSessionId: u16.filter((v) => v > 0),
  callSerialNumber: u32,
  minimumBps: u32,
  maximumBps: u32,
  bearerType: u32,
  framingType: u32,
  calledNumber: text,
  callingNumber: text,
  subAddress: text,
  txConnectSpeed: u32,
  physicalChannelId: u32,
  initialReceivedConfReq: bytes(),
  lastSentConfReq: bytes(),
  lastReceivedConfReq: bytes(),
  proxyAuthenType: u16,
  proxyAuthenName: bytes(),
  proxyAuthenChallenge: bytes(1),
  proxyAuthenId: fc.record({ id: fc.nat({ max: 255 }) }),
  proxyAuthenResponse: bytes(),
  callErrors: fc.record(Object.fromEntries(counters.map((k) => [k, u32]))),
  accm: fc.record({ send: u32, receive: u32 }),
  randomVector: bytes(),
  privateGroupId: text,
  rxConnectSpeed: u32,
  sequencingRequired: fc.constant(true),
  pppDisconnectCause: join(
    fc.record({ code: u16, protocol: u16, direction: fc.nat({ max: 255 }) }),
    maybe('message', some),
  ),
  msCorrelationId: bytes(16, 16),
};

t.test('law: decode(encode(v)) = v for every AVP, in clear and hidden', async (t) => {
  for (const key of Object.keys(AVP) as AvpKey[]) {
    const { type, hide: mayHide, M } = AVP[key];
    const vendor = 'vendor' in AVP[key] ? 311 : 0;
    fc.assert(
      fc.property(VALUE[key], bytes(1), bytes(), bytes(0, 40), (value, secret, rv, padding) => {
        const clear = encode({ [key]: value });
        const { results } = one(clear);
        if (results[0]?.problem || json(results[0]?.value) !== json(value)) return false;
        if (mayHide === 'never') return true;
        const w = new Writer();
        writeAvps(w, { randomVector: rv });
        const plain = results[0]?.frame.value ?? new Uint8Array(0);
        writeAvpFrame(w, { M, H: true, reserved: 0, vendor, type, value: hide(type, plain, secret, rv, padding) });
        const shown = one(w.done(), secret).results[1];
        return shown !== undefined && !shown.problem && json(shown.value) === json(value);
      }),
      { numRuns: 50 },
    );
  }
  t.pass('no counterexample');
});
