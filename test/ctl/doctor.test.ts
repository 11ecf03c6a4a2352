import { readFileSync, writeFileSync } from 'node:fs';
import type { NetworkInterfaceInfo } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Config, loadConfig } from '../../src/daemon/config.js';
import { examine, type World } from '../../src/daemon/doctor.js';
import { runCtl, scratch } from '../lib/ctl-rig.js';

const config = (t: Test, more = ''): Config => {
  const dir = scratch(t);
  writeFileSync(join(dir, 'psk'), `${'k'.repeat(32)}\n`, { mode: 0o600 });
  writeFileSync(join(dir, 'users.yaml'), 'users: {alice: {password: hidden-one}}\n', { mode: 0o600 });
  writeFileSync(join(dir, 'lockstep.yaml'), `ike: {psk_file: psk}\n${more}`, { mode: 0o600 });
  return loadConfig(join(dir, 'lockstep.yaml'), {});
};

const nic = (address: string): NetworkInterfaceInfo[] => [
  { address, netmask: '255.255.255.0', family: 'IPv4', mac: '', internal: false, cidr: `${address}/24` },
];

const SS = (port: number, who: string) => `UNCONN 0 0 0.0.0.0:${port} 0.0.0.0:* users:(("${who}",pid=7,fd=3))\n`;

/** A host where all is well. */
const world = (t: Test, more: Partial<World> & { tools?: Record<string, string | number> } = {}): World => {
  const tools: Record<string, string | number> = {
    ss: '',
    'nft --version': 'nftables v1',
    'nft -j': '{"nftables": []}',
    ip: '',
    timedatectl: 'yes\n',
    ...more.tools,
  };
  return {
    run: async (tool, args) => {
      const found = tools[`${tool} ${args[0]}`] ?? tools[tool] ?? 127;
      return typeof found === 'number'
        ? { status: found, stdout: '', stderr: 'no' }
        : { status: 0, stdout: found, stderr: '' };
    },
    read: (path) => (path.endsWith('/mtu') ? '1500\n' : path.endsWith('ip_forward') ? '1\n' : '0\n'),
    stat: (path) =>
      /libexec|^\/usr\/lib\/ipsec\/charon/.test(path) ? undefined : { mode: 0o600, device: path.startsWith('/dev') },
    interfaces: { eth0: nic('8.8.4.4') },
    kernel: '6.1.0-18-amd64',
    root: true,
    now: new Date('2026-01-01T00:00:00Z'),
    running: false,
    config: config(t),
    ...more,
  };
};

t.test('a host where all is well', async (t) => {
  const findings = await examine(world(t));
  t.strictSame(
    findings.filter((f) => f.state !== 'ok'),
    [],
  );
  t.strictSame(
    findings.map((f) => f.check),
    [
      'configuration',
      'rights',
      'files',
      'kernel',
      'ESP',
      'TUN',
      'charon',
      'ports',
      'forwarding',
      'rp_filter',
      'firewall',
      'marks',
      'addresses',
      'MTU',
      'clock',
    ],
  );
  const { status, out } = await runCtl(['doctor'], { world: world(t) });
  t.equal(status, 0);
  t.match(out, /^ok {4}configuration {2}.*has no mistake\n/);
  t.notMatch(out, /hidden-one|kkkk/);
});

t.test('each thing that goes wrong, found alone, with what to do', async (t) => {
  const base = world(t);
  const cases: [string, 'warn' | 'fail', RegExp, Parameters<typeof world>[1]][] = [
    ['configuration', 'fail', /cannot be read/, { config: '/etc/x: the file cannot be read (no such file)' }],
    ['configuration', 'warn', /config\.pap/, { config: config(t, 'ppp: {auth: [pap]}\n') }],
    ['kernel', 'fail', /SO_RCVMARK/, { kernel: '5.15.0' }],
    ['ESP', 'fail', /this kernel has no ESP/, { tools: { ip: 2 } }],
    ['TUN', 'fail', /net\/tun/, { stat: (path) => (path === '/dev/net/tun' ? undefined : base.stat(path)) }],
    ['charon', 'fail', /no IKE daemon/, { stat: (p) => (p.startsWith('/usr') ? undefined : base.stat(p)) }],
    ['charon', 'fail', /lacks the plugins vici$/, { stat: (p) => (p.endsWith('vici.so') ? undefined : base.stat(p)) }],
    ['ports', 'fail', /^UDP 500: pluto$/, { tools: { ss: SS(500, 'pluto') } }],
    ['ports', 'fail', /^UDP 1701: xl2tpd$/, { tools: { ss: SS(1701, 'xl2tpd') }, running: true }],
    ['ports', 'warn', /nobody has/, { running: true }],
    ['ports', 'warn', /ss is missing/, { tools: { ss: 127 } }],
    [
      'forwarding',
      'fail',
      /ip_forward is 0/,
      {
        read: (p) => (p.endsWith('ip_forward') ? '0\n' : base.read(p)),
        config: config(t, 'reachability: {ip_forward: false}\n'),
      },
    ],
    [
      'rp_filter',
      'warn',
      /strict on eth0/,
      {
        interfaces: { eth0: nic('8.8.4.4'), eth1: nic('10.1.1.1') },
        read: (p) => (p.endsWith('eth0/rp_filter') ? '1\n' : base.read(p)),
      },
    ],
    ['firewall', 'fail', /neither nft nor/, { tools: { 'nft --version': 127 } }],
    [
      'firewall',
      'warn',
      /^inet filter input drops/,
      {
        tools: {
          'nft -j':
            '{"nftables": [{"chain": {"family": "inet", "table": "filter", "name": "input", "hook": "input", "policy": "drop"}}]}',
        },
      },
    ],
    ['marks', 'warn', /ip rule.*fwmark 0x1 /, { tools: { 'ip -4': '32765: from all fwmark 0x1 lookup 100\n' } }],
    ['addresses', 'warn', /no public/, { interfaces: { eth0: nic('192.168.1.4') } }],
    ['addresses', 'fail', /no global/, { interfaces: {} }],
    ['MTU', 'warn', /^eth0: 1280$/, { read: (p) => (p.endsWith('mtu') ? '1280\n' : base.read(p)) }],
    ['clock', 'fail', /^it says 1970/, { now: new Date(0) }],
    [
      'files',
      'fail',
      /others may write it/,
      { stat: (p) => (p.endsWith('.yaml') ? { mode: 0o666, device: false } : base.stat(p)) },
    ],
  ];
  for (const [check, state, text, more] of cases) {
    const bad = (await examine(world(t, more))).filter((f) => f.state !== 'ok');
    t.match(bad, [{ check, state, text, todo: /.{8}/ }], `${check} ${text}`);
    t.equal(bad.length, 1, `${check}: nothing else`);
  }
});

