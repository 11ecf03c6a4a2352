import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { validityProblems } from '../../src/daemon/certificates.js';
import { type Config, loadConfig } from '../../src/daemon/config.js';
import { configWarnings } from '../../src/daemon/config-check.js';
import { ConfigError } from '../../src/daemon/errors.js';
import { TestPki } from '../lib/test-pki.js';

const pki = new TestPki(mkdtempSync(join(tmpdir(), 'pki-')));
t.teardown(() => rmSync(pki.dir, { recursive: true }));
pki.ca('ca');
pki.issue('ca', 'sub', { isCa: true });
pki.issue('ca', 'gw', { kind: 'rsa' });
pki.issue('ca', 'gw2', { subject: 'gw' });
pki.issue('ca', 'other');
pki.issue('ca', 'ed', { kind: 'ed25519', subject: 'gw' });
pki.issue('ca', 'brief', { subject: 'gw', days: 3 });
pki.write('psk', 'a-key-of-more-than-20-characters');
pki.write('open.key', pki.read('gw.key'), 0o640);
pki.write('junk', 'not PEM');
pki.write('broken.crt', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
pki.write('chain.crt', pki.read('gw.crt') + pki.read('sub.crt'));
pki.write('list.der', Uint8Array.of(0x30, 0));
pki.write('list.pem', '-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n'.repeat(2));
const long = new Uint8Array(70_000);
long[0] = 0x30;
pki.write('long.der', long);
pki.write('huge.pem', new Uint8Array(1_100_000));

const load = (certificates: string): Config =>
  loadConfig(pki.write('lockstep.yaml', `ike:\n  certificates: {${certificates}}\n`), {});

t.test('certificate, chain, key, CA and lists', async (t) => {
  const { certificates } = load(
    'server: [{cert: chain.crt, key: gw.key}, {cert: gw2.crt, key: gw2.key}], ca: [ca.crt, sub.crt], crl: [list.der, list.pem], crl_policy: strict',
  ).ike!;
  t.equal(certificates?.strict, true);
  t.strictSame(
    certificates?.server.map((s) => [s.cert, s.chain]),
    [
      [pki.read('gw.crt'), [pki.read('sub.crt')]],
      [pki.read('gw2.crt'), []],
    ],
  );
  t.match(
    certificates?.server.map((s) => s.key.reveal()),
    [/^-----BEGIN RSA PRIVATE KEY-----/, /^-----BEGIN EC PRIVATE KEY-----/],
    'the forms charon reads without a plugin for PKCS #8',
  );
  t.strictSame(certificates?.ca, [pki.read('ca.crt'), pki.read('sub.crt')]);
  t.strictSame(
    certificates?.crl.map((der) => [...der]),
    [
      [0x30, 0],
      [0x30, 0],
      [0x30, 0],
    ],
  );
  t.notMatch(JSON.stringify(certificates), /PRIVATE KEY/);
  t.equal(load('').ike!.certificates, null);
});

const GW = 'server: [{cert: gw.crt, key: gw.key}], ca: [ca.crt]';
const ROWS: [yaml: string, key: string, want: string][] = [
  ['ca: [ca.crt]', 'ca', 'is set without ike.certificates.server; allowed: a certificate and key of ours, too'],
  ['crl: [list.der]', 'crl', 'is set without ike.certificates.server; allowed: a certificate and key of ours, too'],
  ['server: [{cert: gw.crt, key: gw.key}]', 'ca', 'is empty; allowed: the CA certificates whose clients are let in'],
  [
    'server: [{cert: none.crt, key: gw.key}], ca: [ca.crt]',
    'server[0].cert',
    'DIR/none.crt cannot be read (no such file); allowed: a readable PEM file with X.509 certificates',
  ],
  [
    'server: [{cert: junk, key: gw.key}], ca: [ca.crt]',
    'server[0].cert',
    'DIR/junk holds no PEM certificate; allowed: a readable PEM file with X.509 certificates',
  ],
  [
    'server: [{cert: broken.crt, key: gw.key}], ca: [ca.crt]',
    'server[0].cert',
    'DIR/broken.crt holds a certificate that cannot be read; allowed: a readable PEM file with X.509 certificates',
  ],
  [
    'server: [{cert: huge.pem, key: gw.key}], ca: [ca.crt]',
    'server[0].cert',
    'DIR/huge.pem has more than 1048576 bytes; allowed: a readable PEM file with X.509 certificates',
  ],
  [
    'server: [{cert: ca.crt, key: ca.key}], ca: [ca.crt]',
    'server[0].cert',
    'DIR/ca.crt begins with a CA certificate; allowed: our own certificate first, then its chain',
  ],
  [
    'server: [{cert: gw.crt, key: gw.key}, {cert: other.crt, key: other.key}], ca: [ca.crt]',
    'server[1].cert',
    'DIR/other.crt has another subject than the first one; allowed: the same subject in all of them',
  ],
  [
    'server: [{cert: gw.crt, key: gw2.key}], ca: [ca.crt]',
    'server[0].key',
    'DIR/gw2.key is not the key of the certificate; allowed: the private key that belongs to cert',
  ],
  [
    'server: [{cert: gw.crt, key: open.key}], ca: [ca.crt]',
    'server[0].key',
    'DIR/open.key has mode 0640, so others than its owner can open it; allowed: a PEM file with the private key, mode 0600',
  ],
  [
    'server: [{cert: gw.crt, key: junk}], ca: [ca.crt]',
    'server[0].key',
    'DIR/junk holds no private key that can be read; allowed: a PEM private key without a passphrase',
  ],
  [
    'server: [{cert: ed.crt, key: ed.key}], ca: [ca.crt]',
    'server[0].key',
    'DIR/ed.key holds a key of type ed25519; allowed: an RSA or ECDSA key',
  ],
  [
    'server: [{cert: gw.crt, key: gw.key}], ca: [ca.crt, other.crt]',
    'ca[1]',
    "DIR/other.crt holds a certificate that is not a CA's; allowed: CA certificates (basicConstraints CA:TRUE)",
  ],
  [
    'server: [{cert: gw.crt, key: gw.key}], ca: [sub.crt]',
    'ca',
    'holds no self-signed CA certificate; allowed: the root of each chain, and the CAs between it and the clients',
  ],
  [
    `${GW}, crl: [junk]`,
    'crl[0]',
    'DIR/junk holds no revocation list; allowed: a PEM or DER file with certificate revocation lists',
  ],
  [
    `${GW}, crl: [long.der]`,
    'crl[0]',
    'DIR/long.der holds a list of more than 65535 bytes; allowed: a PEM or DER file with certificate revocation lists',
  ],
  [`${GW}, crl_policy: lax`, 'crl_policy', 'lax is not allowed; allowed: relaxed or strict'],
];

t.test('a mistake is one sentence', async (t) => {
  for (const [yaml, key, want] of ROWS) {
    try {
      load(yaml);
      t.fail(`not refused: ${yaml}`);
    } catch (e) {
      if (!(e instanceof ConfigError)) throw e;
      t.equal(e.message, `${pki.path('lockstep.yaml')}:2: ike.certificates.${key}: ${want.replaceAll('DIR', pki.dir)}`);
      t.notMatch(e.message, /PRIVATE/);
    }
  }
});

t.test('what expires deserves a warning, and does not keep the gateway from starting', async (t) => {
  const config = load('server: [{cert: brief.crt, key: brief.key}], ca: [ca.crt]');
  const { certificates } = config.ike!;
  const at = (days: number) => validityProblems(certificates!, new Date(Date.now() + days * 86_400_000));
  t.match(at(0), [/brief\.crt expires on \d{4}-\d\d-\d\d$/]);
  t.match(at(4), [/brief\.crt expired on /]);
  t.match(at(-1), [/brief\.crt is not valid before /, /ca\.crt is not valid before /]);
  t.match(at(4_000), [/brief\.crt expired/, /ca\.crt expired/]);
  t.strictSame(
    configWarnings(config).map((w) => w.event),
    ['config.certificate-validity'],
  );
  t.strictSame(configWarnings(load(GW)), []);
});
