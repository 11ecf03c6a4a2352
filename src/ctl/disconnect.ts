/** `lockstep disconnect <user|id|address>`. */
import type { AddCommand } from './program.js';

export const addDisconnect: AddCommand = (program, { call, print }) => {
  program
    .command('disconnect <target>')
    .description('end the sessions of a user, an inner or outer address, or a session id')
    .option('--json', 'as JSON')
    .action(async (target: string, o: { json?: boolean }) => {
      const { disconnected } = (await call('POST', '/disconnect', { target })) as { disconnected: number };
      if (disconnected === 0) throw new Error(`${target}: no such user, address or session is connected`);
      const text = `${disconnected} session${disconnected === 1 ? '' : 's'} disconnected`;
      print(o.json === true ? JSON.stringify({ disconnected }) : text);
    });
};
