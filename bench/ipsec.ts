// One TCP stream through ESP, in the lab: this gateway, xl2tpd with the kernel's L2TP, and ESP alone take turns in one guest.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Bench, type Row, ratio, show, spread } from './measure.js';
import { install } from './targets.js';

const REPO = fileURLToPath(new URL('../..', import.meta.url));
const CIPHERS = ['aes256-sha1', 'aes128gcm16'] as const;
const DIRECTIONS = ['up', 'down'] as const;

type Figure =
  | ({ readonly cipher: string; readonly direction: string } & (
      | { readonly target: 'lockstep' | 'kernel' | 'bare'; readonly round: number; readonly mbit: number }
      | { readonly syscalls: number; readonly packets: number }
    ))
  | RoundTrips;
/** Milliseconds. */
interface RoundTrips {
  readonly target: 'lockstep' | 'kernel';
  readonly load: 'idle' | 'loaded';
  readonly p50: number;
  readonly p99: number;
}

/** Where the guest runs: user-mode Linux has one CPU and a system call costs it some 28 us; QEMU without KVM has two, both slow. */
const KERNELS = { uml: 'user-mode Linux', tcg: "Debian's kernel in QEMU" } as const;

export const ipsecTcp: Bench = async () => {
  install(['iperf3', 'strace']);
  const kernels = Object.keys(KERNELS) as (keyof typeof KERNELS)[];
  return kernels.flatMap((kernel) => {
    const figures = run(kernel);
    return [...rates(figures, KERNELS[kernel]), ...roundTrips(figures, KERNELS[kernel])];
  });
};

function run(kernel: string): readonly Figure[] {
  const ran = spawnSync('bash', [join(REPO, 'test/lab/lab.sh'), 'ipsec-tcp', '--jobs', '1'], {
    stdio: 'inherit',
    env: { ...process.env, LAB_KERNEL: kernel },
  });
  if (ran.status !== 0) throw new Error(`the lab run failed (${kernel})`);
  const lines = readFileSync(join(REPO, 'test/lab/out/ipsec-tcp/figures'), 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Figure);
}

const rates = (figures: readonly Figure[], where: string): Row[] =>
  CIPHERS.flatMap((cipher) =>
    DIRECTIONS.flatMap((direction) => {
      const of = figures.filter((f) => 'cipher' in f && f.cipher === cipher && f.direction === direction);
      const mbits = (target: string) => of.flatMap((f) => ('mbit' in f && f.target === target ? [f.mbit] : []));
      const counted = of.find((f) => 'syscalls' in f);
      const mine = mbits('lockstep');
      const calls =
        counted === undefined || !('syscalls' in counted)
          ? ''
          : `, ${(counted.syscalls / counted.packets).toFixed(2)} syscalls per packet`;
      return [
        ['kernel', "xl2tpd, pppd and the kernel's L2TP", 'at least 1.0'],
        ['bare', 'bare ESP transport', 'at least 0.85'],
      ].map(([target, limit, wanted]) => ({
        what: `one TCP stream ${direction} through ESP ${cipher}, ${where}`,
        figure: `${show(spread(mine))} Mbit/s${calls}`,
        limit: `${limit} ${show(spread(mbits(target!)))} Mbit/s`,
        ratio: `${ratio(mine, mbits(target!)).toFixed(2)}; target: ${wanted}`,
      }));
    }),
  );

/** Next to the kernel's own L2TP, which the machine that runs `latency` need not have. */
const roundTrips = (figures: readonly Figure[], where: string): Row[] =>
  (['idle', 'loaded'] as const).map((load) => {
    const of = (target: string, p: 'p50' | 'p99') =>
      figures.flatMap((f) => ('load' in f && f.load === load && f.target === target ? [f[p]] : []));
    const both = (target: string) =>
      `p50 ${show(spread(of(target, 'p50')), 2)} ms, p99 ${show(spread(of(target, 'p99')), 2)} ms`;
    const times = (p: 'p50' | 'p99') => ratio(of('lockstep', p), of('kernel', p)).toFixed(2);
    return {
      what: `round trip through ESP ${CIPHERS[0]}, ${load === 'idle' ? 'idle' : 'beside a download'}, ${where}`,
      figure: both('lockstep'),
      limit: `xl2tpd, pppd and the kernel's L2TP: ${both('kernel')}`,
      ratio: `p50 ${times('p50')}, p99 ${times('p99')}${load === 'idle' ? '' : '; target: p99 at most 1'}`,
    };
  });
