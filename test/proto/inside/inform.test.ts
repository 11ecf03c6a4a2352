import t from 'tap';
import { answerInform, type InformFacts, routeOctets } from '../../../src/proto/inside/inform.js';
import { type DhcpMessage, decodeDhcp, encodeDhcp } from '../../../src/wire/dhcp/message.js';
import { type DhcpOption, dhcpOptions } from '../../../src/wire/dhcp/options.js';
import { decodeUdp4, encodeUdp4, type Udp4 } from '../../../src/wire/ip/udp4.js';
import { toHex } from '../../../src/wire/reader.js';
import { octets, vectors } from '../../lib/vectors.js';

/** The example of native-clients section 11: 10.11.11.0/24 via 10.9.0.1. */
const FACTS: InformFacts = {
  address: '10.9.0.2',
  gateway: '10.9.0.1',
  dns: ['10.11.11.53'],
  nbns: ['10.11.11.54'],
  domain: 'corp.example',
  routes: ['10.11.11.0/24'],
  mtu: 1_400,
};
const REQUEST: DhcpMessage = {
  op: 1,
  htype: 8,
  hlen: 6,
  xid: 1,
  flags: 0,
  ciaddr: '10.9.0.2',
  giaddr: '0.0.0.0',
  chaddr: new Uint8Array(16),
  options: [],
};
const INFORM: DhcpOption = { name: 'messageType', value: 8 };
const WINDOWS: DhcpOption = { name: 'parameters', value: Uint8Array.of(1, 15, 3, 6, 44, 46, 47, 31, 33, 121, 249, 43) };

const ask = (
  options: readonly DhcpOption[],
  facts: Partial<InformFacts> = {},
  message: Partial<DhcpMessage> = {},
  datagram: Partial<Udp4> = {},
) => {
  const payload = encodeDhcp({ ...REQUEST, options: options.map((o) => dhcpOptions.encode(o)), ...message });
  const udp = { source: '10.9.0.2', destination: '255.255.255.255', sourcePort: 68, destinationPort: 67, payload };
  return answerInform(encodeUdp4({ ...udp, ...datagram }), { ...FACTS, ...facts });
};

/** Options of the answer, and how long the packet is. */
const told = (...args: Parameters<typeof ask>): { options: string; length: number } => {
  const answer = ask(...args);
  if (!answer.ok) throw new Error(answer.why);
  const datagram = decodeUdp4(answer.value.packet);
  const message = datagram.ok ? decodeDhcp(datagram.value.payload) : datagram;
  if (!message.ok) throw new Error(message.why);
  return { options: dhcpOptions.show(message.value.options), length: answer.value.packet.length };
};
const ACK = '<type 5> <server 10.9.0.1>';
const ROUTES = '<routes 10.11.11.0/24 via 10.9.0.1> <ms-routes 10.11.11.0/24 via 10.9.0.1>';

t.test('Apple, Windows, XP: their bytes, and exactly these back', async (t) => {
  const all = vectors('dhcp-inform.txt');
  t.equal(all.length, 3);
  for (const v of all) {
    const answer = answerInform(octets(v, 'request'), FACTS);
    t.equal(answer.ok && toHex(answer.value.packet), toHex(octets(v, 'reply')), v.name);
    // What Apple's pppd looks for, and what the example of section 11 is.
    const options = toHex(octets(v, 'reply').subarray(28 + 236));
    t.match(options, /^63825363350105/);
    t.match(options, /7908180a0b0b0a090001f908180a0b0b0a090001ff0*$/, '249 is the last');
  }
  t.match(answerInform(octets(all[1]!, 'request'), FACTS), {
    value: {
      vendorClass: 'MSFT 5.0',
      userClass: 'RRAS.Microsoft',
      routes: 1,
      asks: '1 15 3 6 44 46 47 31 33 121 249 43',
    },
  });
});

t.test('what is asked is answered, in our order: RFC 2131 §4.3.1, §4.3.5', async (t) => {
  const table: [asks: number[], want: string][] = [
    [[249], `${ACK} ${ROUTES}`],
    [[121], `${ACK} ${ROUTES}`],
    [[15, 6], `${ACK} <dns 10.11.11.53> <domain corp.example>`],
    [[44, 1], `${ACK} <mask 255.255.255.255> <nbns 10.11.11.54>`],
    [[3, 43, 51], ACK],
  ];
  for (const [asks, want] of table)
    t.equal(told([INFORM, { name: 'parameters', value: Uint8Array.from(asks) }]).options, want, asks.join());
  const all = `${ACK} <mask 255.255.255.255> <dns 10.11.11.53> <domain corp.example> <nbns 10.11.11.54> ${ROUTES}`;
  t.equal(told([INFORM]).options, all, 'nothing in particular is asked: everything');
  t.equal(told([INFORM], { dns: [], nbns: [], domain: null, routes: [] }).options, `${ACK} <mask 255.255.255.255>`);
  t.match(ask([INFORM], { routes: [] }), { value: { routes: 0 } });
  t.equal(told([INFORM, WINDOWS], {}, { ciaddr: '0.0.0.0' }).options, all, 'a client that leaves ciaddr empty');
  const list = ['10.1.0.0/16', '10.2.0.0/16'];
  const both = '10.1.0.0/16 via 10.9.0.1, 10.2.0.0/16 via 10.9.0.1';
  t.equal(
    told([INFORM, { name: 'parameters', value: Uint8Array.of(249) }], { routes: list }).options,
    `${ACK} <routes ${both}> <ms-routes ${both}>`,
    'all routes in one option',
  );
});

