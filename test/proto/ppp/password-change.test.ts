import t from 'tap';
import type { AuthRequest, AuthResult } from '../../../src/proto/ppp/events.js';
import { ntPasswordHash } from '../../../src/proto/ppp/mschap.js';
import { MsChapV2Peer } from '../../../src/proto/ppp/mschap-peer.js';
import { type ChangeRequest, hashUnderHash, newPassword, rc4 } from '../../../src/proto/ppp/password-change.js';
import { decodeChap, encodeChap } from '../../../src/wire/ppp/chap.js';
import { encodeFrame, PROTOCOL } from '../../../src/wire/ppp/frame.js';
import { fromHex, toHex } from '../../../src/wire/reader.js';
import { decide, lnsConfig, Pair, peerConfig, seeded } from '../../lib/ppp-pair.js';
import { Script } from '../../lib/ppp-script.js';

const OLD = 'wonderland';
const challenge = new Uint8Array(16).fill(3);
const expired: AuthResult = { ok: false, code: 648, retry: false, change: true, message: 'Password expired' };

/** The old password has expired, and a new one is taken. */
const store = (request: AuthRequest): AuthResult => {
  const verdict = decide(request, OLD);
  return request.method === 'mschapv2' && verdict.ok ? expired : verdict;
};

/** What a client makes of E=648, as the store is asked it. */
function change(password: string, { from = OLD, user = 'alice' } = {}): ChangeRequest {
  const peer = new MsChapV2Peer({ user, passwords: [from], newPassword: password, random: seeded(5) });
  const failure = Buffer.from(`E=648 R=0 C=${toHex(challenge)} V=3 M=`);
  const packet = peer.next(7, failure);
  if (typeof packet === 'string' || packet.code !== 'Change-Password') throw new Error('no Change-Password');
  const { code: _, ...parts } = packet;
  return { method: 'mschapv2-change', user, authenticatorChallenge: challenge, ...parts };
}

t.test('RC4: the well-known vectors', async (t) => {
  t.equal(toHex(rc4(Buffer.from('Key'), Buffer.from('Plaintext'))), 'bbf316e8d940af0ad3');
  t.equal(toHex(rc4(Buffer.from('Wiki'), Buffer.from('pedia'))), '1021bf0420');
  // RFC 6229 §2, 128-bit key
  t.equal(
    toHex(rc4(fromHex('0102030405060708090a0b0c0d0e0f10'), new Uint8Array(16))),
    '9ac7cc9a609d1ef7b2932899cde41b97',
  );
});

t.test('RFC 2759 §9.3: the hash of "MyPw" makes the two DES keys', async (t) => {
  const block = fromHex('FC156AF7EDCD6C0EDDE3337D427F4EAC');
  t.equal(toHex(ntPasswordHash('MyPw')), toHex(block));
  t.equal(hashUnderHash(ntPasswordHash('clientPass'), block).length, 16);
});

t.test('RFC 2759 §8.9 to §8.13: the new password, whatever its length and letters', async (t) => {
  for (const password of ['x', 'Grüße 😀', 'p'.repeat(256)])
    t.match(newPassword(change(password), ntPasswordHash(OLD)), { password });
  const name = { user: 'CORP\\alice' };
  t.match(newPassword(change('new', name), ntPasswordHash(OLD)), { password: 'new' }, '§4: without the domain');
});

t.test('not made with the old password, or of parts that do not agree: nothing', async (t) => {
  const hash = ntPasswordHash(OLD);
  const good = change('new');
  t.equal(newPassword(change('new', { from: 'guess' }), hash), undefined);
  t.equal(newPassword({ ...good, encryptedHash: new Uint8Array(16) }, hash), undefined);
  t.equal(newPassword({ ...good, ntResponse: new Uint8Array(24) }, hash), undefined);
  for (const size of [0, 3, 514, 0xffffffff]) {
    const clear = Buffer.alloc(516, 0x61);
    clear.writeUInt32LE(size, 512);
    t.equal(newPassword({ ...good, encryptedPassword: rc4(hash, clear) }, hash), undefined, `PasswordLength ${size}`);
  }
});

const done = (p: Pair) => (): boolean => p.has('peer', 'down') || (p.has('peer', 'up') && p.has('lns', 'up'));

