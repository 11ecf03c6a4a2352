import t from 'tap';
import { AVP, type AvpKey, readAvpFrames, writeAvpFrame } from '../../../src/wire/l2tp/avp.js';
import { decodePacket, encodeControl } from '../../../src/wire/l2tp/header.js';
import {
  type ControlMessage,
  decodeMessage,
  encodeMessage,
  MESSAGE,
  type MessageName,
} from '../../../src/wire/l2tp/message.js';
import { fromHex, toHex, Writer } from '../../../src/wire/reader.js';
import { octets, title, type Vector, vectors } from '../../lib/vectors.js';
import { json } from './describe.js';

const ALL = ['rfc2661-message.txt', 'l2tp-clients.txt', 'l2tp-captures.txt'].flatMap(vectors);
const control = (v: Vector) => {
  const packet = decodePacket(octets(v, 'decode'));
  if (!packet.ok) throw new Error(`${title(v)}: ${packet.why}`);
  const { header, payload } = packet.value;
  if (header.kind !== 'control') throw new Error(`${title(v)}: data`);
  return { header, payload };
};

t.test('golden messages decode, and encode back byte for byte', async (t) => {
  const seen = new Set<string>();
  for (const v of ALL.filter((v) => v.field.match)) {
    const { header, payload } = control(v);
    const ids = `tunnel=${header.tunnelId} session=${header.sessionId} Ns=${header.Ns} Nr=${header.Nr}`;
    let body = new Uint8Array(0);
    if (payload.length === 0) t.equal(`ZLB ${ids}`, v.field.match, title(v));
    else {
      const m = decodeMessage(payload);
      if (!m.ok) {
        t.fail(`${title(v)}: ${m.why}`);
        continue;
      }
      seen.add(m.value.type);
      t.strictSame(m.ignored, [], title(v));
      t.equal(`${m.value.type} ${ids} ${json(m.value.avps)}`, v.field.match, title(v));
      body = Uint8Array.from(encodeMessage(m.value));
    }
    const back = toHex(encodeControl(header, body));
    t[v.field.differs ? 'not' : 'equal'](back, toHex(octets(v, 'decode')), title(v));

    const w = new Writer();
    for (const frame of readAvpFrames(payload).frames) writeAvpFrame(w, frame);
    t.equal(toHex(w.done()), toHex(payload), `${title(v)}: as framed`);
  }
  t.strictSame([...seen].sort(), Object.keys(MESSAGE).sort(), 'every message of the table has a vector');
});

t.test('malformed messages and their reaction', async (t) => {
  for (const v of ALL.filter((v) => v.field.bad)) {
    const m = decodeMessage(control(v).payload);
    t.equal(m.ok ? 'ok' : `${m.why} | ${m.reaction} | ${m.error}`, v.field.bad, title(v));
  }
});

t.test('headers that are dropped', async (t) => {
  for (const v of ALL.filter((v) => v.field.header)) {
    const packet = decodePacket(octets(v, 'decode'));
    t.match(packet, { ok: false, why: v.field.header, reaction: 'drop' }, title(v));
  }
});

t.test('data messages of captures', async (t) => {
  for (const v of ALL.filter((v) => v.field.data)) {
    const packet = decodePacket(octets(v, 'decode'));
    if (!packet.ok || packet.value.header.kind !== 'data') {
      t.fail(title(v));
      continue;
    }
    const { header, payload } = packet.value;
    const said = `tunnel=${header.tunnelId} session=${header.sessionId} priority=${header.priority} ${toHex(payload)}`;
    t.equal(said, v.field.data, title(v));
  }
});

/** What the RFC allows a decoder to say, whatever the octets. */
function total(bytes: Uint8Array): void {
  const packet = decodePacket(bytes);
  if (!packet.ok) {
    if (packet.reaction !== 'drop' || packet.at > bytes.length) throw new Error(`header: ${json(packet)}`);
    return;
  }
  const { header, payload } = packet.value;
  if (payload.length > bytes.length) throw new Error('payload beyond the datagram');
  if (header.kind === 'data' || payload.length === 0) return;
  for (const secret of [undefined, fromHex('0102')]) {
    const m = decodeMessage(payload, secret);
    if (m.ok) encodeMessage(m.value);
    else if (m.at > payload.length) throw new Error(`message: ${json(m)}`);
  }
}

