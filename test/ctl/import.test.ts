import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { type Note, readChapSecrets, readIpsecSecrets, readXl2tpd, words } from '../../src/ctl/import-read.js';
import { loadConfig } from '../../src/daemon/config.js';
import { UserStore } from '../../src/daemon/users.js';
import { runCtl, scratch } from '../lib/ctl-rig.js';

const fixture = (name: string, file = '') =>
  fileURLToPath(new URL(`../../../test/vectors/import/${name}/${file}`, import.meta.url));
const SECRETS = /fixture-|fixture key|fixture three|fixtureShared|with "quotes/;

const gateway = async (name: string, ...more: string[]) => {
  const conf = fixture(name, 'etc/xl2tpd/xl2tpd.conf');
  return runCtl(['import', 'xl2tpd', conf, '--root', fixture(name), ...more]);
};

t.test("the files of hwdsl2's script: a configuration that loads, with the same users", async (t) => {
  const out = join(scratch(t), 'new');
  const ran = await gateway('hwdsl2', '--out', out);
  t.equal(ran.status, 0, ran.err);
  t.notMatch(ran.out, SECRETS);
  const config = loadConfig(join(out, 'lockstep.yaml'), {});
  t.match(config, {
    pool: { gateway: '192.168.42.1' },
    dns: ['8.8.8.8', '8.8.4.4'],
    ppp: { mtu: 1280, auth: ['mschapv2'], echoInterval: 30_000, echoFailures: 4 },
    ike: { legacy: true },
  });
  t.equal(config.ike?.psk?.reveal(), 'fixtureSharedKey20ab');
  const users = UserStore.load(config.usersFile);
  t.equal(users.size, 2);
  t.equal(users.find('vpnuser')?.password?.reveal(), 'fixture-Pass#1');
  t.equal(users.find('second user')?.password?.reveal(), 'with "quotes" in');
  for (const file of readdirSync(out))
    t.equal(statSync(join(out, file)).mode & 0o777, file === 'lockstep.yaml' ? 0o640 : 0o600, file);
  t.match(ran.out, /^written: .*psk, .*users\.yaml, .*lockstep\.yaml\nusers: 2\nnot carried over/);
  t.match(ran.out, /options\.xl2tpd:8: proxyarp: /);
  t.match(ran.out, /ipsec\.conf:13: ike: MODP-1024/);
  t.match(ran.out, /ipsec\.conf:27: conn xauth-psk: leftxauthserver=yes: only L2TP/);
  t.notMatch(ran.out, /no counterpart/);
});

t.test("files like Debian's examples: what cannot be carried over is told, line by line", async (t) => {
  const out = scratch(t);
  const ran = await gateway('debian', '--out', out, '--json');
  t.equal(ran.status, 0, ran.err);
  t.notMatch(ran.out, SECRETS);
  const config = loadConfig(join(out, 'lockstep.yaml'), {});
  t.match(config, {
    pool: { gateway: '192.168.1.99', ranges: { length: 2 } },
    dns: ['192.168.1.1', '192.168.1.3'],
    nbns: ['192.168.1.2'],
    ppp: { mtu: 1400 },
    limits: { idleTimeout: 1_800_000 },
    ike: { legacy: false, pskRanges: [{ peers: ['203.0.113.7/32'] }] },
  });
  t.strictSame(
    [...UserStore.load(config.usersFile)].map((u) => [u.name, u.address]),
    [
      ['jane', undefined],
      ['sam', '192.168.1.5'],
      ['tom', undefined],
    ],
  );
  const { notes } = JSON.parse(ran.out) as { notes: { where: string; text: string }[] };
  t.match(
    notes.map(({ where, text }) => `${where.split('/').at(-1)} ${text}`),
    [
      /^xl2tpd\.conf:14 hidden bit/,
      /^xl2tpd\.conf:18 \[lac elsewhere\]/,
      /^options\.xl2tpd:6 ms-dns/,
      /^options\.xl2tpd:16 proxyarp/,
      /^options\.xl2tpd:17 plugin radius\.so/,
      /^ipsec\.conf not there/,
      /^chap-secrets:2 jane: 192\.168\.1\.128\/25: an address of the pool/,
      /^chap-secrets:4 tom: 192\.168\.1\.5 belongs to another/,
      /^chap-secrets:5 sam: is in the file before/,
      /^chap-secrets:6 \*: a secret of this host/,
      /^chap-secrets:7 eve: the password is not in this file/,
      /^ipsec\.secrets:2 include/,
      /^ipsec\.secrets:5 PSK of a name/,
      /^ipsec\.secrets:6 RSA: only/,
    ],
  );
});

