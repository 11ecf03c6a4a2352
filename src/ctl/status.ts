/** `lockstep status`: the state of the gateway. */
import type { StatusView } from '../daemon/control.js';
import type { AddCommand } from './program.js';
import { paint, printable } from './table.js';

export const addStatus: AddCommand = (program, { call, print, color }) => {
  program
    .command('status')
    .description('state of the gateway')
    .option('--json', 'as JSON')
    .action(async (o: { json?: boolean }) => {
      const status = (await call('GET', '/status')) as StatusView;
      print(o.json === true ? JSON.stringify(status) : statusText(status, color));
    });
};

export const statusText = (s: StatusView, color = false): string => {
  const state = paint(s.state, s.state === 'listening' ? 'green' : 'red', color);
  const drops = Object.entries(s.drops).filter(([, n]) => n > 0);
  return [
    `lockstepd ${s.version}: ${state}${s.reason === null ? '' : ` (${s.reason})`}`,
    ...(s.draining === null ? [] : [paint(`draining: ${s.draining}`, 'yellow', color)]),
    `listening on: ${s.listen.join(', ') || 'nothing'}`,
    `SAs: ${s.sas}, tunnels: ${s.tunnels}, sessions: ${s.sessions}`,
    ...s.violations.map((v) =>
      paint(
        `for others' tunnels, from ${v.remote} (mark ${v.mark}, ${printable(v.remoteId)}): ${v.data} data, ${v.control} control packets`,
        'red',
        color,
      ),
    ),
    ...(drops.length === 0 ? [] : [`dropped packets: ${drops.map(([why, n]) => `${why} ${n}`).join(', ')}`]),
  ].join('\n');
};
