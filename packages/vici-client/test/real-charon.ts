/**
 * A real charon-systemd for tests: own directory, own network namespace (so ports and policies are nobody else's), no
 * kernel IPsec needed. As root or, through a user namespace, as anybody. It dies with the test process.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SEARCH = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };

export interface RealCharonOptions {
  /** Listen where IKE listens, 500 and 4500; by default any free ports, which no peer can guess. */
  readonly wellKnownPorts?: boolean;
  /** Share the network namespace of this one, which runs already. */
  readonly beside?: RealCharon;
}

export class RealCharon {
  readonly #dir = mkdtempSync(join(tmpdir(), 'charon-'));
  readonly #options: RealCharonOptions;
  #child: ChildProcess | undefined;

  constructor(options: RealCharonOptions = {}) {
    this.#options = options;
  }

  get endpoint(): string {
    return `unix://${this.#dir}/vici`;
  }

  /** Starts it and waits until the VICI socket accepts. */
  async start(): Promise<void> {
    if (spawnSync('sh', ['-c', 'command -v charon-systemd'], { env: SEARCH }).status !== 0)
      throw new Error('charon-systemd is not installed (Debian: apt install charon-systemd)');
    const conf = join(this.#dir, 'strongswan.conf');
    const log = join(this.#dir, 'charon.log');
    rmSync(join(this.#dir, 'vici'), { force: true });
    writeFileSync(
      conf,
      `charon-systemd {
         load = random nonce aes sha1 sha2 hmac kdf gmp openssl kernel-netlink socket-default vici
         port = ${this.#options.wellKnownPorts ? 500 : 0}
         port_nat_t = ${this.#options.wellKnownPorts ? 4500 : 0}
         install_routes = no
         threads = 8
         plugins { vici { socket = ${this.endpoint} } }
         filelog { f { path = ${log}
           flush_line = yes
           default = 1 } } }`,
    );
    const start = ['setpriv', '--pdeathsig', 'KILL', 'sh', '-c', 'ip link set lo up && exec charon-systemd'];
    const [enter = '', ...namespace] = this.#namespace();
    const child = spawn(enter, [...namespace, ...start], {
      env: { ...SEARCH, STRONGSWAN_CONF: conf },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    let stderr = '';
    child.stderr?.on('data', (chunk) => {
      stderr += chunk;
    });
    for (let tries = 0; !(await this.#accepts()); tries++) {
      if (child.exitCode !== null || child.signalCode !== null || tries > 600) {
        const why = `${stderr}${existsSync(log) ? readFileSync(log, 'utf8') : ''}`;
        await this.remove();
        throw new Error(`charon-systemd did not start: ${why}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  /** SIGTERM for a clean end, SIGKILL for a crash; resolves when the process is gone. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  }

  /** Stops it and removes its directory. */
  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** Root needs no user namespace; others become root in one of their own. */
  #namespace(): string[] {
    const root = process.getuid?.() === 0;
    const { beside } = this.#options;
    const target = beside === undefined ? undefined : beside.#child?.pid;
    if (target === undefined) return root ? ['unshare', '-n'] : ['unshare', '-r', '-n'];
    return ['nsenter', '-t', String(target), '-n', ...(root ? [] : ['-U', '--preserve-credentials'])];
  }

  #accepts(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = createConnection(join(this.#dir, 'vici'));
      const answer = (accepted: boolean) => {
        socket.destroy();
        resolve(accepted);
      };
      socket.once('connect', () => answer(true)).once('error', () => answer(false));
    });
  }
}