t.test('users alone, the key alone', async (t) => {
  const out = scratch(t);
  const users = await runCtl(['import', 'chap-secrets', fixture('hwdsl2', 'etc/ppp/chap-secrets'), '--out', out]);
  t.match(users, { status: 0, out: `written: ${join(out, 'users.yaml')}\nusers: 2` });
  const key = await runCtl(['import', 'ipsec.secrets', '--root', fixture('hwdsl2'), '--out', out]);
  t.match(key, { status: 0, out: `written: ${join(out, 'psk')}` });
  t.equal(readFileSync(join(out, 'psk'), 'utf8'), 'fixtureSharedKey20ab\n');
});

t.test('keys of networks alone: no configuration names them yet', async (t) => {
  const out = scratch(t);
  const ran = await runCtl(['import', 'ipsec.secrets', fixture('debian', 'etc/ipsec.secrets'), '--out', out]);
  t.equal(ran.status, 0, ran.err);
  t.match(readdirSync(out).sort(), ['psk', 'psk.1']);
  t.match(ran.out, /\n {2}psk\.1: name it in `ike\.psk_ranges`, for the peers \[203\.0\.113\.7\/32\]$/);
});

t.test('nothing is overwritten without --force; nothing is written that lockstepd would not take', async (t) => {
  const out = scratch(t);
  writeFileSync(join(out, 'users.yaml'), 'mine');
  t.match(await gateway('hwdsl2', '--out', out), {
    status: 2,
    out: '',
    err: /users\.yaml: is there already; --force overwrites$/,
  });
  t.strictSame(readdirSync(out), ['users.yaml']);
  t.match(await gateway('hwdsl2', '--out', out, '--force'), { status: 0 });
  t.not(readFileSync(join(out, 'users.yaml'), 'utf8'), 'mine');
  const odd = join(scratch(t), 'xl2tpd.conf');
  writeFileSync(odd, '[lns default]\nip range = somewhere\n');
  const fresh = scratch(t);
  const ran = await runCtl(['import', 'xl2tpd', odd, '--root', fixture('hwdsl2'), '--out', fresh]);
  t.match(ran, { status: 2, out: '', err: /pool\.ipv4.*somewhere is not allowed/ });
  t.strictSame(readdirSync(fresh), []);
});

t.test('no key for everybody: keys of networks alone; no key at all: refused', async (t) => {
  const dir = scratch(t);
  const root = join(dir, 'root');
  mkdirSync(join(root, 'etc'), { recursive: true });
  const conf = join(root, 'xl2tpd.conf');
  writeFileSync(conf, '[lns default]\nip range = 10.9.0.10-10.9.0.20\n');
  const run = (out: string) => runCtl(['import', 'xl2tpd', conf, '--root', root, '--out', join(dir, out)]);
  t.match(await run('none'), {
    status: 2,
    out: '',
    err: /^lockstep: no pre-shared key was found in \/etc\/ipsec\.secrets/,
  });
  t.strictSame(readdirSync(dir), ['root']);
  writeFileSync(join(root, 'etc/ipsec.secrets'), '1.2.3.4 5.6.7.8 : PSK "x y"\n');
  t.match(await run('one'), { status: 0 });
  t.match(loadConfig(join(dir, 'one/lockstep.yaml'), {}).ike, { psk: null, pskRanges: [{ peers: ['5.6.7.8/32'] }] });
});