t.test('RFC 6842 §3: the client’s identifier comes back as it was', async (t) => {
  const clientId: DhcpOption = { name: 'clientId', value: Uint8Array.of(8, 0, 0, 0, 1, 0, 0) };
  t.match(told([INFORM, clientId]).options, /<client 08000000010000>/);
  const half = { type: 61, data: new Uint8Array(200) };
  const options = [INFORM, { name: 'maxSize', value: 1_400 } as const].map((o) => dhcpOptions.encode(o));
  const long = told([], {}, { options: [...options, half, half] });
  t.equal(long.options, told([INFORM]).options, 'two parts of 200 octets (RFC 3396): no length octet says 400');
});

t.test('RFC 2131 §2: what does not fit into 576 octets, or what the client takes, is left out', async (t) => {
  const routes = Array.from({ length: 20 }, (_, i) => `10.20.${i}.0/24`);
  t.equal(routeOctets(routes), 160);
  const clientId: DhcpOption = { name: 'clientId', value: new Uint8Array(255) };
  const small = told([INFORM, WINDOWS], { routes });
  t.ok(small.length <= 576);
  t.notMatch(small.options, /<routes/);
  t.match(small.options, /<ms-routes 10.20.0.0\/24 via 10.9.0.1, .*10.20.19.0\/24 via 10.9.0.1>$/);
  const echo = told([INFORM, WINDOWS, clientId]);
  t.ok(echo.length <= 576);
  t.notMatch(echo.options, /<client/, 'its own identifier goes first');
  t.match(echo.options, /<routes .*<ms-routes/);
  const large = told([INFORM, WINDOWS, { name: 'maxSize', value: 1_500 }], { routes });
  t.ok(large.length > 576 && large.length <= 1_400);
  t.match(large.options, /<routes .*<ms-routes/);
  t.notMatch(told([INFORM, WINDOWS, { name: 'maxSize', value: 1_500 }], { routes, mtu: 580 }).options, /<routes/);
  t.match(told([INFORM, WINDOWS, { name: 'maxSize', value: 100 }]).options, /<routes/, 'RFC 2132 §9.10: not below 576');
  t.notMatch(told([INFORM, WINDOWS], { routes, mtu: 400 }).options, /routes/, 'none, rather than a part');
  t.match(ask([INFORM, WINDOWS], { routes, mtu: 400 }), { value: { routes: 0 } });
});

t.test('no answer: RFC 2131 §4.1, §4.3.5, §4.4.3', async (t) => {
  const ours = 'RFC 2131 §4.3.5';
  const table: [name: string, got: ReturnType<typeof ask>, ref: string][] = [
    ['another’s address', ask([INFORM], {}, {}, { source: '10.9.0.3' }), 'RFC 2131 §4.1'],
    ['no address', ask([INFORM], {}, {}, { source: '0.0.0.0' }), 'RFC 2131 §4.1'],
    ['a relay’s port', ask([INFORM], {}, {}, { sourcePort: 67 }), 'RFC 2131 §4.1'],
    ['another port', ask([INFORM], {}, {}, { destinationPort: 68 }), 'RFC 2131 §4.1'],
    ['a reply', ask([INFORM], {}, { op: 2 }), ours],
    ['relayed', ask([INFORM], {}, { giaddr: '10.9.0.2' }), ours],
    ['DHCPDISCOVER', ask([{ name: 'messageType', value: 1 }]), ours],
    ['BOOTP', ask([]), ours],
    ['for another', ask([INFORM], {}, { ciaddr: '10.9.0.3' }), 'RFC 2131 §4.4.3'],
    ['no DHCP', ask([], {}, {}, { payload: new Uint8Array(300) }), 'RFC 2131 §3'],
    ['no UDP', answerInform(new Uint8Array(20), FACTS), 'RFC 791 §3.1'],
  ];
  for (const [name, got, ref] of table) t.match(got, { ok: false, ref }, name);
});
