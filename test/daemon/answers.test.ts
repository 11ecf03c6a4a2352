import t from 'tap';
import { type DhcpMessage, decodeDhcp, encodeDhcp } from '../../src/wire/dhcp/message.js';
import { dhcpOptions } from '../../src/wire/dhcp/options.js';
import { decodeUdp4, encodeUdp4 } from '../../src/wire/ip/udp4.js';
import { Rig } from '../lib/daemon-rig.js';

const USERS = `users:
  alice: {password: wonderland}
  bob: {password: builder, routes: [10.22.0.0/16, 10.23.0.0/16]}
`;
const inform = (source: string, ciaddr = source): Uint8Array => {
  const message: DhcpMessage = {
    op: 1,
    htype: 8,
    hlen: 6,
    xid: 7,
    flags: 0,
    ciaddr,
    giaddr: '0.0.0.0',
    chaddr: new Uint8Array(16),
    options: [
      dhcpOptions.encode({ name: 'messageType', value: 8 }),
      dhcpOptions.encode({ name: 'parameters', value: Uint8Array.of(6, 15, 249) }),
      dhcpOptions.encode({ name: 'vendorClass', value: 'MSFT 5.0' }),
    ],
  };
  const payload = encodeDhcp(message);
  return encodeUdp4({ source, destination: '255.255.255.255', sourcePort: 68, destinationPort: 67, payload });
};
/** Addresses, ports and options of a DHCP packet. */
const show = (packet: Uint8Array): string => {
  const d = decodeUdp4(packet);
  const message = d.ok ? decodeDhcp(d.value.payload) : d;
  if (!d.ok || !message.ok) return 'malformed';
  const { source, sourcePort, destination, destinationPort } = d.value;
  const from = `${source}:${sourcePort} > ${destination}:${destinationPort}`;
  return `${from} ${message.value.xid} ${dhcpOptions.show(message.value.options)}`;
};

t.test(
  'a DHCPINFORM over the session is answered over the session: everyone’s routes, or the user’s own',
  async (t) => {
    const rig = new Rig({ users: USERS });
    const alice = await rig.connect({ mark: 1 });
    const bob = await rig.connect({ mark: 2, user: 'bob', passwords: ['builder'] });
    for (const client of [alice, bob]) client.sendIp(inform(client.address!));
    await rig.settle();
    const told = (address: string, routes: string) =>
      `10.99.0.1:67 > ${address}:68 7 <type 5> <server 10.99.0.1> <dns 10.99.0.53> <domain corp.example> <routes ${routes}> <ms-routes ${routes}>`;
    t.strictSame(alice.packets.map(show), [told(alice.address!, '10.11.11.0/24 via 10.99.0.1')]);
    t.strictSame(bob.packets.map(show), [told(bob.address!, '10.22.0.0/16 via 10.99.0.1, 10.23.0.0/16 via 10.99.0.1')]);
    t.equal(rig.plane.takeTun().length, 0, 'the inside sees nothing of it');
    t.match(rig.events('dhcp.informed'), [
      { user: 'alice', vendorClass: 'MSFT 5.0', asks: '6 15 249', routes: 1 },
      { user: 'bob', routes: 2 },
    ]);
    const [attempt] = rig.timeline.view({ peer: 'bob' }).attempts;
    t.equal(attempt?.steps.at(-1)?.text, 'the client asked by DHCPINFORM and was told 2 networks');
    bob.sendIp(inform(bob.address!));
    await rig.settle();
    t.equal(rig.events('dhcp.informed').length, 3);
    const [again] = rig.timeline.view({ peer: 'bob' }).attempts;
    t.strictSame(again?.steps, attempt?.steps, 'the first only: it may ask without end');
  },
);

t.test('nobody is answered for another, nor before there is an address, nor without end', async (t) => {
  const rig = new Rig({ users: USERS });
  const alice = await rig.connect({ mark: 1 });
  const bob = await rig.connect({ mark: 2, user: 'bob', passwords: ['builder'] });
  bob.sendIp(inform(alice.address!));
  bob.sendIp(inform('0.0.0.0'));
  bob.sendIp(inform(bob.address!, alice.address));
  await rig.settle();
  t.same([...alice.packets, ...bob.packets], []);
  // The first was dropped by the packet thread: a spoofed source.
  t.match(rig.events('dhcp.ignored'), [
    { user: 'bob', ref: 'RFC 2131 §4.1' },
    { user: 'bob', ref: 'RFC 2131 §4.4.3' },
  ]);
  for (let i = 0; i < 100; i++) alice.sendIp(inform(alice.address!));
  await rig.settle();
  t.ok(alice.packets.length >= 18 && alice.packets.length <= 20, `${alice.packets.length} answers`);
  alice.restartLink();
  await rig.run(2_000);
  const before = alice.packets.length;
  alice.sendIp(inform('0.0.0.0', alice.address));
  await rig.settle();
  t.equal(alice.packets.length, before);
});
