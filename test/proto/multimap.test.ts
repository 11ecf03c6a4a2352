import t from 'tap';
import { Multimap } from '../../src/proto/multimap.js';

t.test('several values under a key, each once', async (t) => {
  const map = new Multimap<string, { n: number }>();
  const [a, b, c] = [1, 2, 3].map((n) => ({ n }));
  t.strictSame([map.of('k'), map.count('k')], [[], 0]);
  for (const value of [a!, a!]) map.add('k', value);
  t.strictSame([map.of('k'), map.count('k')], [[a], 1]);
  for (const value of [b!, c!, b!]) map.add('k', value);
  map.add('other', a!);
  t.strictSame([map.of('k'), map.count('k')], [[a, b, c], 3]);
  const before = map.of('k');
  for (const value of [a!, b!]) map.remove('k', value);
  t.strictSame([map.of('k'), map.count('k')], [[c], 1]);
  t.equal(before.length, 3, 'what was handed out stays as it was');
  for (const value of [a!, c!]) map.remove('k', value);
  t.strictSame([map.of('k'), map.count('k'), map.count('other')], [[], 0, 1]);
});
