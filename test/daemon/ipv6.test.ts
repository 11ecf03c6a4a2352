import t from 'tap';
import type { Ipv6Settings } from '../../src/daemon/ipv6.js';
import { linkLocal } from '../../src/wire/ip/address6.js';
import { encodePacket6, encodeUdp6, ICMPV6, UDP } from '../../src/wire/ip/packet6.js';
import { fromHex, toHex } from '../../src/wire/reader.js';
import type { Client } from '../lib/daemon-client.js';
import { NOTHING, Rig, type RigOptions } from '../lib/daemon-rig.js';

/** 2001:db8:0:40::/63: two sessions; 2001:db8:100::/40 is for routers. */
const IPV6: Ipv6Settings = {
  network: { prefix: 0x20010db8_00000040_00000000_00000000n, length: 63 },
  delegate: { network: { prefix: 0x20010db8_01000000_00000000_00000000n, length: 40 }, length: 56 },
  dns: [fromHex('20010db8000000000000000000000053')],
  domain: 'corp.example',
  duid: fromHex('abcd'),
};
const ID = fromHex('0200000000000042');
const USERS = 'users:\n  alice: {password: wonderland}\n  bob: {password: builder}\n  carol: {password: christmas}\n';
const rigWith = (over: Partial<Ipv6Settings> = {}, options: RigOptions = {}) =>
  new Rig({ users: USERS, ipv6: { ...IPV6, ...over }, ...options });
const connect = (rig: Rig, mark: number, user = 'alice', passwords = ['wonderland']): Promise<Client> =>
  rig.connect({ mark, user, passwords, ppp: { ipv6: ID } });
const prefixes = (rig: Rig) =>
  rig.acts
    .filter((act) => act.startsWith('update') && act.includes('prefixes='))
    .map((act) => act.replace(/.*prefixes=/, ''));

const ping = (source: string, destination = '20010db8000000000000000000000080'): Uint8Array =>
  encodePacket6({
    source: fromHex(source),
    destination: fromHex(destination),
    hopLimit: 64,
    protocol: ICMPV6,
    payload: fromHex('8000000000010001'),
  });
const advertisements = (client: Client): string[] =>
  client.packets.map(toHex).filter((hex) => hex.startsWith('6') && hex.slice(80, 82) === '86');

t.test('off: nothing of IPv6 gets in, and IPV6CP is rejected', async (t) => {
  const rig = new Rig();
  const alice = await rig.connect({ mark: 1, ppp: { ipv6: ID } });
  t.equal(alice.address, '10.99.0.2');
  t.match(alice.frames.join('\n'), /Protocol-Reject \d+ IPV6CP/);
  alice.sendIpv6(ping('20010db8000000400000000000000001'));
  alice.sendIpv6(ping(toHex(linkLocal(ID))));
  await rig.settle();
  t.equal(rig.plane.takeTun().length, 0);
  t.notMatch(rig.acts.join(), /:/);
});

t.test('each session has a /64: advertised, let in, and nothing else', async (t) => {
  const rig = rigWith();
  const alice = await connect(rig, 1);
  const bob = await connect(rig, 2, 'bob', ['builder']);
  t.match(rig.events('ipv6.up'), [
    { user: 'alice', prefix: '2001:db8:0:40::/64' },
    { user: 'bob', prefix: '2001:db8:0:41::/64' },
  ]);
  t.match(advertisements(alice)[0], /0304404000015180000038400000000020010db8000000400000000000000000/);
  t.match(advertisements(bob)[0], /20010db8000000410000000000000000/);
  t.equal(prefixes(rig).at(-1), '10.99.0.3/32,fe80::200:0:0:42/128,2001:db8:0:41::/64');
  alice.sendIpv6(ping('20010db8000000401234567890abcdef'));
  await rig.settle();
  t.equal(rig.plane.takeTun().length, 1, 'any address of its prefix');
  alice.sendIpv6(ping('20010db8000000410000000000000001'));
  alice.sendIpv6(ping('20010db8000000420000000000000001'));
  await rig.settle();
  t.equal(rig.plane.takeTun().length, 0, 'none of another');
  const before = bob.packets.length;
  rig.plane.receiveTun(ping('20010db8000000000000000000000080', '20010db8000000410000000000000001'));
  await rig.settle();
  t.equal(bob.packets.length, before + 1);
  t.equal(
    rig.timeline.view({ peer: 'bob' }).attempts[0]?.steps.some((s) => s.text === 'IPv6 with 2001:db8:0:41::/64'),
    true,
  );
});

t.test('the prefix is free again after the session, and the user gets it back', async (t) => {
  const rig = rigWith();
  const alice = await connect(rig, 1);
  await connect(rig, 2, 'bob', ['builder']);
  const carol = await connect(rig, 3, 'carol', ['christmas']);
  t.match(rig.events('ipv6.no-prefix'), [{ user: 'carol' }]);
  t.match([carol.address, advertisements(carol)], ['10.99.0.4', []], 'she has IPv4');
  alice.terminateLink();
  await rig.run(20_000);
  await connect(rig, 4);
  t.match(rig.events('ipv6.up').at(-1), { user: 'alice', prefix: '2001:db8:0:40::/64' });
  rig.connections.disconnect('alice');
  rig.connections.disconnect('bob');
  rig.connections.disconnect('carol');
  await rig.run(20_000);
  t.strictSame(rig.left, NOTHING);
  t.equal(rig.clock.armed, undefined, 'no router is left');
});

