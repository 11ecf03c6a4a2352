// Sessions set up for real, from SCCRQ to an address, next to l2tpns with the same LAC. Both get half of their time from a machine
// that the LAC works on too: a figure of its own is the CPU an LNS needs for 1 000 sessions.
import type { AuthMethod } from '../src/proto/ppp/events.js';
import type { Load } from './lac.js';
import { type Bench, type Row, ratio, show, spread } from './measure.js';
import { cpuSeconds, Net } from './net.js';
import { ground, open, prepare, type Target } from './targets.js';

const ROUNDS = 5;

interface Case {
  readonly what: string;
  readonly load: Omit<Load, 'auth'>;
  /** l2tpns is too slow for as many: a rate is compared. */
  readonly theirs?: Omit<Load, 'auth'>;
  readonly target: string;
}

const CASES: readonly Case[] = [
  {
    what: '250 tunnels x 4, 50 sessions in the making',
    load: { tunnels: 250, sessions: 4, parallel: 50 },
    target: 'at least 1x',
  },
  {
    what: '250 tunnels x 4, 200 sessions in the making',
    load: { tunnels: 250, sessions: 4, parallel: 200 },
    target: 'at least 5x',
  },
  {
    what: '1 tunnel x 1000 (l2tpns: x 60), 50 in the making',
    load: { tunnels: 1, sessions: 1_000, parallel: 50 },
    theirs: { tunnels: 1, sessions: 60, parallel: 50 },
    target: 'at least 50x',
  },
];
/** l2tpns knows no MS-CHAPv2: it stays with PAP. */
const AUTHS: readonly AuthMethod[] = ['pap', 'mschapv2'];

interface Round {
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
  readonly cpuPer1000: number;
}

export const setup: Bench = async () => {
  const net = new Net();
  try {
    prepare(net);
    ground(net);
    const ours = await open(net, 'lockstep', 1);
    const theirs = await open(net, 'l2tpns', 2);
    await round(ours, { ...CASES[0]!.load, auth: 'mschapv2' }); // warms up
    const rows: Row[] = [];
    for (const c of CASES) rows.push(...(await compare(c, ours, theirs)));
    return rows;
  } finally {
    net.close();
  }
};

async function compare(c: Case, ours: Target, theirs: Target): Promise<Row[]> {
  const mine = AUTHS.map((): Round[] => []);
  const other: Round[] = [];
  for (let n = 0; n < ROUNDS; n++) {
    for (const [i, auth] of AUTHS.entries()) mine[i]!.push(await round(ours, { ...c.load, auth }));
    await theirs.restart();
    other.push(await round(theirs, { ...(c.theirs ?? c.load), auth: 'pap' }));
  }
  return AUTHS.flatMap((auth, i) => compared(c, auth, mine[i]!, other));
}

function compared(c: Case, auth: AuthMethod, mine: readonly Round[], other: readonly Round[]): Row[] {
  const by = (rounds: readonly Round[], pick: (r: Round) => number) => rounds.map(pick);
  const what = `${c.what}, ${auth === 'pap' ? 'PAP' : 'MS-CHAPv2 (l2tpns: PAP)'}`;
  const times = (rounds: readonly Round[]) =>
    `p50 ${spread(by(rounds, (r) => r.p50)).median.toFixed(0)} ms, p99 ${spread(by(rounds, (r) => r.p99)).median.toFixed(0)} ms`;
  const [rate, rates] = [by(mine, (r) => r.rate), by(other, (r) => r.rate)];
  const [cpu, cpus] = [by(mine, (r) => r.cpuPer1000), by(other, (r) => r.cpuPer1000)];
  return [
    {
      what,
      figure: `${show(spread(rate))} sessions/s, ${times(mine)}`,
      limit: `l2tpns ${show(spread(rates))} sessions/s, ${times(other)}`,
      ratio: `${ratio(rate, rates).toFixed(2)}x (target: ${c.target})`,
    },
    {
      what: `${what}: CPU-s per 1000`,
      figure: show(spread(cpu), 2),
      limit: `l2tpns ${show(spread(cpus), 2)}`,
      ratio: `${ratio(cpu, cpus).toFixed(1)}x`,
    },
  ];
}

async function round(target: Target, load: Load): Promise<Round> {
  const before = cpuSeconds(target.pid!);
  const { up, failed, ms, setupMs } = await target.setUp(load);
  const cpu = cpuSeconds(target.pid!) - before;
  if (failed > 0) console.error(`bench: ${target.kind}: ${failed} of ${up + failed} sessions failed`);
  await target.tearDown();
  // One that failed took longer than any that did not.
  const took = [...setupMs, ...Array<number>(failed).fill(ms)];
  const at = (part: number) => took[Math.min(took.length - 1, Math.floor(took.length * part))]!;
  return { rate: (up * 1_000) / ms, p50: at(0.5), p99: at(0.99), cpuPer1000: (cpu * 1_000) / up };
}
