import t from 'tap';
import { instant } from '../../../src/proto/machine.js';
import { assigningIpcp } from '../../../src/proto/ppp/ipcp.js';
import { fromHex } from '../../../src/wire/reader.js';
import { decide, GRANT, lnsConfig } from '../../lib/ppp-pair.js';
import { granted, Script } from '../../lib/ppp-script.js';

function network(over: Parameters<typeof granted>[0] = {}): Script {
  const s = new Script(lnsConfig(), (r) => granted(over, decide(r)));
  s.toNetwork();
  return s;
}

const asks = (options: string): string => {
  const length = options.replace(/\s/g, '').length / 2 + 4;
  return `8021 01 01 ${length.toString(16).padStart(4, '0')} ${options}`;
};
const LEASED = '03060a400007';

t.test('what we say to each option: RFC 1332 §3, RFC 1877', async (t) => {
  const NBNS = { nbns: ['10.64.0.60', '10.64.0.61'] };
  const ONE = { dns: ['10.64.0.53'] };
  const NONE = { dns: [] };
  const table: [name: string, over: object, options: string, reply: string][] = [
    ['the leased address', {}, LEASED, 'IPCP Configure-Ack 1 <addr 10.64.0.7>'],
    ['please give me one', {}, '030600000000', 'IPCP Configure-Nak 1 <addr 10.64.0.7>'],
    ['somebody else’s', {}, '03060a400008', 'IPCP Configure-Nak 1 <addr 10.64.0.7>'],
    ['bad length', {}, '03050a4000', 'IPCP Configure-Nak 1 <addr 10.64.0.7>'],
    ['old addresses option', {}, `${LEASED} 010a0a4000070a400001`, 'IPCP Configure-Reject 1 <addrs 0a4000070a400001>'],
    ['VJ', {}, `0206002d0f01 ${LEASED}`, 'IPCP Configure-Reject 1 <compress VJ 0f01>'],
    ['DNS', {}, `${LEASED} 810600000000 8306 08080808`, 'IPCP Configure-Nak 1 <dns1 10.64.0.53> <dns2 10.64.0.54>'],
    ['DNS, one server', ONE, `${LEASED} 810600000000 830600000000`, 'IPCP Configure-Reject 1 <dns2 0.0.0.0>'],
    ['DNS, none', NONE, `${LEASED} 810600000000`, 'IPCP Configure-Reject 1 <dns1 0.0.0.0>'],
    ['NBNS, none', {}, `${LEASED} 820600000000`, 'IPCP Configure-Reject 1 <nbns1 0.0.0.0>'],
    ['NBNS', NBNS, `${LEASED} 820600000000 84060a40003d`, 'IPCP Configure-Nak 1 <nbns1 10.64.0.60>'],
  ];
  for (const [name, over, options, reply] of table) t.equal(network(over).hear(asks(options)).at(-1), reply, name);
});

t.test('a peer that wants no address is asked five times to take one, then let in', async (t) => {
  const s = network();
  for (let i = 0; i < 5; i++) t.same(s.hear(asks('')), ['IPCP Configure-Nak 1 <addr 10.64.0.7>']);
  t.same(s.hear(asks('')), ['ip-open 10.64.0.7', 'IPCP Configure-Ack 1']);
});

t.test('our address is not the peer’s to choose; an old peer may reject the option', async (t) => {
  const s = network();
  for (let i = 0; i < 5; i++) {
    t.match(s.hear(s.reply('8021', 0x03, '03060a0a0a0a')).join(), /^IPCP Configure-Request \d <addr 10.64.0.1>$/);
  }
  t.match(s.hear(s.reply('8021', 0x03, '03060a0a0a0a')).join(), /^IPCP Configure-Request \d$/);

  const old = network();
  t.match(old.hear(old.reply('8021', 0x04)).join(), /^IPCP Configure-Request \d$/);
  old.hear(asks(LEASED));
  t.equal(old.ackLast('8021').at(-1), 'up alice 10.64.0.7');
});

t.test('IP is open exactly as long as our Ack stands', async (t) => {
  const s = network();
  t.same(s.hear(asks(LEASED)), ['ip-open 10.64.0.7', 'IPCP Configure-Ack 1 <addr 10.64.0.7>']);
  t.same(s.hear(asks(LEASED)), ['IPCP Configure-Ack 1 <addr 10.64.0.7>'], 'a doubled request opens nothing twice');
  t.same(s.hear(asks('030600000000')), ['IPCP Configure-Nak 1 <addr 10.64.0.7>', 'ip-close']);
  s.hear(asks(LEASED));
  t.same(s.ackLast('8021'), ['up alice 10.64.0.7']);
  // RFC 1661 §4.1 RCR+ in Opened: tld, scr, sca.
  t.same(s.hear(asks(LEASED)), [
    'ip-close',
    'IPCP Configure-Request 2 <addr 10.64.0.1>',
    'ip-open 10.64.0.7',
    'IPCP Configure-Ack 1 <addr 10.64.0.7>',
  ]);
  t.same(s.ackLast('8021'), ['up alice 10.64.0.7']);
});

t.test('the peer never answers IPCP', async (t) => {
  const s = network();
  t.match(s.wait(30_000).at(-1), /^down timeout: IPCP did not open \[the client never agreed on an IP address/);
});

t.test('the peer terminates IPCP: the link follows, with the client’s reason', async (t) => {
  const s = new Script(lnsConfig());
  s.toUp();
  t.same(s.hear('8021 05 09 0010 1a2b3c4d 003ccd74 000002e2'), ['ip-close', 'IPCP Terminate-Ack 9']);
  t.match(s.wait(6_000).at(-1), 'down peer: the client got no address (error 738)');
});

t.test('the peer terminates IPCP, then changes its mind', async (t) => {
  const s = network();
  s.hear('8021 05 09 0004');
  s.hear(asks(LEASED));
  t.same(s.ackLast('8021'), ['up alice 10.64.0.7']);
  s.tell({ type: 'close', reason: 'operator' });
  t.match(s.wait(3000).at(-1), 'down local: operator');
});

t.test('a lease without name servers', async (t) => {
  t.same(GRANT.nbns, []);
  const s = network({ dns: [], nbns: [] });
  t.equal(s.hear(asks(LEASED)).at(-1), 'IPCP Configure-Ack 1 <addr 10.64.0.7>');
});

t.test('RFC 1661 §4.4 Illegal-Event: reported, and nothing else', async (t) => {
  const notes: unknown[] = [];
  const none = (): void => {};
  const ipcp = assigningIpcp('10.64.0.1', GRANT, {
    send: none,
    note: (event, fields) => notes.push([event, fields]),
    up: none,
    down: none,
    finished: none,
    giveUp: none,
    terminated: none,
    codeRejected: none,
    mayAnswer: () => true,
    peerMru: () => 1500,
  });
  t.notOk(ipcp.receive(instant(0), fromHex('01010004')), 'Initial');
  ipcp.open(instant(0));
  t.notOk(ipcp.receive(instant(0), fromHex('01010004')), 'Starting');
  ipcp.lowerUp(instant(0));
  ipcp.lowerUp(instant(0));
  t.equal(ipcp.state, 'Req-Sent');
  t.same(notes, [['ppp.illegal-event', { protocol: 'IPCP', event: 'Up', state: 'Req-Sent' }]]);
});
