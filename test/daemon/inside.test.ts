import fc from 'fast-check';
import t from 'tap';
import { prefixesOf } from '../../src/daemon/inside.js';
import { ipv4ToNumber } from '../../src/proto/aaa/address.js';

const range = (first: string, last: string) => ({ first: ipv4ToNumber(first)!, last: ipv4ToNumber(last)! });

t.test('a range becomes the fewest prefixes', async (t) => {
  const rows: [string, string, string[]][] = [
    ['10.99.0.0', '10.99.0.255', ['10.99.0.0/24']],
    ['10.99.0.10', '10.99.0.10', ['10.99.0.10/32']],
    ['10.99.0.10', '10.99.0.20', ['10.99.0.10/31', '10.99.0.12/30', '10.99.0.16/30', '10.99.0.20/32']],
    ['0.0.0.0', '255.255.255.255', ['0.0.0.0/0']],
    ['255.255.255.254', '255.255.255.255', ['255.255.255.254/31']],
  ];
  for (const [first, last, want] of rows) t.strictSame(prefixesOf(range(first, last)), want, `${first}-${last}`);
});

t.test('law: the prefixes cover the range, nothing else, without overlap', async () => {
  fc.assert(
    fc.property(fc.nat(0xffffffff), fc.nat(5_000), (first, size) => {
      const last = Math.min(first + size, 0xffffffff);
      let next = first;
      for (const prefix of prefixesOf({ first, last })) {
        const [address, bits] = prefix.split('/') as [string, string];
        if (ipv4ToNumber(address) !== next) return false;
        next += 2 ** (32 - Number(bits));
      }
      return next === last + 1;
    }),
  );
});
