/** Domain names as labels, without compression. RFC 1035 §3.1; RFC 8106 §5.2 and RFC 3646 §4 want them so. */
import { Writer } from '../reader.js';

export function domains(names: readonly string[]): Uint8Array {
  const w = new Writer();
  for (const name of names) {
    for (const label of name.split('.')) w.u8(label.length).bytes(Buffer.from(label, 'latin1'));
    w.u8(0);
  }
  return w.done();
}
