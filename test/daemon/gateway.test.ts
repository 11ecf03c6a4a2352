import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { loadConfig } from '../../src/daemon/config.js';
import { callControl, type StatusView } from '../../src/daemon/control.js';
import { Gateway } from '../../src/daemon/gateway.js';
import type { Overview } from '../../src/daemon/status-page.js';
import { UserStore } from '../../src/daemon/users.js';
import type { RawListener } from '../../src/io/firewall.js';
import { Client, type ClientOptions, SERVER } from '../lib/daemon-client.js';
import { type LogLine, memoryLog } from '../lib/daemon-rig.js';
import { childSa, childUp, ikeSa } from '../lib/ike-events.js';
import { MemoryHost } from '../lib/memory-host.js';

const settle = async () => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

const later = async (host: MemoryHost, ms: number) => {
  for (const end = host.clock.now() + ms; host.clock.now() < end; await settle())
    host.clock.run(host.clock.now() + 250);
};

interface Raw {
  readonly raw?: RawListener;
  readonly yaml?: string;
  readonly users?: string;
}

const ALICE = 'users: {alice: {password: wonderland}}\n';

/** A gateway on a memory host, and the directory of its files. */
function make(
  t: Test,
  host = new MemoryHost(),
  { raw, yaml = 'ike: {psk_file: psk}', users: entries = ALICE }: Raw = {},
) {
  const dir = mkdtempSync(join(tmpdir(), 'gw-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const write = (name: string, text: string) => writeFileSync(join(dir, name), text, { mode: 0o600 });
  write('psk', 'a shared key\n');
  write('users.yaml', entries);
  write('lockstep.yaml', `${yaml}\nusers_file: users.yaml\nrun_dir: run\nstate_dir: state\n`);
  const config = loadConfig(join(dir, 'lockstep.yaml'), {});
  const users = UserStore.load(config.usersFile);
  const log: LogLine[] = [];
  const fatal: Error[] = [];
  const open = () =>
    new Gateway({
      host,
      config,
      users,
      listen: config.ike === null ? [] : [SERVER],
      raw,
      version: '1.2.3',
      log: memoryLog(log),
      onFatal: (error) => fatal.push(error),
    });
  const status = () => callControl(config.control.socket, 'GET', '/status') as Promise<StatusView>;
  const events = () => log.map((l) => l.event);
  return { host, config, log, fatal, open, status, events, socket: config.control.socket };
}

/** A promise and its ends. */
const deferred = () => {
  let resolve!: () => void;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
};

const DOWN = [
  'unlisten',
  'reachability off',
  'charon stop',
  'dataplane close',
  'inside close',
  'sysctl restore',
  'guard off',
];

t.test('up: guard, then charon, then the port; down: the port, then charon, the guard last', async (t) => {
  const { host, open, status, socket, events } = make(t);
  const gateway = open();
  await gateway.start();
  t.strictSame(host.acts, [
    'inside open',
    'guard',
    'sysctl net.ipv4.ip_forward=1',
    'reachability',
    'charon start',
    `listen ${SERVER}`,
  ]);
  t.match(await status(), { state: 'listening', listen: [SERVER], reason: null });
  host.acts.length = 0;
  const first = gateway.stop('SIGTERM');
  t.equal(gateway.stop('SIGTERM again'), first, 'a second one waits for the first');
  await first;
  t.strictSame(host.acts, DOWN);
  t.equal(existsSync(socket), false);
  t.equal(host.clock.armed, undefined, 'no timer keeps the process');
  t.strictSame(
    events().filter((e) => e.startsWith('gateway.')),
    ['gateway.ready', 'gateway.stopping', 'gateway.stopped'],
  );
});

t.test('IPv6 inside: routed, forwarded and let through, and not translated; without it nothing of it', async (t) => {
  const rows: [yaml: string, networks: string[], reachable: string[]][] = [
    ['ipv6: {prefix: "2001:db8:40::/56"}', ['2001:db8:40::/56'], []],
    [
      'ipv6: {prefix: "2001:db8:40::/56", delegate: "2001:db8:a000::/40"}\nroutes: [10.20.0.0/24]',
      ['2001:db8:40::/56', '2001:db8:a000::/40'],
      ['10.20.0.0/24', '2000::/3', 'fc00::/7'],
    ],
    [
      'ipv6: {prefix: "2001:db8:40::/56", routes: ["2001:db8:20::/64"]}',
      ['2001:db8:40::/56'],
      ['0.0.0.0/1', '128.0.0.0/1', '2001:db8:20::/64'],
    ],
    ['routes: [10.20.0.0/24]', [], ['10.20.0.0/24']],
  ];
  for (const [yaml, networks, reachable] of rows) {
    const { host, open } = make(t, new MemoryHost(), { yaml: `ike: {psk_file: psk}\n${yaml}` });
    const gateway = open();
    await gateway.start();
    t.strictSame(host.networks6, networks);
    t.strictSame(host.reachable, reachable);
    t.strictSame(host.masquerade, ['10.99.0.0-10.99.0.255']);
    t.equal(host.acts.includes('sysctl net.ipv6.conf.all.forwarding=1'), networks.length > 0);
    await gateway.stop('done');
  }
});

t.test('stopped while starting, at every step: undone, and nothing begins afterwards', async (t) => {
  for (const step of ['guard', 'sysctl net.ipv4.ip_forward=1', 'reachability', 'charon', 'confirm']) {
    const { host, open, socket } = make(t);
    const held = deferred();
    if (step === 'charon') {
      host.charon.onStart = () => held.promise;
      host.charon.onStop = () => held.resolve();
    } else if (step === 'confirm') host.monitor.confirmed = false;
    else host.before[step] = () => held.promise;
    const gateway = open();
    const start = gateway.start();
    start.catch(() => {});
    await settle();
    const stop = gateway.stop('SIGTERM');
    await settle();
    held.resolve();
    await t.rejects(start, { message: /^stopped/ }, step);
    await stop;
    await settle();
    t.notOk(
      host.acts.some((a) => a.startsWith('listen')),
      `${step}: the port was never open`,
    );
    t.equal(host.charon.running, false, step);
    t.equal(
      host.acts.includes('charon start'),
      ['charon', 'confirm'].includes(step),
      `${step}: no further step is begun`,
    );
    t.strictSame(host.acts.slice(-4), DOWN.slice(-4), step);
    t.equal(existsSync(socket), false, step);
    t.equal(host.clock.armed, undefined, step);
  }
});

t.test('a start that fails is undone', async (t) => {
  for (const [step, acts] of [
    ['guard', ['inside open', 'dataplane close', 'inside close', 'sysctl restore']],
    [
      'reachability',
      [
        'guard',
        'sysctl net.ipv4.ip_forward=1',
        'reachability off',
        'dataplane close',
        'inside close',
        'sysctl restore',
        'guard off',
      ],
    ],
    ['charon', ['charon start', 'reachability off', 'dataplane close', 'inside close', 'sysctl restore', 'guard off']],
    [
      'listen',
      [
        'charon start',
        'reachability off',
        'charon stop',
        'dataplane close',
        'inside close',
        'sysctl restore',
        'guard off',
      ],
    ],
  ] as const) {
    const { host, open, socket } = make(t);
    const fail = () => {
      throw new Error(`no ${step} here`);
    };
    if (step === 'charon') host.charon.onStart = async () => fail();
    else host.before[step] = fail;
    await t.rejects(open().start(), { message: `no ${step} here` });
    t.strictSame(host.acts.slice(-acts.length), acts, step);
    t.equal(existsSync(socket), false);
    t.equal(host.clock.armed, undefined, step);
  }
});

t.test('no data plane: the inside is closed again', async (t) => {
  const { host, open } = make(t);
  host.before['dataplane open'] = () => {
    throw new Error('not built');
  };
  t.throws(open, { message: 'not built' });
  t.strictSame(host.acts, ['inside open', 'inside close']);
});

t.test(
  'a step of stopping that fails keeps no other from being taken; a data plane that does not close, the guard',
  async (t) => {
    for (const step of ['reachability off', 'sysctl restore', 'dataplane close']) {
      const { host, open, log } = make(t);
      const gateway = open();
      await gateway.start();
      host.acts.length = 0;
      host.before[step] = () => Promise.reject(new Error('no'));
      await gateway.stop('SIGTERM');
      const guard = step === 'dataplane close' ? ['guard off'] : [];
      t.strictSame(
        host.acts,
        DOWN.filter((a) => a !== step && !guard.includes(a)),
      );
      t.match(
        log.filter((l) => l.level === 'error'),
        [{ event: 'gateway.stop-failed', fields: { error: { message: 'no' } } }],
      );
    }
  },
);

t.test('charon dies: the port is shut at once, and opened again when a new one has the policies', async (t) => {
  const { host, open, status, log } = make(t);
  const gateway = open();
  await gateway.start();
  host.acts.length = 0;
  host.monitor.confirmed = false;
  host.charon.die();
  t.strictSame(host.acts, ['unlisten']);
  t.match(await status(), { state: 'closed', reason: 'charon ended: SIGKILL', listen: [] });
  host.clock.run(1_000);
  await settle();
  host.monitor.push({ type: 'lost' }, { type: 'connected' }, { type: 'snapshot', sas: [] });
  await settle();
  t.strictSame(host.acts, ['unlisten', 'charon start'], 'not confirmed: still shut');
  host.monitor.confirmed = true;
  host.clock.run(2_000);
  await settle();
  t.strictSame(host.acts.slice(2), [`listen ${SERVER}`]);
  t.match(
    log.filter((l) => l.level === 'error').map((l) => l.event),
    ['ike.charon-exited', 'port.shut'],
  );
  await gateway.stop('end');
});

const RAW: RawListener = { interface: 'isp0', addresses: ['192.0.2.1'], peers: ['192.0.2.0/24'] };
const RAW_YAML = 'listen: {raw: {interface: isp0, peers: [192.0.2.0/24]}}';

t.test('raw only: no charon, the guard all the same, and a warning at each start', async (t) => {
  const host = new MemoryHost();
  const { open, status, log } = make(t, host, { raw: RAW, yaml: RAW_YAML });
  host.monitor.start = () => t.fail('nobody asks charon');
  const gateway = open();
  await gateway.start();
  t.strictSame(host.acts, ['inside open', 'guard', 'sysctl net.ipv4.ip_forward=1', 'reachability', 'listen 192.0.2.1']);
  t.match(await status(), { state: 'listening', listen: ['192.0.2.1'], reason: null });
  t.match(
    log.filter((l) => l.level === 'warn'),
    [{ event: 'config.raw' }],
  );
  host.acts.length = 0;
  await gateway.stop('SIGTERM');
  t.strictSame(
    host.acts,
    DOWN.filter((a) => a !== 'charon stop'),
  );
});

t.test('raw beside IPsec: open before charon is, and still when charon is gone', async (t) => {
  const host = new MemoryHost();
  const { open, status, events } = make(t, host, { raw: RAW, yaml: `${RAW_YAML}\nike: {psk_file: psk}` });
  const gateway = open();
  await gateway.start();
  t.strictSame(host.acts.slice(-4), ['listen 192.0.2.1', 'charon start', 'unlisten', `listen ${SERVER},192.0.2.1`]);
  host.acts.length = 0;
  host.charon.die();
  t.strictSame(host.acts, ['unlisten', 'listen 192.0.2.1']);
  t.match(await status(), { state: 'closed', listen: ['192.0.2.1'] });

  host.before.listen = () => {
    throw new Error('bind: EADDRNOTAVAIL');
  };
  host.clock.run(1_000);
  await settle();
  host.monitor.push({ type: 'lost' }, { type: 'connected' }, { type: 'snapshot', sas: [] });
  await settle();
  t.strictSame(events().slice(-2), ['port.raw-failed', 'ike.policy-failed']);
  host.before.listen = () => {};
  host.clock.run(7_000);
  await settle();
  t.match(await status(), { state: 'listening', listen: [SERVER, '192.0.2.1'] });
  await gateway.stop('end');
});

t.test('the raw interface is gone when charon is back: the port with IPsec opens all the same', async (t) => {
  const host = new MemoryHost();
  const { open, status, events } = make(t, host, { raw: RAW, yaml: `${RAW_YAML}\nike: {psk_file: psk}` });
  const gateway = open();
  await gateway.start();
  host.charon.die();
  host.before.listen = (addresses) => {
    if (addresses?.includes('192.0.2.1')) throw new Error('setsockopt SO_BINDTODEVICE: ENODEV');
  };
  host.clock.run(1_000);
  await settle();
  host.monitor.push({ type: 'lost' }, { type: 'connected' }, { type: 'snapshot', sas: [] });
  await settle();
  t.match(await status(), { state: 'listening', listen: [SERVER], reason: null });
  t.strictSame(events().slice(-2), ['port.raw-failed', 'port.open']);
  await gateway.stop('end');
});

t.test('the packet thread fails: told once, everything else stops in order, nothing is thrown', async (t) => {
  const { host, open, fatal, status } = make(t);
  const gateway = open();
  await gateway.start();
  host.acts.length = 0;
  await host.failPlane();
  t.strictSame(
    fatal.map((e) => e.message),
    ['epoll_wait: EBADF'],
  );
  gateway.emergencyShut();
  t.match(await status(), { state: 'closed', listen: [] });
  host.monitor.push({ type: 'snapshot', sas: [ikeSa('1', [childSa('1', 1)])] });
  await gateway.stop('dataplane.failed');
  t.strictSame(
    host.acts,
    DOWN.filter((a) => a !== 'unlisten'),
  );
});

/** A client, dialled and connected. */
const connected = async (host: MemoryHost, options: Partial<ClientOptions> = {}) => {
  const mark = options.mark ?? 1;
  const client = new Client(host.clock, 4 + mark, { ...options, mark }, (path, data) => host.plane.receive(path, data));
  const pump = async (ms: number) => {
    for (const end = host.clock.now() + ms; host.clock.now() <= end; host.clock.run(host.clock.now() + 100)) {
      await settle();
      for (const { path, data } of host.plane.takeSent()) if (path.mark === mark) client.receive(data);
      await settle();
    }
  };
  host.monitor.push(childUp(ikeSa(String(mark), [childSa(String(mark), mark)])));
  client.dial();
  await pump(1_000);
  return { client, pump };
};

t.test('stop tells a connected client; one that does not answer delays it 12 s at most', async (t) => {
  for (const mute of [false, true]) {
    const { host, open, log } = make(t);
    const gateway = open();
    await gateway.start();
    const { client, pump } = await connected(host);
    t.match(client.events.at(-1), /^up /);
    client.mute = mute;
    let stopped = false;
    const stop = gateway.stop('SIGTERM').then(() => {
      stopped = true;
    });
    await pump(mute ? 12_100 : 1_000);
    t.equal(stopped, true);
    await stop;
    t.strictSame(host.acts.slice(-DOWN.length), DOWN);
    // RFC 2661 §4.4.2, StopCCN 6: requester is being shut down
    if (!mute) t.strictSame([client.events.at(-1), host.monitor.terminated], ['tunnel-down peer 6', ['1']]);
    t.match(
      log.filter((l) => l.event === 'session.end'),
      [{ fields: { user: 'alice', reason: 'SIGTERM' } }],
    );
    t.equal(host.clock.armed, undefined);
  }
});

t.test('rules of others for our marks: one warning that names them, and up all the same', async (t) => {
  const { host, open, log, status } = make(t);
  host.marks = Array.from({ length: 25 }, (_, n) => `ip rule ${n}: from all fwmark 0x1 lookup 100`);
  const gateway = open();
  await gateway.start();
  t.equal((await status()).state, 'listening');
  const warned = log.filter((l) => l.event === 'firewall.mark-collision');
  t.match(warned, [{ level: 'warn', fields: { more: 5, hint: /0xff000000/ } }]);
  t.match(warned[0]?.fields.rules, host.marks.slice(0, 20));
  await gateway.stop('end');
});

t.test('new users: their fixed addresses are routed before anyone may use them', async (t) => {
  const { host, config, open, events } = make(t);
  const gateway = open();
  await gateway.start();
  host.acts.length = 0;
  await gateway.reload(config, UserStore.parse('users.yaml', 'users: {bob: {password: x, address: 192.168.5.5}}'));
  t.ok(events().includes('users.reloaded'));
  await settle();
  t.strictSame(host.acts, ['route 192.168.5.5', 'reachability'], 'NAT is for the new address too');
  t.strictSame(host.masquerade, ['10.99.0.0-10.99.0.255', '192.168.5.5']);
  await gateway.reload(config, UserStore.parse('users.yaml', 'users: {bob: {password: x, address: 10.99.0.5}}'));
  await settle();
  t.strictSame(host.acts.slice(2), ['route 10.99.0.5'], 'the pool covers it; what was leased before stays');
  t.strictSame(host.masquerade, ['10.99.0.0-10.99.0.255', '192.168.5.5']);
  host.before.reachability = () => Promise.reject(new Error('nft: no'));
  const more = UserStore.parse('users.yaml', 'users: {bob: {password: x, address: 192.168.5.6}}');
  await gateway.reload(config, more);
  await settle();
  t.ok(events().includes('firewall.not-updated'));
  host.before.reachability = () => {};
  await gateway.reload(config, more);
  await settle();
  t.ok(host.masquerade?.includes('192.168.5.6'), 'asked again, it is tried again');
  t.equal(host.monitor.changes.length, 0, 'charon has nothing to do with it');
  await gateway.stop('end');
});

t.test('the packet thread fails while clients are told of the end: that ends, too', async (t) => {
  const { host, open, fatal } = make(t);
  const gateway = open();
  await gateway.start();
  const { client } = await connected(host);
  client.mute = true;
  const stopped = gateway.stop('SIGTERM');
  await settle();
  await host.failPlane();
  await stopped;
  t.equal(fatal.length, 1);
});

t.test('firewall rules that somebody flushed are put back; where they cannot be, the port is shut', async (t) => {
  const { host, open, status, events } = make(t);
  const gateway = open();
  await gateway.start();
  host.acts.length = 0;
  host.rulesStand = false;
  await later(host, 5_000);
  t.strictSame(host.acts, ['reachability']);
  t.ok(events().includes('firewall.gone'));
  t.equal((await status()).state, 'listening');
  host.rulesStand = false;
  host.before.reachability = () => Promise.reject(new Error('nft: no'));
  await later(host, 10_000);
  t.match(await status(), { state: 'closed', reason: 'the firewall rules: nft: no' });
  host.before.reachability = () => {};
  await later(host, 10_000);
  t.equal((await status()).state, 'listening');
  await gateway.stop('end');
});

t.test('a new `identity` is in force at once; a name nobody has is a warning', async (t) => {
  const { host, config, open, log } = make(t);
  const gateway = open();
  await gateway.start();
  const users = UserStore.parse('users.yaml', 'users: {bob: {password: x}}');
  await gateway.reload({ ...config, identity: new Map([['bobby', ['*']]]) }, users);
  t.match(
    log.filter((l) => l.event === 'identity.unknown-user'),
    [{ level: 'warn', fields: { user: 'bobby' } }],
  );
  t.match(log.at(-1), { event: 'config.reloaded', fields: { applied: ['identity'] } });
  t.equal(host.monitor.changes.length, 0, 'charon has nothing to do with it');
  await gateway.stop('end');
});

t.test('a new configuration: charon gets it while sessions stay; refused, everything is as before', async (t) => {
  const { host, config, log, open, events } = make(t);
  const gateway = open();
  await gateway.start();
  host.acts.length = 0;
  const users = UserStore.parse('users.yaml', 'users: {bob: {password: x}}');
  const legacy = { ...config, limits: { ...config.limits, tunnels: 7 }, ike: { ...config.ike!, legacy: true } };
  host.monitor.refuse = new Error('charon refused the connection l2tp: no');
  await t.rejects(gateway.reload(legacy, users), /charon refused/, 'who asked is told');
  t.notOk(events().includes('users.reloaded'));

  await gateway.reload(legacy, users);
  t.match(log.slice(-5), [
    { event: 'users.reloaded' },
    { event: 'config.legacy-crypto' },
    { event: 'config.short-psk' },
    { event: 'config.reloaded', fields: { applied: ['ike.legacy'] } },
    { level: 'warn', event: 'config.needs-restart', fields: { keys: ['limits.tunnels'] } },
  ]);
  t.match(JSON.stringify(host.monitor.policies.at(-1)?.connections.l2tp), '3des-md5-modp1024');
  t.notOk(host.acts.includes('unlisten'));

  log.length = 0;
  await gateway.reload(legacy, users);
  t.match(
    log.map((l) => l.event),
    ['users.reloaded', 'config.reloaded', 'config.needs-restart'],
  );
  await gateway.stop('end');
});

t.test('a password that a client sets while charon reloads stays, though the new users were read before', async (t) => {
  const { host, config, open } = make(t, new MemoryHost(), {
    yaml: 'ike: {psk_file: psk}\nppp: {password_change: true}',
    users: 'users: {alice: {password: wonderland, expired: true}, bob: {password: x}}\n',
  });
  const gateway = open();
  await gateway.start();
  const held = deferred();
  const load = host.monitor.loadPolicy.bind(host.monitor);
  host.monitor.loadPolicy = (policy) => held.promise.then(() => load(policy));
  const legacy = { ...config, ike: { ...config.ike!, legacy: true } };
  const reloaded = gateway.reload(legacy, UserStore.load(config.usersFile));
  const { client } = await connected(host, { ppp: { newPassword: 'looking-glass' } });
  t.match(client.events.at(-1), /^up /);
  held.resolve();
  await reloaded;
  const again = await connected(host, { mark: 2, address: '198.51.100.3', passwords: ['looking-glass'] });
  t.match(again.client.events.at(-1), /^up /);
  await Promise.all([gateway.stop('end'), again.pump(12_100)]);
});

t.test('new users: what is wrong with them is found before anything is changed', async (t) => {
  const { host, config, open, events } = make(t);
  const gateway = open();
  await gateway.start();
  const bob = (address: string) => UserStore.parse('users.yaml', `users: {bob: {password: x, address: ${address}}}`);
  const legacy = { ...config, ike: { ...config.ike!, legacy: true } };
  host.before.route = () => {
    throw new Error('no route');
  };
  await t.rejects(gateway.reload(legacy, bob('192.168.5.5')), { message: 'no route' });
  t.equal(host.monitor.policies.length, 1, 'charon is as it was');
  delete host.before.route;

  const pool = { ...config.pool, gateway: '10.77.0.1' };
  await t.rejects(gateway.reload({ ...legacy, pool }, bob(config.pool.gateway)), /10\.99\.0\.1/);
  t.equal(host.monitor.policies.length, 1, 'the pool in force is the one of the start');
  t.notOk(events().includes('users.reloaded'));
  await gateway.stop('end');
});

t.test('the control socket: who is there, the pool, a drain and its end', async (t) => {
  const { host, open, status, socket } = make(t);
  const gateway = open();
  await gateway.start();
  const { client, pump } = await connected(host);
  const ask = (path: string) => callControl(socket, 'GET', path);
  t.match(await ask('/sessions'), [{ user: 'alice', client: { hostName: 'client', type: 'unknown' } }]);
  t.match(await ask('/pool'), {
    ranges: ['10.99.0.0-10.99.0.255'],
    gateway: '10.99.0.1',
    dynamic: { size: 253, leased: 1 },
    fixed: { size: 0, leased: 0 },
    leases: [{ user: 'alice', fixed: false }],
  });
  t.match(await status(), { sas: 1, tunnels: 1, sessions: 1, draining: null });
  await callControl(socket, 'POST', '/drain', { close: false });
  t.match(await status(), { sessions: 1, draining: 'drained by the administrator' });
  await callControl(socket, 'POST', '/drain', { cancel: true });
  t.match(await status(), { sessions: 1, draining: null });
  await callControl(socket, 'POST', '/drain', { redirect: '203.0.113.9' });
  await pump(1_000);
  t.match(await status(), { state: 'listening', tunnels: 0, sessions: 0 });
  t.equal(client.events.at(-1), 'tunnel-down peer 2 to 203.0.113.9');
  await host.failPlane();
  await t.rejects(callControl(socket, 'POST', '/drain', {}), { message: 'the gateway is stopping' });
  await gateway.stop('end');
});

t.test('the status page of a gateway with a client; it goes with the gateway', async (t) => {
  const place = mkdtempSync(join(tmpdir(), 'gw-'));
  t.teardown(() => rmSync(place, { recursive: true, force: true }));
  const socket = join(place, 'p.sock');
  const { host, open } = make(t, new MemoryHost(), {
    yaml: `ike: {psk_file: psk}\nstatus_page: {listen: ${socket}}`,
  });
  const gateway = open();
  await gateway.start();
  await connected(host);
  const { sessions, status } = (await callControl(socket, 'GET', '/api/overview')) as Overview;
  t.match(sessions, [{ user: 'alice', state: 'up' }]);
  for (const [text, found] of [
    ['ALI', 1],
    ['bob', 0],
  ] as const)
    t.match(await callControl(socket, 'GET', `/api/overview?search=${text}`), { found, sessions: { length: found } });
  t.match(status, { state: 'listening', sessions: 1 });
  t.match(await callControl(socket, 'GET', '/api/history'), [{ sessions: 0 }], 'one point at the start');
  await host.failPlane();
  t.match(await callControl(socket, 'GET', '/api/overview'), { status: { state: 'closed' }, sessions: [] });
  await gateway.stop('end');
  t.equal(existsSync(socket), false);
});

t.test('metrics and health of a gateway with a client; nothing of it without metrics.listen', async (t) => {
  const place = mkdtempSync(join(tmpdir(), 'gw-'));
  t.teardown(() => rmSync(place, { recursive: true, force: true }));
  const socket = join(place, 'm.sock');
  const {
    host,
    open,
    socket: control,
  } = make(t, new MemoryHost(), {
    yaml: `ike: {psk_file: psk}\nmetrics: {listen: ${socket}}`,
  });
  const gateway = open();
  await gateway.start();
  await connected(host);
  const get = (path: string) =>
    new Promise<[status: number | undefined, text: string]>((resolve, reject) => {
      const req = request({ socketPath: socket, path }, (res) => {
        let text = '';
        res.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        res.on('end', () => resolve([res.statusCode, text]));
      });
      req.on('error', reject).end();
    });
  const [status, text] = await get('/metrics');
  t.equal(status, 200);
  for (const line of [
    'lockstep_listening 1',
    'lockstep_sessions{state="up"} 1',
    'lockstep_setup_stage_total{stage="ipcp"} 1',
  ])
    t.ok(text.includes(`\n${line}\n`), line);
  t.notMatch(text, /alice|198\.51\.100|10\.99/);
  t.equal((await get('/health'))[0], 200);
  await callControl(control, 'POST', '/drain', { close: false });
  t.match(await get('/health'), [503, /drained by the administrator/]);
  await host.failPlane();
  t.match(await get('/metrics'), [200, /lockstep_listening 0\n/]);
  await gateway.stop('end');
  t.equal(existsSync(socket), false);
});
