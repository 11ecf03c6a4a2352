/** How the vectors print values: JSON, octets as hex. */
import { toHex } from '../../../src/wire/reader.js';

export const json = (value: unknown): string =>
  JSON.stringify(value, (_key, v: unknown) => (v instanceof Uint8Array ? toHex(v) : v));
