import t from 'tap';
import type { AuthMethod, AuthRequest, AuthResult } from '../../../src/proto/ppp/events.js';
import { encodeChap } from '../../../src/wire/ppp/chap.js';
import { encodeFrame, PROTOCOL } from '../../../src/wire/ppp/frame.js';
import { GRANT, lnsConfig, Pair, peerConfig } from '../../lib/ppp-pair.js';
import { Script } from '../../lib/ppp-script.js';

const IPCP_STARTS = 'IPCP Configure-Request 1 <addr 10.64.0.1>';
const SUCCESS = 'CHAP Success "S= M=Access granted"';
const CHALLENGE = 'CHAP Challenge value name="lockstep"';
const denied = (over: Partial<Extract<AuthResult, { ok: false }>> = {}): AuthResult => ({
  ok: false,
  code: 691,
  retry: true,
  message: 'wrong name or password',
  ...over,
});

/** An LNS in the authentication phase with one method. */
function authenticating(method: AuthMethod, store?: (r: AuthRequest) => AuthResult, tries = 3): Script {
  const s = new Script(lnsConfig({ auth: [method], authTries: tries }), store);
  s.tell({ type: 'lower-up' });
  s.hear('c021 01 01 0004');
  s.ackLast('c021');
  return s;
}

const response = (s: Script, value: Uint8Array, name = 'alice', id = s.challenge.id): Uint8Array =>
  encodeFrame(PROTOCOL.chap, encodeChap({ code: 'Response', id, value, name: Buffer.from(name) }));

const chapSent = (s: Script): Buffer[] =>
  s.outputs.flatMap((o) => (o.type === 'frame' && o.data[0] === 0xc2 ? [Buffer.from(o.data)] : []));

t.test('RFC 2759 §6: a wrong password may be tried again, against the challenge in the Failure', async (t) => {
  for (const step of [0, 1]) {
    const s = authenticating('mschapv2');
    const wrong = s.msChapV2('alice', 'looking-glass');
    t.same(s.hear(wrong), ['authenticate mschapv2 alice', `CHAP Failure "E=691 R=1 C= V=3 M=wrong name or password"`]);
    // The Failure was lost: the same Response gets the same Failure, and is not a second try.
    s.hear(wrong);
    t.same(chapSent(s).at(-1), chapSent(s).at(-2));
    const failure = chapSent(s).at(-1)!;
    s.challenge = {
      id: s.challenge.id,
      value: Buffer.from(/C=([0-9A-F]{32})/.exec(failure.toString('latin1'))![1]!, 'hex'),
    };
    t.same(s.hear(s.msChapV2('alice', 'wonderland', (s.challenge.id + 7) & 0xff)), [], 'a foreign Identifier');
    const id = (s.challenge.id + step) & 0xff;
    const right = s.msChapV2('alice', 'wonderland', id);
    t.same(s.hear(right), ['authenticate mschapv2 alice', SUCCESS, IPCP_STARTS], `Identifier + ${step}`);
    t.equal(chapSent(s).at(-1)![3], id, 'RFC 1994 §4.2: the Identifier of the Response');
  }
});

t.test('when the tries are used up the Failure says R=0, and LCP terminates', async (t) => {
  const s = authenticating('mschapv2', () => denied(), 2);
  s.hear(s.msChapV2('alice', 'one'));
  t.same(s.hear(s.msChapV2('alice', 'two')), [
    'authenticate mschapv2 alice',
    'CHAP Failure "E=691 R=0 C= V=3 M=wrong name or password"',
    'LCP Terminate-Request 2 "authentication failed (691): wrong name or password"',
  ]);
  t.same(s.hear('c021 06 02 0004'), ['down auth: authentication failed (691): wrong name or password']);
});

