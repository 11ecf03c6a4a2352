import t from 'tap';
import type { AuthRequest, AuthResult, EapMethod, LinkConfig } from '../../../src/proto/ppp/events.js';
import { MAX_EAP_ROUNDS } from '../../../src/proto/ppp/limits.js';
import { chapMd5Response } from '../../../src/proto/ppp/mschap.js';
import { MsChapV2Peer } from '../../../src/proto/ppp/mschap-peer.js';
import { decodeChap, encodeChap } from '../../../src/wire/ppp/chap.js';
import { decodeMd5Value, EAP_TYPE, encodeEap, encodeMd5Value } from '../../../src/wire/ppp/eap.js';
import { decide, GRANT, lnsConfig, lossy, Pair, peerConfig, seeded } from '../../lib/ppp-pair.js';
import { Script } from '../../lib/ppp-script.js';

const { Identity, Nak, MD5, MSCHAPv2 } = EAP_TYPE;
const IPCP_STARTS = 'IPCP Configure-Request 1 <addr 10.64.0.1>';
const ASKS_MSCHAP = 'EAP Request MSCHAPv2 CHAP Challenge value name="lockstep"';
const ASKS_MD5 = 'EAP Request MD5 value name="lockstep"';
const FAILED = 'LCP Terminate-Request 2 "authentication failed (691): wrong name or password"';

/** An LNS that has asked for the identity. */
function asking(over: Partial<LinkConfig> = {}, store?: ((r: AuthRequest) => AuthResult) | 'mute'): Script {
  const s = new Script(lnsConfig({ auth: ['eap'], ...over }), store);
  s.tell({ type: 'lower-up' });
  s.hear('c021 01 01 0004');
  s.ackLast('c021');
  return s;
}

const data = (s: Script): Uint8Array => ('data' in s.eap ? s.eap.data : new Uint8Array(0));
const mschapPeer = (over: { user?: string; passwords?: string[]; newPassword?: string } = {}): MsChapV2Peer =>
  new MsChapV2Peer({ user: 'alice', passwords: ['wonderland'], random: seeded(7), ...over });

/** The Response to the MS-CHAP-V2 packet that came last. */
function answer(s: Script, peer: MsChapV2Peer): Uint8Array {
  const packet = decodeChap(data(s));
  if (!packet.ok) throw new Error(packet.why);
  const { value } = packet;
  if ('value' in value) return encodeChap(peer.respond(value.id, value.value));
  const next = 'message' in value ? peer.next(value.id, value.message) : '';
  return typeof next === 'string' ? Uint8Array.of(4) : encodeChap(next);
}

function md5(s: Script, password: string, name = 'alice'): Uint8Array {
  const challenge = decodeMd5Value(data(s));
  const value = challenge.ok ? challenge.value.value : new Uint8Array(0);
  return encodeMd5Value({ value: chapMd5Response(s.eap.id, Buffer.from(password), value), name: Buffer.from(name) });
}

t.test('EAP-MSCHAPv2: Identity, Challenge, Success, its acknowledgement, and only then EAP Success', async (t) => {
  const s = asking();
  const [first, peer] = [s.eap.id, mschapPeer()];
  t.same(s.respond(Identity, 'alice'), [ASKS_MSCHAP]);
  t.equal(s.eap.id, (first + 1) & 0xff, 'RFC 3748 §4.1: a new Request has a new Identifier');
  t.same(s.respond(MSCHAPv2, answer(s, peer)), [
    'authenticate eap mschapv2 alice',
    'EAP Request MSCHAPv2 CHAP Success "S= M=Access granted"',
  ]);
  const packet = decodeChap(data(s));
  t.ok(packet.ok && 'message' in packet.value && peer.proves(packet.value.message));
  t.same(s.respond(MSCHAPv2, Uint8Array.of(3)), ['EAP Success', IPCP_STARTS]);
  t.same(s.respond(MSCHAPv2, Uint8Array.of(3)), ['EAP Success'], 'RFC 3748 §4.2: Success was lost');
  t.same(s.respond(MSCHAPv2, Uint8Array.of(3), (s.eap.id + 1) & 0xff), []);
});

