import fc from 'fast-check';
import t from 'tap';
import { ipv4Network, ipv4ToNumber, numberToIpv4, overlap } from '../../../src/proto/aaa/address.js';
import { AddressPool } from '../../../src/proto/aaa/pool.js';

const n = (text: string) => ipv4ToNumber(text)!;
const range = (first: string, last: string) => ({ first: n(first), last: n(last) });

t.test('addresses: dotted quads and nothing else', async (t) => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 0xffffffff }), (v) => ipv4ToNumber(numberToIpv4(v)) === v));
  for (const bad of [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.0.0.1',
    '01.2.3.4',
    '1.2.3.4 ',
    '1.2.3.x',
    '::1',
    '-1.2.3.4',
    '1.2.3.1000',
  ])
    t.equal(ipv4ToNumber(bad), undefined, bad);
  t.same(ipv4Network('10.0.5.7/16'), range('10.0.0.0', '10.0.255.255'));
  t.equal(ipv4Network('2001:db8::/32'), undefined);
  t.ok(overlap(range('10.0.0.1', '10.0.0.5'), range('10.0.0.5', '10.0.0.9')));
  t.notOk(overlap(range('10.0.0.1', '10.0.0.4'), range('10.0.0.5', '10.0.0.9')));
});

t.test('hands out what is fresh, in order, across ranges, without the excluded', async (t) => {
  const pool = new AddressPool({
    ranges: [range('10.0.0.1', '10.0.0.3'), range('10.0.1.1', '10.0.1.1')],
    exclude: ['10.0.0.2', 'not an address'],
  });
  t.strictSame(
    ['a', 'b', 'c', 'd'].map((u) => pool.acquire(u)),
    ['10.0.0.1', '10.0.0.3', '10.0.1.1', undefined],
  );
  t.equal(pool.leased, 3);
  t.equal(pool.holder('10.0.0.3'), 'b');
  t.ok(pool.release('10.0.0.3'));
  t.notOk(pool.release('10.0.0.3'), 'once');
  t.notOk(pool.release('rubbish'));
  t.equal(pool.holder('10.0.0.3'), undefined);
  t.equal(pool.holder('rubbish'), undefined);
  t.equal(pool.acquire('d'), '10.0.0.3');
});

t.test('a user who returns gets the last address, as long as nobody else needed it', async (t) => {
  const pool = new AddressPool({ ranges: [range('10.0.0.1', '10.0.0.3')] });
  const a = pool.acquire('a')!;
  const b = pool.acquire('b')!;
  pool.release(a);
  pool.release(b);
  t.equal(pool.acquire('b'), b);
  t.equal(pool.acquire('a'), a);
  pool.release(a);
  t.equal(pool.acquire('c'), '10.0.0.3', 'a fresh address rather than the one of a');
  t.equal(pool.acquire('d'), a, 'but no client is turned away for it');
  t.equal(pool.acquire('a'), undefined);
});

t.test('a pool without ranges serves fixed addresses only', async (t) => {
  const pool = new AddressPool({ ranges: [], fixed: [['f', '10.0.0.1']] });
  t.equal(pool.acquire('a'), undefined);
  t.equal(pool.acquire('f'), '10.0.0.1');
});

t.test('a second session of one user gets another address', async (t) => {
  const pool = new AddressPool({ ranges: [range('10.0.0.1', '10.0.0.3')] });
  t.equal(pool.acquire('a'), '10.0.0.1');
  t.equal(pool.acquire('a'), '10.0.0.2');
});

t.test('the memory of last addresses is bounded', async (t) => {
  const pool = new AddressPool({ ranges: [range('10.0.0.1', '10.0.0.9')], remember: 1 });
  for (const user of ['a', 'b']) pool.release(pool.acquire(user)!);
  t.equal(pool.acquire('b'), '10.0.0.2', 'remembered');
  t.equal(pool.acquire('a'), '10.0.0.3', 'forgotten');
});

t.test('what the client asks for, when it is free and ours to give', async (t) => {
  const pool = new AddressPool({
    ranges: [range('10.0.0.1', '10.0.0.9')],
    exclude: ['10.0.0.1'],
    fixed: [['f', '10.0.0.8']],
  });
  t.equal(pool.acquire('a', '10.0.0.5'), '10.0.0.5');
  t.equal(pool.acquire('b', '10.0.0.5'), '10.0.0.2', 'taken');
  t.equal(pool.acquire('c', '10.0.0.1'), '10.0.0.3', 'excluded');
  t.equal(pool.acquire('d', '10.0.0.8'), '10.0.0.4', "another user's; 10.0.0.5 is not given twice later");
  t.equal(pool.acquire('e', '192.0.2.1'), '10.0.0.6', 'not of the pool');
  t.equal(pool.acquire('g', '0.0.0.0'), '10.0.0.7', 'RFC 1332 §3.3: zero asks for any');
});