t.test('LCP negotiated anew gives no tries back, a right password does', async (t) => {
  const failure = (retry: 0 | 1): string => `CHAP Failure "E=691 R=${retry} C= V=3 M=wrong name or password"`;
  const s = authenticating('mschapv2');
  for (const password of ['one', 'two']) {
    t.equal(s.hear(s.msChapV2('alice', password))[1], failure(1));
    t.equal(s.negotiateLcp().at(-1), CHALLENGE);
  }
  t.match(s.hear(s.msChapV2('alice', 'three')), [
    'authenticate mschapv2 alice',
    failure(0),
    /^LCP Terminate-Request \d+ "authentication failed/,
  ]);
  t.same(s.hear('c021 01 01 0004'), []);

  const right = authenticating('mschapv2', undefined, 2);
  right.hear(right.msChapV2('alice', 'one'));
  right.negotiateLcp();
  t.equal(right.hear(right.msChapV2('alice', 'wonderland'))[1], SUCCESS);
  right.negotiateLcp();
  t.equal(right.hear(right.msChapV2('alice', 'one'))[1], failure(1));
  right.negotiateLcp();
  t.equal(right.hear(right.msChapV2('alice', 'two'))[1], failure(0));
});

/** A wrong password, by whichever method. */
const guess = (s: Script, method: 'mschapv2' | 'chap-md5' | 'pap'): string[] => {
  if (method === 'pap') return s.hear('c023 01 01 0008 01 61 01 62');
  return s.hear(response(s, new Uint8Array(method === 'chap-md5' ? 16 : 49)));
};

