import t from 'tap';
import type { AuthMethod } from '../../../src/proto/ppp/events.js';
import { LCP } from '../../../src/wire/ppp/lcp.js';
import { LEASE, lnsConfig, Pair, peerConfig } from '../../lib/ppp-pair.js';
import { Script } from '../../lib/ppp-script.js';

function establishing(over: Parameters<typeof lnsConfig>[0] = {}): Script {
  const s = new Script(lnsConfig(over));
  s.tell({ type: 'lower-up' });
  return s;
}

const ourMagic = (s: Script): string => {
  const request = Buffer.from(s.reply('c021', 0x02)).toString('hex');
  return /0506([0-9a-f]{8})/.exec(request)![1]!;
};

/** A Configure-Request with these options. */
const asks = (options: string, id = '01'): string => {
  const length = options.replace(/\s/g, '').length / 2 + 4;
  return `c021 01 ${id} ${length.toString(16).padStart(4, '0')} ${options}`;
};

t.test('what we say to each option of the peer', async (t) => {
  const table: [name: string, option: string, reply: string][] = [
    ['MRU', '01040578', 'LCP Configure-Ack 1 <mru 1400>'],
    ['MRU, too small', '01040020', 'LCP Configure-Nak 1 <mru 128>'],
    ['MRU, bad length', '010305', 'LCP Configure-Nak 1 <mru 1500>'],
    ['ACCM', '0206ffffffff', 'LCP Configure-Ack 1 <asyncmap 0xffffffff>'],
    ['ACCM, bad length', '0203ff', 'LCP Configure-Nak 1 <asyncmap 0x00000000>'],
    ['authentication of us', '0305c22381', 'LCP Configure-Reject 1 <auth CHAP MS-v2>'],
    ['magic', '0506000000ff', 'LCP Configure-Ack 1 <magic>'],
    ['magic zero: RFC 1661 §6.4', '050600000000', 'LCP Configure-Nak 1 <magic>'],
    ['magic, bad length', '0503ff', 'LCP Configure-Nak 1 <magic>'],
    ['PFC', '0702', 'LCP Configure-Ack 1 <pcomp>'],
    ['PFC, bad length: RFC 1661 §5.3, no Nak for booleans', '070300', 'LCP Configure-Reject 1 <pcomp bad length 00>'],
    ['ACFC', '0802', 'LCP Configure-Ack 1 <accomp>'],
    ['unknown', 'fe03aa', 'LCP Configure-Reject 1 <option 254 aa>'],
    ['twice the same', '07020702', 'LCP Configure-Reject 1 <pcomp>'],
    ['Reject goes before Nak: RFC 1661 §5.4', '050600000000 0d0306', 'LCP Configure-Reject 1 <callback 6>'],
  ];
  for (const [name, option, reply] of table) t.same(establishing().hear(asks(option)), [reply], name);
});

t.test('every other option of the table is rejected by name', async (t) => {
  const negotiable = new Set<number>([LCP.mru, LCP.accm, LCP.magic, LCP.pfc, LCP.acfc].map((o) => o.type));
  for (const { type } of Object.values(LCP)) {
    if (negotiable.has(type)) continue;
    const s = establishing();
    t.match(
      s.hear(asks(`${type.toString(16).padStart(2, '0')}06 00000001`)).join(),
      'LCP Configure-Reject 1',
      `${type}`,
    );
  }
});

t.test('RFC 1661 §4.6 Max-Failure: the sixth Nak becomes a Reject', async (t) => {
  const s = establishing();
  for (let i = 0; i < 5; i++) t.same(s.hear(asks('01040001')), ['LCP Configure-Nak 1 <mru 128>']);
  t.same(s.hear(asks('01040001')), ['LCP Configure-Reject 1 <mru 1>']);
  t.same(s.hear(asks('01040578')), ['LCP Configure-Ack 1 <mru 1400>']);
  t.same(s.hear(asks('01040001')), ['LCP Configure-Nak 1 <mru 128>'], 'an Ack starts the count anew');
});

