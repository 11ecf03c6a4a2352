/** `lockstep pool`: the addresses clients get, and who has which. */
import type { PoolView } from '../daemon/control.js';
import type { AddCommand } from './program.js';
import { pairs, printable, table } from './table.js';

export const addPool: AddCommand = (program, { call, print }) => {
  program
    .command('pool')
    .description('the addresses clients get, and who has which')
    .option('--json', 'as JSON')
    .action(async (o: { json?: boolean }) => {
      const pool = (await call('GET', '/pool')) as PoolView;
      print(o.json === true ? JSON.stringify(pool) : poolText(pool));
    });
};

export const poolText = (p: PoolView): string => {
  const summary = pairs([
    ['ranges', p.ranges.join(', ')],
    ['gateway', p.gateway],
    ['dynamic', `${p.dynamic.leased} of ${p.dynamic.size} leased`],
    ['fixed', `${p.fixed.leased} of ${p.fixed.size} leased`],
  ]);
  if (p.leases.length === 0) return summary;
  const rows = p.leases.map((l) => [l.address, printable(l.user), l.fixed ? 'fixed' : 'dynamic']);
  return `${summary}\n\n${table(['ADDRESS', 'USER', 'KIND'], rows)}`;
};