t.test('a fixed address is for its user only, and that user gets no other', async (t) => {
  const pool = new AddressPool({
    ranges: [range('10.0.0.1', '10.0.0.2')],
    fixed: [
      ['f', '10.0.0.1'],
      ['g', '192.0.2.1'],
      ['bad', '?'],
    ],
  });
  t.equal(pool.acquire('a'), '10.0.0.2');
  t.equal(pool.acquire('b'), undefined);
  t.equal(pool.acquire('f', '10.0.0.2'), '10.0.0.1');
  t.equal(pool.acquire('f'), undefined, 'in use');
  t.equal(pool.acquire('g'), '192.0.2.1', 'outside the ranges');
  t.ok(pool.release('10.0.0.1'));
  t.ok(pool.release('192.0.2.1'));
  t.equal(pool.acquire('b'), undefined, 'free, but reserved');
});

t.test('fixed addresses change with the users file; leases in force stay', async (t) => {
  const pool = new AddressPool({ ranges: [range('10.0.0.1', '10.0.0.2')], fixed: [['f', '10.0.0.1']] });
  t.equal(pool.acquire('a'), '10.0.0.2');
  pool.setFixed([['h', '10.0.0.2']]);
  t.equal(pool.holder('10.0.0.2'), 'a');
  t.equal(pool.acquire('h'), undefined, 'not before a is gone');
  t.equal(pool.acquire('b'), '10.0.0.1', 'no longer reserved');
  pool.release('10.0.0.2');
  t.equal(pool.acquire('c'), undefined);
  t.equal(pool.acquire('h'), '10.0.0.2');
});

t.test('law: against the obvious model, any sequence of calls', async () => {
  const users = fc.constantFrom('a', 'b', 'c', 'd', 'f');
  const address = fc.integer({ min: 0, max: 11 }).map((i) => `10.0.0.${i}`);
  const call = fc.oneof(
    fc.record({ do: fc.constant('acquire' as const), user: users, preferred: fc.option(address, { nil: undefined }) }),
    fc.record({ do: fc.constant('release' as const), address }),
    fc.record({
      do: fc.constant('fix' as const),
      fixed: fc.uniqueArray(fc.tuple(users, address), { selector: ([, a]) => a }),
    }),
  );
  fc.assert(
    fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
      const pool = new AddressPool({
        ranges: [range('10.0.0.2', '10.0.0.5'), range('10.0.0.8', '10.0.0.10')],
        exclude: ['10.0.0.4'],
      });
      const inPool = ['10.0.0.2', '10.0.0.3', '10.0.0.5', '10.0.0.8', '10.0.0.9', '10.0.0.10'];
      const leased = new Set<string>();
      let fixed = new Map<string, string>();
      for (const c of calls) {
        if (c.do === 'fix') {
          fixed = new Map(c.fixed);
          pool.setFixed(c.fixed);
        } else if (c.do === 'release') {
          if (pool.release(c.address) !== leased.delete(c.address)) return false;
        } else {
          const reserved = new Set(fixed.values());
          const own = fixed.get(c.user);
          const free = (own === undefined ? inPool.filter((a) => !reserved.has(a)) : [own]).filter(
            (a) => !leased.has(a),
          );
          const got = pool.acquire(c.user, c.preferred);
          // Turned away only when nothing is free; never a leased, reserved or foreign address; wishes are granted.
          if (got === undefined ? free.length > 0 : !free.includes(got)) return false;
          if (c.preferred !== undefined && free.includes(c.preferred) && got !== c.preferred) return false;
          if (got !== undefined) leased.add(got);
        }
        if (pool.leased !== leased.size) return false;
      }
      return true;
    }),
    { numRuns: 2_000 },
  );
});

t.test('what there is and who has it', async (t) => {
  const pool = new AddressPool({
    ranges: [range('10.0.0.1', '10.0.0.9')],
    exclude: ['10.0.0.1', '10.9.9.9'],
    fixed: [
      ['bob', '10.0.0.5'],
      ['carol', '172.16.0.1'],
    ],
  });
  t.strictSame(pool.size, { dynamic: 7, fixed: 2 });
  pool.acquire('bob');
  pool.acquire('alice');
  t.strictSame(
    [...pool.leases()],
    [
      { address: '10.0.0.5', user: 'bob', fixed: true },
      { address: '10.0.0.2', user: 'alice', fixed: false },
    ],
  );
});
