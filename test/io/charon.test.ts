import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { FakeCharon } from '../../packages/vici-client/test/fake-charon.js';
import { ipsecPolicy } from '../../src/daemon/ipsec-policy.js';
import { Secret } from '../../src/daemon/secret.js';
import { CharonMonitor, type CharonMonitorOptions } from '../../src/io/charon.js';
import { MemoryIke } from '../../src/io/memory-ike.js';
import type { IkeEvent } from '../../src/io/ports.js';

const PSK = 'swordfish-and-salt';
const policy = ipsecPolicy({
  listen: ['198.51.100.1', '2001:db8::1'],
  secrets: [{ secret: new Secret(PSK) }, { secret: new Secret('another'), peers: ['203.0.113.0/24'] }],
});

const sa = (uniqueid: string, state = 'ESTABLISHED') => ({
  l2tp: {
    uniqueid,
    version: '1',
    state,
    'local-host': '198.51.100.1',
    'remote-host': '198.51.100.2',
    'child-sas': { 'l2tp-1': { uniqueid: '1', state: 'INSTALLED', 'mark-in': '0000000a', 'mark-out': '0000000a' } },
  },
});

async function lab(t: Test, options: Partial<CharonMonitorOptions> = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'ike-'));
  const path = join(dir, 'vici');
  const charon = new FakeCharon();
  await charon.listen(path);
  const oddities: string[] = [];
  const monitor = new CharonMonitor({ endpoint: path, onOddity: (what) => oddities.push(what), ...options });
  const events: IkeEvent[] = [];
  let wake = () => {};
  monitor.onEvent((event) => {
    events.push(event);
    wake();
  });
  /** Resolves once `done` holds; looked at after each event. */
  const until = async (done: () => boolean) => {
    while (!done())
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
  };
  const types = () => events.map((e) => (e.type === 'ike-updown' ? `${e.type} ${e.up} ${e.sa.uniqueId}` : e.type));
  t.teardown(async () => {
    await monitor.close();
    await charon.stop();
    await rm(dir, { recursive: true });
  });
  return { charon, monitor, events, oddities, path, until, types };
}

t.test('connect: registered before listed; what comes up during the listing is told after it', async (t) => {
  const { charon, monitor, events, until, types } = await lab(t);
  charon.overrides.set('list-sas', (_, emit) => {
    charon.raise('ike-updown', { up: 'yes', ...sa('2') });
    emit('list-sa', sa('1'));
    charon.raise('ike-updown', sa('1', 'DELETING'));
    return {};
  });
  monitor.start();
  await until(() => events.length >= 4);
  t.strictSame(types(), ['connected', 'snapshot', 'ike-updown true 2', 'ike-updown false 1']);
  t.match(events[1], { sas: [{ uniqueId: '1', children: [{ markIn: 10, markOut: 10 }] }] });
  const listed = charon.received.indexOf('CMD_REQUEST list-sas');
  for (const name of ['ike-updown', 'ike-rekey', 'ike-update', 'child-updown', 'child-rekey', 'log']) {
    const at = charon.received.indexOf(`EVENT_REGISTER ${name}`);
    t.ok(at >= 0 && at < listed, name);
  }
});

t.test(
  'the policy: keys, connection, shunts; what an earlier one left is unloaded; then it is confirmed',
  async (t) => {
    const { charon, monitor, until, types } = await lab(t);
    monitor.start();
    await until(() => types().includes('snapshot'));
    t.equal(await monitor.policiesConfirmed(), false, 'nothing was loaded');
    await monitor.loadPolicy(ipsecPolicy({ listen: ['192.0.2.1'], secrets: policy.secrets }));
    await monitor.loadPolicy(policy);
    t.strictSame([...charon.conns.keys()].sort(), [
      'l2tp',
      'l2tp-cleartext-198.51.100.1',
      'l2tp-cleartext-2001:db8::1',
      'l2tp-peers-203.0.113.0/24-198.51.100.1',
    ]);
    t.strictSame([...charon.shared.keys()], ['psk', 'psk-peers-203.0.113.0/24']);
    t.equal(await monitor.policiesConfirmed(), true);
    charon.overrides.set('list-policies', (_, emit) => {
      const ts = { 'local-ts': ['198.51.100.1/32[udp/l2f]'], 'remote-ts': ['0.0.0.0/0[udp]'] };
      emit('list-policy', { a: { child: 'l2tp-cleartext-198.51.100.1', mode: 'DROP', ...ts } });
      emit('list-policy', { b: { child: 'l2tp-cleartext-2001:db8::1', mode: 'PASS', ...ts } });
      return {};
    });
    t.equal(await monitor.policiesConfirmed(), false, 'one address has no drop policy');
  },
);

