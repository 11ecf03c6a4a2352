/** Random octets, fetched from the system in bulk: one call for each id, magic number and challenge costs more than making them. */
import { randomFillSync } from 'node:crypto';
import type { Random } from '../proto/machine.js';

/* Implementation */
const POOL = 4_096;

/** What was handed out is nowhere else any more: the pool forgets it. `fill` is injected by tests. */
export function pooledRandom(fill: (pool: Uint8Array) => unknown = randomFillSync): Random {
  const pool = new Uint8Array(POOL);
  let at = POOL;
  return (n) => {
    if (n > POOL) {
      const alone = new Uint8Array(n);
      fill(alone);
      return alone;
    }
    if (at + n > POOL) {
      fill(pool);
      at = 0;
    }
    const octets = pool.slice(at, at + n);
    pool.fill(0, at, at + n);
    at += n;
    return octets;
  };
}
