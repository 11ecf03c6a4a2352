// One TCP stream through ESP, in the lab: this gateway, xl2tpd with the kernel's L2TP, and ESP alone take turns in one guest.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Bench, type Row, ratio, show, spread } from './measure.js';
import { install } from './targets.js';

const REPO = fileURLToPath(new URL('../..', import.meta.url));
/** What a run of the lab leaves. */
const OUT = join(REPO, 'test/lab/out/ipsec-tcp');
const CIPHERS = ['aes256-sha1', 'aes128gcm16'] as const;
const DIRECTIONS = ['up', 'down'] as const;

type Figure =
  | ({ readonly cipher: string; readonly direction: string } & (
      | { readonly target: 'lockstep' | 'kernel' | 'bare'; readonly round: number; readonly mbit: number }
      | { readonly syscalls: number; readonly packets: number }
    ))
  | RoundTrips;
/** Milliseconds; one that is lost counts as a second. */
interface RoundTrips {
  readonly target: 'lockstep' | 'kernel';
  readonly load: 'idle' | 'loaded';
  readonly p50: number;
  readonly p99: number;
  readonly lost: number;
  readonly sent: number;
  /** Mbit/s of the download beside them. */
  readonly carried: number;
}

/** Where it runs: user-mode Linux has one CPU and a system call costs it some 28 us; QEMU without KVM has two, both slow. */
const KERNELS = {
  host: 'no guest',
  uml: 'user-mode Linux',
  tcg: "Debian's kernel in QEMU",
} as const;
type Kernel = keyof typeof KERNELS;

export const ipsecTcp: Bench = async () => {
  install(['iperf3', 'strace']);
  return kernels().flatMap(rows);
};

/** Both guests, or what LAB_KERNEL names. */
function kernels(): readonly Kernel[] {
  const wanted = process.env.LAB_KERNEL;
  if (!wanted) return ['uml', 'tcg'];
  const known = Object.keys(KERNELS) as Kernel[];
  if (known.every((kernel) => kernel !== wanted)) throw new Error(`LAB_KERNEL=${wanted}: one of ${known.join(', ')}`);
  return [wanted as Kernel];
}

/** What a run measured before it failed stays, and takes nothing from the other kernel's. */
function rows(kernel: Kernel): Row[] {
  const where = KERNELS[kernel];
  const { figures, failed } = run(kernel);
  const measured = [...rates(figures, where), ...roundTrips(figures, where)];
  if (failed === undefined) return measured;
  process.exitCode = 1;
  return [...measured, { what: `ipsec-tcp, ${where}`, figure: 'not to its end', limit: failed, ratio: '-' }];
}

function run(kernel: Kernel): { readonly figures: readonly Figure[]; readonly failed?: string } {
  // Those of an earlier run are not this one's.
  for (const file of ['figures', 'failed']) rmSync(join(OUT, file), { force: true });
  const ran = spawnSync('bash', [join(REPO, 'test/lab/lab.sh'), 'ipsec-tcp', '--jobs', '1'], {
    stdio: 'inherit',
    env: { ...process.env, LAB_KERNEL: kernel },
  });
  if (ran.signal !== null || ran.status === 130) throw new Error(`the lab run was interrupted (${kernel})`);
  // A guest that ended in the middle may have left half a line.
  const lines = left('figures').filter((line) => line.endsWith('}'));
  const figures = lines.map((line) => JSON.parse(line) as Figure);
  if (ran.status === 0 && figures.length > 0) return { figures };
  // It is a cell of a table.
  const reason = left('failed').join(' ').replaceAll('|', '/');
  return { figures, failed: reason || `the lab run left no reason (status ${ran.status})` };
}

const left = (file: string): string[] =>
  existsSync(join(OUT, file)) ? readFileSync(join(OUT, file), 'utf8').trim().split('\n') : [];

/** The rounds that both have: a run may end between the two. */
function inTurns<T>(mine: readonly T[], others: readonly T[]): readonly [T[], T[]] {
  const rounds = Math.min(mine.length, others.length);
  return [mine.slice(0, rounds), others.slice(0, rounds)];
}

const PEERS = [
  ['kernel', "xl2tpd, pppd and the kernel's L2TP", 'at least 1.0'],
  ['bare', 'bare ESP transport', 'at least 0.85'],
] as const;

/** The slower a call, the more packets wait for the next one. */
const COUNTED = 'under strace, which slows the gateway and enlarges its batches: a lower bound';

const rates = (figures: readonly Figure[], where: string): Row[] =>
  CIPHERS.flatMap((cipher) =>
    DIRECTIONS.flatMap((direction) => {
      const of = figures.filter((f) => 'cipher' in f && f.cipher === cipher && f.direction === direction);
      const mbits = (target: string) => of.flatMap((f) => ('mbit' in f && f.target === target ? [f.mbit] : []));
      const counted = of.find((f) => 'syscalls' in f);
      const calls =
        counted === undefined || !('syscalls' in counted)
          ? ''
          : `, ${(counted.syscalls / counted.packets).toFixed(2)} syscalls per packet (${COUNTED})`;
      return PEERS.flatMap(([target, limit, wanted]) => {
        const [mine, others] = inTurns(mbits('lockstep'), mbits(target));
        if (mine.length === 0) return [];
        return {
          what: `one TCP stream ${direction} through ESP ${cipher}, ${where}, ${mine.length} rounds`,
          figure: `${show(spread(mine))} Mbit/s${calls}`,
          limit: `${limit} ${show(spread(others))} Mbit/s`,
          ratio: `${ratio(mine, others).toFixed(2)}; target: ${wanted}`,
        };
      });
    }),
  );

/** Next to the kernel's own L2TP, which the machine that runs `latency` need not have. */
const roundTrips = (figures: readonly Figure[], where: string): Row[] =>
  (['idle', 'loaded'] as const).flatMap((load) => {
    const of = (target: string) =>
      figures.flatMap((f) => ('load' in f && f.load === load && f.target === target ? [f] : []));
    const [mine, others] = inTurns(of('lockstep'), of('kernel'));
    if (mine.length === 0) return [];
    const times = (p: 'p50' | 'p99') => ratio(by(mine, p), by(others, p)).toFixed(2);
    return {
      what: `round trip through ESP ${CIPHERS[0]}, ${load === 'idle' ? 'idle' : 'beside a download'}, ${where}, ${mine.length} rounds`,
      figure: trips(mine),
      limit: `${PEERS[0][1]}: ${trips(others)}`,
      ratio: `p50 ${times('p50')}, p99 ${times('p99')}${load === 'idle' ? '' : '; target: p99 at most 1'}`,
    };
  });

const by = (rounds: readonly RoundTrips[], what: 'p50' | 'p99' | 'lost' | 'sent' | 'carried'): number[] =>
  rounds.map((r) => r[what]);
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

function trips(rounds: readonly RoundTrips[]): string {
  const times = `p50 ${show(spread(by(rounds, 'p50')), 2)} ms, p99 ${show(spread(by(rounds, 'p99')), 2)} ms`;
  const lost = `${sum(by(rounds, 'lost'))} of ${sum(by(rounds, 'sent'))} lost`;
  const beside = rounds[0]?.load === 'loaded' ? `, beside ${show(spread(by(rounds, 'carried')))} Mbit/s` : '';
  return `${times}, ${lost}${beside}`;
}
