// What an established session costs in memory: the growth of lockstepd's resident set. A garbage-collected program keeps what it once
// had, so the figure is the growth from one level to the next, after the sessions have been idle for a moment; and each round has
// processes of its own.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Bench, type Row, ratio, show, spread } from './measure.js';
import { Net, pause, rssKb, sh } from './net.js';
import { ground, install, open, prepare } from './targets.js';

const ROUNDS = 5;
const LEVELS = [1_000, 10_000, 50_000];
const PER_TUNNEL = 1_000;
const SETTLE_MS = 5_000;
const PATIENCE_MS = 120_000;
const PPPDS = 20;

/** Of one round, in KB. */
interface Level {
  readonly up: number;
  readonly failed: number;
  readonly rss: number;
  /** Without a session. */
  readonly empty: number;
  readonly each: number;
  /** Of those that came since the level before. */
  readonly eachOfLast: number;
  readonly last: number;
}

export const memory: Bench = async () => {
  const rounds: Level[][] = [];
  const pppds: number[] = [];
  for (let n = 0; n < ROUNDS; n++) {
    rounds.push(await levels());
    pppds.push(pppdKb());
  }
  const most = rounds.map((r) => r[LEVELS.length - 1]!.each);
  return [
    ...LEVELS.map((_, i) => row(rounds.map((r) => r[i]!))),
    {
      what: 'the same with xl2tpd, whose sessions are a pppd each',
      figure: `${show(spread(pppds))} KB`,
      limit: `proportional set size, ${PPPDS} of them, in a guest with PPP in its kernel`,
      ratio: `${ratio(pppds, most).toFixed(0)} times as much`,
    },
  ];
};

function row(rounds: readonly Level[]): Row {
  const of = (what: keyof Level) => spread(rounds.map((r) => r[what]));
  const mb = (what: 'rss' | 'empty') => show(spread(rounds.map((r) => r[what] / 1024)));
  const short = rounds.filter((r) => r.failed > 0).length;
  const late = short > 0 ? ` (in ${short} of ${ROUNDS} rounds no more within ${PATIENCE_MS / 1_000} s)` : '';
  return {
    what: `RSS per session at ${of('up').median} sessions${late}`,
    figure: `${show(of('each'), 1)} KB (${mb('rss')} MB in all, ${mb('empty')} MB empty)`,
    limit: `${show(of('eachOfLast'), 1)} KB for each of the last ${of('last').median}`,
    ratio: 'target: under 10 KB, flat',
  };
}

async function levels(): Promise<Level[]> {
  const net = new Net();
  try {
    prepare(net);
    ground(net);
    const lns = await open(net, 'lockstep', 1);
    await lns.setUp({ tunnels: 100, sessions: 10, parallel: 200, auth: 'pap' }); // warms up code and pools
    await lns.tearDown();
    await pause(SETTLE_MS);
    const empty = rssKb(lns.pid!);
    const reached: Level[] = [];
    let up = 0;
    let before = empty;
    for (const level of LEVELS) {
      const tunnels = Math.ceil((level - up) / PER_TUNNEL);
      const more = await lns.setUp({
        tunnels,
        sessions: PER_TUNNEL,
        parallel: tunnels === 1 ? 50 : 100,
        auth: 'pap',
        patienceMs: PATIENCE_MS,
      });
      await pause(SETTLE_MS);
      up += more.up;
      const rss = rssKb(lns.pid!);
      const each = (rss - empty) / up;
      const eachOfLast = (rss - before) / more.up;
      reached.push({ up, failed: more.failed, rss, empty, each, eachOfLast, last: more.up });
      before = rss;
    }
    return reached;
  } finally {
    net.close();
  }
}

/** Of one pppd. This kernel may have no PPP; that of the lab has. */
function pppdKb(): number {
  install(['ppp', 'user-mode-linux']);
  const repo = fileURLToPath(new URL('../..', import.meta.url));
  const said = sh('bash', join(repo, 'test/lab/uml/run'), join(repo, 'bench/pppd-memory.sh'), String(PPPDS));
  return Number(/^pppd \d+ (\d+)$/m.exec(said)![1]);
}
