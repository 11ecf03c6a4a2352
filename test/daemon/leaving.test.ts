import t from 'tap';
import { onSignal } from '../../src/daemon/leaving.js';

t.test('the first signal stops in order, a second one at once, the twin of the first is no second', async (t) => {
  t.equal(onSignal(undefined, 5_000), 'leave');
  t.equal(onSignal(5_000, 5_000), 'wait');
  t.equal(onSignal(5_000, 5_999), 'wait');
  t.equal(onSignal(5_000, 6_000), 'force');
});
