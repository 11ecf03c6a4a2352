/** Runs one of the system's tools with an argument list (never a shell) and takes its output. */
import { execFile } from 'node:child_process';

export interface Ran {
  /** Exit status; 127 when the tool is not installed. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** `input` goes to the tool's stdin. Never rejects. */
export type Run = (tool: string, args: readonly string[], input?: string) => Promise<Ran>;

/** A tool that hangs (a lock held by another) is killed after this. */
const LIMIT_MS = 30_000;
/** `ip xfrm` prints some 300 octets per SA. */
const MAX_OUTPUT = 256 * 1024 * 1024;
/** Services are often started without the sbin directories. */
const PATH = `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`;

export const run: Run = (tool, args, input) =>
  new Promise((resolve) => {
    const options = { timeout: LIMIT_MS, maxBuffer: MAX_OUTPUT, env: { ...process.env, PATH, LC_ALL: 'C' } };
    const child = execFile(tool, args, options, (error, stdout, stderr) => {
      const status =
        error === null ? 0 : typeof error.code === 'number' ? error.code : error.code === 'ENOENT' ? 127 : 1;
      resolve({ status, stdout, stderr: error !== null && stderr === '' ? error.message : stderr });
    });
    child.stdin?.on('error', () => {}); // a tool that exits without reading: its status says why
    child.stdin?.end(input ?? '');
  });