t.test('RFC 2759 §9.1.6: E=648, Change-Password, Success; in CHAP and in EAP', async (t) => {
  for (const auth of ['mschapv2', 'eap'] as const) {
    const p = new Pair(lnsConfig({ auth: [auth] }), peerConfig({ auth: [auth], newPassword: 'looking-glass' }), {
      store,
    }).start();
    t.ok(p.run(done(p)));
    t.ok(p.has('peer', 'up'), auth);
    const asked = p.events.lns.flatMap((e) => (e.type === 'authenticate' ? [e.request] : []));
    t.same(
      asked.map((r) => r.method),
      ['mschapv2', 'mschapv2-change'],
    );
    t.match(newPassword(asked[1] as ChangeRequest, ntPasswordHash(OLD)), { password: 'looking-glass' });
  }
  const cannot = new Pair(lnsConfig(), peerConfig(), { store }).start();
  t.ok(cannot.run(() => cannot.has('lns', 'down')));
  const peer = new MsChapV2Peer({ user: 'alice', passwords: [OLD], random: seeded(5) });
  t.equal(peer.next(1, Buffer.from('no')), 'the server refused name or password', 'a Failure that is none of RFC 2759');
  t.match(cannot.find('peer', 'down'), { reason: 'the server refused name or password (648)' });
});

function expiring(over: (r: AuthRequest) => AuthResult = store): { s: Script; packet: Uint8Array } {
  const s = new Script(lnsConfig({ auth: ['mschapv2'], setupTimeoutMs: 20_000 }), over);
  s.tell({ type: 'lower-up' });
  s.hear('c021 01 01 0004');
  s.ackLast('c021');
  const response = s.msChapV2('alice', OLD);
  t.equal(s.hear(response)[1], 'CHAP Failure "E=648 R=0 C= V=3 M=Password expired"');
  t.equal(s.hear(response)[0], 'CHAP Failure "E=648 R=0 C= V=3 M=Password expired"', 'it was lost: again');
  const sent = s.outputs.findLast((o) => o.type === 'frame');
  const failure = decodeChap(sent!.data.subarray(2));
  if (!failure.ok || !('message' in failure.value)) throw new Error('no Failure');
  const peer = new MsChapV2Peer({ user: 'alice', passwords: [OLD], newPassword: 'n', random: seeded(5) });
  const next = peer.next(s.challenge.id, failure.value.message);
  if (typeof next === 'string') throw new Error(next);
  return { s, packet: encodeFrame(PROTOCOL.chap, encodeChap(next)) };
}

t.test('RFC 2759 §7: Change-Password has the Identifier after the Failure’s; its Success may be lost', async (t) => {
  const { s, packet } = expiring();
  t.same(s.hear(s.msChapV2('alice', 'n', (s.challenge.id + 1) & 0xff)), [], 'a Response is not what may come now');
  const elsewhere = packet.slice();
  elsewhere[3] = (elsewhere[3]! + 9) & 0xff;
  t.same(s.hear(elsewhere), []);
  t.match(s.hear(packet), ['authenticate mschapv2-change alice', /^CHAP Success/, /^IPCP Configure-Request/]);
  t.match(s.hear(packet), [/^CHAP Success/]);
});

t.test('nobody may change a password that has not expired', async (t) => {
  const { packet } = expiring();
  const s = new Script(lnsConfig({ auth: ['mschapv2'] }));
  s.tell({ type: 'lower-up' });
  s.hear('c021 01 01 0004');
  s.ackLast('c021');
  packet[3] = s.challenge.id;
  t.same(s.hear(packet), []);
  s.hear(s.msChapV2('alice', 'wrong'));
  packet[3] = (s.challenge.id + 1) & 0xff;
  t.same(s.hear(packet), []);
});

t.test('RFC 2759 §9.1: no retry after Change-Password; and a client that never sends it', async (t) => {
  const refusal: AuthResult = { ok: false, code: 709, retry: true, message: 'Password not changed' };
  const { s, packet } = expiring((r) => (r.method === 'mschapv2' ? expired : refusal));
  t.match(s.hear(packet), [
    'authenticate mschapv2-change alice',
    'CHAP Failure "E=709 R=0 C= V=3 M=Password not changed"',
    /Terminate-Request/,
  ]);
  const { s: silent } = expiring();
  silent.wait(20_000);
  t.match(silent.wait(3_000).at(-1), '[the client never set a new password]');
});

t.test('an expired password where nothing can be changed: CHAP-MD5 and PAP are refused', async (t) => {
  for (const auth of ['chap-md5', 'pap'] as const) {
    const p = new Pair(lnsConfig({ auth: [auth] }), peerConfig({ auth: [auth] }), { store: () => expired }).start();
    t.ok(p.run(() => p.has('lns', 'down') && p.has('peer', 'down')));
    t.match(p.find('lns', 'down'), { reason: 'authentication failed (648): Password expired' });
  }
});
