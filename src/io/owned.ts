/** Records of what lockstepd changed on the host, in the state directory: `xfrm-owned.json`, `sysctl-owned.json`. */
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Writes the record whole or not at all, mode 0600. Root writes it too, for a daemon that is not (`--prepare-ike`): it
 * belongs to who owns the directory, and follows no link of his.
 */
export async function writeOwned(record: string, text: string): Promise<void> {
  await mkdir(dirname(record), { recursive: true });
  const fresh = `${record}.new`;
  await rm(fresh, { force: true });
  const file = await open(fresh, 'wx', 0o600);
  try {
    await file.writeFile(text);
    const { uid, gid } = await stat(dirname(record));
    if (process.getuid?.() === 0) await file.chown(uid, gid);
  } finally {
    await file.close();
  }
  await rename(fresh, record);
}
