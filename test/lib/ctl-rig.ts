/** The `lockstep` command in memory: what it prints, what it is told, and the daemon's control socket for real. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { lockstep } from '../../src/ctl/program.js';
import { callDaemon, type Shell } from '../../src/ctl/shell.js';
import type { Interfaces } from '../../src/daemon/config-check.js';
import { type ControlHandlers, ControlServer, type PoolView, type StatusView } from '../../src/daemon/control.js';
import type { World } from '../../src/daemon/doctor.js';
import type { TraceView } from '../../src/daemon/timeline.js';
import type { SessionView } from '../../src/daemon/view.js';

export const STATUS: StatusView = {
  state: 'listening',
  reason: null,
  version: '1.2.3',
  listen: ['198.51.100.1'],
  draining: null,
  sas: 2,
  tunnels: 1,
  sessions: 1,
  drops: { 'mark-zero': 0, short: 3 },
  violations: [],
};

export const SESSION: SessionView = {
  state: 'up',
  user: 'alice',
  address: '10.99.0.10',
  ipv6: [],
  tunnelId: 7,
  sessionId: 9,
  client: { address: '198.51.100.2', port: 1701, hostName: 'pc\u001b[2J', type: 'Windows 10 or 11' },
  ike: {
    uniqueId: '3',
    version: 1,
    state: 'ESTABLISHED',
    remoteId: '192.168.1.5',
    remotePort: 4500,
    cipher: 'AES_CBC-256',
    renews: '2026-11-22T10:00:00.000Z',
  },
  child: {
    mark: 2,
    reqid: 2,
    spiIn: 'c0000001',
    spiOut: 'c0000002',
    cipher: 'AES_CBC-256-HMAC_SHA1_96',
    encap: true,
    expires: '2026-11-22T12:00:00.000Z',
  },
  mtu: 1400,
  upSince: '2026-01-01T00:00:00.000Z',
  octetsIn: 1_500,
  octetsOut: 2_500_000,
  packetsIn: 10,
  packetsOut: 20,
  drops: { spoof: 4, closed: 0 },
};

export const POOL: PoolView = {
  ranges: ['10.99.0.2-10.99.0.254'],
  gateway: '10.99.0.1',
  dynamic: { size: 252, leased: 1 },
  fixed: { size: 1, leased: 0 },
  leases: [{ address: '10.99.0.10', user: 'alice', fixed: false }],
};

export const TRACE: TraceView = {
  seq: 8,
  attempts: [
    {
      id: 4,
      state: 'ended',
      stage: 'auth',
      peer: '198.51.100.2',
      user: 'alice',
      hostName: 'pc\u001b[2J',
      mark: 2,
      steps: [
        { seq: 7, at: '2026-01-01T10:00:00.000Z', stage: 'ike', text: 'the client begins: IKEv1 Main Mode' },
        { seq: 8, at: '2026-01-01T10:00:01.250Z', stage: 'auth', text: 'authentication of alice failed' },
      ],
      cause: 'wrong-password',
      reason: 'too many wrong passwords',
      shows: ['Windows 691'],
      advice: 'the password is not the one in the users file',
    },
  ],
};

export interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly terminal?: boolean;
  readonly color?: boolean;
  /** Standard input is a terminal. */
  readonly typing?: boolean;
  readonly world?: World;
  /** Of the host; none when absent. */
  readonly interfaces?: Interfaces;
  /** What comes at prompts. */
  readonly typed?: readonly string[];
  /** How often wait() says to go on; before each, `onWait`. */
  readonly waits?: number;
  readonly onWait?: () => void;
}

/** Runs `lockstep` with these arguments in this process. */
export async function runCtl(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const out: string[] = [];
  const err: string[] = [];
  const typed = [...(options.typed ?? [])];
  let waits = options.waits ?? 0;
  const shell: Shell = {
    version: '9.8.7',
    print: (text) => void out.push(text),
    complain: (text) => void err.push(text),
    terminal: options.terminal ?? false,
    color: options.color ?? false,
    typing: options.typing ?? false,
    wait: async () => {
      options.onWait?.();
      return waits-- > 0;
    },
    readSecret: async () => typed.shift(),
    interfaces: () => options.interfaces ?? {},
    call: callDaemon,
    ...(options.world === undefined ? {} : { world: options.world }),
  };
  const status = await lockstep(args, shell);
  return { status, out: out.join('\n'), err: err.join('\n') };
}

/** A directory that goes with the test. */
export function scratch(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'ctl-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export const HANDLERS: ControlHandlers = {
  status: () => STATUS,
  sessions: () => [SESSION],
  pool: () => POOL,
  disconnect: (target) => (target === 'alice' ? 1 : 0),
  trace: () => TRACE,
  reload: () => {},
  drain: () => {},
};

/** A daemon that answers with `handlers`; what runs a command against it. */
export async function withDaemon(t: Test, handlers: Partial<ControlHandlers> = {}) {
  const socket = join(scratch(t), 'c.sock');
  const server = await ControlServer.open(socket, { ...HANDLERS, ...handlers });
  t.teardown(() => server.close());
  return (args: readonly string[], options?: RunOptions) => runCtl(['-s', socket, ...args], options);
}
