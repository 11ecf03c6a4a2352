/** Files that lockstepd writes for itself: `xfrm-owned.json` and `sysctl-owned.json`, what it changed on the host; strongswan.conf. */
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Writes the file whole or not at all, mode 0600. Root writes it too, for a daemon that is not (`--prepare-ike`): it
 * belongs to who owns the directory, and follows no link of his.
 */
export async function writeOwned(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const fresh = `${path}.new`;
  await rm(fresh, { force: true });
  const file = await open(fresh, 'wx', 0o600);
  try {
    await file.writeFile(text);
    const { uid, gid } = await stat(dirname(path));
    if (process.getuid?.() === 0) await file.chown(uid, gid);
  } finally {
    await file.close();
  }
  await rename(fresh, path);
}
