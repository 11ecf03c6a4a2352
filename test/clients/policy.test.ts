/** What charon is told against what each client offers: sections 1.7 to 1.11, 9.8, 10 and 10.1 of the notes on native clients. */
import t from 'tap';
import { espProposals, type IpsecSettings, ikeProposals, ipsecPolicy } from '../../src/daemon/ipsec-policy.js';
import { Secret } from '../../src/daemon/secret.js';
import { CLIENTS } from './all.js';

interface Told {
  readonly [key: string]: unknown;
  readonly proposals: readonly string[];
  readonly rekey_time: string;
  readonly children: { readonly l2tp: Readonly<Record<string, unknown>> };
}

const told = (settings: Partial<IpsecSettings> = {}): Told =>
  ipsecPolicy({ listen: ['198.51.100.1'], secrets: [{ secret: new Secret('key') }], ...settings }).connections
    .l2tp as unknown as Told;
const seconds = (time: unknown): number => Number.parseInt(String(time), 10);

t.test('1.7 and 10.1: identities are not unique, one key fits any', async (t) => {
  const policy = ipsecPolicy({ listen: ['198.51.100.1'], secrets: [{ secret: new Secret('key') }] });
  t.match(policy.connections.l2tp, { unique: 'never', remote: { auth: 'psk', id: '%any' }, local: { id: undefined } });
  t.strictSame(policy.secrets[0]?.owners, []);
});

t.test('1.8 and 10.1: 17/1701 of ours, any UDP port of theirs, transport mode, a mark for each CHILD_SA', async (t) => {
  t.match(told().children.l2tp, {
    mode: 'transport',
    local_ts: ['dynamic[udp/1701]'],
    remote_ts: ['dynamic[udp]'],
    mark_in: '%unique',
    mark_out: '%unique',
  });
});

/** A suite of ESP that a client offers and we have; with its PFS group when it has one. */
const common = (offers: readonly string[], pfs: string | undefined, legacy: boolean): string | undefined =>
  espProposals(legacy).find((p) => {
    const [, suite = '', groups = ''] = /^(.*?)(?:-((?:ecp|modp).*))?$/.exec(p) ?? [];
    return offers.includes(suite) && (pfs === undefined ? groups === '' : groups.split('-').includes(pfs));
  });

t.test(
  '1.9 and 9.8: each client finds an ESP suite of its own, with a KE if it brings one, without if not',
  async (t) => {
    for (const { name, esp, chosen, otherwise } of CLIENTS) {
      // 3DES alone: XP, and routers that need legacy for IKE as it is.
      const legacy = chosen.legacy === true || esp.offers.every((o) => o.startsWith('3des'));
      t.ok(common(esp.offers, esp.pfs, legacy), `${name}${esp.pfs ? `, PFS ${esp.pfs}` : ''}`);
      for (const [fact, other] of Object.entries(otherwise))
        t.ok(common(other.esp.offers, other.esp.pfs, legacy), `${name}, ${fact}`);
      for (const pfs of ['modp1024', 'modp1536', 'modp2048', 'ecp256', 'ecp384'])
        t.ok(common(esp.offers, pfs, legacy), `${name}, if it had PFS ${pfs} (5: libreswan)`);
    }
  },
);

t.test('1.11 and 10: our lifetimes are longer than any client’s, so that the client rekeys', async (t) => {
  const { rekey_time, children, ...connection } = told();
  for (const { name, ike, esp } of CLIENTS) {
    t.ok(seconds(rekey_time) > ike.lifetime, `${name}: IKE ${ike.lifetime} s`);
    t.ok(seconds(children.l2tp.life_time) > esp.lifetime, `${name}: ESP ${esp.lifetime} s`);
  }
  t.equal(seconds(children.l2tp.rekey_time), 0, 'we rekey no CHILD_SA');
  t.equal(seconds(connection.reauth_time), 0, 'and reauthenticate nobody');
});

t.test('1.10 and 10.1: fragmentation, no MOBIKE; DPD is charon’s, who asks only who announced it', async (t) => {
  t.match(told(), { fragmentation: 'yes', mobike: 'no', aggressive: 'no', dpd_delay: /^[1-9]\d*s$/ });
});

t.test('10.1: the lists that serve everyone, and the legacy ones behind their switch', async (t) => {
  const everyone = [
    'aes256-sha256-modp2048',
    'aes256-sha1-modp2048',
    'aes256-sha1-ecp384',
    'aes128-sha1-ecp256',
    'aes256-sha1-modp1536',
    '3des-sha1-modp2048',
  ];
  const legacy = ['aes256-sha1-modp1024', 'aes128-sha1-modp1024', '3des-sha1-modp1024', '3des-md5-modp1024'];
  for (const p of everyone) t.ok(ikeProposals(false).includes(p), p);
  for (const p of legacy) t.ok(!ikeProposals(false).includes(p) && ikeProposals(true).includes(p), p);
  const esp = espProposals(true);
  for (const suite of ['aes256-sha1', 'aes128-sha1', '3des-sha1'])
    t.ok(esp.includes(suite) && esp.some((p) => p.startsWith(`${suite}-`)), suite);
  // SHA-2 with 96 bits on old Androids and Linux (4.1).
  t.ok(esp.indexOf('aes128-sha1') < esp.indexOf('aes256-sha256'), 'SHA-256 after SHA-1');
});

t.test('10.1: Aggressive Mode only for identities with a key of their own', async (t) => {
  const { connections } = ipsecPolicy({
    listen: ['198.51.100.1'],
    secrets: [{ secret: new Secret('everyone') }, { secret: new Secret('office'), id: 'keyid:office' }],
    aggressive: true,
  });
  const aggressive = Object.values(connections).filter((c) => (c as unknown as Told).aggressive === 'yes');
  t.strictSame(
    aggressive.map((c) => (c as unknown as Told).remote),
    [{ auth: 'psk', id: 'keyid:office' }],
  );
});
