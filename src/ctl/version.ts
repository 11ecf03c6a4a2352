/** `lockstep version`: of the command and, when it runs, of the daemon. */
import { readFileSync } from 'node:fs';
import type { StatusView } from '../daemon/control.js';
import type { AddCommand } from './program.js';
import { NotRunning } from './shell.js';

export const VERSION = (
  JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }
).version;

export const addVersion: AddCommand = (program, { call, print }) => {
  program
    .command('version')
    .description('version of this command, of the running daemon and of Node.js')
    .option('--json', 'as JSON')
    .action(async (o: { json?: boolean }) => {
      const daemon = await call('GET', '/status').then(
        (status) => (status as StatusView).version,
        (error) => {
          if (error instanceof NotRunning) return null;
          throw error;
        },
      );
      const versions = { lockstep: VERSION, lockstepd: daemon, node: process.versions.node };
      const text = `lockstep ${VERSION}\nlockstepd ${daemon ?? 'is not running'}\nNode.js ${versions.node}`;
      print(o.json === true ? JSON.stringify(versions) : text);
    });
};
