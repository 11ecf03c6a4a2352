import { chownSync, readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import type { NetworkInterfaceInfo } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';
import { loadConfig } from '../../src/daemon/config.js';
import { listenAddresses } from '../../src/daemon/config-check.js';
import { firstRun } from '../../src/daemon/first-run.js';
import { UserStore } from '../../src/daemon/users.js';

const face = (address: string, length: number, internal = false) =>
  [{ address, cidr: `${address}/${length}`, internal }] as NetworkInterfaceInfo[];
const host = { lo: face('127.0.0.1', 8, true), lan: face('192.168.1.1', 24), wan: face('198.51.99.4', 24) };
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);

t.test('writes files for their owner only, which load, and says what to type', async (t) => {
  const path = join(t.testdir({}), 'deep/etc/lockstep.yaml');
  const text = firstRun(path, { interfaces: host })!;
  t.equal(mode(dirname(path)), '700');
  t.strictSame(readdirSync(dirname(path)).sort(), ['lockstep.yaml', 'psk', 'users.yaml'], 'and no drafts');
  for (const file of readdirSync(dirname(path))) t.equal(mode(join(dirname(path), file)), '600', file);

  const config = loadConfig(path, {});
  t.equal(config.pool.gateway, '10.99.0.1');
  t.strictSame(listenAddresses(config, host), ['192.168.1.1', '198.51.99.4']);
  const psk = config.ike!.psk!.reveal();
  t.match(psk, /^([a-km-np-z2-9]{4}-){7}[a-km-np-z2-9]{4}$/, '160 bits, five to a letter');
  const [user, ...others] = UserStore.load(config.usersFile);
  t.strictSame(others, []);
  t.match(user?.password?.reveal(), /^([a-km-np-z2-9]{4}-){3}[a-km-np-z2-9]{4}$/);
  for (const said of [psk, user?.name, user?.password?.reveal(), '198.51.99.4'])
    t.ok(text.includes(String(said)), 'said');
});

t.test(
  'what root writes is for who runs the daemon: the owner of the state directory',
  { skip: process.geteuid?.() !== 0 },
  async (t) => {
    const dir = t.testdir({ state: {} });
    const path = join(dir, 'etc/lockstep.yaml');
    const stateDir = join(dir, 'state');
    chownSync(stateDir, 12_345, 12_346);
    firstRun(path, { interfaces: host, stateDir });
    const made = (file: string) => {
      const { uid, gid } = statSync(join(dir, 'etc', file));
      return [uid, gid, mode(join(dir, 'etc', file))];
    };
    for (const file of ['psk', 'users.yaml']) t.strictSame(made(file), [12_345, 12_346, '600'], file);
    t.strictSame(made('lockstep.yaml'), [0, 12_346, '640'], 'which it may read');
    const own = join(dir, 'own/lockstep.yaml');
    firstRun(own, { interfaces: host, stateDir: join(dir, 'none') });
    for (const file of readdirSync(dirname(own))) t.match(statSync(join(dirname(own), file)), { uid: 0, gid: 0 }, file);
    t.equal(mode(own), '600', 'no such user here');
  },
);

t.test('a second run changes nothing and says nothing', async (t) => {
  const path = join(t.testdir({}), 'lockstep.yaml');
  firstRun(path, { interfaces: host });
  const files = () => readdirSync(dirname(path)).map((f) => readFileSync(join(dirname(path), f), 'utf8'));
  const before = files();
  t.equal(firstRun(path, { interfaces: host }), undefined);
  t.strictSame(files(), before);
});

t.test('an interrupted run is completed; what was there is kept and not shown', async (t) => {
  const path = join(t.testdir({}), 'lockstep.yaml');
  firstRun(path, { interfaces: host });
  unlinkSync(path);
  writeFileSync(join(dirname(path), 'psk'), 'of-the-operator\n');
  const text = firstRun(path, { interfaces: host })!;
  t.equal(loadConfig(path, {}).ike!.psk!.reveal(), 'of-the-operator');
  t.notMatch(text, /of-the-operator/);
  t.match(text, /Pre-shared key {3}\(unchanged, in .*psk\)/);
  t.match(text, /Password {9}\(unchanged, in .*users.yaml\)/);
});

t.test('every run has its own secrets, and each bit counts', async (t) => {
  const keyOf = (random?: (n: number) => Uint8Array) => {
    const path = join(t.testdir({}), 'lockstep.yaml');
    firstRun(path, { interfaces: host, ...(random === undefined ? {} : { random }) });
    return loadConfig(path, {}).ike!.psk!.reveal();
  };
  t.not(keyOf(), keyOf());
  const keys = Array.from({ length: 160 }, (_, bit) =>
    keyOf((n) => {
      const bytes = new Uint8Array(n);
      if (bit < n * 8) bytes[bit >> 3] = 1 << (bit & 7);
      return bytes;
    }),
  );
  t.equal(new Set(keys).size, 160);
});

t.test('the pool avoids the networks of the host', async (t) => {
  for (const [taken, want] of [
    [['10.0.0.1', 8], '172.29.99.1'],
    [['172.16.0.1', 12], '10.99.0.1'],
  ] as const) {
    const path = join(t.testdir({}), 'lockstep.yaml');
    const interfaces = { eth0: face(taken[0], taken[1]) };
    firstRun(path, { interfaces });
    const config = loadConfig(path, {});
    t.equal(config.pool.gateway, want);
    t.doesNotThrow(() => listenAddresses(config, interfaces));
  }
});

t.test('a place that cannot be written gives one sentence', async (t) => {
  const dir = t.testdir({ file: '' });
  t.throws(() => firstRun(join(dir, 'file/lockstep.yaml'), { interfaces: host }), {
    name: 'ConfigError',
    message: `${join(dir, 'file')}: the first configuration cannot be written (a file is where a directory should be); allowed: a directory lockstepd may write, or --config with a file that exists`,
  });
});

t.test('a host without a global address', async (t) => {
  const path = join(t.testdir({}), 'lockstep.yaml');
  t.match(firstRun(path, { interfaces: {} }), /Server {11}the address or name of this host/);
});
