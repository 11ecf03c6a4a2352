// What an established session costs in memory: the growth of lockstepd's resident set. A garbage-collected program keeps what it once
// had, so the figure is the growth from one level to the next, after the sessions have been idle for a moment.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bench, Row } from './measure.js';
import { Net, pause, rssKb, sh } from './net.js';
import { ground, install, open, prepare } from './targets.js';

const LEVELS = [1_000, 10_000, 50_000];
const PER_TUNNEL = 1_000;
const SETTLE_MS = 5_000;
const PATIENCE_MS = 120_000;
const PPPDS = 20;

export const memory: Bench = async () => {
  const net = new Net();
  try {
    prepare(net);
    ground(net);
    const lns = await open(net, 'lockstep', 1);
    const rows: Row[] = [];
    await lns.setUp({ tunnels: 100, sessions: 10, parallel: 200, auth: 'pap' }); // warms up code and pools
    await lns.tearDown();
    await pause(SETTLE_MS);
    const empty = rssKb(lns.pid!);
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
      const now = up + more.up;
      const rss = rssKb(lns.pid!);
      rows.push({
        what: `RSS per session at ${now} sessions${more.failed > 0 ? ` (no more within ${PATIENCE_MS / 1_000} s)` : ''}`,
        figure: `${((rss - empty) / now).toFixed(1)} KB (${(rss / 1024).toFixed(0)} MB in all, ${(empty / 1024).toFixed(0)} MB empty)`,
        limit: `${((rss - before) / more.up).toFixed(1)} KB for each of the last ${more.up}`,
        ratio: `target: under 10 KB, flat`,
      });
      up = now;
      before = rss;
    }
    const pppd = pppdKb();
    rows.push({
      what: 'the same with xl2tpd, whose sessions are a pppd each',
      figure: `${pppd} KB`,
      limit: `proportional set size, ${PPPDS} of them, in a guest with PPP in its kernel`,
      ratio: `${(pppd / ((before - empty) / up)).toFixed(0)} times as much`,
    });
    return rows;
  } finally {
    net.close();
  }
};

/** Of one pppd. This kernel may have no PPP; that of the lab has. */
function pppdKb(): number {
  install(['ppp', 'user-mode-linux']);
  const repo = fileURLToPath(new URL('../..', import.meta.url));
  const said = sh('bash', join(repo, 'test/lab/uml/run'), join(repo, 'bench/pppd-memory.sh'), String(PPPDS));
  return Number(/^pppd \d+ (\d+)$/m.exec(said)![1]);
}
