import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { conformance } from '../lib/conformance.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));

t.test('every demand of RFC 3193 and RFC 2661 names files and tests that are there', async (t) => {
  t.strictSame(conformance(root).problems, []);
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
