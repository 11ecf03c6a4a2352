import t from 'tap';
import { fuzz } from '../../fuzz/ppp.js';

t.test('law: hostile frames in any phase: no exception, bounded output, and always a way down', async (t) => {
  const RUNS = 60;
  let network = 0;
  for (let seed = 1; seed <= RUNS; seed++) network += fuzz(seed, 200).Network ?? 0;
  t.ok(network > RUNS, 'and not only at links that never opened');
});
