import t from 'tap';
import { decodeControl } from '../../../src/wire/ppp/control.js';
import { decodeFrame } from '../../../src/wire/ppp/frame.js';
import { ipcpOptions } from '../../../src/wire/ppp/ipcp.js';
import { lcpOptions } from '../../../src/wire/ppp/lcp.js';
import { toHex } from '../../../src/wire/reader.js';
import { describeFrame, reencode } from '../../lib/ppp-text.js';
import { vectors } from '../../lib/ppp-vectors.js';

for (const file of ['ppp-options.txt', 'ppp-packets.txt', 'ppp-captures.txt']) {
  t.test(`golden frames: ${file}`, async (t) => {
    const all = vectors(file);
    t.ok(all.length > 10);
    for (const v of all) {
      t.equal(describeFrame(v.bytes), v.match, `${file}:${v.line}`);
      if (v.encodes) t.equal(toHex(reencode(v.bytes)!), toHex(v.bytes), `${file}:${v.line} and back`);
    }
  });
}

t.test(
  'law: every prefix and every single-octet change of a golden frame is decoded without an exception',
  async (t) => {
    let looked = 0;
    for (const v of ['ppp-options.txt', 'ppp-packets.txt', 'ppp-captures.txt'].flatMap(vectors)) {
      for (let n = 0; n < v.bytes.length; n++) {
        describeFrame(v.bytes.subarray(0, n));
        for (const change of [0x01, 0x80, 0xff]) {
          const bytes = v.bytes.slice();
          bytes[n] = bytes[n]! ^ change;
          describeFrame(bytes);
          looked += 1;
        }
      }
    }
    t.ok(looked > 3000);
  },
);

t.test('one table both ways: each golden option is encoded from its value', async (t) => {
  let values = 0;
  for (const v of vectors('ppp-options.txt')) {
    const frame = decodeFrame(v.bytes);
    const packet = frame.ok ? decodeControl(frame.value.information, 'lcp') : frame;
    if (!packet.ok || !('options' in packet.value)) continue;
    const codec = v.match.startsWith('LCP') ? lcpOptions : ipcpOptions;
    for (const raw of packet.value.options) {
      const meaning = codec.decode(raw);
      if (meaning.kind !== 'value') continue;
      const again = codec.encode(meaning as never);
      t.same([again.type, toHex(again.data)], [raw.type, toHex(raw.data)], `${v.file}:${v.line}`);
      values += 1;
    }
  }
  t.ok(values >= 40, `${values} options`);
});
