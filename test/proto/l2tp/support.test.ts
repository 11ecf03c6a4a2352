import t from 'tap';
import { optional, pickId, printable, Rate } from '../../../src/proto/l2tp/support.js';
import { instant } from '../../../src/proto/machine.js';

t.test('ids are random, never 0, never one that is taken (RFC 2661 §5.3, §9.1)', async (t) => {
  const random = (n: number) => new Uint8Array(n).fill(0xff);
  t.equal(
    pickId(random, () => false),
    0xffff,
  );
  t.equal(
    pickId(random, (id) => id === 0xffff),
    1,
    'wraps over 0',
  );
  t.equal(
    pickId(
      () => Uint8Array.of(0, 0),
      (id) => id < 5,
    ),
    5,
  );
  t.equal(
    pickId(
      () => new Uint8Array(0),
      () => false,
    ),
    1,
  );
});

t.test('a rate: so many per window, and how many were refused', async (t) => {
  const rate = new Rate(2, 1_000);
  t.strictSame(
    [0, 1, 2, 999].map((ms) => rate.take(instant(ms))),
    [true, true, false, false],
  );
  t.equal(rate.take(instant(1_000)), true);
  t.equal(rate.refused(), 2);
  t.equal(rate.refused(), 0);
});

t.test('names are fit for a log', async (t) => {
  t.equal(printable('Mac.local\0'), 'Mac.local');
  t.equal(printable('a\u001b[31mb\nc\u009f'), 'a?[31mb?c?');
  t.equal(printable('x'.repeat(2_000)).length, 255);
});

t.test('optional leaves out what is undefined', async (t) => {
  t.strictSame({ ...optional('a', undefined), ...optional('b', 0) }, { b: 0 });
});
