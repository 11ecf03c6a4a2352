import t from 'tap';
import { adviceFor, type IkeCause } from '../../src/daemon/advice.js';
import { explainIkeLog, type IkeFailure, IkeLogWatch } from '../../src/daemon/ike-log.js';
import type { IkeLogEvent } from '../../src/io/ports.js';
import { instant } from '../../src/proto/machine.js';
import { viciVectors } from '../lib/vici-vectors.js';

const recorded = Object.fromEntries(viciVectors('log').map((p) => [p.name, p.events as readonly IkeLogEvent[]]));

const WANT: [part: string, cause: IkeCause, peer: string, offered?: RegExp][] = [
  ['ikev1-wrong-psk', 'wrong-psk', '198.51.100.2'],
  ['ikev2-wrong-psk', 'wrong-psk', '198.51.100.14'],
  ['ikev1-no-ike-proposal', 'no-ike-proposal', '198.51.100.13', /MODP_768/],
  ['ikev2-no-ike-proposal', 'no-ike-proposal', '198.51.100.14', /MODP_768/],
  ['ikev1-no-esp-proposal', 'no-esp-proposal', '198.51.100.2', /^ESP:AES_CBC_192/],
  ['ikev1-wrong-port', 'wrong-selectors', '198.51.100.2', /-> 198\.51\.100\.1\/32\[udp\/1702\]$/],
  ['ikev1-tunnel-mode', 'wrong-selectors', '198.51.100.13', /l2f.*l2f/],
  ['ikev1-aggressive-mode', 'aggressive-mode', '198.51.100.13'],
];

for (const [part, cause, peer, offered] of WANT)
  t.test(`recorded: ${part}`, async (t) => {
    const failure = explainIkeLog(recorded[part] ?? []);
    t.match(failure, { cause, peer, ikeUniqueId: /^\d+$/, advice: /^[a-z].{20}/ });
    if (offered) t.match(failure?.offered, offered);
    t.equal(failure?.configured !== undefined, /proposal/.test(cause));
    // line by line it is reported once, however often the client repeats itself
    const watch = new IkeLogWatch();
    const told = (recorded[part] ?? []).map((e) => watch.note(instant(0), e)).filter((f): f is IkeFailure => !!f);
    t.strictSame(told, [failure]);
  });

/** charon's format strings (libcharon 5.9.8), filled in. */
const LINES: [message: string, cause: IkeCause | undefined, peer?: string][] = [
  ['calculated HASH does not match HASH payload', 'wrong-psk'],
  ["no shared key found for '(null)'[198.51.100.1] - '(null)'[198.51.100.13]", undefined], // the addresses are tried next
  ["no shared key found for 'C=CH, CN=gw'[198.51.100.1] - '%any'[198.51.100.13]", undefined],
  ["no shared key found for '198.51.100.1' - 'alice@example.com'", 'no-psk'],
  ['certificate was revoked on Nov 21 13:41:18 UTC 2026, reason: unspecified', 'certificate-revoked'],
  ['constraint check failed: RULE_CRL_VALIDATION is SKIPPED, but requires at least GOOD', 'certificate-status-unknown'],
  ['subject certificate invalid (valid from Nov 21 13:41:18 2025 to Nov 21 13:41:18 2026)', 'certificate-expired'],
  ['no issuer certificate found for "C=CH, O=lab, CN=stranger"', 'certificate-untrusted'],
  ["no trusted RSA public key found for 'C=CH, O=lab, CN=stranger'", 'certificate-untrusted'],
  ["constraint check failed: peer not authenticated by CA 'C=CH, CN=ca'", 'certificate-untrusted'],
  ['no shared key found for 198.51.100.1 - 198.51.100.13', 'no-psk'],
  ['found 1 matching config, but none allows XAuthInitPSK authentication using Main Mode', 'wrong-auth-method'],
  ['no IKE config found for 198.51.100.9...198.51.100.13, sending NO_PROPOSAL_CHOSEN', 'no-config', '198.51.100.13'],
  ['no matching peer config found', 'no-config'],
  ['no peer config found', 'no-config'],
  ['received AUTHENTICATION_FAILED error notify', 'refused-by-peer'],
  [
    'ignoring IKE_SA setup from 198.51.100.13, per-IP half-open IKE_SA limit of 256 reached',
    'too-many-half-open',
    '198.51.100.13',
  ],
  [
    'ignoring IKE_SA setup from 2001:db8::13, half-open IKE_SA limit of 4096 reached',
    'too-many-half-open',
    '2001:db8::13',
  ],
  ['deleting half open IKE_SA with 198.51.100.13 after timeout', 'peer-silent', '198.51.100.13'],
  ['giving up after 4 retransmits', 'peer-silent'],
  ['unable to install inbound and outbound IPsec SA (SAD) in kernel', 'kernel-refused'],
  ['unable to install IPsec policies (SPD) in kernel', 'kernel-refused'],
  ['traffic selectors 198.51.100.1/32 === 10.0.0.0/8 unacceptable', 'wrong-selectors'],
  ['no matching proposal found, trying alternative config', undefined],
  ['DH group ECP_256 unacceptable, requesting MODP_2048', undefined], // an ordinary extra round: RFC 7296 §1.2
  ['198.51.100.13 is initiating a Main Mode IKE_SA', undefined],
];

