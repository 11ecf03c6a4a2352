import t from 'tap';
import { malformed, never, ok } from '../../src/wire/result.js';

t.test('what decoders return', async (t) => {
  t.strictSame(ok(1), { ok: true, value: 1 });
  t.strictSame(malformed(3, 'RFC 2661 §4.1', 'AVP Length'), {
    ok: false,
    at: 3,
    ref: 'RFC 2661 §4.1',
    why: 'AVP Length',
    reaction: 'drop',
  });
  t.equal(malformed(0, '', '', 'clear-tunnel').reaction, 'clear-tunnel');
});

t.test('never throws: only a bug of ours gets there', async (t) => {
  t.throws(() => never('x' as never), { message: 'unreachable: "x"' });
});
