/** What the `lockstep` commands take from the world: a terminal, a prompt, time, addresses, the daemon's control socket. */
import { networkInterfaces } from 'node:os';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import type { Interfaces } from '../daemon/config-check.js';
import { callControl } from '../daemon/control.js';
import type { World } from '../daemon/doctor.js';

export interface Shell {
  /** Of this command. */
  readonly version: string;
  /** One line, or several, to standard output. */
  print(text: string): void;
  /** The same to standard error. */
  complain(text: string): void;
  /** Standard output is a terminal. */
  readonly terminal: boolean;
  /** It is one, and nobody asked for no colours (NO_COLOR). */
  readonly color: boolean;
  /** Standard input is a terminal: somebody types. */
  readonly typing: boolean;
  /** Waits; false: stop whatever repeats. */
  wait(ms: number): Promise<boolean>;
  /** A line typed without echo, or, when standard input is no terminal, its first line. Undefined: none came. */
  readSecret(prompt: string): Promise<string | undefined>;
  /** Of this host, with their addresses. */
  interfaces(): Interfaces;
  /** What `doctor` looks at instead of this host, in tests. */
  readonly world?: World;
  /** Rejects with the daemon's sentence, or one that says why there was no answer. */
  call(socket: string, method: 'GET' | 'POST', path: string, body?: object): Promise<unknown>;
}

/** Wrong arguments: exit status 2. */
export class UsageError extends Error {}

/** Nobody answers on the control socket. */
export class NotRunning extends Error {}

/** The real one. */
export const processShell = (version: string): Shell => ({
  version,
  print: (text) => void process.stdout.write(`${text}\n`),
  complain: (text) => void process.stderr.write(`${text}\n`),
  terminal: process.stdout.isTTY === true,
  color: wantsColor(process.stdout.isTTY === true, process.env),
  typing: process.stdin.isTTY === true,
  wait: (ms) => new Promise((resolve) => setTimeout(() => resolve(true), ms)),
  readSecret,
  interfaces: networkInterfaces,
  call: callDaemon,
});

/** https://no-color.org: any value but the empty one. */
export const wantsColor = (terminal: boolean, env: NodeJS.ProcessEnv): boolean =>
  terminal && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb';

export const callDaemon: Shell['call'] = async (socket, method, path, body) => {
  try {
    return await callControl(socket, method, path, body);
  } catch (error) {
    switch ((error as NodeJS.ErrnoException).code) {
      case 'ENOENT':
      case 'ECONNREFUSED':
        throw new NotRunning(`lockstepd is not running (no answer on ${socket})`);
      case 'EACCES':
        throw new Error(`${socket}: permission denied: be root or in the group that owns the socket`);
      default:
        throw error;
    }
  }
};

const readSecret: Shell['readSecret'] = (prompt) => {
  const { stdin, stderr } = process;
  const terminal = stdin.isTTY === true;
  if (terminal) stderr.write(prompt);
  // Line editing wants to write what is typed: it writes into nothing.
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output, terminal });
  return new Promise((resolve) => {
    lines.once('line', (line) => {
      resolve(line);
      lines.close();
    });
    lines.once('close', () => {
      if (terminal) stderr.write('\n');
      resolve(undefined);
    });
  });
};
