import t from 'tap';
import { CONNECTION, espProposals, ikeProposals, ipsecPolicy } from '../../src/daemon/ipsec-policy.js';
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

t.test('an address given twice makes one shunt; no address or a wildcard is our bug', async (t) => {
  t.equal(ipsecPolicy({ listen: ['192.0.2.1', '192.0.2.1'], secrets: [] }).shunts.length, 1);
  for (const bad of [[], ['0.0.0.0'], ['::'], ['192.0.2.0/24'], ['gateway.example']])
    t.throws(() => ipsecPolicy({ listen: bad, secrets: [] }), /ipsecPolicy: /, JSON.stringify(bad));
});

t.test('weak groups and ciphers only behind the legacy switch', async (t) => {
  const weak = /modp1024|md5|^3des-sha1-modp(none|1)|^3des.*ecp/;
  t.strictSame(
    [...ikeProposals(false), ...espProposals(false)].filter((p) => weak.test(p)),
    [],
  );
  for (const p of ['3des-sha1-modp1024', 'aes256-sha1-modp1024']) t.ok(ikeProposals(true).includes(p), p);
  t.ok(espProposals(true).includes('3des-sha1'));
  t.ok(
    espProposals(true).some((p) => /^aes256-sha1-.*modp1024/.test(p)),
    'RouterOS asks for PFS with MODP 1024',
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

t.test('a key for a range of peers carries the range; no key ends up in what is printed', async (t) => {
  const p = ipsecPolicy({
    listen,
    secrets: [{ secret: new Secret('for all') }, { secret: new Secret('for some'), peers: ['203.0.113.0/24'] }],
  });
  t.strictSame(
    p.secrets.map((s) => s.owners),
    [[], ['203.0.113.0/24']],
  );
  t.equal(new Set(p.secrets.map((s) => s.id)).size, 2);
  t.notMatch(JSON.stringify(p), /for all|for some/);
});
