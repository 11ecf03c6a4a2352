import t from 'tap';
import { MonotonicClock } from '../../src/io/clock.js';

t.test('the alarm rings once, at its time or after, never before', async (t) => {
  const clock = new MonotonicClock();
  const at = clock.now() + 20;
  let rings = 0;
  await new Promise<void>((resolve) =>
    clock.arm(at, () => {
      rings++;
      resolve();
    }),
  );
  t.ok(clock.now() >= at);
  t.equal(rings, 1);
});

t.test('it is CLOCK_MONOTONIC, which the packet thread stamps traffic with', async (t) => {
  const monotonic = () => Number(process.hrtime.bigint()) / 1e6;
  const before = monotonic();
  const now = new MonotonicClock().now();
  t.ok(before <= now && now <= monotonic());
});

t.test('arming again replaces the alarm; undefined disarms; the past rings soon', async (t) => {
  const clock = new MonotonicClock();
  const rung: string[] = [];
  clock.arm(clock.now() + 1, () => rung.push('replaced'));
  clock.arm(undefined, () => rung.push('none'));
  await new Promise<void>((resolve) =>
    clock.arm(0, () => {
      rung.push('past');
      resolve();
    }),
  );
  t.strictSame(rung, ['past']);
  clock.arm(clock.now() + 2 ** 40, () => rung.push('in 35 years'));
  await new Promise((resolve) => setImmediate(resolve));
  clock.arm(undefined, () => {});
  t.strictSame(rung, ['past']);
});
