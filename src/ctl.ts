#!/usr/bin/env node
/** `lockstep`: the operator's command. Exit codes: 0 done, 1 the daemon said no or is not there, 2 wrong usage. */
import { Command } from 'commander';
import { callControl, type StatusView } from './daemon/control.js';
import { sessionsTable, statusText } from './daemon/table.js';
import type { SessionView } from './daemon/view.js';

const program = new Command('lockstep')
  .description('Who is connected to the L2TP/IPsec gateway, and why someone is not')
  .option('-s, --socket <path>', 'control socket of lockstepd', '/run/lockstep/control.sock')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

const socket = () => program.opts<{ socket: string }>().socket;

program
  .command('status')
  .description('state of the gateway')
  .option('--json', 'as JSON')
  .action(async (o: { json?: boolean }) => {
    const status = (await callControl(socket(), 'GET', '/status')) as StatusView;
    print(o.json === true ? JSON.stringify(status) : statusText(status));
  });

program
  .command('sessions')
  .description('user, inner and outer address, IKE SA, CHILD_SA and mark, tunnel, session, bytes')
  .option('--json', 'as JSON')
  .action(async (o: { json?: boolean }) => {
    const sessions = (await callControl(socket(), 'GET', '/sessions')) as SessionView[];
    print(o.json === true ? JSON.stringify(sessions) : sessionsTable(sessions));
  });

program
  .command('disconnect <target>')
  .description('end the sessions of a user, an inner or outer address, or a session id')
  .action(async (target: string) => {
    const { disconnected } = (await callControl(socket(), 'POST', '/disconnect', { target })) as {
      disconnected: number;
    };
    if (disconnected === 0) throw new Error(`${target}: no such user, address or session is connected`);
    print(`${disconnected} session${disconnected === 1 ? '' : 's'} disconnected`);
  });

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

program.parseAsync().catch((error: NodeJS.ErrnoException) => {
  const gone = error.code === 'ENOENT' || error.code === 'ECONNREFUSED';
  const text = gone ? `lockstepd is not running (no answer on ${socket()})` : error.message;
  process.stderr.write(`lockstep: ${text}\n`);
  process.exit(1);
});
