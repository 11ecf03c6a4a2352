import fc from 'fast-check';
import t from 'tap';
import { Schedule } from '../../../src/proto/l2tp/schedule.js';
import { type Instant, instant } from '../../../src/proto/machine.js';

t.test('law: the schedule wakes as a plain map of earliest times would', async (t) => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('arm' as const), item: fc.nat({ max: 9 }), at: fc.nat({ max: 99 }) }),
    fc.record({ do: fc.constant('forget' as const), item: fc.nat({ max: 9 }), at: fc.constant(0) }),
    fc.record({ do: fc.constant('take' as const), item: fc.constant(0), at: fc.nat({ max: 99 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const schedule = new Schedule<number>();
      const model = new Map<number, Instant>();
      for (const s of steps) {
        const at = instant(s.at);
        if (s.do === 'arm') {
          schedule.arm(s.item, at);
          const armed = model.get(s.item);
          if (armed === undefined || at < armed) model.set(s.item, at);
        } else if (s.do === 'forget') {
          schedule.forget(s.item);
          model.delete(s.item);
        } else {
          for (let item = schedule.take(at); item !== undefined; item = schedule.take(at)) {
            const due = model.get(item);
            if (due === undefined || due > at || due > Math.min(...model.values())) return false;
            model.delete(item);
          }
        }
        const next = model.size === 0 ? undefined : Math.min(...model.values());
        if (schedule.next() !== next) return false;
      }
      return true;
    }),
    { numRuns: 500 },
  );
  t.pass('no counterexample');
});

t.test('nothing to arm is nothing armed', async (t) => {
  const schedule = new Schedule<string>();
  schedule.arm('x', undefined);
  t.equal(schedule.next(), undefined);
  t.equal(schedule.take(instant(9)), undefined);
});
