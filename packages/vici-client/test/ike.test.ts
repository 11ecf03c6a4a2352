/** Two real charons with an IKE_SA between them (no ESP needed): the events a gateway lives on. */
import t from 'tap';
import { type Section, Session } from 'vici-client';
import { condition } from './contract.js';
import { RealCharon } from './real-charon.js';

t.test('ike-updown, ike-rekey, list-sas and terminate of an established IKE_SA', async (t) => {
  const gateway = new RealCharon({ wellKnownPorts: true });
  const peer = new RealCharon({ beside: gateway });
  t.teardown(async () => {
    await peer.remove();
    await gateway.remove();
  });
  const start = async (charon: RealCharon, local: string, remote: string) => {
    await charon.start();
    const session = await Session.connect(charon.endpoint);
    t.teardown(() => session.close());
    const auth = { local: { auth: 'psk' }, remote: { auth: 'psk', id: '%any' } };
    const ends = { local_addrs: [local], remote_addrs: [remote] };
    await session.request('load-conn', { gw: { version: 2, childless: 'force', ...ends, ...auth } });
    await session.request('load-shared', { id: 'psk', type: 'IKE', data: 'a secret of both' });
    return session;
  };
  const s = await start(gateway, '127.0.0.1', '127.0.0.2');
  const p = await start(peer, '127.0.0.2', '127.0.0.1');

  const events: { event: string; message: Section }[] = [];
  const arrived = condition();
  for (const event of ['ike-updown', 'ike-rekey'])
    await s.subscribe(event, (message) => arrived.met(events.push({ event, message })));
  const seen = (n: number) => events[n]!.message;

  const log = await p.stream('initiate', { ike: 'gw', timeout: 5000, loglevel: 1 }).next();
  t.match(log.value?.text('msg'), /initiating IKE_SA gw/);
  await arrived.atLeast(1);
  t.equal(events[0]?.event, 'ike-updown');
  t.equal(seen(0).text('up'), 'yes');
  t.match(seen(0).section('gw')?.toStrings(), { state: 'ESTABLISHED', version: '2', 'remote-id': '127.0.0.2' });

  const [sa] = await s.list('list-sas');
  t.equal(sa?.section('gw')?.text('uniqueid'), seen(0).section('gw')?.text('uniqueid'));
  t.same(sa?.section('gw')?.section('child-sas')?.toStrings(), {});

  t.match((await s.request('rekey', { ike: 'gw' })).toStrings(), { success: 'yes', matches: '1' });
  await arrived.atLeast(2);
  t.equal(events[1]?.event, 'ike-rekey');
  const [old, fresh] = ['old', 'new'].map((which) => seen(1).section('gw')?.section(which)?.text('uniqueid'));
  t.equal(old, sa?.section('gw')?.text('uniqueid'));
  t.not(fresh, old);

  const ended = await s.request('terminate', { 'ike-id': fresh });
  t.match(ended.toStrings(), { success: 'yes', terminated: '1' });
  await arrived.atLeast(3);
  t.equal(events[2]?.event, 'ike-updown');
  t.equal(seen(2).text('up'), undefined, 'down is the absence of up');
  t.same(await s.list('list-sas'), []);
});
