// The arrows of the house (CONTRIBUTING.md): who may import whom, what must not be called where. Prints file:line for each
// breach and exits 1; files over 400 lines are a note, not an error.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const storey = (path) => /^(src\/(?:wire|proto|io|daemon)|packages\/[^/]+|src)\//.exec(path)?.[1] ?? path;

// For each storey: which other storeys its relative imports may reach, and which modules it may import by name.
const ARROWS = {
  'src/wire': { below: [], modules: [/^node:crypto$/] },
  'src/proto': { below: ['src/wire'], modules: [/^node:crypto$/, /^js-md4$/] },
  'src/io': { below: [], modules: [/^node:/, /^(vici-client|node-tuntap2|l2tp-dataplane)(\/|$)/] },
  'src/daemon': { below: ['src/wire', 'src/proto', 'src/io'], modules: [/./] },
  src: { below: ['src/daemon', 'src/io', 'src/proto', 'src/wire'], modules: [/./] },
  // A package stands alone: Node, itself, and what its own package.json names.
  packages: { below: [], modules: [/^node:/] },
};

// Calls that make a core impure, and the process, which belongs to the two programs.
const FORBIDDEN = [
  {
    where: /^src\/(wire|proto)\//,
    what: /\b(Date\.now|new Date\(|setTimeout|setInterval|setImmediate|Math\.random|process\.\w+|performance\.now|queueMicrotask)/,
    why: 'time and randomness are arguments here',
  },
  {
    where: /^src\/(?!main\.ts$|ctl\.ts$)/,
    what: /\bprocess\.(exit|exitCode|argv|abort)\b|from 'node:process'/,
    why: 'only src/main.ts and src/ctl.ts touch it',
  },
];
const IMPORT = /(?:\bfrom\s+|\bimport\s+|\bimport\s*\(\s*|\brequire\s*\(\s*)'([^']+)'/g;
const LONG = 400;

const files = (dir) =>
  readdirSync(join(root, dir), { recursive: true, encoding: 'utf8' })
    .map((file) => join(dir, file))
    .filter((file) => file.endsWith('.ts') && !/(^|\/)(dist|build|node_modules)\//.test(file));
const sources = [
  ...files('src'),
  ...readdirSync(join(root, 'packages')).flatMap((name) => files(join('packages', name))),
].sort();

const breaches = [];
for (const file of sources) {
  const text = readFileSync(join(root, file), 'utf8');
  const lines = text.split('\n');
  const isPackage = file.startsWith('packages/');
  const isTest = /^packages\/[^/]+\/test\//.test(file);
  const from = storey(file);
  const own = isPackage ? JSON.parse(readFileSync(join(root, from, 'package.json'), 'utf8')) : {};
  const rule = ARROWS[isPackage ? 'packages' : from];
  lines.forEach((line, index) => {
    const breach = (why) => breaches.push(`${file}:${index + 1}: ${why}`);
    for (const [, name] of line.matchAll(IMPORT)) {
      if (name.startsWith('.')) {
        const to = storey(normalize(join(dirname(file), name)));
        if (to !== from && !rule.below.includes(to)) breach(`${from} must not import ${to}`);
      } else if (!rule.modules.some((pattern) => pattern.test(name))) {
        const base = name.split('/')[0];
        const named = isPackage && (base === own.name || base in (own.dependencies ?? {}));
        if (!named && !isTest) breach(`${from} must not import '${name}'`);
      }
    }
    for (const { where, what, why } of FORBIDDEN) {
      const call = where.test(file) ? what.exec(line) : null;
      if (call) breach(`${call[0]}: ${why}`);
    }
  });
  if (lines.length > LONG) console.log(`imports: note: ${relative('.', file)} has ${lines.length} lines`);
}
for (const breach of breaches) console.error(`imports: ${breach}`);
console.log(`imports: ${sources.length} files, ${breaches.length} breaches`);
process.exit(breaches.length > 0 ? 1 : 0);
