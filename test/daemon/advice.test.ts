import t from 'tap';
import { ADVICE, adviceFor, byPeer, isFailure, linkCause } from '../../src/daemon/advice.js';
import {
  AUTH_UNANSWERED,
  authTimedOut,
  type Ending,
  NO_ADDRESS,
  NO_TRIES,
  NOT_CONVERGED,
  SILENT,
  UNPROVEN,
  VANISHED,
} from '../../src/proto/ppp/ending.js';

t.test('the error numbers people ask about are all there', async (t) => {
  const shown = Object.values(ADVICE).flatMap((a) => a.shows);
  for (const number of [809, 789, 691, 718, 720, 628, 734, 741, 766, 787, 792])
    t.ok(shown.includes(`Windows ${number}`), String(number));
  for (const [cause, { advice }] of Object.entries(ADVICE)) t.match(advice, /^[`a-zA-Z].{8,}[^.]$/, cause);
});

t.test('why a link ended', async (t) => {
  const end = (by: Ending['by'], reason = 'x'): Ending => ({ by, reason });
  t.equal(linkCause(SILENT, 'lcp', undefined), 'lcp-silent');
  t.equal(linkCause(NOT_CONVERGED, 'lcp', undefined), 'lcp-stuck');
  t.equal(linkCause(NO_ADDRESS, 'ipcp', undefined), 'no-ipcp');
  t.equal(linkCause(VANISHED, 'up', undefined), 'vanished');
  t.equal(linkCause(end('auth'), 'lcp', undefined), 'no-common-auth');
  t.equal(linkCause(end('auth'), 'auth', 'disabled'), 'disabled');
  // EAP-MSCHAPv2: the client has still to acknowledge our proof when the store has decided.
  for (const stage of ['auth', 'ipcp'] as const) {
    t.equal(linkCause(authTimedOut('x'), stage, undefined), 'auth-silent');
    t.equal(linkCause(end('timeout', AUTH_UNANSWERED), stage, undefined), 'auth-silent');
    t.equal(linkCause(end('timeout', AUTH_UNANSWERED), stage, 'wrong-password'), 'wrong-password');
    t.equal(linkCause(NO_TRIES, stage, undefined), 'auth-silent');
    t.equal(linkCause(NO_TRIES, stage, 'wrong-password'), 'wrong-password');
    t.equal(linkCause(UNPROVEN, stage, undefined), 'protocol-error');
  }
  t.equal(linkCause(end('protocol'), 'ipcp', undefined), 'no-ipcp');
  t.equal(linkCause(end('protocol'), 'lcp', undefined), 'protocol-error');
  t.equal(
    linkCause(end('peer', 'the client insists on MPPE encryption (error 742)'), 'ipcp', undefined),
    'wants-encryption',
  );
  // pppd has words for it, and its CCP may fail when IPCP is open already.
  for (const stage of ['ipcp', 'up'] as const)
    t.equal(
      linkCause(end('peer', 'the peer hung up: MPPE required but peer negotiation failed'), stage, undefined),
      'wants-encryption',
    );
  t.equal(linkCause(end('peer', 'the client reports error 999'), 'ipcp', undefined), 'client-gave-up');
  t.equal(linkCause(end('peer'), 'up', undefined), 'client-closed');
  t.equal(byPeer('auth', 'unknown-user'), 'unknown-user');
});

t.test('advice: what was offered decides', async (t) => {
  t.match(
    adviceFor('no-ike-proposal', 'IKE:3DES_CBC/X/MODP_1024, IKE:DES_CBC/X/MODP_768'),
    /^this client offered only 3DES_CBC/,
  );
  t.match(adviceFor('no-ike-proposal', 'IKE:3DES_CBC/X/MODP_1024, IKE:AES/X/MODP_2048'), /^client and gateway have no/);
  t.match(adviceFor('no-esp-proposal', 'ESP:3DES_CBC/HMAC_SHA1_96/NO_EXT_SEQ'), /^client and gateway have no ESP/);
  t.equal(isFailure('client-closed'), false);
  t.equal(isFailure('vanished'), true);
});
