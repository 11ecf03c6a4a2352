/** A YAML file with the line of every key: errors point at the line an operator must edit. YAML 1.2. */
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { ConfigError } from './errors.js';

export interface YamlFile {
  readonly file: string;
  /** What the document holds; an empty file is an empty mapping. */
  readonly value: Record<string, unknown>;
  /** The line of `ppp.mtu` or `dns.1`, or of its nearest parent that is in the file. */
  line(path: readonly (string | number)[]): number | undefined;
}

/** @throws ConfigError when the text is not one YAML mapping. */
export function parseYaml(file: string, text: string): YamlFile {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: false });
  const error = doc.errors[0] ?? doc.warnings[0];
  if (error !== undefined)
    throw new ConfigError(
      { file, line: lines.linePos(error.pos[0]).line },
      undefined,
      // The parser's first sentence; what follows may quote the file, and the file may hold passwords.
      `not valid YAML (${error.code.toLowerCase().replaceAll('_', ' ')})`,
      'YAML 1.2, keys indented with spaces, each key once',
    );
  if (doc.contents !== null && !isMap(doc.contents))
    throw new ConfigError({ file, line: 1 }, undefined, 'the file is not a mapping', 'lines of the form `key: value`');

  const at = new Map<string, number>();
  collect(doc.contents as Node | null, [], at, (node) => lines.linePos(node.range?.[0] ?? 0).line);
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
    line: (path) => {
      for (let n = path.length; n > 0; n--) {
        const line = at.get(path.slice(0, n).join('\0'));
        if (line !== undefined) return line;
      }
      return undefined;
    },
  };
}

function collect(node: unknown, path: string[], at: Map<string, number>, lineOf: (n: Node) => number): void {
  const add = (step: string, key: Node, value: unknown) => {
    const here = [...path, step];
    at.set(here.join('\0'), lineOf(key));
    collect(value, here, at, lineOf);
  };
  if (isMap(node)) for (const { key, value } of node.items) if (isScalar(key)) add(String(key.value), key, value);
  if (isSeq(node))
    node.items.forEach((item, i) => {
      add(String(i), item as Node, item);
    });
}