t.test(
  'EAP-MSCHAPv2: the user is who the Response names and its hash covers, whatever the Identity says',
  async (t) => {
    const s = asking();
    s.respond(Identity, 'mallory');
    t.match(
      s.respond(MSCHAPv2, answer(s, mschapPeer({ user: 'PC\\alice' })))[0],
      /^authenticate eap mschapv2 PC\\alice$/,
    );
  },
);

t.test('EAP-MSCHAPv2: another password after R=1; R=0 and EAP Failure when the tries are used up', async (t) => {
  const s = asking({ authTries: 2 });
  const peer = mschapPeer({ passwords: ['one', 'wonderland'] });
  s.respond(Identity, 'alice');
  const retry = 'EAP Request MSCHAPv2 CHAP Failure "E=691 R=1 C= V=3 M=wrong name or password"';
  t.same(s.respond(MSCHAPv2, answer(s, peer)), ['authenticate eap mschapv2 alice', retry]);
  t.same(s.respond(MSCHAPv2, answer(s, peer))[1], 'EAP Request MSCHAPv2 CHAP Success "S= M=Access granted"');

  const bad = asking({ authTries: 2 });
  const guess = mschapPeer({ passwords: ['one', 'two'] });
  bad.respond(Identity, 'alice');
  bad.respond(MSCHAPv2, answer(bad, guess));
  t.same(bad.respond(MSCHAPv2, answer(bad, guess)), [
    'authenticate eap mschapv2 alice',
    'EAP Request MSCHAPv2 CHAP Failure "E=691 R=0 C= V=3 M=wrong name or password"',
  ]);
  t.same(bad.respond(MSCHAPv2, answer(bad, mschapPeer())), ['EAP Failure', FAILED]);
});

t.test('EAP-MSCHAPv2: a client that stops trying, and one that does not believe our proof', async (t) => {
  const s = asking();
  s.respond(Identity, 'alice');
  s.respond(MSCHAPv2, answer(s, mschapPeer({ passwords: ['wrong'] })));
  t.same(s.respond(MSCHAPv2, Uint8Array.of(3)), [], 'there is no success to acknowledge');
  t.same(s.respond(MSCHAPv2, encodeChap({ code: 'Success', id: 1, message: new Uint8Array(9) })), []);
  t.same(s.respond(MSCHAPv2, Uint8Array.of(4)), ['EAP Failure', FAILED]);

  const doubt = asking();
  doubt.respond(Identity, 'alice');
  doubt.respond(MSCHAPv2, answer(doubt, mschapPeer()));
  const again = encodeChap({ code: 'Response', id: 1, value: new Uint8Array(49), name: new Uint8Array(1) });
  t.same(doubt.respond(MSCHAPv2, again), [], 'it was granted: no further Response');
  t.match(doubt.respond(MSCHAPv2, Uint8Array.of(4)), ['EAP Failure', /Terminate-Request/]);
  doubt.hear('c021 06 02 0004');
  t.match(doubt.find('down'), { by: 'protocol', reason: /does not accept our proof/ });
});

t.test('EAP-MSCHAPv2 from a store that cannot prove itself: our bug, and the peer is refused', async (t) => {
  const s = asking({}, () => GRANT);
  s.respond(Identity, 'alice');
  t.same(s.respond(MSCHAPv2, answer(s, mschapPeer())).slice(1), [
    'note chap.no-authenticator-response ',
    'EAP Request MSCHAPv2 CHAP Failure "E=691 R=0 C= V=3 M="',
  ]);
});

t.test('EAP-MD5: the user of the Identity; of the Name when the Identity is empty (RFC 3748 §5.1)', async (t) => {
  for (const [identity, name] of [
    ['alice', 'whoever'],
    ['', 'alice'],
  ] as const) {
    const s = asking({ eap: ['md5'] });
    t.same(s.respond(Identity, identity), [ASKS_MD5]);
    t.same(s.respond(MD5, md5(s, 'wonderland', name)), ['authenticate eap chap-md5 alice', 'EAP Success', IPCP_STARTS]);
  }
  const s = asking({ eap: ['md5'] });
  s.respond(Identity, 'alice');
  t.same(s.respond(MD5, md5(s, 'wrong')), ['authenticate eap chap-md5 alice', 'EAP Failure', FAILED]);
});

