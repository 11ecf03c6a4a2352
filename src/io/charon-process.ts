/**
 * The IKE sidecar as a child process: a charon of our own with a private strongswan.conf and VICI socket. Read
 * ipsec/README.md and strongswan.conf(5) first.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { writeOwned } from './owned.js';

/** Best first: charon-systemd needs no pid file of its own, and runs without systemd. */
export const CHARON_PROGRAMS = ['/usr/sbin/charon-systemd', '/usr/lib/ipsec/charon', '/usr/libexec/ipsec/charon'];
const TEMPLATE = fileURLToPath(new URL('../../../ipsec/strongswan.conf', import.meta.url));
const READY_MS = 30_000;
/** charon sends a Delete for each SA and waits for none of the answers. */
const STOP_MS = 10_000;
const POLL_MS = 50;
const LONGEST_LINE = 2_000;
/** RFC 2408 §2.5.1, RFC 3947 §4. */
const IKE_PORTS = [500, 4500];

export interface CharonProcessOptions {
  /** Where the rendered strongswan.conf goes (0600), and the VICI socket unless given. */
  readonly runDir: string;
  readonly viciSocket?: string;
  /** Aggressive Mode with pre-shared keys is answered where a connection has it; off by default. */
  readonly aggressive?: boolean;
  /** strongswan.conf with @VICI_SOCKET@ and @AGGRESSIVE@ in it; ours by default. */
  readonly template?: string;
  /** charon programs, best first. */
  readonly programs?: readonly string[];
  /** UDP ports nobody else may hold when charon starts; 500 and 4500. */
  readonly ports?: readonly number[];
  /** What charon prints, line by line; level 1, which holds no keys. */
  readonly onLine?: (line: string) => void;
  /** It is gone. Restarting, and how soon, is the caller's decision. `wanted`: by stop(). */
  readonly onExit?: (exit: CharonExit) => void;
}

export interface CharonExit {
  readonly wanted: boolean;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Its message is one sentence for the operator. */
export class CharonError extends Error {
  override readonly name = 'CharonError';
}

export class CharonProcess {
  readonly #options: CharonProcessOptions;
  readonly #conf: string;
  /** charon's VICI socket. */
  readonly socket: string;
  #child: ChildProcess | undefined;
  #exited: Promise<CharonExit> | undefined;
  #stopping = false;