t.test(
  'what root replaces keeps its owner, and the configuration its mode',
  { skip: process.geteuid?.() !== 0 },
  async (t) => {
    const out = scratch(t);
    t.match(await gateway('hwdsl2', '--out', out), { status: 0 });
    for (const name of readdirSync(out)) chownSync(join(out, name), 12_345, 12_346);
    chmodSync(join(out, 'lockstep.yaml'), 0o644);
    t.match(await gateway('hwdsl2', '--out', out, '--force'), { status: 0 });
    for (const name of readdirSync(out)) t.match(statSync(join(out, name)), { uid: 12_345, gid: 12_346 }, name);
    t.equal(statSync(join(out, 'lockstep.yaml')).mode & 0o777, 0o644);
    t.equal(statSync(join(out, 'psk')).mode & 0o777, 0o600);
  },
);

t.test('bad input', async (t) => {
  const none = join(scratch(t), 'none');
  for (const source of ['xl2tpd', 'chap-secrets', 'ipsec.secrets'])
    t.match(await runCtl(['import', source, none]), {
      status: 2,
      out: '',
      err: /none: the file cannot be read \(no such file\)/,
    });
  t.match(await runCtl(['import', 'pptpd']), { status: 2, err: /unknown command 'pptpd'/ });
  writeFileSync(none, '# nothing\n');
  t.match(await runCtl(['import', 'chap-secrets', none]), {
    status: 2,
    err: 'lockstep: nothing was found that could be taken over',
  });
});

t.test('sections and lines that are there twice, and another port', async (t) => {
  const notes: Note[] = [];
  const text = `[global]
port = 1702
[lns a]
ip range = 10.9.0.10-10.9.0.20
ip range = 10.9.0.30 - 10.9.0.40, 10.9.0.10-10.9.0.20
local ip = 10.9.0.1
pppoptfile = /etc/ppp/a
[lns b]
ip range = 10.8.0.10-10.8.0.20
local ip = 10.8.0.1
pppoptfile = /etc/ppp/a`;
  t.strictSame(readXl2tpd({ file: 'x', text }, notes), {
    settings: {
      'pool.ipv4': ['10.9.0.10-10.9.0.20', '10.9.0.30-10.9.0.40', '10.8.0.10-10.8.0.20'],
      'pool.gateway': '10.8.0.1',
    },
    pppOptions: '/etc/ppp/a',
  });
  t.strictSame(
    notes.map((n) => `${n.where} ${n.text}`),
    [
      'x:2 port: 1702: Lockstep serves UDP 1701 only',
      'x:8 [lns b]: one pool and the same options for all; where two sections differ, the last counts',
      'x:10 local ip: takes the place of 10.9.0.1',
    ],
  );
});

t.test("accel-ppp's chap-secrets: the address is read, the rate behind it is told", async (t) => {
  const notes: Note[] = [];
  const text = 'alice * a 10.9.0.7 2048/1024\nbob * b * 512\ncarol * c pool1 512\ndora * d *\n';
  t.strictSame(readChapSecrets({ file: 'c', text }, notes), [
    { name: 'alice', password: 'a', address: '10.9.0.7' },
    { name: 'bob', password: 'b' },
    { name: 'carol', password: 'c' },
    { name: 'dora', password: 'd' },
  ]);
  t.strictSame(
    notes.map((n) => `${n.where} ${n.text}`),
    [
      'c:1 alice: 2048/1024: not taken over; for a rate, `lockstep user set-rate`',
      'c:2 bob: 512: not taken over; for a rate, `lockstep user set-rate`',
      'c:3 carol: pool1 512: an address of the pool instead',
    ],
  );
});

t.test('words and keys as the old programs read them', async (t) => {
  t.strictSame(words('a\t* "b c" 1.2.3.4 # d'), ['a', '*', 'b c', '1.2.3.4']);
  t.strictSame(words('"q\\"x" \'s p\' b\\ c'), ['q"x', 's p', 'b c']);
  t.strictSame(words('# all'), []);
  const keys = (text: string) => readIpsecSecrets({ file: 'f', text }, []);
  t.strictSame(keys(': PSK "x y"'), [{ peers: [], psk: 'x y' }]);
  t.strictSame(keys('%any: PSK bare # c'), [{ peers: [], psk: 'bare' }]);
  t.strictSame(keys('1.2.3.4 5.6.7.8 : PSK "x"'), [{ peers: ['5.6.7.8/32'], psk: 'x' }]);
});