t.test('RFC 3748 §5.3.1: Nak: the first of ours that the peer would rather have; then no Nak any more', async (t) => {
  const s = asking({ eap: ['mschapv2', 'md5'] });
  t.same(s.respond(Nak, Uint8Array.of(MD5)), [], 'not in answer to Identity');
  s.respond(Identity, 'alice');
  t.same(s.respond(Nak, Uint8Array.of(EAP_TYPE.PEAP, EAP_TYPE.TLS, MD5)), [ASKS_MD5]);
  t.same(s.respond(MSCHAPv2, Uint8Array.of(3)), [], '§4.1: another type than asked is silently discarded');
  t.equal(s.respond(MD5, md5(s, 'wonderland')).at(-1), IPCP_STARTS);

  const begun = asking({ eap: ['mschapv2', 'md5'] });
  begun.respond(Identity, 'alice');
  begun.respond(MSCHAPv2, answer(begun, mschapPeer({ passwords: ['wrong'] })));
  t.same(begun.respond(Nak, Uint8Array.of(MD5)), [], '§2.1: no Nak after a Response of the type');

  for (const [eap, naks, hint] of [
    [['mschapv2'], [[25, 13, 25]], 'the client wants PEAP or TLS, which is off; allowed here: MSCHAPv2'],
    [['mschapv2'], [[0]], 'the client wants none of them; allowed here: MSCHAPv2'],
    [['mschapv2'], [[]], 'the client wants none of them; allowed here: MSCHAPv2'],
    [['mschapv2'], [[99, 254, 4, 5, 6, 21]], 'wants type 99 or Expanded or MD5 or OTP, which is off; allowed'],
    [['md5', 'mschapv2'], [[26], [4]], 'the client wants none of them; allowed here: MD5, MSCHAPv2'],
  ] as [EapMethod[], number[][], string][]) {
    const no = asking({ eap });
    no.respond(Identity, 'alice');
    let said: string[] = [];
    for (const types of naks) said = no.respond(Nak, Uint8Array.from(types));
    t.equal(said[0], 'EAP Failure');
    no.hear('c021 06 02 0004');
    t.match(no.find('down'), { by: 'auth', reason: 'no EAP method in common', hint: new RegExp(hint) });
  }
});

t.test('RFC 3748 §4.3: a Request is sent again unchanged, ever later; then the link goes down', async (t) => {
  const s = asking({ setupTimeoutMs: 600_000 });
  const times = (): number[] => {
    const seen: number[] = [];
    for (let passed = 0; passed < 85_000; passed += 1_000)
      if (s.wait(1_000).some((w) => w.startsWith('EAP'))) seen.push((passed + 1_000) / 1_000);
    return seen;
  };
  t.same(times(), [3, 9, 21, 41, 61]);
  const sent = s.outputs.flatMap((o) => (o.type === 'frame' && o.data[1] === 0x27 ? [Buffer.from(o.data)] : []));
  t.equal(new Set(sent.map(String)).size, 1);
  t.match(s.find('down'), { by: 'timeout', hint: 'the client never answered the EAP Identity Request' });

  const late = asking({ setupTimeoutMs: 20_000 });
  const { id } = late.eap;
  late.wait(4_000);
  t.same(late.respond(Identity, 'alice', id), [ASKS_MSCHAP]);
  t.same(late.respond(Identity, 'alice', id), [], 'a duplicate answers nothing any more');
  t.same(late.wait(3_000), [ASKS_MSCHAP], 'and the pause is the first again');
  late.wait(20_000);
  t.match(late.find('down'), { by: 'timeout', hint: 'the client never answered an EAP Request' });
});