for (const [message, cause, peer] of LINES)
  t.test(message, async (t) => {
    const failure = explainIkeLog([{ type: 'log', group: 'IKE', level: 1, ikeUniqueId: '1', message }]);
    t.equal(failure?.cause, cause);
    if (peer !== undefined) t.equal(failure?.peer, peer);
  });

const garbage = (id: number, from: string, ikeName?: string): IkeLogEvent[] =>
  [`received packet: from ${from}[4500] to 198.51.100.1[4500] (76 bytes)`, 'could not decrypt payloads'].map(
    (message) => ({
      type: 'log',
      group: 'ENC',
      level: 1,
      ...(ikeName === undefined ? {} : { ikeName }),
      ikeUniqueId: `${id}`,
      message,
    }),
  );

t.test(
  'IKEv2 refuses the CHILD_SA in the message that establishes the IKE_SA: the address is still known',
  async (t) => {
    const watch = new IkeLogWatch();
    const lines = [
      'received packet: from 198.51.100.14[4500] to 198.51.100.1[4500] (252 bytes)',
      'IKE_SA l2tp[9] established between 198.51.100.1[198.51.100.1]...198.51.100.14[198.51.100.14]',
      'received proposals: ESP:3DES_CBC/HMAC_MD5_96/NO_EXT_SEQ',
      'no acceptable proposal found',
    ].map((message) => watch.note(instant(0), { type: 'log', group: 'IKE', level: 1, ikeUniqueId: '9', message }));
    t.match(lines[3], { cause: 'no-esp-proposal', peer: '198.51.100.14', offered: /^ESP:3DES/ });
  },
);

t.test('the reason that comes after its consequence is told, too', async (t) => {
  const reason = 'constraint check failed: RULE_CRL_VALIDATION is SKIPPED, but requires at least GOOD';
  const told = (...messages: string[]) => {
    const watch = new IkeLogWatch();
    const event = (message: string) => ({ type: 'log', group: 'CFG', level: 1, ikeUniqueId: '2', message }) as const;
    const from = 'received packet: from 198.51.100.13[4500] to 198.51.100.1[4500] (1216 bytes)';
    const failures = [from, ...messages].flatMap((m) => watch.note(instant(0), event(m)) ?? []);
    for (const { peer } of failures) t.equal(peer, '198.51.100.13');
    return failures.map(({ cause }) => cause);
  };
  const [last, refused] = ['no alternative config found', 'received AUTHENTICATION_FAILED error notify'];
  t.strictSame(told(reason, last), ['certificate-status-unknown']);
  t.strictSame(told(last, reason), ['no-config', 'certificate-status-unknown']);
  t.strictSame(told(last, last, reason, refused), ['no-config', 'certificate-status-unknown']);
});

t.test('a damaged packet on an established SA is no wrong key', async (t) => {
  t.equal(explainIkeLog(garbage(1, '192.0.2.1', 'l2tp')), undefined);
  t.equal(explainIkeLog(garbage(1, '192.0.2.1', '(unnamed)'))?.cause, 'wrong-psk');
});

t.test('a refusal on an established SA is about its renewal, not about the key', async (t) => {
  const causeOf = (message: string, ikeName: string) =>
    explainIkeLog([{ type: 'log', group: 'IKE', level: 1, ikeName, ikeUniqueId: '1', message }])?.cause;
  for (const notify of ['NO_PROPOSAL_CHOSEN', 'INVALID_HASH_INFORMATION', 'PAYLOAD_MALFORMED']) {
    t.equal(causeOf(`received ${notify} error notify`, 'l2tp'), 'renewal-refused');
    t.equal(causeOf(`received ${notify} error notify`, '(unnamed)'), 'refused-by-peer');
  }
  t.equal(causeOf('received AUTHENTICATION_FAILED error notify', 'l2tp'), 'refused-by-peer');
  t.notMatch(adviceFor('renewal-refused'), /key|password/);
});

t.test('the same failure of the same client is told once a minute', async (t) => {
  const watch = new IkeLogWatch();
  const at = (ms: number, id: number, from: string) =>
    garbage(id, from).filter((e) => watch.note(instant(ms), e)).length;
  t.equal(at(0, 1, '192.0.2.1'), 1);
  t.equal(at(10_000, 2, '192.0.2.1'), 0);
  t.equal(at(10_000, 3, '192.0.2.2'), 1);
  t.equal(at(60_000, 4, '192.0.2.1'), 1);
});

t.test('a flood of forged attempts is bounded in reports', async (t) => {
  const watch = new IkeLogWatch();
  let told = 0;
  for (let i = 0; i < 5_000; i++)
    for (const e of garbage(i, `10.0.${i >> 8}.${i & 255}`)) if (watch.note(instant(i / 10), e)) told++;
  t.ok(told >= 10 && told <= 16, `${told} in half a second`);
  t.equal(told + watch.suppressed, 5_000);
});