t.test('our own options after a Nak or Reject', async (t) => {
  const nak = (option: string): string[] => {
    const s = establishing();
    return s.hear(s.reply('c021', 0x03, option));
  };
  const request = (rest: string): string[] => [`LCP Configure-Request 2 ${rest}`];
  t.same(nak('01040500'), request('<mru 1280> <auth CHAP MS-v2> <magic>'), 'a smaller MRU');
  t.same(nak('010405dc'), request('<auth CHAP MS-v2> <magic>'), 'a larger one does not fit: the default is left');
  t.same(nak('01040020'), request('<auth CHAP MS-v2> <magic>'), 'nor does a useless one');
  t.same(nak('010305'), request('<auth CHAP MS-v2> <magic>'), 'nor one of a wrong length');
  t.same(nak('0702'), request('<mru 1400> <auth CHAP MS-v2> <magic>'), 'what we did not ask for is ignored');
  t.same(nak('fe0201'.slice(0, 4)), request('<mru 1400> <auth CHAP MS-v2> <magic>'), 'what nobody knows, too');

  const s = establishing();
  const magic = ourMagic(s);
  s.hear(s.reply('c021', 0x03, '050612345678'));
  t.not(ourMagic(s), magic, 'RFC 1661 §6.4: a Nak of Magic-Number gets a new one');
  t.same(s.hear(s.reply('c021', 0x04, '01040578')), ['LCP Configure-Request 3 <auth CHAP MS-v2> <magic>']);
  t.same(s.hear(s.reply('c021', 0x04, `0506${ourMagic(s)}`)), ['LCP Configure-Request 4 <auth CHAP MS-v2>']);
  s.hear(asks(''));
  s.ackLast('c021');
  t.same(s.hear('c021 09 05 0008 00000000'), ['LCP Echo-Reply 5 magic=0x00000000'], '§5.8: zero when not negotiated');
});

t.test('RFC 1661 §5.2 to §5.4: replies that do not fit our request are discarded', async (t) => {
  const s = establishing();
  const table: [string, Uint8Array | string][] = [
    ['Identifier', 'c021 02 63 0004'],
    ['Ack with other options', s.reply('c021', 0x02, '01040578')],
    ['Ack with other values', Uint8Array.from(s.reply('c021', 0x02), (b, i) => (i === 9 ? b ^ 1 : b))],
    ['Reject of what we did not ask', s.reply('c021', 0x04, '0702')],
    ['Reject of nothing', s.reply('c021', 0x04, '')],
  ];
  for (const [name, frame] of table) t.match(s.hear(frame).join(), /^note ppp.out-of-sequence LCP/, name);
  t.same(s.hear(asks('')), ['LCP Configure-Ack 1']);
  t.match(s.ackLast('c021')[0], 'lcp-up');
  t.match(s.ackLast('c021').join(), /^note ppp.out-of-sequence/, 'a doubled Ack does not restart the dialogue');
});