t.test('hostile packets are discarded, and the right one still counts', async (t) => {
  const s = asking();
  t.same(s.respond(Identity, 'alice', (s.eap.id + 1) & 0xff), [], 'Identifier');
  t.same(s.hear('c227 03 01 0004'), [], 'Success is ours to say');
  t.match(s.hear('c227 02 01 0004').join(), 'note eap.malformed');
  t.match(s.respond(Identity, 'a'.repeat(257)).join(), 'note eap.malformed');
  t.same(s.respond(Identity, 'alice'), [ASKS_MSCHAP]);
  const packet = answer(s, mschapPeer());
  t.match(s.respond(MSCHAPv2, packet.subarray(0, 20)).join(), 'note eap.malformed', 'MS-Length');
  t.match(s.respond(MSCHAPv2, '').join(), 'note eap.malformed', 'no OpCode');
  t.match(s.respond(MSCHAPv2, Uint8Array.of(3)).join(), 'note eap.malformed', 'nothing to acknowledge');
  const short = { code: 'Response', id: 1, value: new Uint8Array(48), name: new Uint8Array(1) } as const;
  t.match(s.respond(MSCHAPv2, encodeChap(short)).join(), 'note eap.malformed', 'Value-Size');
  t.equal(s.respond(MSCHAPv2, packet)[0], 'authenticate eap mschapv2 alice');

  const md = asking({ eap: ['md5'] });
  md.respond(Identity, 'alice');
  t.match(md.respond(MD5, Uint8Array.of(17, 1)).join(), 'note eap.malformed');
  t.match(md.respond(MD5, Uint8Array.of(1, 1)).join(), 'note eap.malformed');
  t.equal(md.respond(MD5, md5(md, 'wonderland')).at(-1), IPCP_STARTS);
});

t.test('a slow user store: duplicates wait, verdicts nobody asked for are void', async (t) => {
  const s = asking({ setupTimeoutMs: 5_000 }, 'mute');
  t.same(s.tell({ type: 'auth-result', result: GRANT }), []);
  s.respond(Identity, 'alice');
  const response = answer(s, mschapPeer());
  t.same(s.respond(MSCHAPv2, response), ['authenticate eap mschapv2 alice']);
  t.same(s.respond(MSCHAPv2, response), []);
  t.same(s.tell({ type: 'eap-request', challenge: { packet: new Uint8Array(9) } }), [], 'we decide, nobody else');
  s.wait(5_000);
  t.match(s.wait(3_000).at(-1), '[the user store never answered]');
});

/* Somebody else decides. */

const eapRequest = (id: number, type = 13, length = 3): Uint8Array =>
  encodeEap({ code: 'Request', id, type, data: new Uint8Array(length) });

t.test('RFC 3579 §2: Responses go out whole, with name and State; the verdict ends it', async (t) => {
  const s = asking({ eap: 'pass-through' }, 'mute');
  const { id } = s.eap;
  t.same(s.respond(Identity, 'alice@corp'), ['authenticate eap eap alice@corp']);
  const packet = encodeEap({ code: 'Response', id, type: Identity, data: Buffer.from('alice@corp') });
  t.same(s.lastRequest, { method: 'eap', user: 'alice@corp', packet, mtu: 1500 });

  const first = { packet: eapRequest(id + 1), state: Uint8Array.of(9), retransmitMs: 10_000 };
  t.same(s.tell({ type: 'eap-request', challenge: first }), ['EAP Request TLS 000000']);
  t.same(s.tell({ type: 'eap-request', challenge: first }), [], 'nobody asked');
  t.same(s.wait(9_999), []);
  t.same(s.wait(1), ['EAP Request TLS 000000'], 'RFC 3579 §3.2: as long as the server says');
  t.same(s.respond(Nak, Uint8Array.of(25)), ['authenticate eap eap alice@corp'], 'a Nak is the server’s to judge');
  t.match(s.lastRequest, { state: Uint8Array.of(9) });
  s.tell({ type: 'eap-request', challenge: { packet: eapRequest(id + 2, 25) } });
  t.same(s.respond(25, 'x'), ['authenticate eap eap alice@corp']);
  t.notOk('state' in s.lastRequest!, 'no State in the last answer, none in the next question');
  t.same(s.tell({ type: 'auth-result', result: GRANT }), ['EAP Success', IPCP_STARTS]);
});

