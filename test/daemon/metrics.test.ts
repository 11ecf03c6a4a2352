import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { localListen } from '../../src/daemon/config-format.js';
import { Metrics, type Snapshot } from '../../src/daemon/metrics.js';
import { type Health, serveMetrics } from '../../src/daemon/metrics-server.js';

const SNAPSHOT: Snapshot = {
  listening: true,
  draining: false,
  sas: 3,
  tunnels: 2,
  sessions: { setup: 1, up: 2 },
  pool: { size: 253, leased: 2 },
  octets: { in: 10, out: 20 },
  drops: { 'mark-zero': 4 },
  controlDrops: { path: 5 },
  sessionDrops: { path: 1 },
  controlHeld: 5,
};

const lines = async (metrics: Metrics) =>
  (await metrics.text()).split('\n').filter((line) => line.startsWith('lockstep_'));

t.test('what is true at a scrape, and what the events add up to', async (t) => {
  const metrics = new Metrics(() => SNAPSHOT);
  metrics.event('ike.child-up', { mark: 1 });
  metrics.event('session.up', { user: 'alice', address: '10.99.0.10' });
  metrics.event('ike.no-l2tp', {});
  metrics.ikeFailed('wrong-psk');
  metrics.upcalls(7);
  metrics.event('dhcp.informed', { user: 'alice' });
  metrics.event('session.end', {
    cause: 'wrong-password',
    user: 'alice',
    octetsIn: 100n,
    octetsOut: 200n,
    drops: { path: 2n },
  });
  metrics.event('session.end', { cause: 'client-closed' });
  metrics.event('session.end', { cause: 'something\n"forged"' });
  for (let scrape = 0; scrape < 2; scrape++) {
    const found = await lines(metrics);
    for (const line of [
      'lockstep_listening 1',
      'lockstep_draining 0',
      'lockstep_sas 3',
      'lockstep_tunnels 2',
      'lockstep_sessions{state="setup"} 1',
      'lockstep_sessions{state="up"} 2',
      'lockstep_pool_addresses 253',
      'lockstep_pool_leased 2',
      'lockstep_control_held 5',
      'lockstep_upcalls_total 7',
      'lockstep_dhcp_informed_total 1',
      'lockstep_setup_stage_total{stage="esp"} 1',
      'lockstep_setup_stage_total{stage="up"} 1',
      'lockstep_setup_stage_total{stage="lcp"} 0',
      'lockstep_failures_total{cause="no-l2tp"} 1',
      'lockstep_failures_total{cause="wrong-psk"} 1',
      'lockstep_failures_total{cause="wrong-password"} 1',
      'lockstep_sessions_ended_total{cause="client-closed"} 1',
      'lockstep_sessions_ended_total{cause="protocol-error"} 1',
      'lockstep_octets_total{direction="in"} 110',
      'lockstep_octets_total{direction="out"} 220',
      'lockstep_dropped_packets_total{scope="none",reason="mark-zero"} 4',
      'lockstep_dropped_packets_total{scope="control",reason="path"} 5',
      'lockstep_dropped_packets_total{scope="session",reason="path"} 3',
    ])
      t.ok(found.includes(line), `scrape ${scrape}: ${line}`);
    t.notMatch(found.join('\n'), /alice|10\.99|forged|cause="client-closed"} 1\n.*failures/);
  }
});

const open = async (t: Test, health: () => Health) => {
  const dir = mkdtempSync(join(tmpdir(), 'metrics-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const socketPath = join(dir, 'm.sock');
  const server = await serveMetrics(socketPath, new Metrics(() => SNAPSHOT), health);
  t.teardown(() => server.close());
  const get = (path: string, method = 'GET') =>
    new Promise<{ status: number; type: string | undefined; text: string }>((resolve, reject) => {
      const req = request({ socketPath, path, method }, (res) => {
        let text = '';
        res.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        res.on('end', () => resolve({ status: res.statusCode!, type: res.headers['content-type'], text }));
      });
      req.on('error', reject).end();
    });
  return { get, socketPath, server };
};

t.test('the endpoint: metrics, health, and nothing else', async (t) => {
  let health: Health = { ready: true, state: 'listening', draining: null };
  const { get, socketPath } = await open(t, () => health);
  t.equal(statSync(socketPath).mode & 0o777, 0o660);
  t.match(await get('/metrics'), { status: 200, type: /^text\/plain; version=0\.0\.4/, text: /^lockstep_sas 3$/m });
  t.match((await get('/metrics')).text, /^nodejs_eventloop_lag_p99_seconds /m);
  t.match(await get('/health'), { status: 200, text: '{"ready":true,"state":"listening","draining":null}\n' });
  t.match(await get('/health', 'HEAD'), { status: 200, text: '' });
  health = { ready: false, state: 'listening', draining: 'for repair' };
  t.match(await get('/health'), { status: 503, text: /for repair/ });
  t.match(await get('/'), { status: 404 });
  t.match(await get('/metrics', 'POST'), { status: 405 });
});

t.test('loopback works too; an address in use is a sentence', async (t) => {
  const ready = () => ({ ready: true, state: 'listening', draining: null });
  const metrics = new Metrics(() => SNAPSHOT);
  const { server, socketPath } = await open(t, ready);
  await server.close();
  t.throws(() => statSync(socketPath), { code: 'ENOENT' }, 'close removes the socket');
  writeFileSync(socketPath, 'precious');
  await t.rejects(serveMetrics(socketPath, metrics, ready), {
    message: `metrics.listen: ${socketPath} is there and is no socket: name another path, or remove it`,
  });
  t.equal(readFileSync(socketPath, 'utf8'), 'precious');
  await t.rejects(serveMetrics('/no/such/directory/m.sock', metrics, ready), {
    message: /^metrics\.listen: \/no\/such\/directory\/m\.sock cannot be opened \(E/,
  });
  await t.rejects(serveMetrics('127.0.0.1:999999', metrics, ready));
  const loop = await serveMetrics('127.0.0.1:0', metrics, ready);
  await loop.close();
});

t.test('only this host may be told', async (t) => {
  for (const good of ['127.0.0.1:9101', '[::1]:1', '/run/lockstep/metrics.sock']) t.equal(localListen(good), good);
  for (const bad of [
    '0.0.0.0:9101',
    '192.0.2.1:9101',
    ':9101',
    '9101',
    '127.0.0.1:0',
    '127.0.0.1:70000',
    'a/b',
    `/${'x'.repeat(200)}`,
    9101,
  ])
    t.throws(() => localListen(bad), String(bad));
});

t.test('dashboard and alert rules name metrics that exist', async (t) => {
  const names = new Metrics(() => SNAPSHOT).names;
  for (const file of ['etc/grafana/lockstep.json', 'etc/prometheus/lockstep.rules.yml']) {
    const text = readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');
    const used = new Set([...text.matchAll(/\b(lockstep|nodejs|process)_[a-z0-9_]+/g)].map(([name]) => name));
    t.ok(used.size > 5, file);
    for (const name of used) t.ok(names.includes(name), `${file}: ${name}`);
    for (const [, cause] of text.matchAll(/cause!?~?=?"([a-z-]+)"/g)) t.equal(cause, 'vanished');
  }
});
