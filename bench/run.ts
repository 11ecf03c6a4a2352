// npm run bench -- [NAME...] [--write]: runs benches (all without a NAME), prints their figures; --write appends them to bench/results.md.
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { codec } from './codec.js';
import { controlLatency } from './control.js';
import { full } from './full.js';
import { ipsecTcp } from './ipsec.js';
import type { Bench, Row } from './measure.js';
import { memory } from './memory.js';
import { latency, manySessions, rawSmall, rawTcp, secondGateway } from './raw.js';
import { setup } from './setup.js';
import { setupRate } from './setup-rate.js';
import { share } from './share.js';

const BENCHES: Readonly<Record<string, Bench>> = {
  codec,
  'setup-rate': setupRate,
  'raw-tcp': rawTcp,
  'raw-small': rawSmall,
  'ipsec-tcp': ipsecTcp,
  'many-sessions': manySessions,
  'second-gateway': secondGateway,
  setup,
  memory,
  'full-table': full,
  latency,
  'control-latency': controlLatency,
  share,
};
const RESULTS = new URL('../../bench/results.md', import.meta.url);
const HEAD = `# Bench results

Appended by \`npm run bench -- --write\`. Figures are medians of many rounds with the lowest and the highest; the limit was measured
in turns with the figure, and the ratio is the median of the ratios of the turns. Compare ratios, not figures, between machines.
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { write: { type: 'boolean', default: false } },
});
const names = positionals.length > 0 ? positionals : Object.keys(BENCHES);
const unknown = names.find((name) => !Object.hasOwn(BENCHES, name));
if (unknown !== undefined) {
  console.error(`bench: no bench '${unknown}', there are: ${Object.keys(BENCHES).join(', ')}`);
  process.exit(2);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim();
const changed =
  git('status', '--porcelain', '-uno', '--', ':!bench/results.md') === '' ? '' : ' with uncommitted changes';
const date = new Date().toISOString().slice(0, 16).replace('T', ' ');
/** Without what a distribution or a host adds to it. */
const kernel = release().replace(/^([\d.]+).*/, '$1');
const machine = `${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${cpus().length} cores, Linux ${kernel}, Node ${process.version}`;

const table = (rows: readonly Row[]): string =>
  ['| what | median (lowest-highest) | limit of the same run | ratio |', '|---|---|---|---|']
    .concat(rows.map((r) => `| ${r.what} | ${r.figure} | ${r.limit} | ${r.ratio} |`))
    .join('\n');

for (const name of names) {
  const text = `
## ${name}, ${date} UTC

Commit ${git('rev-parse', '--short', 'HEAD')}${changed}; ${machine}.

${table(await BENCHES[name]!())}
`;
  console.log(text);
  if (!values.write) continue;
  if (!existsSync(RESULTS)) writeFileSync(RESULTS, HEAD);
  appendFileSync(RESULTS, text);
}
