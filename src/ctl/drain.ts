/** `lockstep drain`: nobody new is let in, those who are connected are let go in order; before maintenance. */
import { isIP } from 'node:net';
import type { StatusView } from '../daemon/control.js';
import type { AddCommand } from './program.js';
import { UsageError } from './shell.js';

interface Options {
  readonly redirect?: string;
  readonly keep?: boolean;
  readonly cancel?: boolean;
  readonly timeout: string;
  readonly json?: boolean;
}

const POLL_MS = 500;

export const addDrain: AddCommand = (program, { call, print, wait }) => {
  program
    .command('drain')
    .description('let nobody new in and close all sessions in order; the daemon keeps running')
    .option('--redirect <address>', 'tell clients to go to this gateway (RFC 3193 §4), instead of l2tp.redirect')
    .option('--keep', 'leave the sessions that are up until they end by themselves')
    .option('--cancel', 'let clients in again')
    .option('--timeout <seconds>', 'how long to wait for the last session', '60')
    .option('--json', 'as JSON')
    .action(async (o: Options) => {
      const timeout = checked(o);
      const body = { cancel: o.cancel === true, close: o.keep !== true, redirect: o.redirect ?? null };
      let status = (await call('POST', '/drain', body)) as StatusView;
      const waits = o.cancel !== true && o.keep !== true;
      for (let waited = 0; waits && busy(status) && waited < timeout; waited += POLL_MS) {
        if (!(await wait(POLL_MS))) break;
        status = (await call('GET', '/status')) as StatusView;
      }
      const { draining, tunnels, sessions } = status;
      if (waits && busy(status))
        throw new Error(
          `${sessions} sessions and ${tunnels} tunnels are left after ${o.timeout} s; nobody new is let in`,
        );
      print(o.json === true ? JSON.stringify({ draining, tunnels, sessions }) : drainText(status));
    });
};

const busy = (s: StatusView): boolean => s.sessions > 0 || s.tunnels > 0;

const drainText = ({ draining, sessions }: StatusView): string => {
  if (draining === null) return 'clients are let in again';
  const left = sessions === 0 ? 'no session is left' : `${sessions} session${sessions === 1 ? '' : 's'} still up`;
  return `draining: nobody new is let in, ${left}; \`lockstep drain --cancel\` ends it`;
};

const checked = (o: Options): number => {
  if (o.cancel === true && (o.keep === true || o.redirect !== undefined))
    throw new UsageError('--cancel goes with neither --keep nor --redirect');
  if (o.redirect !== undefined && isIP(o.redirect) === 0)
    throw new UsageError(`--redirect: ${o.redirect} is not an IP address`);
  const seconds = Number(o.timeout);
  if (o.timeout === '' || !Number.isInteger(seconds) || seconds < 0 || seconds > 86_400)
    throw new UsageError(`--timeout: ${o.timeout} is not a whole number from 0 to 86400`);
  return seconds * 1000;
};
