import fc from 'fast-check';
import t from 'tap';
import { Drive } from '../../src/daemon/drive.js';
import { HoldQueue } from '../../src/daemon/hold.js';
import { after, type Instant, type Machine, Outbox, TimerTable } from '../../src/proto/machine.js';
import { VirtualClock } from '../lib/virtual-clock.js';

/** Says what it is told, and again `ms` later. */
class Echo implements Machine<{ word: string; ms: number }, string> {
  readonly #out = new Outbox<string>();
  readonly #timers = new TimerTable<string>();

  handle(now: Instant, input: { word: string; ms: number }): void {
    this.#out.push(input.word);
    this.#timers.set(input.word, after(now, input.ms));
  }

  handleTimeout(now: Instant): void {
    for (const name of this.#timers.due(now)) this.#out.push(`${name}!`);
  }

  poll(): string | undefined {
    return this.#out.poll();
  }

  nextTimeout(): Instant | undefined {
    return this.#timers.next();
  }
}

t.test('outputs come in order, timers when due', async (t) => {
  const clock = new VirtualClock();
  const drive = new Drive(clock);
  const heard: string[] = [];
  const a = drive.add(new Echo(), (o) => heard.push(`a:${o}@${clock.now()}`));
  const b = drive.add(new Echo(), (o) => heard.push(`b:${o}@${clock.now()}`));
  a.input({ word: 'x', ms: 50 });
  b.input({ word: 'y', ms: 20 });
  t.equal(clock.armed, 20);
  clock.run(100);
  t.strictSame(heard, ['a:x@0', 'b:y@0', 'b:y!@20', 'a:x!@50']);
  t.equal(clock.armed, undefined);
});

t.test('an input given while the machine is drained waits for its turn', async (t) => {
  const drive = new Drive(new VirtualClock());
  const heard: string[] = [];
  const m = drive.add(new Echo(), (o) => {
    if (o === 'one') m.input({ word: 'two', ms: 1 });
    heard.push(o);
  });
  m.input({ word: 'one', ms: 1 });
  t.strictSame(heard, ['one', 'two']);
});

t.test('a removed machine and a cancelled timer stay silent', async (t) => {
  const clock = new VirtualClock();
  const drive = new Drive(clock);
  const heard: string[] = [];
  const m = drive.add(new Echo(), (o) => heard.push(o));
  m.input({ word: 'x', ms: 10 });
  m.remove();
  m.input({ word: 'never', ms: 10 });
  drive.after(5, () => heard.push('cancelled'))();
  drive.after(7, () => heard.push('kept'));
  clock.run(50);
  t.strictSame(heard, ['x', 'kept']);
  t.equal(clock.armed, undefined);
});

t.test('who stumbles over an output loses that one, not the timers', async (t) => {
  const clock = new VirtualClock();
  const heard: string[] = [];
  const m = new Drive(clock).add(new Echo(), (o) => {
    if (o === 'x') throw new Error('stumbled');
    heard.push(o);
  });
  t.throws(() => m.input({ word: 'x', ms: 10 }), { message: 'stumbled' });
  clock.run(50);
  t.strictSame(heard, ['x!']);
});

t.test('after stop() nothing rings and nothing can be armed, so that the process can end', async (t) => {
  const clock = new VirtualClock();
  const drive = new Drive(clock);
  const heard: string[] = [];
  const m = drive.add(new Echo(), (o) => heard.push(o));
  m.input({ word: 'x', ms: 10 });
  drive.after(5, () => heard.push('late'));
  drive.stop();
  m.input({ word: 'y', ms: 10 });
  drive.after(5, () => heard.push('later'));
  t.equal(clock.armed, undefined);
  clock.run(50);
  t.strictSame(heard, ['x', 'y']);
});

t.test('law: every timer rings once, in order, whatever was set, moved and cancelled', async () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(200), fc.boolean()), { maxLength: 60 }), (plans) => {
      const clock = new VirtualClock();
      const drive = new Drive(clock);
      const rang: number[] = [];
      for (const [ms, cancel] of plans) {
        const stop = drive.after(ms, () => rang.push(ms));
        if (cancel) stop();
      }
      clock.run(300);
      const want = plans.filter(([, cancel]) => !cancel).map(([ms]) => ms);
      return JSON.stringify(rang) === JSON.stringify(want.sort((x, y) => x - y)) && clock.armed === undefined;
    }),
  );
});

const path = (mark: number) => ({ mark, local: '198.51.100.1', remote: '198.51.100.2', remotePort: 1701 });

t.test('hold: packets of a mark not yet confirmed wait for it, bounded in number and age', async (t) => {
  const hold = new HoldQueue();
  for (let i = 0; i < 6; i++) hold.hold(0, path(7), new Uint8Array([i]));
  t.strictSame(
    hold.release(1_000, 7).map((h) => h.data[0]),
    [0, 1, 2, 3],
    'four of a mark, in order',
  );
  t.equal(hold.dropped, 2);
  t.strictSame(hold.release(1_000, 7), [], 'once');
  hold.hold(2_000, path(8), new Uint8Array(1));
  t.strictSame(hold.release(4_000, 8), [], 'too old after 2 s');
  for (let mark = 1; mark <= 300; mark++) hold.hold(5_000, path(mark), new Uint8Array(1));
  t.equal(hold.size, 256, '256 in all');
});
