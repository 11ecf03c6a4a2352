/** Whose the files are that root writes for a daemon that is not root. */
import { chmodSync, chownSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Gives `draft`, which is about to become `path`, the owner of the file it replaces; with none there, the owner of the
 * state directory, who runs the daemon; without either, of the directory it is in. Only root can, so nobody else tries.
 */
export function passOn(draft: string, path: string, stateDir?: string): void {
  if (process.geteuid?.() !== 0) return;
  const { uid, gid } = stat(path) ?? stat(stateDir) ?? statSync(dirname(path));
  chownSync(draft, uid, gid);
}

/** The same for the configuration, which the daemon may read and not write: owner, group and mode of before, or 0640. */
export function passOnReadOnly(draft: string, path: string, stateDir?: string): void {
  const before = stat(path);
  if (process.geteuid?.() === 0) {
    const { uid, gid } = before ?? { uid: 0, gid: (stat(stateDir) ?? statSync(dirname(path))).gid };
    chownSync(draft, uid, gid);
  }
  chmodSync(draft, before === undefined ? 0o640 : before.mode & 0o777);
}

const stat = (path: string | undefined) => (path === undefined ? undefined : statSync(path, { throwIfNoEntry: false }));
