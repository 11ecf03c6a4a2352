/**
 * Golden bytes as text: blocks separated by blank lines, each line a word and its text, indented lines continue the
 * line above, `#` starts a comment line. The comment right above a block names it.
 */
import { readFileSync } from 'node:fs';
import { fromHex } from '../../src/wire/reader.js';

export interface Vector {
  readonly file: string;
  readonly line: number;
  readonly name: string;
  /** By first word; a word occurs once in a block. */
  readonly field: Readonly<Record<string, string>>;
}

const root = new URL('../../../test/vectors/', import.meta.url);

export function vectors(file: string): Vector[] {
  const result: Vector[] = [];
  let name = '';
  let field: Record<string, string> | undefined;
  let last = '';
  for (const [index, text] of readFileSync(new URL(file, root), 'utf8').split('\n').entries()) {
    const at = `${file}:${index + 1}`;
    if (text.trim() === '') field = undefined;
    else if (text.startsWith('#')) name = text.slice(1).trim();
    else if (/^\s/.test(text)) {
      if (!field) throw new Error(`${at}: nothing to continue`);
      field[last] += ` ${text.trim()}`;
    } else {
      const [word = '', ...rest] = text.split(/\s+/);
      if (!field) {
        field = {};
        result.push({ file, line: index + 1, name, field });
      }
      if (word in field) throw new Error(`${at}: ${word} twice`);
      field[word] = rest.join(' ').trim();
      last = word;
    }
  }
  return result;
}

/** The octets of a field of hex digits; spaces and `|` only help the eye. */
export function octets(v: Vector, word: string): Uint8Array {
  const hex = (v.field[word] ?? '').replace(/[\s|]/g, '');
  if (!/^([0-9a-f]{2})*$/.test(hex)) throw new Error(`${v.file}:${v.line}: ${word} is not hex: ${hex}`);
  return fromHex(hex);
}

export const title = (v: Vector): string => `${v.file}:${v.line} ${v.name}`;
