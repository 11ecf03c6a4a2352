// Writes the generated documentation from the compiled sources (npm run docs). test/daemon/docs.test.ts and
// conformance.test.ts fail when it is stale.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { causesTable } from '../dist/src/daemon/advice.js';
import { describe } from '../dist/src/daemon/config-doc.js';
import { configYaml } from '../dist/src/daemon/first-run.js';
import { conformance } from '../dist/test/lib/conformance.js';

const write = (path, text) => writeFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), text);

write('docs/config.md', describe());
const page = 'docs/troubleshooting.md';
const text = readFileSync(fileURLToPath(new URL(`../${page}`, import.meta.url)), 'utf8');
write(
  page,
  text.replace(/(<!-- causes[^\n]*\n\n)[\s\S]*?(\n\n<!-- end -->)/, (_, head, tail) => head + causesTable() + tail),
);
write('etc/lockstep.yaml', configYaml());
write('docs/conformance.md', conformance(fileURLToPath(new URL('../', import.meta.url))).markdown);
