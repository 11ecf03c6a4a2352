import t from 'tap';
import type { IkeConfig } from '../../src/daemon/config.js';
import {
  CERTIFICATE_CONNECTION,
  CONNECTION,
  espProposals,
  identityProof,
  ikeProposals,
  ipsecPolicy,
} from '../../src/daemon/ipsec-policy.js';
import { ipsecSettings } from '../../src/daemon/protocol-config.js';
import { Secret } from '../../src/daemon/secret.js';
import type { ViciSection } from '../../src/io/ports.js';

const listen = ['198.51.100.1', '2001:db8::1'];
const policy = ipsecPolicy({ listen, secrets: [{ secret: new Secret('correct horse battery') }] });
const child = (name: string) =>
  ((policy.connections[name] as ViciSection).children as ViciSection)[name] as Record<string, unknown>;

t.test('RFC 3193 §2.1, §4.2: transport mode, our port 1701, any port of the peer, one mark per CHILD_SA', async (t) => {
  t.match(child(CONNECTION), {
    mode: 'transport',
    local_ts: ['dynamic[udp/1701]'],
    remote_ts: ['dynamic[udp]'],
    mark_in: '%unique',
    mark_out: '%unique',
    set_mark_in: '%same',
  });
  t.ok(Number(child(CONNECTION).replay_window) >= 1024);
});

t.test(
  'the client rekeys, not we: every limit of ours lies above the longest a client is known to ask for',
  async (t) => {
    const connection = policy.connections[CONNECTION] as Record<string, string>;
    t.equal(child(CONNECTION).rekey_time, '0s');
    t.equal(child(CONNECTION).rand_time, '0s', 'jitter on a rekey time of 0 makes charon rekey at once, for ever');
    t.equal(connection.reauth_time, '0s');
    t.ok(Number.parseInt(String(child(CONNECTION).life_time), 10) > 28_800, 'Android asks for 8 h');
    t.ok(Number.parseInt(String(connection.rekey_time), 10) > 86_400, 'RouterOS asks for 24 h');
  },
);

t.test('one drop shunt per listen address, and IKE can never take its connection for a peer', async (t) => {
  t.strictSame(
    policy.shunts.map((s) => [s.address, child(s.name)]),
    [
      [
        '198.51.100.1',
        { mode: 'drop', start_action: 'trap', local_ts: ['198.51.100.1/32[udp/1701]'], remote_ts: ['0.0.0.0/0[udp]'] },
      ],
      [
        '2001:db8::1',
        { mode: 'drop', start_action: 'trap', local_ts: ['2001:db8::1/128[udp/1701]'], remote_ts: ['::/0[udp]'] },
      ],
    ],
  );
  for (const { name } of policy.shunts)
    t.match((policy.connections[name] as { remote_addrs: string[] }).remote_addrs[0], /^(127\.0\.0\.1|::1)$/);
});

t.test('no client ends another by its identity, and IKE messages may come in fragments', async (t) => {
  const psk = { secret: new Secret('correct horse battery') };
  const { connections, shunts } = ipsecPolicy({
    listen,
    secrets: [psk, { ...psk, peers: ['192.0.2.0/24'] }, { ...psk, id: 'office' }],
    aggressive: true,
    keysProve: true,
    certificates: { server: [], ca: [], crl: [], strict: false, validity: [] },
  });
  const ours = Object.entries(connections).filter(([name]) => !shunts.some((s) => s.name === name));
  t.ok(ours.length >= 5);
  for (const [name, connection] of ours) t.match(connection, { unique: 'never', fragmentation: 'yes' }, name);
});

t.test('an address given twice makes one shunt; no address or a wildcard is our bug', async (t) => {
  t.equal(ipsecPolicy({ listen: ['192.0.2.1', '192.0.2.1'], secrets: [] }).shunts.length, 1);
  for (const bad of [[], ['0.0.0.0'], ['::'], ['192.0.2.0/24'], ['gateway.example']])
    t.throws(() => ipsecPolicy({ listen: bad, secrets: [] }), /ipsecPolicy: /, JSON.stringify(bad));
});