t.test('a server that refuses, one that sends no Request for this peer, one that never ends', async (t) => {
  const begin = (): Script => {
    const s = asking({ eap: 'pass-through' }, 'mute');
    s.respond(Identity, 'alice');
    return s;
  };
  const refused = begin();
  t.same(
    refused.tell({ type: 'auth-result', result: { ok: false, code: 691, retry: true, message: '' } }).slice(0, 1),
    ['EAP Failure'],
  );
  for (const make of [
    (_id: number) => Uint8Array.of(1, 2, 3),
    (id: number) => encodeEap({ code: 'Success', id: id + 1 }),
    (id: number) => eapRequest(id),
    (id: number) => eapRequest(id + 1, 13, 1496),
  ]) {
    const s = begin();
    t.match(s.tell({ type: 'eap-request', challenge: { packet: make(s.eap.id) } })[0], 'EAP Failure');
    s.hear('c021 06 02 0004');
    t.match(s.find('down'), { by: 'protocol', reason: /sent no Request that the client could be given/ });
  }
  const endless = begin();
  let rounds = 1;
  for (; endless.find('down') === undefined && rounds < 1_000; rounds++) {
    endless.tell({ type: 'eap-request', challenge: { packet: eapRequest((endless.eap.id + 1) & 0xff) } });
    if (endless.eap.code === 'Failure') break;
    endless.respond(13, 'x');
  }
  t.equal(rounds, MAX_EAP_ROUNDS);
});

t.test('LCP negotiated anew gives neither Requests nor tries back', async (t) => {
  const s = asking();
  let requests = 0;
  for (; s.eap.code === 'Request' && requests < 1_000; requests++) s.negotiateLcp();
  t.equal(requests, MAX_EAP_ROUNDS);
  s.hear('c021 06 02 0004');
  t.match(s.find('down'), { by: 'protocol', reason: /^no end after 64 EAP Requests/ });

  const guesses = asking({ authTries: 2 });
  let said: string[] = [];
  for (const retry of [1, 0]) {
    guesses.respond(Identity, 'alice');
    t.match(guesses.respond(MSCHAPv2, answer(guesses, mschapPeer({ passwords: ['wrong'] })))[1], `E=691 R=${retry}`);
    said = guesses.negotiateLcp();
  }
  t.match(said.at(-1), /^LCP Terminate-Request \d+ "no tries left"/);

  const pending = asking({ eap: ['md5'], authTries: 1 }, 'mute');
  pending.respond(Identity, 'alice');
  t.same(pending.respond(MD5, md5(pending, 'guess')), ['authenticate eap chap-md5 alice']);
  t.match(pending.negotiateLcp().at(-1), /^LCP Terminate-Request \d+ "no tries left"/);
});

/* Both halves. */

const done = (p: Pair) => (): boolean => p.has('peer', 'down') || (p.has('peer', 'up') && p.has('lns', 'up'));

t.test(
  'RFC 1661 §6.2: EAP for a client that wants it, where it is allowed; else the hint says that it is off',
  async (t) => {
    const wants = peerConfig({ auth: ['eap'] });
    const yes = new Pair(lnsConfig({ auth: ['mschapv2', 'eap'] }), wants).start();
    t.ok(yes.run(done(yes)));
    t.match(yes.find('lns', 'authenticate'), { eap: true, request: { method: 'mschapv2' } });
    const no = new Pair(lnsConfig({ auth: ['mschapv2', 'chap-md5'] }), wants).start();
    no.run(() => no.has('lns', 'down'));
    t.match(no.find('lns', 'down'), {
      by: 'auth',
      hint: 'the client wants EAP, which is off; allowed here: CHAP MS-v2, CHAP MD5',
    });
    const pap = new Pair(lnsConfig({ auth: ['mschapv2', 'eap'] }), peerConfig({ auth: ['pap'] })).start();
    pap.run(() => pap.has('lns', 'down'));
    t.match(pap.find('lns', 'down'), {
      by: 'auth',
      hint: 'the client wants PAP, which is off; allowed here: CHAP MS-v2, EAP',
    });
  },
);