const certificates = (ca: string) => ({
  server: [{ cert: 'OURS', chain: [], key: new Secret('private') }],
  ca: [ca],
  crl: [Uint8Array.of(0x30, 0)],
  strict: false,
  validity: [],
});

t.test('certificates, lists and keys are loaded before the connection that uses them', async (t) => {
  const { charon, monitor, until, types } = await lab(t);
  monitor.start();
  await until(() => types().includes('snapshot'));
  const seen: unknown[] = [];
  charon.overrides.set('load-cert', (args) => {
    seen.push([args.text('type'), args.text('flag'), Buffer.from(args.bytes('data') ?? []).toString('latin1')]);
    return { success: 'yes' };
  });
  charon.overrides.set('load-key', (args) => {
    seen.push(['key', args.text('type'), args.text('data')]);
    return { success: 'yes', id: '00' };
  });
  const secrets = [{ secret: new Secret(PSK) }];
  await monitor.loadPolicy(ipsecPolicy({ listen: ['192.0.2.1'], secrets, certificates: certificates('CA') }));
  t.strictSame(seen, [
    ['X509', 'CA', 'CA'],
    ['X509', 'NONE', 'OURS'],
    ['X509_CRL', 'NONE', '0\0'],
    ['key', 'any', 'private'],
  ]);
  const order = charon.received.filter((r) => /clear-creds|load-/.test(r)).map((r) => r.replace('CMD_REQUEST ', ''));
  t.equal(order[0], 'clear-creds', 'what an earlier configuration left');
  t.ok(order.lastIndexOf('load-key') < order.indexOf('load-conn'));
});

t.test('a changed policy: what is as it was is not touched, what is gone is forgotten', async (t) => {
  const { charon, monitor, until, types } = await lab(t);
  monitor.start();
  await until(() => types().includes('snapshot'));
  const make = (more: object, ...ids: string[]) =>
    ipsecPolicy({
      listen: ['192.0.2.1'],
      secrets: [{ secret: new Secret(PSK) }, ...ids.map((id) => ({ secret: new Secret('x'), id }))],
      aggressive: true,
      ...more,
    });
  const sent = async (act: () => Promise<void>) => {
    charon.received.length = 0;
    await act();
    return charon.received.map((r) => r.replace('CMD_REQUEST ', '')).filter((r) => !r.startsWith('get-'));
  };
  await monitor.loadPolicy(make({}, 'alice'));

  t.strictSame(await sent(() => monitor.changePolicy(make({}, 'alice'))), ['load-shared', 'load-shared']);
  t.strictSame(await sent(() => monitor.changePolicy(make({}, 'bob'))), [
    'load-shared',
    'load-shared',
    'load-conn',
    'unload-shared',
    'unload-conn',
  ]);
  t.strictSame([...charon.conns.keys()].sort(), ['l2tp', 'l2tp-aggressive-bob', 'l2tp-cleartext-192.0.2.1']);
  t.strictSame(
    await sent(() => monitor.changePolicy(make({ proposals: ['aes256-sha256-modp2048'] }, 'bob'))),
    ['load-shared', 'load-shared', 'load-conn', 'load-conn'],
    'the connections of clients, not the drop shunt',
  );
  const certified = make({ certificates: certificates('CA') });
  const creds = ['clear-creds', 'load-cert', 'load-cert', 'load-cert', 'load-key'];
  t.strictSame((await sent(() => monitor.changePolicy(certified))).slice(0, 6), [...creds, 'load-shared']);
  t.strictSame(await sent(() => monitor.changePolicy(certified)), ['load-shared']);
  t.strictSame(
    (await sent(() => monitor.changePolicy(make({ certificates: certificates('OTHER') })))).slice(0, 5),
    creds,
    'another CA: the former one is forgotten',
  );

  // A refusal half-way: the way back loads what charon no longer has.
  charon.overrides.set('load-cert', () => ({ success: 'no', errmsg: 'parsing X509 certificate failed' }));
  await t.rejects(monitor.changePolicy(certified), {
    message: 'charon refused a certificate: parsing X509 certificate failed',
  });
  charon.overrides.delete('load-cert');
  t.strictSame((await sent(() => monitor.changePolicy(make({ certificates: certificates('OTHER') })))).slice(0, 6), [
    ...creds,
    'load-shared',
  ]);
});