t.test('weak groups and ciphers only behind the legacy switch', async (t) => {
  const PFS = /-(ecp|modp).*/;
  const weak = /modp1024|md5|^3des-sha1-modp(none|1)|^3des.*ecp/;
  t.strictSame(
    [...ikeProposals(false), ...espProposals(false).map((p) => p.replace(PFS, ''))].filter((p) => weak.test(p)),
    [],
  );
  for (const p of ['3des-sha1-modp1024', 'aes256-sha1-modp1024']) t.ok(ikeProposals(true).includes(p), p);
  t.ok(espProposals(true).includes('3des-sha1'));
  t.ok(
    espProposals(false).some((p) => /^aes256-sha1-.*modp1024/.test(p)),
    'RouterOS asks for PFS with MODP 1024, which is no weaker than none (RFC 2409 §5.5)',
  );
});

t.test('each ESP suite comes without and with a Diffie-Hellman group', async (t) => {
  for (const legacy of [false, true]) {
    const all = espProposals(legacy);
    const pfs = all.filter((p) => /-(ecp|modp)/.test(p));
    t.equal(pfs.length * 2, all.length);
    for (const p of pfs) t.ok(all.includes(p.replace(/-(ecp|modp).*/, '')), p);
  }
});

t.test(
  "keys: everyone's, the smaller network before the larger, identities; none ends up in what is printed",
  async (t) => {
    const p = ipsecPolicy({
      listen,
      secrets: [
        { secret: new Secret('for all') },
        { secret: new Secret('for some'), peers: ['203.0.0.0/16', '2001:db8::/32'] },
        { secret: new Secret('for few'), peers: ['203.0.113.0/24'] },
        { secret: new Secret('for one'), id: 'alice@example.com' },
      ],
    });
    t.strictSame(
      p.secrets.map((s) => [s.id, s.owners, s.secret.reveal()]),
      [
        ['psk', [], 'for all'],
        ['psk-peers-2001:db8::/32', ['2001:db8::/32'], 'for some'],
        ['psk-peers-203.0.113.0/24', ['203.0.113.0/24'], 'for few'],
        ['psk-peers-203.0.0.0/16', ['203.0.0.0/16'], 'for some'],
        ['psk-id-alice@example.com', ['alice@example.com'], 'for one'],
      ],
    );
    t.notMatch(JSON.stringify(p), /for (all|some|few|one)/);
    // Main Mode looks for the key with each connection's identities: these find the network's key before a certificate's subject finds everyone's.
    t.match(p.connections['l2tp-peers-203.0.113.0/24-198.51.100.1'], {
      version: '1',
      local_addrs: ['198.51.100.1'],
      remote_addrs: ['203.0.113.0/24'],
      local: { auth: 'psk', id: '198.51.100.1' },
      remote: { auth: 'psk', id: '203.0.113.0/24' },
      aggressive: 'no',
    });
    t.strictSame(
      Object.keys(p.connections).filter((name) => name.startsWith('l2tp-peers-')),
      [
        'l2tp-peers-203.0.0.0/16-198.51.100.1',
        'l2tp-peers-2001:db8::/32-2001:db8::1',
        'l2tp-peers-203.0.113.0/24-198.51.100.1',
      ],
      'of one family each',
    );
  },
);

t.test('Aggressive Mode: only when asked for, only for identities that have a key of their own', async (t) => {
  const secrets = [
    { secret: new Secret('for all') },
    { secret: new Secret('for some'), peers: ['203.0.113.0/24'] },
    { secret: new Secret('for one'), id: 'keyid:office' },
  ];
  const aggressive = (on: boolean) =>
    Object.entries(ipsecPolicy({ listen, secrets, aggressive: on }).connections).filter(
      ([, c]) => c.aggressive === 'yes',
    );
  t.strictSame(aggressive(false), []);
  t.match(aggressive(true), [
    ['l2tp-aggressive-keyid:office', { version: '1', remote: { auth: 'psk', id: 'keyid:office' } }],
  ]);
  t.equal(aggressive(true).length, 1);
});

