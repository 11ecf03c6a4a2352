import t from 'tap';
import { PrefixPool } from '../../../src/proto/aaa/prefix-pool.js';
import { showPrefix6 } from '../../../src/wire/ip/address6.js';

/** 2001:db8:0:40::/62 */
const NETWORK = { prefix: 0x20010db8_00000040_00000000_00000000n, length: 62 };

t.test('prefixes in order, back to who had them, and to others when there is no other', async (t) => {
  const pool = new PrefixPool(NETWORK, 64);
  t.equal(pool.size, 4);
  const [a, b] = [pool.acquire('a')!, pool.acquire('b')!];
  t.same([a, b].map(showPrefix6), ['2001:db8:0:40::/64', '2001:db8:0:41::/64']);
  t.equal(showPrefix6(pool.acquire('a')!), '2001:db8:0:42::/64', 'a second one of the same user');
  pool.release(a);
  pool.release(a);
  t.equal(pool.leased, 2);
  pool.release(b);
  t.equal(showPrefix6(pool.acquire('b')!), showPrefix6(b), 'the last one');
  t.equal(showPrefix6(pool.acquire('c')!), '2001:db8:0:43::/64', 'a fresh one rather than that of a');
  t.equal(showPrefix6(pool.acquire('d')!), showPrefix6(a));
  t.equal(pool.acquire('e'), undefined);
  t.equal(pool.leased, 4);
});

t.test('bounds: a network of any size, and how many users are remembered', async (t) => {
  t.equal(new PrefixPool({ prefix: 0n, length: 32 }, 64).size, 2 ** 20);
  const pool = new PrefixPool(NETWORK, 64, 1);
  for (const user of ['a', 'b']) pool.release(pool.acquire(user)!);
  t.equal(showPrefix6(pool.acquire('a')!), '2001:db8:0:42::/64', 'a is forgotten');
  const one = new PrefixPool(NETWORK, 62);
  t.equal(showPrefix6(one.acquire('a')!), '2001:db8:0:40::/62');
  t.equal(one.acquire('b'), undefined);
});
