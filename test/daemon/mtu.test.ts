import fc from 'fast-check';
import t from 'tap';
import { innerMtu, LEAST_MTU, probeSizes } from '../../src/daemon/mtu.js';

const NO_CEILING = 65_535;
/** Computed by hand: room after outer IP, UDP 4500, ESP header, IV and ICV; down to whole blocks; less 2 + 8 + 8 + 4. */
const ROWS: [name: string, encr: string, integ: string | undefined, encap: boolean, v6: boolean, want: number][] = [
  // 1500-20-8-16-12=1444 -> 1440 -22
  ['Windows, direct', 'AES_CBC', 'HMAC_SHA1_96', false, false, 1418],
  // 1500-20-8-8-16-12=1436 -> 1424 -22
  ['Windows behind a NAT', 'AES_CBC', 'HMAC_SHA1_96', true, false, 1402],
  // 1500-40-8-16-12=1424 -> 1424 -22
  ['Windows over IPv6', 'AES_CBC', 'HMAC_SHA1_96', false, true, 1402],
  // 1500-40-8-8-16-12=1416 -> 1408 -22
  ['NAT-T over IPv6', 'AES_CBC', 'HMAC_SHA1_96', true, true, 1386],
  // 1500-20-8-8-16-16=1432 -> 1424 -22
  ['SHA-256', 'AES_CBC', 'HMAC_SHA2_256_128', true, false, 1402],
  // 1500-20-8-8-16-32=1416 -> 1408 -22
  ['SHA-512', 'AES_CBC', 'HMAC_SHA2_512_256', true, false, 1386],
  // 1500-20-8-8-8-12=1444 -> 1440 -22
  ['3DES', '3DES_CBC', 'HMAC_SHA1_96', true, false, 1418],
  // 1500-20-8-8-8-16=1440 -> 1440 -22
  ['AES-GCM', 'AES_GCM_16', undefined, true, false, 1418],
  // 1500-20-8-8-8-16=1440, as GCM
  ['ChaCha20', 'CHACHA20_POLY1305', undefined, true, false, 1418],
  // 1500-20-8-16-32=1424 -> 1424 -22
  ['a cipher we do not know', 'SERPENT_CBC', 'HMAC_WHIRLPOOL', false, false, 1402],
];

for (const [name, encrAlg, integAlg, encap, ipv6, want] of ROWS)
  t.test(`RFC 4303 §2: ${name}`, async (t) => {
    const sa = { encrAlg, encap, ...(integAlg === undefined ? {} : { integAlg }) };
    t.equal(innerMtu(sa, { ipv6 }, NO_CEILING), want);
    t.equal(innerMtu(sa, { ipv6 }), Math.min(want, 1400));
  });

t.test('a PPPoE path', async (t) => {
  // 1492-20-8-8-16-12=1428 -> 1424 -22
  t.equal(
    innerMtu({ encrAlg: 'AES_CBC', integAlg: 'HMAC_SHA1_96', encap: true }, { ipv6: false, pathMtu: 1492 }, 1500),
    1402,
  );
});

t.test('law: what we promise fits the path once ESP has padded it, and one octet more does not', async (t) => {
  const size = (inner: number, block: number, iv: number, icv: number) =>
    20 + 8 + 8 + iv + Math.ceil((inner + 4 + 8 + 8 + 2) / block) * block + icv;
  const law = fc.property(fc.integer({ min: 800, max: 9000 }), (pathMtu) => {
    const mtu = innerMtu(
      { encrAlg: 'AES_CBC', integAlg: 'HMAC_SHA1_96', encap: true },
      { ipv6: false, pathMtu },
      NO_CEILING,
    );
    return size(mtu, 16, 16, 12) <= pathMtu && size(mtu + 1, 16, 16, 12) > pathMtu;
  });
  t.doesNotThrow(() => fc.assert(law));
});

t.test('never below what every host must take', async (t) => {
  t.equal(innerMtu({ encrAlg: 'AES_CBC', encap: true }, { ipv6: true, pathMtu: 300 }), LEAST_MTU);
  const gcm = { encrAlg: 'AES_GCM_16', encap: true };
  const numbers = innerMtu(gcm, { ipv6: false }, 1500) - innerMtu(gcm, { ipv6: false, numbered: true }, 1500);
  t.equal(numbers, 4, 'Ns and Nr (RFC 2661 §5.4)');
});

t.test('what is worth trying: exactly what usual paths carry, below what is in use', async (t) => {
  const sa = { encrAlg: 'AES_CBC', integAlg: 'HMAC_SHA1_96', encap: true };
  // 1400-20-8-8-16-12=1336 -> 1328 -22; 1280: 1216 -22
  t.same(probeSizes(sa, { ipv6: false }, 1400), [1400, 1386, 1370, 1338, 1306, 1258, 1194, 1082, 906, 576]);
  t.same(probeSizes(sa, { ipv6: false }, 1200), [1200, 1194, 1082, 906, 576]);
  t.same(probeSizes(sa, { ipv6: false }, 500), [500], 'a peer with a small MRU');
});
