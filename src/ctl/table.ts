/** Text for people: tables, pairs, octets, colours. */

/** Columns padded to their widest cell, two blanks between them. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)));
  return all
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
};

/** Name and value, a line each. */
export const pairs = (rows: readonly (readonly [name: string, value: string])[]): string => {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
};

const CODES = { bold: 1, red: 31, green: 32, yellow: 33 } as const;

/** SGR, ECMA-48 §8.3.117. */
export const paint = (text: string, how: keyof typeof CODES, color: boolean): string =>
  color ? `\u001b[${CODES[how]}m${text}\u001b[0m` : text;

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

export const octets = (n: number): string => {
  let unit = 0;
  let value = n;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 ? `${n} B` : `${value.toFixed(1)} ${UNITS[unit]}`;
};

/** A peer's text must not move a terminal's cursor. */
export const printable = (text: string): string =>
  [...text].map((c) => (/[\p{L}\p{N}\p{P}\p{S} ]/u.test(c) ? c : '?')).join('');