t.test('law: over a wire that loses, doubles and reorders, both ends come up, or one says why', async (t) => {
  let up = 0;
  for (let seed = 1; seed <= 60; seed++) {
    const eap: EapMethod[] = seed % 2 === 0 ? ['md5'] : ['mschapv2'];
    const p = new Pair(
      // A peer that sees LCP begin anew tries the wrong one again.
      lnsConfig({ auth: ['eap'], authTries: 10 }),
      peerConfig({ auth: ['eap'], eap, passwords: ['wrong', 'wonderland'] }),
      {
        wire: lossy(seed, 0.15),
        store: (request) => decide(request, eap[0] === 'md5' ? 'wrong' : 'wonderland'),
      },
    ).start();
    t.ok(p.run(done(p)), `seed ${seed}`);
    if (p.has('lns', 'up')) up += 1;
    else t.match(p.find('peer', 'down') ?? p.find('lns', 'down'), { by: /timeout|peer|protocol/ }, `seed ${seed}`);
  }
  t.ok(up >= 50, `${up} of 60 came up`);
});

t.test('peer: methods it does not allow are Nak’d with those it does; refusals and doubts end it', async (t) => {
  const nak = new Pair(lnsConfig({ auth: ['eap'] }), peerConfig({ auth: ['eap'], eap: ['md5'] })).start();
  t.ok(nak.run(done(nak)));
  t.match(nak.trace.join('\n'), /> EAP Response \d+ Nak 4\n/);
  t.match(nak.find('lns', 'authenticate'), { request: { method: 'chap-md5' } });

  for (const eap of ['md5', 'mschapv2'] as const) {
    const bad = new Pair(
      lnsConfig({ auth: ['eap'], eap: [eap] }),
      peerConfig({ auth: ['eap'], passwords: ['wrong'] }),
    ).start();
    t.ok(bad.run(() => bad.has('peer', 'down') && bad.has('lns', 'down')));
    t.match(bad.find('peer', 'down'), { by: 'auth', reason: /^the server refused name or password/ });
  }
  const doubt = new Pair(lnsConfig({ auth: ['eap'] }), peerConfig({ auth: ['eap'] }), {
    store: () => ({ ...GRANT, authenticatorResponse: new Uint8Array(20) }),
  }).start();
  t.ok(doubt.run(() => doubt.has('peer', 'down')));
  t.match(doubt.find('peer', 'down'), { by: 'auth', reason: /authenticator response is wrong/ });
});

t.test('peer: notifications, duplicates, Success before its time, nonsense; and its own patience', async (t) => {
  const s = new Script(peerConfig({ auth: ['eap'], setupTimeoutMs: 30_000 }));
  s.tell({ type: 'lower-up' });
  s.hear('c021 01 01 0008 0304c227');
  s.ackLast('c021');
  t.same(s.tell({ type: 'auth-result', result: GRANT }), [], 'a peer asks nobody');
  t.same(s.hear('c227 01 01 0007 02 6869'), ['EAP Response Notification ""']);
  t.same(s.hear('c227 01 02 0005 01'), ['EAP Response Identity "alice"']);
  t.same(s.hear('c227 01 02 0005 01'), ['EAP Response Identity "alice"'], 'RFC 3748 §4.1: again for a duplicate');
  for (const bad of [
    '01 03 0005 04',
    '01 03 0005 1a',
    '01 03 000a 1a 02 03 0005 00',
    '02 02 0005 01',
    '03 02 0004',
    '09',
  ])
    t.same(s.hear(`c227 ${bad}`), [], bad);
  t.same(s.hear('c227 01 04 0005 0d'), ['EAP Response Nak 26 4']);
  t.same(
    s.hear('c227 01 05 000f 1a 07 05 000a 000000000000').filter((w) => w.startsWith('EAP')),
    [],
  );
  t.same(
    s.hear('8021 01 01 000a 03 06 0a400001'),
    [],
    'RFC 3748 §4.2: an NCP is no Success before the method is through',
  );
  s.wait(30_000);
  t.match(s.wait(3_000).at(-1), '[the server never answered the authentication]');

  const lost = new Script(peerConfig({ auth: ['eap'] }));
  lost.tell({ type: 'lower-up' });
  lost.hear('c021 01 01 0008 0304c227');
  lost.ackLast('c021');
  lost.hear('c227 01 03 0017 04 10 000102030405060708090a0b0c0d0e0f 61');
  t.match(lost.hear('8021 01 01 000a 03 06 0a400001').join(), /IPCP Configure-Ack/, '§4.2: Success was lost');
});
