// As many sessions as the table holds, in tunnels of 1000, and one more: what each costs when there are many, coming and going.
// LCP echoes are an hour apart, for one in 30 s to each of so many is most of the work, and is not what is asked here.
import type { Bench, Row } from './measure.js';
import { cpuSeconds, Net, pause, rssKb } from './net.js';
import { ground, open, prepare, type Target, TUNNELS } from './targets.js';

const FULL = 100_000;
const STEP = 20_000;
const PER_TUNNEL = 1_000;
const PATIENCE_MS = 180_000;
/** The LNS may have something left to do when the LAC has said goodbye. */
const QUIET_MS = 2_000;

export const full: Bench = async () => {
  const net = new Net();
  try {
    prepare(net);
    ground(net);
    const lns = await open(net, 'lockstep', 2, TUNNELS, FULL);
    const pid = lns.pid!;
    await fill(lns, STEP); // warms up
    const few = await ending(lns, STEP);
    const empty = rssKb(pid);
    const rows: Row[] = [];
    let up = 0;
    let first = 0;
    while (up < FULL) {
      const { cpu, ms, more, failed } = await fill(lns, STEP);
      up += more;
      first ||= cpu;
      rows.push({
        what: `the ${up - more + 1}st to ${up}th session${failed > 0 ? `, ${failed} more failed` : ''}, one run`,
        figure: `${cpu.toFixed(0)} us of CPU each, ${((more * 1_000) / ms).toFixed(0)} per second`,
        limit: `the first ${STEP}: ${first.toFixed(0)} us`,
        ratio: (cpu / first).toFixed(2),
      });
      if (failed > 0) break;
    }
    const rss = rssKb(pid);
    rows.push({
      what: `RSS with ${up} sessions, one run`,
      figure: `${(rss / 1024).toFixed(0)} MB, ${((rss - empty) / up).toFixed(1)} KB each`,
      limit: `${(empty / 1024).toFixed(0)} MB before`,
      ratio: 'target: under 10 KB',
    });
    const over = await lns.setUp({ tunnels: 1, sessions: 1, parallel: 1, auth: 'pap' });
    rows.push({
      what: 'one session more',
      figure: over.up === 0 ? 'refused' : 'let in',
      limit: over.refusals.join('; '),
      ratio: 'target: CDN 4 (RFC 2661 §4.4.2)',
    });
    const many = await ending(lns, up);
    rows.push({
      what: `the end of all ${up}, one run`,
      figure: `${many.toFixed(0)} us of CPU each`,
      limit: `of ${STEP}: ${few.toFixed(0)} us`,
      ratio: (many / few).toFixed(2),
    });
    return rows;
  } finally {
    net.close();
  }
};

async function fill(lns: Target, count: number): Promise<{ cpu: number; ms: number; more: number; failed: number }> {
  const before = cpuSeconds(lns.pid!);
  const { up, failed, ms } = await lns.setUp({
    tunnels: count / PER_TUNNEL,
    sessions: PER_TUNNEL,
    parallel: 100,
    auth: 'pap',
    patienceMs: PATIENCE_MS,
  });
  return { cpu: ((cpuSeconds(lns.pid!) - before) * 1e6) / up, ms, more: up, failed };
}

/** Microseconds of CPU for each of `count` sessions that end. */
async function ending(lns: Target, count: number): Promise<number> {
  const before = cpuSeconds(lns.pid!);
  await lns.tearDown();
  for (let last = before, now = cpuSeconds(lns.pid!); now - last > 0.1; ) {
    await pause(QUIET_MS);
    [last, now] = [now, cpuSeconds(lns.pid!)];
  }
  return ((cpuSeconds(lns.pid!) - before) * 1e6) / count;
}
