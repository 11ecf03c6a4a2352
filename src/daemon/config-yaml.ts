/** A YAML file with the line of every key: errors point at the line an operator must edit. YAML 1.2. */
import { type Document, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { ConfigError } from './errors.js';

export interface YamlFile {
  readonly file: string;
  /** What the document holds; an empty file is an empty mapping. */
  readonly value: Record<string, unknown>;
  /** The same with its comments, for who changes it. */
  readonly doc: Document;
  lineOf(node: Node | null): number;
  /** The line of `ppp.mtu` or `dns.1`, or of its nearest parent that is in the file. */
  line(path: readonly (string | number)[]): number | undefined;
}

/** @throws ConfigError when the text is not one YAML mapping. */
export function parseYaml(file: string, text: string): YamlFile {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const invalid = (line: number, why: string): never => {
    throw new ConfigError(
      { file, line },
      undefined,
      `not valid YAML (${why})`,
      'YAML 1.2, keys indented with spaces, each key once',
    );
  };
  const error = doc.errors[0] ?? doc.warnings[0];
  // The code alone: the parser's message may quote the file, and the file may hold passwords.
  if (error !== undefined) invalid(lines.linePos(error.pos[0]).line, error.code.toLowerCase().replaceAll('_', ' '));
  if (doc.contents !== null && !isMap(doc.contents))
    throw new ConfigError({ file, line: 1 }, undefined, 'the file is not a mapping', 'lines of the form `key: value`');

  const at: Lines = new Map();
  const lineOf = (node: Node | null) => lines.linePos(node?.range?.[0] ?? 0).line;
  // The parser's own check compares every key with every other: seconds for a large users file.
  collect(doc.contents, [], at, lineOf, (node) => invalid(lineOf(node), 'duplicate key'));
  let value: unknown;
  try {
    value = doc.toJS({ maxAliasCount: 20 });
  } catch {
    throw new ConfigError(
      { file },
      undefined,
      'an alias cannot be resolved',
      'an anchor (&name) before its alias (*name)',
    );
  }
  return {
    file,
    value: (value ?? {}) as Record<string, unknown>,
    doc,
    lineOf,
    line: (path) => {
      for (let n = path.length; n > 0; n--) {
        const line = at.get(path.slice(0, n).join('\0'));
        if (line !== undefined) return line;
      }
      return undefined;
    },
  };
}

/** Path, joined with NUL -> line. */
type Lines = Map<string, number>;

function collect(
  node: unknown,
  path: string[],
  at: Lines,
  lineOf: (n: Node) => number,
  twice: (n: Node) => void,
): void {
  const add = (step: string, key: Node, value: unknown) => {
    const here = [...path, step];
    const name = here.join('\0');
    if (at.has(name)) twice(key);
    at.set(name, lineOf(key));
    collect(value, here, at, lineOf, twice);
  };
  if (isMap(node)) for (const { key, value } of node.items) if (isScalar(key)) add(String(key.value), key, value);
  if (isSeq(node)) for (const [i, item] of node.items.entries()) add(String(i), item as Node, item);
}