t.test('a refusal names what was refused, and never a key', async (t) => {
  const { charon, monitor, until, types } = await lab(t);
  monitor.start();
  await until(() => types().includes('snapshot'));
  charon.overrides.set('load-conn', () => ({ success: 'no', errmsg: 'invalid value for: mark_in, config discarded' }));
  await t.rejects(monitor.loadPolicy(policy), {
    message: 'charon refused the connection l2tp-cleartext-198.51.100.1: invalid value for: mark_in, config discarded',
  });
  charon.overrides.set('load-shared', (args) => ({ success: 'no', errmsg: `cannot take ${args.text('data')}` }));
  const error: Error = await monitor.loadPolicy(policy).then(
    () => t.fail('loaded'),
    (e) => e,
  );
  t.match(error.message, /^charon refused the pre-shared key psk: /);
  t.notMatch(`${error.message}${error.stack}`, PSK);
});

t.test('terminate: by id; one that is gone is fine', async (t) => {
  const { charon, monitor, until, types } = await lab(t);
  charon.sas.set('7', sa('7'));
  monitor.start();
  await until(() => types().includes('snapshot'));
  await monitor.terminate('7');
  t.strictSame(await monitor.listSas(), []);
  await monitor.terminate('7');
  charon.overrides.set('terminate', () => ({ success: 'no', errmsg: 'out of memory', matches: '1' }));
  await t.rejects(monitor.terminate('7'), /out of memory/);
});

t.test('terminate: asked for twice, charon is asked once until it has answered', async (t) => {
  const { charon, monitor, until, types } = await lab(t);
  const asked = () => charon.received.filter((r) => r === 'CMD_REQUEST terminate').length;
  charon.overrides.set('terminate', () => ({ success: 'yes', matches: '1' }));
  monitor.start();
  await until(() => types().includes('snapshot'));
  await Promise.all(['7', '7', '8', '7'].map((id) => monitor.terminate(id)));
  t.equal(asked(), 2);
  await monitor.terminate('7');
  t.equal(asked(), 3);
  charon.overrides.set('terminate', () => ({ success: 'no', errmsg: 'out of memory', matches: '1' }));
  for (const asks of [monitor.terminate('7'), monitor.terminate('7')]) await t.rejects(asks, /out of memory/);
  t.equal(asked(), 4);
  await t.rejects(monitor.terminate('7'), /out of memory/, 'what failed is asked anew');
  t.equal(asked(), 5);
});

t.test('a policy does not wait for ever behind what charon is asked before', async (t) => {
  const { charon, monitor, until, types } = await lab(t, { policyTimeoutMs: 10 });
  charon.overrides.set('terminate', () => new Promise<never>(() => {}));
  monitor.start();
  await until(() => types().includes('snapshot'));
  const terminated = monitor.terminate('7');
  terminated.catch(() => {}); // it ends with the test
  await t.rejects(monitor.loadPolicy(policy), { code: 'command-aborted', sent: false });
  t.notOk(charon.received.includes('CMD_REQUEST clear-creds'));
});

t.test('charon goes and comes back: lost, then all anew', async (t) => {
  const { charon, monitor, path, until, types } = await lab(t);
  monitor.start();
  await until(() => types().includes('snapshot'));
  await charon.stop();
  await until(() => types().includes('lost'));
  await charon.listen(path);
  await until(() => types().length >= 5);
  t.strictSame(types(), ['connected', 'snapshot', 'lost', 'connected', 'snapshot']);
});

t.test('an event without its SA is an oddity; after close() nothing is told', async (t) => {
  const { charon, monitor, events, oddities, until, types } = await lab(t);
  monitor.start();
  await until(() => types().includes('snapshot'));
  charon.raise('child-updown', { up: 'yes' });
  charon.raise('child-rekey', { l2tp: { 'child-sas': { l2tp: { old: {} } } } });
  charon.raise('log', { group: 'IKE', level: 1, msg: 'last' });
  await until(() => events.some((e) => e.type === 'log' && e.message === 'last'));
  t.strictSame(oddities.length, 2);
  t.notOk(types().includes('child-updown'));
  await monitor.close();
  const before = events.length;
  charon.raise('log', { group: 'IKE', level: 1, msg: 'too late' });
  t.equal(events.length, before);
});

t.test('the twin answers as the real one', async (t) => {
  const ike = new MemoryIke();
  const seen: string[] = [];
  ike.onEvent((e) => seen.push(e.type));
  ike.start();
  ike.push({ type: 'lost' });
  t.strictSame(seen, ['connected', 'snapshot', 'lost']);
  t.equal(await ike.policiesConfirmed(), false);
  await ike.loadPolicy(policy);
  t.equal(await ike.policiesConfirmed(), true);
  ike.refuse = new Error('no');
  await t.rejects(ike.loadPolicy(policy), /no/);
  t.equal(ike.policies.length, 1);
  await ike.terminate('7');
  t.strictSame(ike.terminated, ['7']);
  await ike.close();
  ike.push({ type: 'lost' });
  t.equal(seen.length, 3);
});
