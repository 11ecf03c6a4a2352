/** The Internet checksum. RFC 1071 §1. */
import { Reader } from '../reader.js';

/** Over the parts one behind the other; all but the last have an even length. 0 when they contain their own checksum. */
export function internetChecksum(...parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    const r = new Reader(part);
    while (r.left > 1) sum += r.u16();
    if (r.left > 0) sum += r.u8() << 8;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