t.test('not root: what could not be looked at is said; our own daemon on the ports is fine', async (t) => {
  const bad = (await examine(world(t, { root: false }))).filter((f) => f.state !== 'ok');
  t.strictSame(
    bad.map((f) => [f.check, f.state]),
    [
      ['rights', 'warn'],
      ['ESP', 'warn'],
      ['firewall', 'warn'],
      ['marks', 'warn'],
    ],
  );
  const ours = await examine(world(t, { running: true, tools: { ss: SS(500, 'charon-systemd') + SS(1701, 'node') } }));
  t.match(
    ours.find((f) => f.check === 'ports'),
    { state: 'ok' },
  );
});

t.test('one failure: status 1 after the whole list, also as JSON', async (t) => {
  const sick = world(t, { kernel: '5.4.0', interfaces: {} });
  const { status, out, err } = await runCtl(['doctor', '--json'], { world: sick });
  t.match({ status, err }, { status: 1, err: 'lockstep: 2 checks failed' });
  t.match(
    JSON.parse(out).find((f: { check: string }) => f.check === 'kernel'),
    { state: 'fail', todo: /5\.19/ },
  );
  t.match((await runCtl(['doctor'], { world: sick })).out, /fail {2}kernel .*\n +-> Linux 5\.19/);
  t.match(await runCtl(['doctor', '--yaml']), { status: 2 });
});

t.test('config check and explain', async (t) => {
  const { file } = config(t);
  t.match(await runCtl(['-c', file, 'config', 'check']), {
    status: 0,
    out: `${file}: no mistake in it; users: 1`,
  });
  t.strictSame(JSON.parse((await runCtl(['-c', file, 'config', 'check', '--json'])).out), { file, users: 1 });
  t.match(await runCtl(['-c', `${file}.no`, 'config', 'check']), {
    status: 2,
    out: '',
    err: /cannot be read \(no such file\)/,
  });
  const before = readFileSync(file, 'utf8');
  writeFileSync(file, `${before}listen: {addresses: [203.0.113.77]}\n`);
  t.match(
    await runCtl(['-c', file, 'config', 'check']),
    { status: 2, err: /listen\.addresses: 203\.0\.113\.77 is not an address of this host/ },
    'what lockstepd would refuse at its start',
  );
  writeFileSync(file, 'ppp: {mtu: 9}\n');
  t.match(await runCtl(['-c', file, 'config', 'check']), { status: 2, err: /:1: ppp\.mtu: 9 is not allowed/ });
  t.match(await runCtl(['config', 'explain', 'ppp.mtu']), {
    status: 0,
    out: /^ppp\.mtu\nLargest IP packet[\s\S]*- allowed: /,
  });
  t.match((await runCtl(['config', 'explain', 'ppp'])).out, /ppp\.auth\n[\s\S]*\n\nppp\.mtu\n/);
  t.match(JSON.parse((await runCtl(['config', 'explain', 'log.level', '--json'])).out), [
    { key: 'log.level', default: 'info' },
  ]);
  t.match(await runCtl(['config', 'explain', 'mtu']), {
    status: 2,
    err: 'lockstep: mtu: no such setting (did you mean ppp.mtu?)',
  });
  t.match(await runCtl(['config', 'explain', 'zzzzzzzzzzzz']), {
    status: 2,
    err: 'lockstep: zzzzzzzzzzzz: no such setting',
  });
});
