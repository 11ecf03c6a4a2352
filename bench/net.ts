// Network namespaces, programs in them and what they cost. Needs root.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Everything a bench put into the machine; close() takes it out again. */
export class Net {
  readonly dir = mkdtempSync(join(tmpdir(), 'lockstep-bench-'));
  readonly #spaces: string[] = [];
  readonly #children: ChildProcess[] = [];
  readonly #tag = `lsb${process.pid}`;
  readonly #onExit = () => this.close();

  constructor() {
    process.on('exit', this.#onExit);
  }

  /** A namespace of this name; programs and commands name it without the prefix that keeps benches apart. */
  add(name: string): void {
    sh('ip', 'netns', 'add', this.space(name));
    this.#spaces.push(this.space(name));
    this.ip(name, 'link', 'set', 'lo', 'up');
    const off = ['net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=0', 'net.ipv4.conf.default.rp_filter=0'];
    this.run(name, 'sysctl', '-qw', ...off);
  }

  space(name: string): string {
    return `${this.#tag}-${name}`;
  }

  /** A veth pair; each end is "namespace device address/length". */
  link(a: string, b: string): void {
    const [x, y] = [a, b].map((end) => end.split(' '));
    const ends = [x!, y!];
    sh(
      'ip',
      'link',
      'add',
      x![1]!,
      'netns',
      this.space(x![0]!),
      'type',
      'veth',
      'peer',
      'name',
      y![1]!,
      'netns',
      this.space(y![0]!),
    );
    for (const [space, device, address] of ends) {
      this.ip(space!, 'addr', 'add', address!, 'dev', device!);
      this.ip(space!, 'link', 'set', device!, 'up', 'txqueuelen', '10000');
    }
  }

  ip(name: string, ...args: string[]): void {
    sh('ip', '-n', this.space(name), ...args);
  }

  /** Runs to its end; what it printed. @throws with its standard error */
  run(name: string, ...command: string[]): string {
    return sh('ip', 'netns', 'exec', this.space(name), ...command);
  }

  /** Whether packets cross these devices at MTU size ("wire"), as with a NIC that has no segmentation offload. */
  wire(on: boolean, ends: readonly string[]): void {
    const [segment, receive] = on ? ['off', 'on'] : ['on', 'off'];
    for (const end of ends) {
      const [space, device] = end.split(' ');
      const set = ['tso', segment!, 'gso', segment!, 'tx-udp-segmentation', segment!, 'gro', receive!];
      this.run(space!, 'ethtool', '-K', device!, ...set);
    }
  }

  start(name: string, ...command: string[]): ChildProcess & { readonly pid: number } {
    const child = spawn('ip', ['netns', 'exec', this.space(name), ...command], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#children.push(child);
    let said = '';
    child.stderr.on('data', (data) => {
      said = `${said}${data}`.slice(-2_000);
    });
    child.on('exit', (status) => {
      if (status !== 0 && status !== null)
        console.error(`bench: ${command.join(' ').slice(0, 100)}: status ${status}: ${said}`);
    });
    if (child.pid === undefined) throw new Error(`cannot start ${command[0]}`);
    return child as ChildProcess & { readonly pid: number };
  }

  /** Nothing of what ran outlives its namespace: nobody needs to be asked. */
  close(): void {
    process.off('exit', this.#onExit);
    for (const child of this.#children.splice(0)) child.kill('SIGKILL');
    for (const space of this.#spaces.splice(0)) sh('ip', 'netns', 'del', space);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export function sh(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 28 });
}

/** One JSON line out for one JSON line in. */
export function dialogue(child: ChildProcess): (question?: unknown) => Promise<unknown> {
  const lines = createInterface({ input: child.stdout! });
  const waiting: ((line: string) => void)[] = [];
  const early: string[] = [];
  let fail: (error: Error) => void = () => {};
  child.once('exit', () => fail(new Error('the program ended')));
  lines.on('line', (line) => {
    const next = waiting.shift();
    if (next) next(line);
    else early.push(line);
  });
  return (question) =>
    new Promise((resolve, reject) => {
      if (question !== undefined) child.stdin!.write(`${JSON.stringify(question)}\n`);
      const take = (line: string) => resolve(JSON.parse(line));
      const line = early.shift();
      if (line !== undefined) take(line);
      else waiting.push(take);
      fail = reject;
    });
}

/** CPU-seconds a process has used, all its threads, to the nanosecond (proc(5), schedstat); ended threads do not count. */
export function cpuSeconds(pid: number): number {
  let ns = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    ns += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  }
  return ns / 1e9;
}

/** Of all the machine's CPUs since it started (proc_stat(5); a tick is 10 ms). */
export const idleSeconds = (): number => Number(readFileSync('/proc/stat', 'utf8').split(/\s+/)[4]) / 100;

export function rssKb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]);
}

/** What a device has counted, of what it sent or got: a packet that was merged is one. */
export function deviceCount(net: Net, name: string, device: string, side: 'rx' | 'tx'): DeviceCount {
  const [packets, octets] = ['packets', 'bytes'].map((counter) =>
    Number(net.run(name, 'cat', `/sys/class/net/${device}/statistics/${side}_${counter}`)),
  );
  return { packets: packets!, octets: octets! };
}
export interface DeviceCount {
  readonly packets: number;
  readonly octets: number;
}

export const until = async (what: string, condition: () => boolean, seconds = 60): Promise<void> => {
  for (const end = performance.now() + seconds * 1_000; !condition(); await pause(100)) {
    if (performance.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
  }
};

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