t.test('certificates: beside the keys, in a connection that names the CAs it takes', async (t) => {
  const server = [
    { cert: 'RSA', chain: ['SUB'], key: new Secret('rsa key') },
    { cert: 'EC', chain: [], key: new Secret('ec key') },
  ];
  const crl = [Uint8Array.of(0x30)];
  const certificates = { server, ca: ['ROOT'], crl, strict: true, validity: [] };
  const p = ipsecPolicy({ listen, secrets: [{ secret: new Secret('for all') }], certificates });
  t.strictSame(p.certificates, [
    { type: 'X509', flag: 'CA', data: 'ROOT' },
    { type: 'X509', flag: 'NONE', data: 'RSA' },
    { type: 'X509', flag: 'NONE', data: 'SUB' },
    { type: 'X509', flag: 'NONE', data: 'EC' },
    { type: 'X509_CRL', flag: 'NONE', data: crl[0] },
  ]);
  t.strictSame(
    p.keys.map((k) => k.reveal()),
    ['rsa key', 'ec key'],
  );
  const { local, remote, send_certreq, send_cert, children } = p.connections[CERTIFICATE_CONNECTION]!;
  t.strictSame(local, { auth: 'pubkey', certs: ['RSA', 'EC'] });
  t.strictSame(remote, { auth: 'pubkey', id: '%any', cacerts: ['ROOT'], revocation: 'strict' });
  t.strictSame([send_certreq, send_cert], ['yes', 'always']);
  t.strictSame(children, p.connections[CONNECTION]!.children, 'the same marks and selectors');
  t.match(p.connections[CONNECTION], { send_certreq: 'yes', send_cert: 'never', remote: { auth: 'psk' } });
  t.notMatch(JSON.stringify(p), /rsa key|ec key/);

  const without = ipsecPolicy({ listen, secrets: [], certificates: null });
  t.strictSame([without.certificates, without.keys], [[], []]);
  t.notOk(CERTIFICATE_CONNECTION in without.connections);
  t.equal(without.connections[CONNECTION]!.send_certreq, 'no');
});

t.test("an identity is proven only where no key but the identity's own is tried", async (t) => {
  const ike = {
    psk: null as Secret | null,
    pskRanges: [{ peers: ['2001:db8::/32', '203.0.113.7'], psk: new Secret('for some') }],
    pskIds: [{ id: 'alice', psk: new Secret('hers') }],
    certificates: null,
    allowForeign: false,
    aggressive: true,
    proposals: 'auto',
    espProposals: 'auto',
  };
  const of = (more: Partial<typeof ike> = {}) =>
    ipsecPolicy(ipsecSettings({ ...ike, ...more } as unknown as IkeConfig, listen));
  const own = 'l2tp-id-alice-198.51.100.1';
  const proves = (name: string, remoteId = 'alice', p = of()) => identityProof(p, { name, remoteId });

  t.match(of().connections[own], {
    version: '2',
    local_addrs: ['198.51.100.1'],
    local: { auth: 'psk', id: '198.51.100.1' },
    remote: { auth: 'psk', id: 'alice' },
  });
  t.ok(proves(own));
  t.ok(proves('l2tp-aggressive-alice'), 'IKEv1: one key only, that of the identity');
  t.notOk('l2tp-id-alice-2001:db8::1' in of().connections, 'our address is in a network that has a key');
  t.ok('l2tp-id-alice-2001:db8::1' in of({ pskRanges: [] }).connections);
  for (const more of [{ psk: new Secret('for all') }, { allowForeign: true }]) {
    t.notOk(own in of(more).connections, "everyone's key fits, and others' may");
    t.notOk(proves(own, 'alice', of(more)), 'nor do those count any more that came up before');
  }
  t.notOk(proves(CONNECTION), 'the connection for all takes any key: IDr is what the client says');
  t.notOk(proves(own, 'bob', of({ pskIds: [] })), 'the key is revoked');
  for (const name of ['l2tp-peers-203.0.113.7-198.51.100.1', 'toString', 'l2tp-id-bob-198.51.100.1'])
    t.notOk(proves(name), name);
  // `%any` and `*` fit the connections of all identities, and no identity's key.
  for (const remoteId of ['%any', '*', '*lice']) t.notOk(proves('l2tp-aggressive-alice', remoteId), remoteId);
  const server = [{ cert: 'RSA', chain: [], key: new Secret('rsa key') }];
  const certificates = { server, ca: ['ROOT'], crl: [], strict: true, validity: [] };
  t.ok(proves(CERTIFICATE_CONNECTION, 'CN=laptop', ipsecPolicy({ listen, secrets: [], certificates })));
  t.notOk(proves(CERTIFICATE_CONNECTION, 'CN=laptop'));
});

t.test('psk_file: none is a key nobody knows, not no key', async (t) => {
  const ike = { psk: null, pskRanges: [], pskIds: [{ id: 'alice', psk: new Secret('hers') }], certificates: null };
  const { secrets } = ipsecPolicy(
    ipsecSettings({ ...ike, proposals: 'auto', espProposals: 'auto' } as unknown as IkeConfig, listen),
  );
  t.match(secrets, [
    { id: 'psk', owners: [] },
    { id: 'psk-id-alice', owners: ['alice'] },
  ]);
  t.ok(secrets[0]!.secret.reveal().length >= 43, '256 bits');
});
