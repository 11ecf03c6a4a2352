/**
 * Reads test/conformance.txt, checks that what it names is there, and writes docs/conformance.md from it. Reads
 * test/rfc2661-sentences.txt and checks that no sentence is left out of it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Row {
  readonly id: string;
  readonly level: string;
  readonly demand: string;
  readonly sources: string[];
  readonly proofs: { readonly file: string; readonly name: string }[];
  readonly scenarios: string[];
  verdict?: { readonly word: string; readonly why: string };
}

interface Chapter {
  readonly title: string;
  readonly rows: Row[];
}

const ROW = /^(rfc\d+\/[\d.]+-[a-z]) (MUST NOT|SHOULD NOT|MUST|SHOULD|MAY|-) (\S.*)$/;
const VERDICT = /^(NOT MET|UNTESTED|NOT OURS|DEVIATION): (\S.*)$/;

export interface Conformance {
  readonly markdown: string;
  readonly ids: readonly string[];
  /** MUST, SHOULD NOT, - and so on, by id. */
  readonly levels: ReadonlyMap<string, string>;
  /** One sentence for each thing named that is not there, and each row that proves nothing. */
  readonly problems: readonly string[];
}

/** `root` is the repository's directory, with a slash at its end. */
export function conformance(root: string, text = readFileSync(`${root}test/conformance.txt`, 'utf8')): Conformance {
  const problems: string[] = [];
  const chapters = parse(text, problems);
  const rows = chapters.flatMap((c) => c.rows);
  rows.forEach((row, i) => {
    if (rows.findIndex((r) => r.id === row.id) !== i) problems.push(`${row.id} is there twice`);
    check(root, row, problems);
  });
  const levels = new Map(rows.map((r) => [r.id, r.level]));
  return { markdown: markdown(chapters), ids: rows.map((r) => r.id), levels, problems };
}

const SENTENCE = /^([\d.]+(?: [^|]+)?) \| ([^|]+) \| (?:([\d.]+-[a-z](?: [\d.]+-[a-z])*)|(?:DEFINITION|LAC): \S.*)$/;

/** Each sentence of RFC 2661 that demands something is of a demand or says why not; each demand is of a sentence. */
export function sentences(
  root: string,
  levels: Conformance['levels'],
  text = readFileSync(`${root}test/rfc2661-sentences.txt`, 'utf8'),
): { readonly count: number; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const seen = new Set<string>();
  const named = new Set<string>();
  for (const [i, line] of text.split('\n').entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const [, where, words, ids] = SENTENCE.exec(line) ?? [];
    if (where === undefined) {
      problems.push(`test/rfc2661-sentences.txt:${i + 1}: not understood`);
      continue;
    }
    const sentence = `${where}: ${words}`;
    if (seen.has(sentence)) problems.push(`${sentence} is there twice`);
    seen.add(sentence);
    for (const id of ids?.split(' ') ?? []) named.add(`rfc2661/${id}`);
  }
  for (const id of named) if (!levels.has(id)) problems.push(`${id} is no demand`);
  for (const [id, level] of levels) {
    const binds = id.startsWith('rfc2661/') && /MUST|SHOULD/.test(level);
    if (binds && !named.has(id)) problems.push(`${id}: no sentence says it`);
  }
  return { count: seen.size, problems };
}

function parse(text: string, problems: string[]): Chapter[] {
  const chapters: Chapter[] = [];
  let row: Row | undefined;
  for (const [i, line] of text.split('\n').entries()) {
    const place = `test/conformance.txt:${i + 1}`;
    if (line === '' || line.startsWith('#')) continue;
    if (line.startsWith('== ')) {
      chapters.push({ title: line.slice(3), rows: [] });
      continue;
    }
    const [, id, level, demand] = ROW.exec(line) ?? [];
    if (id !== undefined && level !== undefined && demand !== undefined) {
      row = { id, level, demand, sources: [], proofs: [], scenarios: [] };
      chapters.at(-1)?.rows.push(row);
    } else if (!row || !line.startsWith('  ') || !detail(row, line.trim())) problems.push(`${place}: not understood`);
  }
  return chapters;
}

