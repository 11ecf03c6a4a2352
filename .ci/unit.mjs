// Runs the unit tests on compiled JavaScript, in two suites: wire and proto under tap's full-coverage gate; everything that
// touches the system without it. Counts assertions. --totals FILE: appends "PASSED FAILED" for the caller.
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

process.chdir(join(dirname(fileURLToPath(import.meta.url)), '..'));

// From the sources, not from dist: a test that was deleted or renamed leaves its compiled file behind.
const tests = (dir, out) =>
  readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => join(out, file.replace(/\.ts$/, '.js')))
    .sort();
const all = [
  ...tests('test', 'dist/test'),
  ...readdirSync('packages').flatMap((name) => tests(join('packages', name), join('dist/packages', name))),
].filter((file) => !file.includes('node_modules'));

// tap counts coverage of loaded files only: a test that loads every module makes code that no test reaches count as missed.
const LOAD_ALL = 'dist/test/proto/every-module.test.js';
const modules = ['wire', 'proto'].flatMap((storey) =>
  readdirSync(`src/${storey}`, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
    .map((file) => `await import('../../src/${storey}/${file.replace(/\.ts$/, '.js')}');`),
);
mkdirSync(dirname(LOAD_ALL), { recursive: true });
writeFileSync(LOAD_ALL, `import t from 'tap';\n${modules.join('\n')}\nt.pass('every module loads');\n`);
all.push(LOAD_ALL);
const pure = (file) => /^dist\/test\/(wire|proto)\//.test(file);

const SUITES = [
  { name: 'wire and proto', files: all.filter(pure), options: ['--coverage-map=.ci/coverage-map.mjs'], gate: true },
  { name: 'io, daemon, packages', files: all.filter((file) => !pure(file)), options: ['--disable-coverage'] },
];

let passed = 0;
let failed = 0;
for (const { name, files, options, gate } of SUITES) {
  if (files.length === 0) continue;
  mkdirSync('.tap', { recursive: true });
  const began = Date.now();
  // tap's own limit of 30 s a file is a timing assertion on a loaded machine; this one is for a test that hangs.
  const tap = [
    'node_modules/.bin/tap',
    '--timeout=240',
    '--reporter=silent',
    '--output-file=.tap/unit.tap',
    ...options,
    ...files,
  ];
  const run = spawnSync(process.execPath, tap, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  const output = readFileSync('.tap/unit.tap', 'utf8');
  const totals = /^# \{ total: (\d+)(?:, pass: (\d+))?(?:, fail: (\d+))?/m.exec(output);
  const ok = Number(totals?.[2] ?? 0);
  let bad = Number(totals?.[3] ?? 0);
  for (const failure of output.matchAll(/^ *not ok .*(?:\n *---\n[\s\S]*?\n *\.\.\.)?/gm)) console.log(failure[0]);
  if (run.status !== 0 && bad === 0) {
    // Every assertion held and tap still says no: coverage is incomplete, or a test did not run.
    console.log(run.stdout.trim());
    if (gate) console.log('unit: the coverage gate of src/wire and src/proto is 100 %');
    bad = 1;
  }
  passed += ok;
  failed += bad;
  console.log(
    `unit: ${name}: ${files.length} files, ${ok} passed, ${bad} failed, ${Math.round((Date.now() - began) / 1000)} s`,
  );
}
const at = process.argv.indexOf('--totals');
if (at > 0) appendFileSync(process.argv[at + 1], `${passed} ${failed}\n`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