t.test('authentication: what the peer would rather do, or our next choice, or an end with a hint', async (t) => {
  const start = (auth: AuthMethod[]): Script => establishing({ auth });
  const nak = (s: Script, option: string): string => s.hear(s.reply('c021', 0x03, option)).join();

  t.match(nak(start(['mschapv2', 'chap-md5', 'pap']), '0304c023'), '<auth PAP>');
  const many = start(['mschapv2', 'chap-md5', 'pap']);
  t.match(nak(many, '0304c227'), '<auth CHAP MD5>', 'EAP we do not have: the next');
  t.match(nak(many, '0304c227'), '<auth PAP>');
  t.match(nak(many, '0304c227'), 'Terminate-Request');
  t.equal(
    many.wait(3000).at(-1),
    'down auth: no authentication method in common [the client wants EAP, which is off; allowed here: CHAP MS-v2, CHAP MD5, PAP]',
  );

  const strict = start(['mschapv2']);
  nak(strict, '0304c023');
  t.match(strict.wait(3000).at(-1), 'the client wants PAP, which is off; allowed here: CHAP MS-v2');

  const same = start(['mschapv2']);
  nak(same, '0305c22381');
  t.match(same.wait(3000).at(-1), 'the client wants none of them');

  const rejected = start(['mschapv2']);
  rejected.hear(rejected.reply('c021', 0x04, '0305c22381'));
  t.match(rejected.wait(3000).at(-1), /^down auth: the peer refuses to authenticate itself \[/);
});

t.test('RFC 1661 §6.4: a looped-back line is noticed', async (t) => {
  const s = establishing();
  const said: string[] = [];
  for (let i = 0; i < 5; i++) said.push(...s.hear(asks(`0506${ourMagic(s)}`)));
  t.equal(said[0], 'LCP Configure-Nak 1 <magic>');
  t.match(s.wait(3000).at(-1), /^down protocol: the link is looped back/);

  const once = establishing();
  for (let i = 0; i < 12; i++) {
    once.hear(asks(i % 4 === 3 ? '050600000009' : `0506${ourMagic(once)}`));
  }
  t.notOk(once.find('down'), 'now and then is chance, not a loop');
});

t.test('RFC 1661 §5.6, RFC 1570 §1: unknown codes are rejected, known extensions are not', async (t) => {
  const s = new Script(lnsConfig());
  s.toUp();
  t.same(s.hear('c021 0e 09 0006 0102'), ['LCP Code-Reject 2 0e0900060102']);
  t.same(s.hear('8021 09 09 0008 00000000'), ['IPCP Code-Reject 2 0909000800000000'], 'an LCP code in an NCP');
  t.same(s.hear('c021 0b 09 0008 00000000'), [], 'Discard-Request');
  t.same(s.hear('c021 0d 09 000c 00000000 00000e10'), [], 'Time-Remaining');
});

t.test('a flood of things to reject is answered at a bounded rate', async (t) => {
  const s = new Script(lnsConfig());
  s.toUp();
  const said = Array.from({ length: 100 }, () => s.hear('80fd 0106 000a 1206 01000000')).flat();
  t.equal(said.filter((l) => l.startsWith('LCP Protocol-Reject')).length, 10);
  t.ok(said.filter((l) => l.startsWith('note')).length <= 10);
  t.equal(Array.from({ length: 100 }, () => s.hear('c021 0e 09 0004')).flat().length, 0);
  s.wait(1000);
  t.match(s.hear('c021 0e 09 0004').join(), 'LCP Code-Reject');
});

t.test('rejects are cut to the peer’s MRU: RFC 1661 §5.6, §5.7', async (t) => {
  const s = new Script(lnsConfig());
  s.tell({ type: 'lower-up' });
  s.hear(asks('01040080'));
  s.ackLast('c021');
  s.hear(s.msChapV2('alice', 'wonderland'));
  s.hear(Uint8Array.of(0x80, 0xfd, ...new Uint8Array(1000)));
  s.hear(Uint8Array.of(0xc0, 0x21, 0x63, 1, 1, 0, ...new Uint8Array(1000)));
  const [protocolReject, codeReject] = s.outputs
    .flatMap((o) => (o.type === 'frame' ? [o.data] : []))
    .slice(-2)
    .map((d) => d.length - 2);
  t.equal(protocolReject, 128);
  t.equal(codeReject, 128);
});

t.test('Code-Reject: of Echo-Request ends the keepalive, of a fundamental code the link', async (t) => {
  const s = new Script(lnsConfig({ echoIntervalMs: 1000 }));
  s.toUp();
  t.match(s.hear('c021 07 09 000c 0901 0008 00000000').join(), 'note ppp.code-rejected 9');
  t.same(s.wait(10_000), []);
  s.hear('c021 07 09 0008 0101 0004');
  t.match(s.wait(3000).at(-1), 'down protocol: the peer rejects control code 1');

  const empty = new Script(lnsConfig());
  empty.toUp();
  t.match(empty.hear('c021 07 09 0004').join(), 'note ppp.code-rejected 0');
});

t.test(
  'Protocol-Reject: of IPCP, of LCP, of the authentication, of something else; and before LCP is open',
  async (t) => {
    const rejects = (protocol: string): string => `c021 08 09 0006 ${protocol}`;
    const down = (s: Script): string | undefined => s.wait(3000).at(-1);

    const ipcp = new Script(lnsConfig());
    ipcp.toNetwork();
    ipcp.hear(rejects('8021'));
    t.match(down(ipcp), 'down protocol: the peer rejects IPCP [the client has IPv4 turned off for this connection]');

    const lcp = new Script(lnsConfig());
    lcp.toNetwork();
    lcp.hear(rejects('c021'));
    t.match(down(lcp), 'down protocol: the peer rejects LCP');

    const chap = establishing();
    t.match(chap.hear(rejects('c223')).join(), 'note ppp.out-of-sequence', '§5.7: silently discarded');
    chap.hear(asks(''));
    chap.ackLast('c021');
    t.same(chap.hear(rejects('8021')), ['note ppp.protocol-rejected IPCP']);
    chap.hear(rejects('c223'));
    t.match(down(chap), 'down auth: the peer rejects CHAP');

    const other = new Script(lnsConfig());
    other.toUp();
    t.same(other.hear(rejects('8057')), ['note ppp.protocol-rejected IPV6CP']);
    t.notOk(other.find('down'));
  },
);

t.test('keepalive: RFC 1661 §5.8', async (t) => {
  const s = new Script(lnsConfig({ echoIntervalMs: 10_000, echoFailures: 3 }));
  s.toUp();
  const magic = ourMagic(s);
  t.same(s.wait(10_000), [`LCP Echo-Request 2 magic=0x${magic}`]);
  t.same(s.hear('c021 0a 02 0008 00000000'), []);
  s.wait(30_000);
  s.hear('c021 0a 05 0008 12345678');
  t.equal(s.wait(30_000).length, 3, 'a reply starts the count anew');
  s.hear(`c021 0a 05 0008 ${magic}`); // our own number: an echo of the line, not of the peer
  t.match(s.wait(10_000).join(), 'Terminate-Request');
  t.match(s.wait(3000).at(-1), /^down timeout: the peer no longer answers LCP Echo-Requests \[/);

  const off = new Script(lnsConfig({ echoIntervalMs: 0 }));
  off.toUp();
  t.same(off.wait(3_600_000), []);
  t.equal(off.link.nextTimeout(), undefined);
});

t.test('the peer authenticates us: it Naks what it cannot, and both ends settle', async (t) => {
  const s = new Script(peerConfig({ auth: ['chap-md5'] }));
  s.tell({ type: 'lower-up' });
  t.same(s.hear(asks('0305c22381')), ['LCP Configure-Nak 1 <auth CHAP MD5>']);
  t.same(s.hear(asks('0304c227')), ['LCP Configure-Nak 1 <auth CHAP MD5>']);
});

t.test('a peer that does not ask for authentication: the client goes straight to IPCP', async (t) => {
  const s = new Script(peerConfig({ mru: 1500, lcpOptions: [], ipcpOptions: [] }));
  t.same(s.tell({ type: 'lower-up' }), ['LCP Configure-Request 1 <magic>']);
  s.hear(asks(''));
  t.same(s.ackLast('c021'), ['lcp-up mru=1500', 'IPCP Configure-Request 1']);
  t.same(s.hear('8021 01 01 000a 0306 00000000'), ['IPCP Configure-Reject 1 <addr 0.0.0.0>'], 'no address to give');
  s.ackLast('8021');
  t.same(s.hear('8021 01 02 0004'), [
    'ip-open 0.0.0.0',
    'IPCP Configure-Ack 2',
    'up alice 0.0.0.0',
    'note ipcp.assigned  ',
  ]);
});

t.test('RFC 1661 §4.3: the peer negotiates LCP anew; authentication and IPCP start again', async (t) => {
  const p = new Pair(lnsConfig(), peerConfig()).start();
  t.ok(p.run(() => p.has('lns', 'up') && p.has('peer', 'up')));
  p.trace.length = 0;
  p.tell('lns', { type: 'frame', data: Uint8Array.of(0xc0, 0x21, 1, 0x77, 0, 4) });
  t.equal(p.trace[0], 'lns: ip-close');
  t.ok(p.run(() => p.trace.includes('lns: up') && p.trace.includes('peer: up')));
  t.match(p.find('lns', 'up'), { user: 'alice', address: LEASE });
});

t.test('an option without a rule of ours follows the Nak, five times; then it is dropped', async (t) => {
  const s = new Script(peerConfig({ mru: 1500, lcpOptions: [{ name: 'mrru', value: 1614 }] }));
  s.tell({ type: 'lower-up' });
  t.same(s.hear(s.reply('c021', 0x03, '11040600')), ['LCP Configure-Request 2 <magic> <mrru 1536>']);
  t.same(s.hear(s.reply('c021', 0x03, '110306')), ['LCP Configure-Request 3 <magic> <mrru 1536>'], 'unreadable');
  for (let i = 3; i <= 5; i++) t.match(s.hear(s.reply('c021', 0x03, '110405dc')).join(), '<mrru 1500>');
  t.match(s.hear(s.reply('c021', 0x03, '110405dc')).join(), /<magic>$/);
});

t.test('RFC 1661 §6.4: a Magic-Number is never zero, whatever the random source says', async (t) => {
  const s = establishing({ random: (n) => new Uint8Array(n) });
  t.equal(ourMagic(s), '00000001');
});
