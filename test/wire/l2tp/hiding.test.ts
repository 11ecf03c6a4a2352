import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { hide, unhide } from '../../../src/wire/l2tp/hiding.js';
import { fromHex, toHex } from '../../../src/wire/reader.js';

const md5 = (...parts: Uint8Array[]) => createHash('md5').update(Buffer.concat(parts)).digest();
const xor = (a: Uint8Array, b: Uint8Array) => a.map((x, i) => x ^ b[i]!);

t.test('§4.3: c1 = p1 xor MD5(AV + S + RV), c2 = p2 xor MD5(S + c1), written out', async (t) => {
  const secret = Buffer.from('s3cret');
  const rv = fromHex('000102030405060708090a0b0c0d0e0f');
  const value = Buffer.from('a user name of 23 octets');
  const plain = Buffer.concat([fromHex('0018'), value]);
  const c1 = xor(plain.subarray(0, 16), md5(fromHex('001e'), secret, rv));
  const c2 = xor(plain.subarray(16), md5(secret, c1));
  t.equal(toHex(hide(30, value, secret, rv)), toHex(Buffer.concat([c1, c2])));
  t.equal(toHex(unhide(30, Buffer.concat([c1, c2]), secret, rv)!), toHex(value));
});

t.test('§4.3: padding masks the length and changes nothing else', async (t) => {
  const secret = Buffer.from('s');
  const rv = fromHex('00');
  const hidden = hide(9, fromHex('00000001'), secret, rv, new Uint8Array(12));
  t.equal(hidden.length + 6, 24, "the RFC's example: 6 + 4 + 2 + 12");
  t.equal(toHex(unhide(9, hidden, secret, rv)!), '00000001');
});

t.test('no length field, or one that points outside: undefined', async (t) => {
  const secret = Buffer.from('s');
  t.equal(unhide(9, new Uint8Array(0), secret, secret), undefined);
  t.equal(unhide(9, new Uint8Array(1), secret, secret), undefined);
  const hidden = hide(9, new Uint8Array(20), secret, secret);
  t.equal(unhide(9, hidden.subarray(0, 21), secret, secret), undefined);
});

t.test('law: unhide(hide(v)) = v', async (t) => {
  const bytes = fc.uint8Array({ maxLength: 80 });
  fc.assert(
    fc.property(fc.nat({ max: 0xffff }), bytes, bytes, bytes, bytes, (type, value, secret, rv, padding) => {
      const back = unhide(type, hide(type, value, secret, rv, padding), secret, rv);
      return back !== undefined && toHex(back) === toHex(value);
    }),
  );
  t.pass('no counterexample');
});
