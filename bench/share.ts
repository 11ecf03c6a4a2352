// What one client gets while another one floods a line that is full: round trips of the first, lost ones included. The line is a
// token bucket on the gateway's device, its queue longer than any send buffer.
import { type Bench, type Row, ratio, show, spread } from './measure.js';
import { Net, pause } from './net.js';
import { flow } from './raw.js';
import { ground, open, packets, prepare } from './targets.js';

const ROUNDS = 5;
const PINGS = 30;
const EVERY_US = 5_000;
/** The flood is ended when the pings are. */
const SECONDS = '60';
const LINE = '20mbit';
const LOST_US = 500_000;
const TWO = { tunnels: 2, sessions: 1, parallel: 1, auth: 'pap' } as const;

export const share: Bench = async () => {
  const net = new Net();
  try {
    prepare(net);
    ground(net);
    net.start('server', packets(net), 'echo', '7');
    const targets = [await open(net, 'lockstep', 1), await open(net, 'l2tpns', 2)];
    const rounds: { p50: number[]; p99: number[]; lost: number[] }[] = targets.map(() => ({
      p50: [],
      p99: [],
      lost: [],
    }));
    const floods: string[] = [];
    for (const target of targets) {
      const { sessions } = await target.setUp(TWO);
      // The first session carries the pings, the second is flooded.
      floods.push(flow(target, 'down', sessions[1]!, 0));
      const bucket = ['rate', LINE, 'burst', '64kb', 'limit', '16mb'];
      net.run(`n${target.n}`, 'tc', 'qdisc', 'add', 'dev', 'out', 'root', 'tbf', ...bucket);
    }
    for (let n = 0; n < ROUNDS; n++) {
      for (const [i, target] of targets.entries()) {
        const generator = net.start('server', packets(net), 'flood', SECONDS, '60000');
        const over = new Promise((resolve) => generator.once('exit', resolve));
        generator.stdin!.end(floods[i]);
        await pause(500);
        const to = `10.201.${target.n}.2`;
        const said = net.run('client', packets(net), 'ping', target.address, to, '7', String(PINGS), String(EVERY_US));
        const rtts = said.trim().split('\n').map(Number);
        const sorted = rtts.map((us) => (us < 0 ? LOST_US : us)).sort((a, b) => a - b);
        rounds[i]!.p50.push(sorted[sorted.length >> 1]! / 1_000);
        rounds[i]!.p99.push(sorted[Math.floor(sorted.length * 0.99)]! / 1_000);
        rounds[i]!.lost.push(rtts.filter((us) => us < 0).length);
        generator.kill();
        await over;
        await pause(500); // what is queued leaves
      }
    }
    const [mine, others] = rounds.map((r) => ({ ...r, text: text(r) }));
    const row: Row = {
      what: `round trip of one client, another one's flood fills a line of ${LINE}`,
      figure: mine!.text,
      limit: `l2tpns: ${others!.text}`,
      ratio: `p50 ${ratio(mine!.p50, others!.p50).toFixed(2)}`,
    };
    return [row];
  } finally {
    net.close();
  }
};

const text = ({ p50, p99, lost }: { p50: number[]; p99: number[]; lost: number[] }): string =>
  `p50 ${show(spread(p50))} ms, p99 ${show(spread(p99))} ms, lost ${lost.reduce((a, b) => a + b, 0)} of ${ROUNDS * PINGS}`;