function detail(row: Row, said: string): boolean {
  const [, word, why] = VERDICT.exec(said) ?? [];
  const [file, name] = said.split(' :: ');
  if (word !== undefined && why !== undefined) row.verdict = { word, why };
  else if (said.startsWith('lab ')) row.scenarios.push(said.slice(4));
  else if (file !== undefined && name !== undefined) row.proofs.push({ file, name });
  else if (/^\S+$/.test(said)) row.sources.push(said);
  else return false;
  return true;
}

function check(root: string, row: Row, problems: string[]): void {
  const { id, sources, proofs, scenarios, verdict } = row;
  if (!verdict && (sources.length === 0 || proofs.length === 0)) {
    problems.push(`${id}: neither proven by a test nor said to be unproven`);
  }
  if (verdict?.word === 'DEVIATION' && proofs.length === 0) problems.push(`${id}: what is done instead has no test`);
  if (verdict && verdict.word !== 'DEVIATION' && proofs.length > 0)
    problems.push(`${id}: ${verdict.word}, and yet with a test`);
  for (const file of sources) if (!existsSync(join(root, file))) problems.push(`${id}: ${file} is gone`);
  for (const name of scenarios) {
    if (!existsSync(join(root, 'test/lab', name, 'check'))) problems.push(`${id}: lab scenario ${name} is gone`);
  }
  for (const { file, name } of proofs) {
    const path = join(root, file);
    if (!existsSync(path)) problems.push(`${id}: ${file} is gone`);
    else if (!titles(readFileSync(path, 'utf8')).has(name)) problems.push(`${id}: ${file} has no test '${name}'`);
  }
}

/** What is written as the first argument of a test(). */
const titles = (source: string): Set<string> =>
  new Set([...source.matchAll(/\btest\(\s*(['"`])(.+?)\1,/g)].map((m) => m[2] ?? ''));

const INTRODUCTION = `# Conformance

What RFC 3193 and RFC 2661 demand of an LNS, in our own words, which file meets it and which test proves it. Written by
\`npm run docs\` from \`test/conformance.txt\`; \`npm test\` fails when a file or a test named here is gone, and when a
sentence of RFC 2661 with MUST or SHOULD (\`test/rfc2661-sentences.txt\`) is no demand and does not say why.

What is not met comes first, with the reason.
`;

function markdown(chapters: readonly Chapter[]): string {
  const open = chapters.flatMap((c) => c.rows).filter((r) => r.verdict && r.verdict.word !== 'NOT OURS');
  const list = open.map((r) => `- **${r.id}** (${r.level}): ${r.demand}. ${capital(r.verdict)}`);
  const tables = chapters.map(({ title, rows }) =>
    [
      '',
      `## ${title}`,
      '',
      '| id | level | demand | where | proof |',
      '|---|---|---|---|---|',
      ...rows.map(cells),
    ].join('\n'),
  );
  return `${INTRODUCTION}\n${list.join('\n')}\n${tables.join('\n')}\n`;
}

const capital = (verdict: Row['verdict']): string =>
  verdict ? `${verdict.word.charAt(0)}${verdict.word.slice(1).toLowerCase()}: ${verdict.why}` : '';

function cells(row: Row): string {
  const proof = [
    ...row.proofs.map(({ file, name }) => `${code(file)}: ${name}`),
    ...row.scenarios.map((name) => `lab scenario ${code(name)}`),
    ...(row.verdict ? [capital(row.verdict)] : []),
  ];
  const columns = [row.id, row.level, row.demand, row.sources.map(code).join('<br>'), proof.join('<br>')];
  return `| ${columns.map((c) => c.replaceAll('|', '\\|')).join(' | ')} |`;
}

const code = (text: string): string => `\`${text}\``;
