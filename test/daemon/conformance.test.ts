import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { conformance, sentences } from '../lib/conformance.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** The demands there are: a row that is gone is missed. */
const DEMANDS = {
  rfc3193: `2.1-a 2.1-b 2.1-c 2.1-d 2.2-a 3.1-a 3.1-b 3.1-c 3.1-d 3.2-a 3.2-b 3.3-a 3.3-b 4-a 4-b 4-c 4.2-a 5.1-a 5.2-a`,
  rfc2661: `3.1-a 3.1-b 3.1-c 3.1-d 4.1-a 4.1-b 4.1-c 4.2-a 4.3-a 4.3-b 4.4.1-a 4.4.1-b 4.4.2-a 4.4.2-b 4.4.2-c 4.4.2-d
    4.4.3-a 4.4.3-b 4.4.3-c 4.4.3-d 4.4.3-e 4.4.3-f 4.4.3-g 4.4.3-h 4.4.3-i 4.4.4-a 4.4.4-b 4.4.4-c 4.4.5-a 4.4.6-a
    5.0-a 5.1.1-a 5.1.1-b 5.3-a 5.3-b 5.4-a 5.6-a 5.7-a 5.8-a 5.8-b 5.8-c 5.8-d 5.8-e 5.8-f 5.8-g 5.8-h 5.8-i 5.8-j
    6.0-a 6.1-a 6.4-a 6.5-a 6.5-b 6.9-a 6.12-a 6.14-a 7.1-a 7.1-b 7.2.1-a 7.2.1-b 7.4.2-a 7.5-a 7.6-a 8.1-a 8.1-b
    8.1-c 8.1-d 8.2-a 9.1-a 9.5-a`,
};

/** Sentences of RFC 2661 with MUST, SHOULD and the like. */
const SENTENCES = 150;

t.test('every demand of RFC 3193 and RFC 2661 names files and tests that are there', async (t) => {
  const { problems, ids } = conformance(root);
  t.strictSame(problems, []);
  t.strictSame(
    ids,
    Object.entries(DEMANDS).flatMap(([rfc, list]) => list.split(/\s+/).map((id) => `${rfc}/${id}`)),
  );
});

t.test('every sentence of RFC 2661 with MUST, SHOULD and the like is of a demand, or says why not', async (t) => {
  const { count, problems } = sentences(root, conformance(root).levels);
  t.strictSame(problems, []);
  t.equal(count, SENTENCES);
});

t.test('docs/conformance.md is fresh: run `npm run docs`', async (t) => {
  t.equal(readFileSync(`${root}docs/conformance.md`, 'utf8'), conformance(root).markdown);
});

t.test('what is gone or proves nothing is found', async (t) => {
  const row = 'rfc2661/1-a MUST be so\n';
  const file = 'test/daemon/conformance.test.ts';
  const rows: [string, RegExp][] = [
    [row, /neither proven/],
    [`${row}  src/none.ts\n  ${file} :: what is gone or proves nothing is found\n`, /src\/none\.ts is gone/],
    [`${row}  ${file}\n  ${file} :: no such title\n`, /has no test 'no such title'/],
    [`${row}  ${file}\n  test/none.test.ts :: x\n`, /test\/none\.test\.ts is gone/],
    [`${row}  lab none\n  NOT MET: why\n`, /lab scenario none is gone/],
    [`${row}  ${file} :: x\n  NOT MET: why\n`, /and yet with a test/],
    [`${row}  NOT MET: why\n${row}  NOT MET: why\n`, /twice/],
    ['rfc2661/1-a maybe so\n', /test\/conformance\.txt:2: not understood/],
    [`${row}  two words\n`, /not understood/],
  ];
  for (const [text, problem] of rows) t.match(conformance(root, `== x\n${text}`).problems, [problem], text);
});

t.test('a sentence without a demand, and a demand without a sentence, are found', async (t) => {
  const levels = new Map([
    ['rfc2661/1-a', 'MUST'],
    ['rfc2661/1-b', 'MAY'],
    ['rfc3193/1-a', 'MUST'],
  ]);
  const line = '1 | This MUST be | 1-a\n';
  const texts: [string, string[]][] = [
    [line, []],
    [`${line}1.1 Host Name | It MUST be | 1-a 1-b\n1.2 | A LAC MUST | LAC: it dials\n`, []],
    ['1 | This MUST be | LAC: it dials\n', ['rfc2661/1-a: no sentence says it']],
    [`# why\n\n${line}1 | That MUST be | \n`, ['test/rfc2661-sentences.txt:4: not understood']],
    [`${line}1 | That MUST be | nobody\n`, ['test/rfc2661-sentences.txt:2: not understood']],
    [`${line}${line}`, ['1: This MUST be is there twice']],
    [`${line}1 | That MUST be | 1-c\n`, ['rfc2661/1-c is no demand']],
  ];
  for (const [text, problems] of texts) t.strictSame(sentences(root, levels, text).problems, problems, text);
});
