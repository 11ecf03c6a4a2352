import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type Config, loadConfig } from '../../src/daemon/config.js';
import { configChange, withReloadable } from '../../src/daemon/reload.js';

const dir = mkdtempSync(join(tmpdir(), 'reload-'));
t.teardown(() => rmSync(dir, { recursive: true }));
const write = (name: string, text: string): string => {
  writeFileSync(join(dir, name), text, { mode: 0o600 });
  return join(dir, name);
};
const load = (yaml: string, psk = 'first', other = 'first'): Config => {
  write('psk', psk);
  write('other', other);
  return loadConfig(write('lockstep.yaml', yaml), {});
};
const IDS = 'psk_ids: [{id: alice, psk_file: other}]';

const ROWS: [before: Config, after: Config, applied: string[], restart: string[]][] = [
  [load(''), load('# only a comment'), [], []],
  [load('', 'first'), load('', 'second'), ['ike.psk_file'], []],
  [load('ike: {psk_file: psk}'), load('ike: {psk_file: other}'), [], []],
  [load(`ike: {${IDS}}`), load(`ike: {${IDS}}`, 'first', 'second'), ['ike.psk_ids'], []],
  [
    load('ike: {psk_ranges: [{peers: 192.0.2.0/24, psk_file: psk}]}'),
    load('ike: {psk_ranges: [{peers: 192.0.3.0/24, psk_file: psk}]}'),
    ['ike.psk_ranges'],
    [],
  ],
  [
    load(''),
    load('ike: {legacy: true, proposals: [aes256-sha256-modp2048], dpd_delay: 1m}\nusers_file: u2.yaml'),
    ['ike.legacy', 'ike.proposals', 'ike.dpd_delay', 'users_file'],
    [],
  ],
  [
    load(''),
    load(
      `ike: {aggressive: true, ${IDS}, charon: external}\npool: {ipv4: 10.98.0.0/24}\nl2tp: {secret_file: psk}\nppp: {mtu: 1280}`,
    ),
    ['ike.psk_ids'],
    ['ike.aggressive', 'ike.charon', 'pool.ipv4', 'pool.gateway', 'ppp.mtu', 'l2tp.secret_file'],
  ],
  [load(''), load('dhcp: {routes: [10.1.0.0/16], domain: corp.example}'), ['dhcp.routes', 'dhcp.domain'], []],
  [
    load('listen: {raw: {interface: eth0, peers: [192.0.2.0/24]}}'),
    load('listen: {raw: {interface: eth0, peers: [192.0.2.0/24]}}\nike: {legacy: true}'),
    [],
    ['ike'],
  ],
];

t.test('what differs, by what it takes', async (t) => {
  for (const [before, after, applied, restart] of ROWS) t.strictSame(configChange(before, after), { applied, restart });
});

t.test('what is new must make sense with what stays: networks of dhcp.routes beyond the old `routes`', async (t) => {
  const before = load('routes: [10.1.0.0/16]');
  const after = load('routes: [10.1.0.0/16, 10.2.0.0/16]\ndhcp: {routes: [10.2.0.0/16]}');
  t.throws(() => withReloadable(before, after), { message: /dhcp\.routes\[0\]: 10\.2\.0\.0\/16 is in no network/ });
  t.strictSame(withReloadable(after, before).routes, after.routes);
});

t.test('what needs a restart stays; the rest is in force, and is no change any more', async (t) => {
  for (const [before, after, , restart] of ROWS) {
    const now = withReloadable(before, after);
    t.strictSame(configChange(before, now).restart, []);
    t.strictSame(configChange(now, after), { applied: [], restart });
  }
});
