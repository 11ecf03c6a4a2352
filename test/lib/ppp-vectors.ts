/** Golden frames as text: `decode <hex>`, then `match <words>`, then `encode -` when encoding gives the octets back. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromHex } from '../../src/wire/reader.js';

export interface Vector {
  readonly file: string;
  readonly line: number;
  readonly bytes: Uint8Array;
  readonly match: string;
  /** Encoding what was decoded gives exactly `bytes`. */
  readonly encodes: boolean;
}

/** Tests run from the repository's root. */
const DIRECTORY = join(process.cwd(), 'test', 'vectors');

export function vectors(file: string): Vector[] {
  const found: Vector[] = [];
  let bytes: Uint8Array | undefined;
  for (const [i, raw] of readFileSync(join(DIRECTORY, file), 'utf8').split('\n').entries()) {
    const [verb = '', ...words] = raw
      .replace(/(^|\s)#.*$/, '')
      .trim()
      .split(/\s+/);
    const rest = words.join(' ');
    const last = found.at(-1);
    if (verb === '') continue;
    if (verb === 'decode') bytes = fromHex(rest);
    else if (verb === 'match' && bytes !== undefined) {
      found.push({ file, line: i + 1, bytes, match: rest, encodes: false });
      bytes = undefined;
    } else if (verb === 'encode' && rest === '-' && last !== undefined)
      found[found.length - 1] = { ...last, encodes: true };
    else throw new Error(`${file}:${i + 1}: not a vector: ${raw}`);
  }
  return found;
}
