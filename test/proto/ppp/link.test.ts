import t from 'tap';
import { instant } from '../../../src/proto/machine.js';
import { chapMd5Response } from '../../../src/proto/ppp/mschap.js';
import { encodeChap } from '../../../src/wire/ppp/chap.js';
import { LEASE, lnsConfig, lossy, Pair, peerConfig, seeded } from '../../lib/ppp-pair.js';
import { Script } from '../../lib/ppp-script.js';

const bothUp = (p: Pair) => (): boolean => p.has('lns', 'up') && p.has('peer', 'up');

t.test(
  'RFC 1661 §3.2: establish, authenticate, network; ip-open comes before the Ack that opens the peer',
  async (t) => {
    const p = new Pair(lnsConfig(), peerConfig()).start();
    t.ok(p.run(bothUp(p)));
    t.match(p.find('lns', 'lcp-up'), { mru: 1400, acfc: true, pfc: true });
    t.match(p.find('lns', 'up'), { user: 'alice', address: LEASE });
    t.match(p.find('peer', 'up'), { user: 'alice', address: LEASE });
    t.ok(p.now < 100, 'without a loss no timer is needed');
    const open = p.trace.indexOf('lns: ip-open');
    const ack = p.trace.findIndex((l) => l.startsWith('< IPCP Configure-Ack'));
    t.ok(open >= 0 && open + 1 === ack);
    t.matchOnly(
      p.trace.map((l) => l.replace(/0x[0-9a-f]{8}/g, 'N')),
      [
        '< LCP Configure-Request 1 <mru 1400> <auth CHAP MS-v2> <magic N>',
        '> LCP Configure-Request 1 <mru 1400> <magic N> <pcomp> <accomp>',
        '> LCP Configure-Ack 1 <mru 1400> <auth CHAP MS-v2> <magic N>',
        '< LCP Configure-Ack 1 <mru 1400> <magic N> <pcomp> <accomp>',
        'lns: lcp-up',
        /< CHAP Challenge \d+ value=[0-9a-f]{32} name="lockstep"/,
        'peer: lcp-up',
        /> CHAP Response \d+ value=[0-9a-f]{98} name="alice"/,
        /< CHAP Success \d+ "S=[0-9A-F]{40} M=Access granted"/,
        '< IPCP Configure-Request 1 <addr 10.64.0.1>',
        '> IPCP Configure-Request 1 <addr 0.0.0.0> <dns1 0.0.0.0> <nbns1 0.0.0.0> <dns2 0.0.0.0> <nbns2 0.0.0.0>',
        'peer: ip-open',
        '> IPCP Configure-Ack 1 <addr 10.64.0.1>',
        '< IPCP Configure-Reject 1 <nbns1 0.0.0.0> <nbns2 0.0.0.0>',
        '> IPCP Configure-Request 2 <addr 0.0.0.0> <dns1 0.0.0.0> <dns2 0.0.0.0>',
        '< IPCP Configure-Nak 2 <addr 10.64.0.7> <dns1 10.64.0.53> <dns2 10.64.0.54>',
        '> IPCP Configure-Request 3 <addr 10.64.0.7> <dns1 10.64.0.53> <dns2 10.64.0.54>',
        'lns: ip-open',
        '< IPCP Configure-Ack 3 <addr 10.64.0.7> <dns1 10.64.0.53> <dns2 10.64.0.54>',
        'lns: up',
        'peer: up',
      ],
    );
  },
);

for (const auth of ['mschapv2', 'chap-md5', 'pap'] as const) {
  t.test(`the peer knows only ${auth}: a Nak leads there`, async (t) => {
    const p = new Pair(lnsConfig(), peerConfig({ auth: [auth] })).start();
    t.ok(p.run(bothUp(p)));
    t.equal(p.find('lns', 'authenticate')?.request.method, auth);
  });
}

