/** The place of a unix socket on the disk. */
import { lstatSync, rmSync } from 'node:fs';

/**
 * Removes what a dead daemon left there.
 * @throws Error when it is no socket; `key` is the setting that names it
 */
export function clearSocket(key: string, path: string): void {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there === undefined) return;
  if (!there.isSocket()) throw new Error(`${key}: ${path} is there and is no socket: name another path, or remove it`);
  rmSync(path, { force: true });
}