  constructor(options: CharonProcessOptions) {
    this.#options = options;
    this.#conf = join(options.runDir, 'strongswan.conf');
    this.socket = options.viciSocket ?? join(options.runDir, 'charon.vici');
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Ends what an earlier, killed daemon left running, starts charon, and resolves when its socket accepts. The kernel's
   * old SAs must be gone before (xfrm.ts). Rejects with CharonError; nothing is left running then.
   */
  async start(): Promise<void> {
    if (this.#child) return;
    this.#stopping = false;
    await this.#endOrphans();
    await refuseTakenPorts(this.#options.ports);
    const program = await firstExecutable(this.#options.programs ?? CHARON_PROGRAMS);
    await writeCharonConf(this.#conf, this.socket, this.#options);
    await rm(this.socket, { force: true }); // a killed charon leaves it
    this.#launch(program);
    try {
      await this.#ready();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** SIGTERM (charon tells the peers), after `graceMs` SIGKILL; resolves when it is gone. */
  async stop(graceMs = STOP_MS): Promise<void> {
    const [child, exited] = [this.#child, this.#exited];
    if (!child || !exited) return;
    this.#stopping = true;
    child.kill('SIGTERM');
    const hurry = setTimeout(() => child.kill('SIGKILL'), graceMs);
    await exited;
    clearTimeout(hurry);
    await rm(this.socket, { force: true });
  }

  #launch(program: string): void {
    // A process group of its own: Ctrl-C is for us, who end the sessions first. No NOTIFY_SOCKET: its READY is not ours.
    const child = spawn(program, [], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, STRONGSWAN_CONF: this.#conf },
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
      lines.on('line', (line) => this.#options.onLine?.(line.slice(0, LONGEST_LINE)));
    }
    this.#exited = new Promise((resolve) => {
      const gone = (code: number | null, signal: NodeJS.Signals | null) => {
        if (this.#child !== child) return;
        this.#child = undefined;
        const exit = { wanted: this.#stopping, code, signal };
        resolve(exit);
        this.#options.onExit?.(exit);
      };
      child.once('error', () => gone(null, null)); // spawning failed
      child.once('exit', gone);
    });
  }

  async #ready(): Promise<void> {
    const deadline = performance.now() + READY_MS;
    while (!(await accepts(this.socket))) {
      if (!this.#child) {
        const exit = await this.#exited;
        const how = exit?.signal ? `by ${exit.signal}` : `with status ${exit?.code ?? 'unknown'}`;
        throw new CharonError(`charon ended ${how} before it was ready: its last lines say why`);
      }
      if (performance.now() > deadline)
        throw new CharonError(`charon did not open its VICI socket ${this.socket} within ${READY_MS / 1000} s`);
      await delay(POLL_MS);
    }
  }

  /** A daemon killed with SIGKILL leaves its charon behind: known by the configuration it was started with. */
  async #endOrphans(): Promise<void> {
    const deadline = performance.now() + STOP_MS;
    let told: number[] = [];
    for (;;) {
      const orphans = await charonsWith(`STRONGSWAN_CONF=${this.#conf}`);
      if (orphans.length === 0) return;
      for (const pid of orphans) {
        const parent = await livingParent(pid);
        if (parent)
          throw new CharonError(`process ${parent} already runs charon with ${this.#conf}: is it another lockstepd?`);
      }
      const late = performance.now() - deadline;
      if (late > STOP_MS) throw new CharonError(`charon ${orphans[0]}, left by an earlier run, does not end`);
      for (const pid of orphans.filter((pid) => late > 0 || !told.includes(pid))) {
        this.#options.onLine?.(`ending charon ${pid}, left by an earlier run`);
        signal(pid, late > 0 ? 'SIGKILL' : 'SIGTERM');
      }
      told = orphans;
      await delay(POLL_MS);
    }
  }
}

/** Rejects with a CharonError that names who has a port charon needs. */
export async function refuseTakenPorts(ports: readonly number[] = IKE_PORTS): Promise<void> {
  const owner = await portOwner(ports);
  if (owner)
    throw new CharonError(
      `UDP port ${owner.port} is taken by ${owner.who}: stop and disable the other IKE daemon, or leave IPsec to it alone`,
    );
}

/** Writes the private strongswan.conf (0600) with the VICI socket, and whether Aggressive Mode is answered, filled in. */
export async function writeCharonConf(
  conf: string,
  socket: string,
  { template = TEMPLATE, aggressive = false } = {},
): Promise<void> {
  if (/["{}#\s]/.test(socket)) throw new CharonError(`charon cannot use the socket path ${socket}`);
  const text = await readFile(template, 'utf8');
  const filled = text.replaceAll('@VICI_SOCKET@', socket).replaceAll('@AGGRESSIVE@', aggressive ? 'yes' : 'no');
  await writeOwned(conf, filled);
}

/** charon processes with this in their environment; a zombie has none. */
async function charonsWith(setting: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of await pids()) {
    if (!(await procText(pid, 'comm')).startsWith('charon')) continue;
    if ((await procText(pid, 'environ')).split('\0').includes(setting)) found.push(pid);
  }
  return found;
}

/** The parent, when it is a daemon like us; whose parent has died belongs to init or a subreaper. */
async function livingParent(pid: number): Promise<number | undefined> {
  const ppid = Number(/^PPid:\s*(\d+)$/m.exec(await procText(pid, 'status'))?.[1] ?? 1);
  return ppid > 1 && (await procText(ppid, 'comm')) === (await procText(process.pid, 'comm')) ? ppid : undefined;
}

/** The first of the ports somebody is bound to, in this network namespace. */
async function portOwner(ports: readonly number[]): Promise<{ port: number; who: string } | undefined> {
  const tables = ['/proc/net/udp', '/proc/net/udp6'].map((f) => readFile(f, 'utf8').catch(() => ''));
  const taken = (await Promise.all(tables)).flatMap(udpSockets).find((s) => ports.includes(s.port));
  return taken && { port: taken.port, who: await socketOwner(taken.inode) };
}

/** Rows of /proc/net/udp: `sl local_address rem_address st queues tr:tm retrnsmt uid timeout inode ...` */
export function udpSockets(table: string): { port: number; inode: string }[] {
  return table.split('\n').flatMap((row) => {
    const columns = row.trim().split(/\s+/);
    const [, port] = /^[0-9A-F]+:([0-9A-F]{4})$/.exec(columns[1] ?? '') ?? [];
    return port === undefined ? [] : [{ port: Number.parseInt(port, 16), inode: columns[9] ?? '' }];
  });
}

async function socketOwner(inode: string): Promise<string> {
  for (const pid of await pids()) {
    const fds = await readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const fd of fds) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '');
      if (target !== `socket:[${inode}]`) continue;
      const [, unit] = /\/([^/\n]+\.service)$/m.exec(await procText(pid, 'cgroup')) ?? [];
      return `${(await procText(pid, 'comm')).trim()} (process ${pid}${unit === undefined ? '' : ` of ${unit}`})`;
    }
  }
  return 'another process';
}

async function pids(): Promise<number[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
}

const procText = (pid: number, file: string): Promise<string> =>
  readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // gone meanwhile
  }
}

async function firstExecutable(programs: readonly string[]): Promise<string> {
  for (const program of programs) {
    const found = await access(program, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return program;
  }
  throw new CharonError(`no IKE daemon found (looked for ${programs.join(', ')}): apt-get install charon-systemd`);
}

const accepts = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
