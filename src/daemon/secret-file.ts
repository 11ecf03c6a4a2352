/** Reads files that hold secrets: a regular file nobody but its owner can open, of a sane size. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { whyUnreadable } from './errors.js';
import { Secret } from './secret.js';

/** The text, or the phrase that says what is wrong with the file (it starts with the path). */
export type SecretFile =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly problem: string };

/** Checks and reads through one descriptor, so the file that was checked is the file that is read. */
export function readSecretFile(path: string, maxBytes: number): SecretFile {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    return bad(`${path} cannot be read (${whyUnreadable(error)})`);
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return bad(`${path} is not a regular file`);
    if ((stat.mode & 0o077) !== 0)
      return bad(
        `${path} has mode ${(stat.mode & 0o777).toString(8).padStart(4, '0')}, so others than its owner can open it`,
      );
    if (stat.size > maxBytes) return bad(`${path} has ${stat.size} bytes`);
    return { ok: true, text: readFileSync(fd, 'utf8') };
  } catch (error) {
    return bad(`${path} cannot be read (${whyUnreadable(error)})`);
  } finally {
    closeSync(fd);
  }
}

/** A file whose whole content, without the final line end, is one secret. */
export function readSecret(path: string): { ok: true; secret: Secret } | { ok: false; problem: string } {
  const file = readSecretFile(path, MAX_SECRET);
  if (!file.ok) return file;
  const text = file.text.replace(/\r?\n$/, '');
  if (text === '') return bad(`${path} is empty`);
  if (/\p{Cc}/u.test(text)) return bad(`${path} has more than one line or a control character`);
  return { ok: true, secret: new Secret(text) };
}

const bad = (problem: string) => ({ ok: false, problem }) as const;

/* Implementation */ const MAX_SECRET = 4_096;