t.test('every prefix and every changed octet of every vector is handled without an exception', async (t) => {
  for (const v of ALL) {
    const bytes = octets(v, 'decode');
    for (let n = 0; n < bytes.length; n++) total(bytes.subarray(0, n));
    for (let at = 0; at < bytes.length; at++) {
      for (const value of [0, 1, 5, 6, 0x7f, 0x80, 0xc0, 0xfe, 0xff, bytes[at]! ^ 0x01, bytes[at]! ^ 0x40]) {
        const changed = bytes.slice();
        changed[at] = value;
        total(changed);
      }
    }
    // The captures' headers are cut; their AVPs, as tcpdump finds them, are fuzz for the AVP reader.
    for (let n = 0; n < bytes.length; n++) decodeMessage(bytes.subarray(n));
  }
  t.pass('none threw');
});

t.test('known AVPs where they do not belong, and repeated ones, are ignored: the first counts', async (t) => {
  const body = (hex: string) => decodeMessage(fromHex(hex));
  const hello = body('8008000000000006 8008000000090005');
  t.match(hello, { ok: true, value: { type: 'HELLO' }, ignored: ['Assigned Tunnel ID: not of this message'] });
  const icrp = body('800800000000000b 80080000000e0005 80080000000e0006');
  t.match(icrp, { value: { avps: { assignedSessionId: 5 } }, ignored: ['Assigned Session ID: repeated'] });
});

t.test('§4.1, §7.1 MUST: an unknown or malformed AVP without M is ignored', async (t) => {
  const m = decodeMessage(fromHex('800800000000000b 80080000000e0005 0006 0000 0063 0007 0000 0026 01'));
  t.match(m, { ok: true, ignored: ['AVP 99: unknown', 'Rx Connect Speed: bad value of 1 octets'] });
});

t.test('a required AVP that is malformed without its M bit is missing', async (t) => {
  const m = decodeMessage(fromHex('800800000000000b 00080000000e0000'));
  t.match(m, { ok: false, why: 'ICRP: Assigned Session ID missing', reaction: 'clear-session' });
});

/** §6.1 to §6.14, less what is done without: (Tx) Connect Speed in an ICCN, and all AVPs of a StopCCN or CDN. */
const REQUIRED: Readonly<Record<MessageName, readonly AvpKey[]>> = {
  SCCRQ: ['protocolVersion', 'hostName', 'framingCapabilities', 'assignedTunnelId'],
  SCCRP: ['protocolVersion', 'framingCapabilities', 'hostName', 'assignedTunnelId'],
  SCCCN: [],
  StopCCN: [],
  HELLO: [],
  ICRQ: ['assignedSessionId', 'callSerialNumber'],
  ICRP: ['assignedSessionId'],
  ICCN: ['framingType'],
  OCRQ: [
    'assignedSessionId',
    'callSerialNumber',
    'minimumBps',
    'maximumBps',
    'bearerType',
    'framingType',
    'calledNumber',
  ],
  OCRP: ['assignedSessionId'],
  OCCN: ['txConnectSpeed', 'framingType'],
  CDN: [],
  WEN: ['callErrors'],
  SLI: ['accm'],
};

t.test('§6 MUST: a message that lacks an AVP it must carry is malformed', async (t) => {
  for (const v of ALL.filter((v) => v.field.match)) {
    const { payload } = control(v);
    const whole = decodeMessage(payload);
    if (!whole.ok) continue; // a ZLB
    const { type } = whole.value;
    for (const key of REQUIRED[type]) {
      const w = new Writer();
      for (const frame of readAvpFrames(payload).frames) if (frame.type !== AVP[key].type) writeAvpFrame(w, frame);
      t.match(decodeMessage(w.done()), { ok: false, why: `${type}: ${AVP[key].name} missing` }, title(v));
    }
  }
});

t.test('StopCCN and CDN are obeyed whatever is wrong with them', async (t) => {
  const bare = decodeMessage(fromHex('8008000000000004'));
  t.match(bare, { ok: true, value: { type: 'StopCCN', avps: {} }, ignored: [] });
  const broken = decodeMessage(fromHex('800800000000000e 8007000000 0100 8006000000ff 80ff'));
  t.match(broken, {
    ok: true,
    value: { type: 'CDN', avps: {} },
    ignored: ['Result Code: bad value of 1 octets', 'AVP 255: unknown', /AVP Length beyond/],
  });
});

t.test('what can be read of a bad message is kept: its sender must be answered', async (t) => {
  const m = decodeMessage(fromHex('8008000000000001 8008000000090007 800600000063'));
  t.match(m, { ok: false, type: 'SCCRQ', avps: { assignedTunnelId: 7 }, at: 16 });
});

t.test('encoding puts the Message Type first, M set, 8008 0000 0000: Android takes nothing else', async (t) => {
  const messages: ControlMessage[] = [
    { type: 'HELLO', avps: {} },
    { type: 'ICRP', avps: { assignedSessionId: 1 } },
  ];
  for (const m of messages) t.equal(toHex(encodeMessage(m).subarray(0, 6)), '800800000000');
});
