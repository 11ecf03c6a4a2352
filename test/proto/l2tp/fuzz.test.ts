/** A short run of the fuzz target, so that it is never broken itself. */
import t from 'tap';
import { fuzz } from '../../fuzz/l2tp.js';

t.test('an endpoint fed with changed golden messages neither throws nor grows nor gets stuck', async (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    t.doesNotThrow(() => fuzz(seed), `seed ${seed}`);
  }
});
