/** `lockstep version`: of the command and, when it runs, of the daemon. */
import type { StatusView } from '../daemon/control.js';
import type { AddCommand } from './program.js';
import { NotRunning } from './shell.js';

export const addVersion: AddCommand = (program, { call, print, version }) => {
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
      const versions = { lockstep: version, lockstepd: daemon, node: process.versions.node };
      const text = `lockstep ${version}\nlockstepd ${daemon ?? 'is not running'}\nNode.js ${versions.node}`;
      print(o.json === true ? JSON.stringify(versions) : text);
    });
};
