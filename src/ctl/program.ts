/** The commands of `lockstep`, put together; one file per command beside this one. */
import { Command, CommanderError } from 'commander';
import { DEFAULT_CONFIG } from '../daemon/config.js';
import { ConfigError, EXIT } from '../daemon/errors.js';
import { addConfig } from './config.js';
import { addDisconnect } from './disconnect.js';
import { addDoctor } from './doctor.js';
import { addDrain } from './drain.js';
import { addImport } from './import.js';
import { addPool } from './pool.js';
import { addProfile } from './profile.js';
import { addSession, addSessions } from './sessions.js';
import { type Shell, UsageError } from './shell.js';
import { addStatus } from './status.js';
import { addTrace } from './trace.js';
import { addUser } from './user.js';
import { addVersion } from './version.js';

/** What every command gets: the shell, the daemon behind the socket of the command line, and the configuration's path. */
export interface Context extends Omit<Shell, 'call'> {
  call(method: 'GET' | 'POST', path: string, body?: object): Promise<unknown>;
  readonly config: () => string;
}

export type AddCommand = (program: Command, context: Context) => void;

const COMMANDS: readonly AddCommand[] = [
  addStatus,
  addSessions,
  addSession,
  addDisconnect,
  addPool,
  addDrain,
  addTrace,
  addUser,
  addDoctor,
  addConfig,
  addImport,
  addProfile,
  addVersion,
];

/** The whole command line; `argv` without the two words in front. @returns the exit status */
export async function lockstep(argv: readonly string[], shell: Shell): Promise<number> {
  const program = buildProgram(shell);
  try {
    await program.parseAsync(argv, { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.config;
    shell.complain(`lockstep: ${error instanceof Error ? error.message : String(error)}`);
    return error instanceof UsageError || error instanceof ConfigError ? EXIT.config : EXIT.failure;
  }
}

/** For `lockstep` and for whoever lists its commands and options. */
export function buildProgram(shell: Shell): Command {
  const program: Command = new Command('lockstep')
    .description('Who is connected to the L2TP/IPsec gateway, and why someone is not')
    .option('-c, --config <file>', 'configuration of lockstepd', DEFAULT_CONFIG)
    .option('-s, --socket <path>', 'control socket of lockstepd', '/run/lockstep/control.sock')
    .configureOutput({
      writeOut: (text) => shell.print(text.trimEnd()),
      writeErr: (text) => shell.complain(text.trimEnd()),
    })
    .exitOverride();
  const context: Context = {
    ...shell,
    config: () => program.opts<{ config: string }>().config,
    call: (method, path, body) => shell.call(program.opts<{ socket: string }>().socket, method, path, body),
  };
  for (const add of COMMANDS) add(program, context);
  return program;
}