t.test('law: with 30 % loss, doubling and reordering each way, a link comes up or goes down cleanly', async (t) => {
  let up = 0;
  const RUNS = 200;
  for (let seed = 1; seed <= RUNS; seed++) {
    const p = new Pair(lnsConfig({ echoIntervalMs: 0 }), peerConfig(), { wire: lossy(seed, 0.3) }).start();
    const over = (): boolean => bothUp(p)() || (p.has('lns', 'down') && p.has('peer', 'down'));
    if (!p.run(over)) t.fail(`seed ${seed} is stuck:\n${p.trace.join('\n')}`);
    if (bothUp(p)()) up += 1;
  }
  t.ok(up > RUNS / 2, `${up} of ${RUNS} came up`);
});

t.test('law: the other end of the same seeds, with authentication tried twice and a keepalive', async (t) => {
  for (let seed = 1; seed <= 50; seed++) {
    const p = new Pair(
      lnsConfig({ echoIntervalMs: 5000, random: seeded(seed) }),
      peerConfig({ passwords: ['no', 'wonderland'], echoIntervalMs: 5000 }),
      {
        wire: lossy(1000 + seed, 0.15),
      },
    ).start();
    const over = (): boolean => bothUp(p)() || (p.has('lns', 'down') && p.has('peer', 'down'));
    if (!p.run(over)) t.fail(`seed ${seed} is stuck:\n${p.trace.join('\n')}`);
    p.tell('lns', { type: 'close', reason: 'drain' });
    t.ok(
      p.run(() => p.has('lns', 'down') && p.has('peer', 'down')),
      `seed ${seed} goes down`,
    );
    t.equal(p.events.lns.filter((e) => e.type === 'down').length, 1, 'once');
    t.equal(p.lns.nextTimeout(), undefined, 'and leaves no timer');
  }
});

t.test('the peer never answers LCP: ten requests, then the hint', async (t) => {
  const s = new Script(lnsConfig());
  s.tell({ type: 'lower-up' });
  const said = s.wait(27_000);
  t.equal(said.filter((l) => l.startsWith('LCP Configure-Request 1 ')).length, 9, 'and one at lower-up');
  t.equal(
    said.at(-1),
    'down timeout: the peer never answered LCP [peer never answered LCP: check the ESP/UDP 4500 path or MTU]',
  );
  t.equal(s.link.phase, 'Over');
});

