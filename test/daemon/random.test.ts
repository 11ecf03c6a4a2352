import t from 'tap';
import { pooledRandom } from '../../src/daemon/random.js';

t.test('each octet is handed out once, whatever the sizes', async (t) => {
  let fills = 0;
  let next = 0;
  const random = pooledRandom((pool) => {
    fills++;
    // A counter that never repeats within the test, in pairs of octets.
    for (let i = 0; i < pool.length; i += 2) {
      next++;
      pool[i] = next >> 8;
      pool[i + 1] = next & 0xff;
    }
  });
  const seen = new Set<number>();
  for (const n of [2, 4, 16, 2_000, 4_096, 2, 4_000, 200, 6_000, 2]) {
    const octets = random(n);
    t.equal(octets.length, n);
    for (let i = 0; i < n; i += 2) seen.add(octets[i]! * 256 + octets[i + 1]!);
  }
  const total = 2 + 4 + 16 + 2_000 + 4_096 + 2 + 4_000 + 200 + 6_000 + 2;
  t.equal(seen.size, total / 2);
  t.ok(fills < 10);
  t.not(seen.has(0), true, 'nothing the pool has forgotten');
});

t.test('from the system', async (t) => {
  const random = pooledRandom();
  const texts = new Set(Array.from({ length: 1_000 }, () => Buffer.from(random(8)).toString('hex')));
  t.equal(texts.size, 1_000);
});
