/** The errors an operator sees, and the exit codes: one clear sentence that names file, line, key, value and what is allowed. */

/** Process exit codes of `lockstepd` and `lockstep`; the README repeats this table. */
export const EXIT = {
  ok: 0,
  /** Something failed at run time; the last log event says what. */
  failure: 1,
  /** The configuration, the users file or the command line is wrong: fix it, a restart changes nothing. */
  config: 2,
} as const;

/** Where in a file (or in the environment) a setting came from. */
export interface Origin {
  /** A path, or `environment`. */
  readonly file: string;
  /** 1-based; absent when the value is a default or the whole file is meant. */
  readonly line?: number;
}

/** A configuration mistake. `message` is one sentence; it never contains a secret. */
export class ConfigError extends Error {
  readonly file: string;
  readonly line: number | undefined;
  readonly key: string | undefined;

  constructor(origin: Origin, key: string | undefined, problem: string, allowed: string) {
    const where = origin.line === undefined ? origin.file : `${origin.file}:${origin.line}`;
    super(printable(`${where}: ${key === undefined ? '' : `${key}: `}${problem}; allowed: ${allowed}`));
    this.name = 'ConfigError';
    this.file = origin.file;
    this.line = origin.line;
    this.key = key;
  }
}

/** A value as an operator would recognise it, short and on one line. */
export function show(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  const short = text.length > 80 ? `${text.slice(0, 77)}...` : text;
  return short === '' ? '(empty)' : short;
}

/** `no such file` rather than `ENOENT: no such file or directory, open '...'`. */
export function whyUnreadable(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  switch (code) {
    case 'ENOENT':
      return 'no such file';
    case 'EACCES':
    case 'EPERM':
      return 'permission denied';
    case 'EISDIR':
      return 'it is a directory';
    case 'ENOTDIR':
    case 'EEXIST':
      return 'a file is where a directory should be';
    case 'EROFS':
      return 'read-only file system';
    case 'ENOSPC':
      return 'no space left';
    default:
      return code ?? 'unknown error';
  }
}

/** Names the candidate closest to `word`, when one is close enough to be what was meant. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let least = Math.max(2, Math.ceil(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const d = distance(word, candidate);
    if (d < least) [best, least] = [candidate, d];
  }
  return best;
}

/** Levenshtein distance, two rows. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}

/** One line whatever the value was: control characters become `\u....`. */
const printable = (text: string): string =>
  text.replace(/[\p{Cc}\u2028\u2029]/gu, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