t.test('the setup timeout names what was waited for', async (t) => {
  const silent = new Script(lnsConfig({ setupTimeoutMs: 5000 }));
  silent.tell({ type: 'lower-up' });
  silent.wait(5000);
  t.match(silent.wait(3000).at(-1), 'down timeout: the peer never answered LCP [');

  const stubborn = new Script(lnsConfig({ setupTimeoutMs: 5000 }));
  stubborn.tell({ type: 'lower-up' });
  stubborn.hear('c021 01 01 0007 0d0306');
  stubborn.wait(5000);
  t.match(stubborn.wait(3000).at(-1), 'down timeout: LCP did not converge [');

  const auth = new Script(lnsConfig({ setupTimeoutMs: 5000 }));
  auth.tell({ type: 'lower-up' });
  auth.hear('c021 01 01 0004');
  auth.ackLast('c021');
  auth.wait(5000);
  t.match(auth.wait(3000).at(-1), /^down timeout: authentication was not finished in time \[the client never answered/);

  const ipcp = new Script(lnsConfig({ setupTimeoutMs: 5000 }));
  ipcp.toNetwork();
  ipcp.wait(5000);
  t.match(ipcp.wait(3000).at(-1), 'down timeout: IPCP did not open [');

  const up = new Script(lnsConfig({ setupTimeoutMs: 5000, echoIntervalMs: 0 }));
  up.toUp();
  t.same(up.wait(60_000), [], 'once up it is over');
});

t.test('LCP negotiated anew has what is left of the setup timeout; once the link was up, all of it', async (t) => {
  const challenge = 'CHAP Challenge value name="lockstep"';
  const s = new Script(lnsConfig({ setupTimeoutMs: 5_000, echoIntervalMs: 0 }));
  s.tell({ type: 'lower-up' });
  s.negotiateLcp();
  s.wait(4_000);
  t.equal(s.negotiateLcp().at(-1), challenge);
  t.same(s.wait(999), []);
  t.match(s.wait(1).join(), /^LCP Terminate-Request/);
  t.same(s.hear('c021 01 01 0004'), [], 'and that is all');
  t.match(s.wait(3_000).at(-1), /^down timeout: authentication was not finished in time \[/);

  const up = new Script(lnsConfig({ setupTimeoutMs: 5_000, echoIntervalMs: 0 }));
  up.toUp();
  up.wait(60_000);
  up.negotiateLcp();
  t.same(up.wait(4_000), [challenge]);
  up.negotiateLcp();
  t.same(up.wait(999), []);
  t.match(up.wait(1).join(), /^LCP Terminate-Request/);
});

t.test('closing: LCP Terminate, then down at its Ack or after two requests', async (t) => {
  const acked = new Script(lnsConfig());
  acked.toUp();
  t.same(acked.tell({ type: 'close', reason: 'kicked by the operator' }), [
    'ip-close',
    'LCP Terminate-Request 2 "kicked by the operator"',
  ]);
  t.same(acked.tell({ type: 'close', reason: 'again' }), []);
  t.same(acked.hear('c021 01 05 0004'), [], 'RFC 1661 §4.1 RCR+ in Closing');
  t.same(acked.hear(acked.msChapV2('alice', 'wonderland')), [], 'RFC 1661 §3.7: nothing but LCP');
  t.same(acked.hear('c021 06 02 0004'), ['down local: kicked by the operator']);
  t.same(acked.hear('c021 05 09 0004'), [], 'spent');
  t.same(acked.wait(60_000), []);

  const deaf = new Script(lnsConfig());
  deaf.toUp();
  deaf.tell({ type: 'close', reason: 'Sitzung geschlossen, ä' });
  t.same(deaf.wait(3000), ['LCP Terminate-Request 3 "Sitzung geschlossen, ?"', 'down local: Sitzung geschlossen, ä']);

  const early = new Script(lnsConfig());
  t.same(early.hear('c021 01 05 0004'), [], 'RFC 1661 §3.3: Link Dead');
  t.same(early.tell({ type: 'close', reason: 'never mind' }), ['down local: never mind']);
  t.same(early.tell({ type: 'lower-up' }), []);
});

t.test('lower-down: at once, with nothing sent; the first cause stays', async (t) => {
  const up = new Script(lnsConfig());
  up.toUp();
  t.same(up.tell({ type: 'lower-down' }), ['ip-close', 'down lower: the tunnel below is gone']);
  t.equal(up.link.nextTimeout(), undefined);

  const dead = new Script(lnsConfig());
  t.same(dead.tell({ type: 'lower-down' }), ['down lower: the tunnel below is gone']);

  const closing = new Script(lnsConfig());
  closing.toUp();
  closing.tell({ type: 'close', reason: 'kicked' });
  t.same(closing.tell({ type: 'lower-down' }), ['down local: kicked']);

  const leaving = new Script(lnsConfig());
  leaving.toUp();
  leaving.hear('c021 05 09 0010 55736572207265717565 7374');
  t.same(
    leaving.tell({ type: 'lower-down' }),
    ['down peer: the peer hung up: User request'],
    'its CDN came soon after',
  );
});

t.test('RFC 1661 §5.5: the peer terminates; its data in words', async (t) => {
  const table: [data: string, reason: string][] = [
    ['', 'the peer hung up'],
    ['1a2b3c4d 003ccd74 00000000', 'the client disconnected'],
    ['1a2b3c4d 003ccd74 000002dc', 'PPP did not converge (error 732)'],
    ['1a2b3c4d 003ccd74 000002e6', 'the client insists on MPPE encryption (error 742)'],
    ['1a2b3c4d 003ccd74 0000ffff', 'the client reports error 65535'],
    ['50656572206e6f7420726573706f6e64696e67', 'the peer hung up: Peer not responding'],
    // pppd's word for 741 and 742.
    [
      '4d5050452072657175697265642062757420706565722072656675736564',
      'the peer hung up: MPPE required but peer refused',
    ],
  ];
  for (const [data, reason] of table) {
    const s = new Script(lnsConfig());
    s.toUp();
    const length = data.replace(/ /g, '').length / 2 + 4;
    t.same(s.hear(`c021 05 09 00${length.toString(16).padStart(2, '0')} ${data}`), ['ip-close', 'LCP Terminate-Ack 9']);
    t.same(s.wait(2999), [], 'RFC 1661 §3.7: one period for the peer to hear it');
    t.ok(s.wait(1).at(-1)?.startsWith(`down peer: ${reason}`), reason);
  }
});

t.test('a Terminate-Request before LCP is open: the dialogue may go on, or the reason is kept', async (t) => {
  const s = new Script(lnsConfig());
  s.tell({ type: 'lower-up' });
  t.same(s.hear('c021 05 09 0004'), ['LCP Terminate-Ack 9']);
  t.match(s.wait(60_000).at(-1), 'down peer: the peer hung up');

  const on = new Script(lnsConfig());
  on.tell({ type: 'lower-up' });
  on.hear('c021 05 09 0004');
  on.hear('c021 01 01 0004');
  on.ackLast('c021');
  on.tell({ type: 'close', reason: 'drain' });
  t.match(on.wait(60_000).at(-1), 'down local: drain');
});

t.test('RFC 1661 §3.4, §3.5: what may not speak yet is silently discarded', async (t) => {
  const s = new Script(lnsConfig());
  s.tell({ type: 'lower-up' });
  const IPCP = '8021 01 01 000a 03060a400007';
  const CCP = '80fd 01 01 0004';
  const PAP = 'c023 01 01 0006 0000';
  for (const early of [IPCP, CCP, PAP]) t.same(s.hear(early), [], 'establish phase');
  s.hear('c021 01 01 0004');
  s.ackLast('c021');
  for (const early of [IPCP, CCP, PAP]) t.same(s.hear(early), [], 'authentication phase');
  s.hear(s.msChapV2('alice', 'wonderland'));
  t.same(s.hear('0021 45'), [], 'an IP packet is the data plane’s');
  t.same(s.hear(PAP), [], 'an authentication that was not agreed');
  t.match(s.hear(CCP).join(), 'Protocol-Reject');
});

t.test('malformed frames are noted, at a bounded rate, and change nothing', async (t) => {
  const s = new Script(lnsConfig());
  s.toUp();
  t.match(s.hear('').join(), 'note ppp.malformed');
  t.match(s.hear('c021 01 01 00ff').join(), 'note ppp.malformed');
  t.match(s.hear('8021 01 01 0006 0300').join(), 'note ppp.malformed');
  const notes = Array.from({ length: 100 }, () => s.hear('c0')).flat();
  t.ok(notes.length <= 10);
  t.notOk(s.find('down'));
});

t.test('an early call of handleTimeout is a harmless no-op', async (t) => {
  const s = new Script(lnsConfig());
  s.tell({ type: 'lower-up' });
  s.link.handleTimeout(instant(0));
  t.equal(s.link.poll(), undefined);
  s.toUp();
  s.link.handleTimeout(instant(s.now));
  t.equal(s.link.poll(), undefined);
});

t.test('a second lower-up changes nothing', async (t) => {
  const s = new Script(lnsConfig());
  s.tell({ type: 'lower-up' });
  t.same(s.tell({ type: 'lower-up' }), []);
});

// epiecs/packetlife-backup, pcaps/PPPoE_Dual-Stack_IPv4_IPv6-with_DHCPv6.cap: the client's frames, padding and all.
t.test('a Cisco PPPoE client by PAP, IPV6CP beside IPCP, as captured', async (t) => {
  const grant = { ok: true as const, user: 'cisco', address: '10.0.2.16', dns: [], nbns: [] };
  const s = new Script(lnsConfig({ auth: ['pap'], mru: 1492, localAddress: '10.0.0.1' }), () => grant);
  s.tell({ type: 'lower-up' });
  t.same(s.hear('c021 01 01 000a 0506 05fcd459 000000000000'), ['LCP Configure-Ack 1 <magic>']);
  t.same(s.hear(s.reply('c021', 0x03, '010405dc')), ['LCP Configure-Request 2 <auth PAP> <magic>']);
  s.ackLast('c021');
  t.same(s.hear('c023 01 01 0010 05636973636f 05636973636f 0000'), [
    'authenticate pap cisco',
    'PAP Authenticate-Ack 1 ""',
    'IPCP Configure-Request 1 <addr 10.0.0.1>',
  ]);
  t.same(s.hear('8021 01 01 000a 0306 00000000 0000'), ['IPCP Configure-Nak 1 <addr 10.0.2.16>']);
  t.match(s.hear('8057 01 01 000e 010a ce050efffe880000 0000').at(-1), 'LCP Protocol-Reject');
  s.ackLast('8021');
  t.equal(s.hear('8021 01 02 000a 0306 0a000210 0000').at(-1), 'up cisco 10.0.2.16');
});

// epiecs/packetlife-backup, pcaps/PPP_negotiation.cap: a router that wants to authenticate us as well.
t.test('a Cisco router over a serial line by CHAP with MD5 and CDPCP, as captured', async (t) => {
  const s = new Script(lnsConfig({ auth: ['chap-md5'] }));
  s.tell({ type: 'lower-up' });
  t.same(s.hear('ff03 c021 01 02 000f 0305c22305 0506012ce96d'), ['LCP Configure-Reject 2 <auth CHAP MD5>']);
  s.hear('ff03 c021 01 03 000a 0506012ce96d');
  s.ackLast('c021');
  const { id, value } = s.challenge;
  const response = chapMd5Response(id, Buffer.from('wonderland'), value);
  const chap = encodeChap({ code: 'Response', id, value: response, name: Buffer.from('R0') });
  t.same(s.hear(Uint8Array.of(0xff, 0x03, 0xc2, 0x23, ...chap)), [
    'authenticate chap-md5 R0',
    'CHAP Success ""',
    'IPCP Configure-Request 1 <addr 10.64.0.1>',
  ]);
  t.match(s.hear('ff03 8207 01 01 0004').at(-1), 'LCP Protocol-Reject 2 CDPCP 01010004');
});

t.test('a configuration without any method lets nobody in', async (t) => {
  const s = new Script(lnsConfig({ auth: [] }));
  s.tell({ type: 'lower-up' });
  s.hear('c021 01 01 0004');
  t.match(s.ackLast('c021'), ['lcp-up mru=1500', 'LCP Terminate-Request 2 "no authentication was negotiated"']);
  t.equal(s.wait(3000).at(-1), 'down auth: no authentication was negotiated');
});

t.test(
  'a peer with habits of its own: one counter for all protocols, a Restart timer of 3 s, options by number',
  async (t) => {
    let id = -1;
    const s = new Script(
      peerConfig({
        nextId: () => ++id,
        restartMs: 3_000,
        lcpOptions: [
          { name: 'acfc', value: true },
          { name: 'accm', value: 0 },
        ],
      }),
    );
    const REQUEST = 'LCP Configure-Request 0 <mru 1400> <asyncmap 0x00000000> <magic> <accomp>';
    t.same(s.tell({ type: 'lower-up' }), [REQUEST]);
    t.same(s.wait(2_999), []);
    t.same(s.wait(1), [REQUEST]);
    t.same(s.wait(3_000), [REQUEST], 'RFC 1661 §4.6');
    s.hear('c021 01 01 0004');
    t.match(s.ackLast('c021'), ['lcp-up mru=1500', 'IPCP Configure-Request 1']);
  },
);