t.test('a closing session lets nothing in any more', async (t) => {
  const rig = rigWith();
  const alice = await connect(rig, 1);
  alice.deafToPpp = true;
  rig.connections.disconnect('alice');
  await rig.run(500);
  t.equal(prefixes(rig).at(-1), '');
  alice.sendIpv6(ping('20010db8000000400000000000000001'));
  await rig.settle();
  t.equal(rig.plane.takeTun().length, 0);
});

t.test('a shared /64: each client has the one address of its identifier', async (t) => {
  const rig = rigWith({ network: { prefix: 0x20010db8_00000040_00000000_00000000n, length: 64 }, delegate: null });
  const alice = await connect(rig, 1);
  t.equal(prefixes(rig).at(-1), '10.99.0.2/32,fe80::200:0:0:42/128,2001:db8:0:40:200::42/128');
  t.match(advertisements(alice)[0], /20010db8000000400000000000000000/);
  alice.sendIpv6(ping('20010db8000000400000000000000001'));
  alice.sendIpv6(ping('20010db8000000400200000000000042'));
  await rig.settle();
  t.equal(rig.plane.takeTun().length, 1);
});

t.test('a shared /64: nobody takes the address of another, and it is free again after the session', async (t) => {
  const rig = rigWith({ network: { prefix: 0x20010db8_00000040_00000000_00000000n, length: 64 }, delegate: null });
  const alice = await connect(rig, 1);
  const bob = await connect(rig, 2, 'bob', ['builder']);
  const own = () => rig.events('ipv6.up').map(({ prefix }) => prefix);
  t.equal(own()[0], '2001:db8:0:40:200::42/128');
  t.not(own()[1], own()[0]);
  for (const [client, passed] of [
    [bob, 0],
    [alice, 1],
  ] as const) {
    client.sendIpv6(ping('20010db8000000400200000000000042'));
    await rig.settle();
    t.equal(rig.plane.takeTun().length, passed);
  }
  alice.terminateLink();
  await rig.run(20_000);
  await connect(rig, 3, 'carol', ['christmas']);
  t.equal(own().at(-1), own()[0]);
});

t.test('a router gets a prefix by DHCPv6, let in and given back', async (t) => {
  const rig = rigWith();
  const alice = await connect(rig, 1);
  const dhcp = (message: string) => {
    const payload = encodeUdp6({ sourcePort: 546, destinationPort: 547, data: fromHex(message) });
    const destination = fromHex('ff020000000000000000000000010002');
    alice.sendIpv6(encodePacket6({ source: linkLocal(ID), destination, hopLimit: 255, protocol: UDP, payload }));
    return rig.settle();
  };
  const IA = '00010001010002 0002 abcd 0019 000c 00000007 0000000000000000';
  await dhcp(`03000001 ${IA}`);
  t.match(rig.events('ipv6.delegated'), [{ user: 'alice', prefix: '2001:db8:100::/56' }]);
  t.equal(prefixes(rig).at(-1), '10.99.0.2/32,fe80::200:0:0:42/128,2001:db8:0:40::/64,2001:db8:100::/56');
  alice.sendIpv6(ping('20010db8010000000000000000000001'));
  await rig.settle();
  t.equal(rig.plane.takeTun().length, 1, 'a host behind the router');
  await dhcp('02000001');
  t.match(rig.events('ipv6.ignored'), [{ ref: 'RFC 8415 §16' }]);
  await dhcp(`08000001 ${IA}`);
  t.equal(prefixes(rig).at(-1), '10.99.0.2/32,fe80::200:0:0:42/128,2001:db8:0:40::/64');
  t.match(rig.events('ipv6.withdrawn'), [{ prefix: '2001:db8:100::/56' }]);
  for (let i = 0; i < 4; i++) for (const type of ['03', '08']) await dhcp(`${type}000001 ${IA}`);
  for (const event of ['ipv6.delegated', 'ipv6.withdrawn'])
    t.equal(rig.events(event).length, 1, `${event} once, however often the client asks and releases`);
});

t.test('a link too small for IPv6 has none (RFC 8200 §5)', async (t) => {
  const rig = rigWith();
  const alice = await rig.connect({ mark: 1, ppp: { ipv6: ID, mru: 1_200 } });
  t.equal(alice.address, '10.99.0.2');
  alice.restartLink();
  await rig.run(5_000);
  t.match(rig.events('ipv6.not-opened'), [{ mtu: 1_200 }]);
  t.equal(rig.events('ipv6.not-opened').length, 1, 'once, however often the link comes up');
  t.strictSame(advertisements(alice), []);
});