t.test('PAP and CHAP with MD5: after the refusal LCP cannot be negotiated anew', async (t) => {
  for (const method of ['pap', 'chap-md5'] as const) {
    const s = authenticating(method);
    t.match(guess(s, method), [/^authenticate/, /wrong name or password"$/, /^LCP Terminate-Request/]);
    t.same(s.hear('c021 01 01 0004'), []);
    t.match(s.wait(3_000).at(-1), /^down auth: authentication failed \(691\)/);
  }
});

t.test('a password counts when it is asked about, though LCP begins anew before the verdict', async (t) => {
  for (const method of ['pap', 'chap-md5', 'mschapv2'] as const) {
    const s = new Script(lnsConfig({ auth: [method], authTries: 2 }), 'mute');
    s.tell({ type: 'lower-up' });
    s.negotiateLcp();
    t.match(guess(s, method), [/^authenticate/]);
    s.negotiateLcp();
    t.match(guess(s, method), [/^authenticate/], 'the second of two');
    t.match(s.negotiateLcp().at(-1), /^LCP Terminate-Request \d+ "no tries left"/, method);
    t.match(s.wait(3_000).at(-1), /^down auth: no tries left \[/);
  }
});

t.test('a store that allows no retry, and one without words', async (t) => {
  const s = authenticating('mschapv2', () => denied({ code: 647, retry: false, message: '' }));
  t.equal(s.hear(s.msChapV2('alice', 'x'))[1], 'CHAP Failure "E=647 R=0 C= V=3 M="');
  t.match(s.wait(3000).at(-1), /^down auth: authentication failed \(647\)$/);
});

t.test('RFC 1994 §4.1: a repeated Response gets the same reply code, also in the network phase', async (t) => {
  const s = authenticating('mschapv2');
  const right = s.msChapV2('alice', 'wonderland');
  s.hear(right);
  t.same(s.hear(right), [SUCCESS]);
  t.same(s.hear(s.msChapV2('mallory', 'guess')), [SUCCESS], 'no way to find other names and secrets');
  t.same(s.hear(s.msChapV2('alice', 'wonderland', (s.challenge.id + 1) & 0xff)), []);
});

t.test(
  'RFC 1994 §4.1: the Challenge is repeated unchanged, ten times, 3 s apart; then the link goes down',
  async (t) => {
    const s = authenticating('chap-md5');
    t.same(s.wait(27_000), Array(9).fill(CHALLENGE));
    t.equal(new Set(chapSent(s).map((c) => c.toString('hex'))).size, 1);
    s.wait(2_999);
    t.match(s.wait(1).join(), /Terminate-Request/);
    t.match(
      s.wait(3000).at(-1),
      'down timeout: authentication timed out [the client never answered the CHAP Challenge]',
    );
  },
);

t.test('hostile Responses are discarded, and the right one still counts', async (t) => {
  const s = authenticating('mschapv2');
  t.same(s.hear(s.msChapV2('alice', 'wonderland', (s.challenge.id + 1) & 0xff)), [], 'Identifier');
  t.match(s.hear(response(s, new Uint8Array(48))).join(), 'note chap.malformed', 'Value-Size');
  t.match(s.hear(response(s, new Uint8Array(49), 'a'.repeat(257))).join(), 'note chap.malformed', 'Name');
  t.match(s.hear('c223 02 01 0004').join(), 'note chap.malformed', 'no Value');
  t.same(s.hear('c223 03 01 0004'), [], 'Success is ours to say');
  t.same(s.hear('c023 01 01 0006 0000'), [], 'PAP was not agreed');
  t.equal(s.hear(s.msChapV2('alice', 'wonderland')).at(-1), IPCP_STARTS);
});

t.test('CHAP with MD5: 16 octets or nothing; denied with a plain message', async (t) => {
  const s = authenticating('chap-md5');
  t.match(s.hear(response(s, new Uint8Array(15))).join(), 'note chap.malformed');
  t.same(s.hear(response(s, new Uint8Array(16))).slice(0, 2), [
    'authenticate chap-md5 alice',
    'CHAP Failure "wrong name or password"',
  ]);
});

t.test('a slow user store: repeated Responses wait, a late verdict is void, the hint names the store', async (t) => {
  const s = new Script(lnsConfig({ setupTimeoutMs: 5000 }), 'mute');
  s.tell({ type: 'lower-up' });
  t.same(s.tell({ type: 'auth-result', result: GRANT }), [], 'nobody asked');
  s.hear('c021 01 01 0004');
  s.ackLast('c021');
  t.same(s.tell({ type: 'auth-result', result: GRANT }), [], 'nobody asked yet');
  const right = s.msChapV2('alice', 'wonderland');
  t.same(s.hear(right), ['authenticate mschapv2 alice']);
  t.same(s.hear(right), []);
  s.wait(5000);
  t.same(s.tell({ type: 'auth-result', result: GRANT }), []);
  t.equal(s.wait(3000).at(-1), 'down timeout: authentication was not finished in time [the user store never answered]');
});

t.test('a client that never tries again after R=1', async (t) => {
  const s = new Script(lnsConfig({ setupTimeoutMs: 5000 }));
  s.tell({ type: 'lower-up' });
  s.hear('c021 01 01 0004');
  s.ackLast('c021');
  s.hear(s.msChapV2('alice', 'wrong'));
  s.wait(5000);
  t.match(s.wait(3000).at(-1), '[the client never tried again after a wrong password]');
});

t.test('a store that grants MS-CHAPv2 without an authenticator response is our bug: the peer is refused', async (t) => {
  const s = authenticating('mschapv2', () => GRANT);
  t.same(s.hear(s.msChapV2('alice', 'wonderland')).slice(1, 3), [
    'note chap.no-authenticator-response alice',
    'CHAP Failure "E=691 R=0 C= V=3 M="',
  ]);
});

t.test('PAP: asked once, acknowledged as often as the peer repeats', async (t) => {
  const request = (id: string): string => `c023 01 ${id} 0015 05 616c696365 0a 776f6e6465726c616e64`;
  const s = authenticating('pap');
  t.match(s.hear('c023 01 01 0006 0500').join(), 'note pap.malformed');
  t.same(s.hear('c023 02 01 0005 00'), [], 'an Ack is ours to say');
  t.same(s.hear(request('07')), ['authenticate pap alice', 'PAP Authenticate-Ack 7 ""', IPCP_STARTS]);
  t.same(s.hear(request('08')), ['PAP Authenticate-Ack 8 ""']);

  const no = authenticating('pap', () => denied({ message: 'nein, café' }));
  t.same(no.hear(request('01')).slice(0, 2), ['authenticate pap alice', 'PAP Authenticate-Nak 1 "nein, caf?"']);

  const slow = new Script(lnsConfig({ auth: ['pap'], setupTimeoutMs: 5000 }), 'mute');
  slow.tell({ type: 'lower-up' });
  slow.hear('c021 01 01 0004');
  slow.ackLast('c021');
  t.same(slow.tell({ type: 'auth-result', result: GRANT }), []);
  slow.wait(5000);
  t.match(slow.wait(3000).at(-1), '[the client never sent a PAP Authenticate-Request]');
});

t.test('PAP with a slow store', async (t) => {
  const s = new Script(lnsConfig({ auth: ['pap'], setupTimeoutMs: 5000 }), 'mute');
  s.tell({ type: 'lower-up' });
  s.hear('c021 01 01 0004');
  s.ackLast('c021');
  s.hear('c023 01 01 0008 01 61 01 62');
  s.wait(5000);
  t.match(s.wait(3000).at(-1), '[the user store never answered]');
});

/* The peer's half, against our own authenticator and against a lying server. */

const over = (p: Pair) => (): boolean => p.has('peer', 'down') || (p.has('peer', 'up') && p.has('lns', 'up'));

t.test('peer: a second password after R=1, a refusal after the last', async (t) => {
  const good = new Pair(lnsConfig(), peerConfig({ passwords: ['wrong', 'wonderland'] })).start();
  t.ok(good.run(over(good)));
  t.ok(good.has('lns', 'up'));

  for (const auth of ['mschapv2', 'chap-md5', 'pap'] as const) {
    const bad = new Pair(lnsConfig(), peerConfig({ auth: [auth], passwords: ['wrong'] })).start();
    t.ok(bad.run(() => bad.has('peer', 'down') && bad.has('lns', 'down')));
    t.match(bad.find('peer', 'down'), { by: 'auth', reason: /^the server refused name or password/ });
  }
});

t.test('peer: RFC 2759 §5: a server that cannot prove it knows the password is left', async (t) => {
  for (const authenticatorResponse of [new Uint8Array(20), new Uint8Array(3)]) {
    const p = new Pair(lnsConfig(), peerConfig(), { store: () => ({ ...GRANT, authenticatorResponse }) }).start();
    t.ok(p.run(over(p)));
    t.match(p.find('peer', 'down'), { by: 'auth', reason: /authenticator response is wrong/ });
  }
});

t.test('peer: a silent server is given up, by PAP and by CHAP', async (t) => {
  for (const [auth, option, challenge] of [
    ['pap', '0304c023', ''],
    ['chap-md5', '0305c22305', 'c223 01 07 0015 10 000102030405060708090a0b0c0d0e0f'],
  ] as const) {
    const s = new Script(peerConfig({ auth: [auth] }));
    s.tell({ type: 'lower-up' });
    s.hear(`c021 01 01 00${auth === 'pap' ? '08' : '09'} ${option}`);
    s.ackLast('c021');
    t.same(s.hear('c223 09 01 0004'), [], 'nonsense is ignored');
    t.same(s.hear('c023 09 01 0004'), []);
    if (challenge !== '') {
      t.match(s.hear(challenge).join(), /CHAP Response value name="alice"/);
      t.same(s.hear(challenge), [], 'the same Challenge again: the Response is under way');
      t.same(s.hear('c223 03 08 0004'), [], 'Success with another Identifier');
      t.same(s.hear('c223 02 07 0006 01 00'), [], 'a Response is not for us');
    }
    t.match(s.wait(33_000).at(-1), 'down timeout: authentication timed out');
    t.equal(s.outputs.filter((o) => o.type === 'frame' && (o.data[0] === 0xc2 || o.data[1] === 0x23)).length, 10);
  }
});

t.test('peer: its own setup timeout in the authentication phase, and a new Challenge after Success', async (t) => {
  const s = new Script(peerConfig({ auth: ['chap-md5'], setupTimeoutMs: 4000 }));
  s.tell({ type: 'lower-up' });
  s.hear('c021 01 01 0009 0305c22305');
  s.ackLast('c021');
  t.same(s.tell({ type: 'auth-result', result: GRANT }), [], 'a peer asks nobody');
  s.wait(4000);
  t.match(s.wait(3000).at(-1), '[the server never answered the authentication]');

  // RFC 1994 §2.1: the authenticator may challenge again at any time.
  const again = new Script(peerConfig({ auth: ['chap-md5'] }));
  again.tell({ type: 'lower-up' });
  again.hear('c021 01 01 0009 0305c22305');
  again.ackLast('c021');
  again.hear('c223 01 07 0015 10 000102030405060708090a0b0c0d0e0f');
  t.match(again.hear('c223 03 07 0004').join(), 'IPCP Configure-Request');
  t.match(again.hear('c223 01 08 0015 10 0f0102030405060708090a0b0c0d0e0f').join(), /CHAP Response/);
});
