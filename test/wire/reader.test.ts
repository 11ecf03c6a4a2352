import t from 'tap';
import { fromHex, Reader, toHex, Writer } from '../../src/wire/reader.js';

t.test('reads what was written, big-endian', async (t) => {
  const bytes = new Writer(1).u8(1).u16(0x0203).u32(0x04050607).u64(0x08090a0b0c0d0e0fn).bytes(fromHex('aa bb')).done();
  t.equal(toHex(bytes), '0102030405060708090a0b0c0d0e0faabb');
  const r = new Reader(bytes);
  t.equal(r.u8(), 1);
  t.equal(r.u16(), 0x0203);
  t.equal(r.u32(), 0x04050607);
  t.equal(r.u64(), 0x08090a0b0c0d0e0fn);
  t.equal(toHex(r.rest()), 'aabb');
  t.equal(r.left, 0);
  t.equal(r.overrun, false);
});

t.test('a read past the end gives zero and is remembered', async (t) => {
  for (const read of [
    (r: Reader) => r.u16(),
    (r: Reader) => r.u32(),
    (r: Reader) => Number(r.u64()),
    (r: Reader) => r.bytes(2).length,
  ]) {
    const r = new Reader(fromHex('ff'));
    t.equal(read(r), 0);
    t.ok(r.overrun);
    t.equal(r.left, 0);
    t.equal(r.u8(), 0);
  }
});
