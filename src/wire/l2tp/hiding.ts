/** AVP hiding: MD5 stream over the AVP's value with the tunnel's shared secret. RFC 2661 §4.3. */
import { createHash } from 'node:crypto';
import { Reader, Writer } from '../reader.js';

const BLOCK = 16;

/** The value of a hidden AVP for `value`; `padding` octets mask its length. */
export function hide(
  type: number,
  value: Uint8Array,
  secret: Uint8Array,
  randomVector: Uint8Array,
  padding: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const plain = new Writer().u16(value.length).bytes(value).bytes(padding).done();
  return stream(type, plain, secret, randomVector, (_plain, cipher) => cipher);
}

/** The value inside a hidden AVP; undefined when its length field points outside: wrong secret or malformed. */
export function unhide(
  type: number,
  hidden: Uint8Array,
  secret: Uint8Array,
  randomVector: Uint8Array,
): Uint8Array | undefined {
  const r = new Reader(stream(type, hidden, secret, randomVector, (cipher) => cipher));
  const value = r.bytes(r.u16());
  return r.overrun ? undefined : value;
}

/** b1 = MD5(type + S + RV), b(i) = MD5(S + c(i-1)); out = in xor b. `chain` says which of the two is c. */
function stream(
  type: number,
  input: Uint8Array,
  secret: Uint8Array,
  randomVector: Uint8Array,
  chain: (input: Uint8Array, output: Uint8Array) => Uint8Array,
): Uint8Array {
  const out = new Writer(input.length);
  let b = createHash('md5').update(new Writer(2).u16(type).done()).update(secret).update(randomVector).digest();
  for (let at = 0; at < input.length; at += BLOCK) {
    const block = input.subarray(at, at + BLOCK);
    const mask = new Reader(b);
    const result = block.map((octet) => octet ^ mask.u8());
    out.bytes(result);
    b = createHash('md5').update(secret).update(chain(block, result)).digest();
  }
  return out.done();
}
