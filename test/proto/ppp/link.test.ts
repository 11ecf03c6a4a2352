import t from 'tap';
import { LEASE, lnsConfig, lossy, Pair, peerConfig } from '../../lib/ppp-pair.js';

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
