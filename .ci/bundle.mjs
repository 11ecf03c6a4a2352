// bundle.mjs DIR [--bare]: the installed program, from the compiled one: both commands as one JavaScript file each, the addons,
// and the files they read, at the places they have in the checkout; unless --bare, man pages, completion and the licences of
// what is bundled.
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { completion, manPages } from './man.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const [dir = join(root, 'build/bundle')] = process.argv.slice(2).filter((a) => a !== '--bare');
const out = resolve(dir);
const ADDONS = { 'node-tuntap2': 'tuntap2', 'l2tp-dataplane': 'l2tp_dataplane', 'sd-notify': 'sd_notify' };

const copy = (path) => {
  mkdirSync(dirname(join(out, path)), { recursive: true });
  cpSync(join(root, path), join(out, path));
};

// Our modules find addons and templates from their own place: each keeps the URL it would have, seen from the bundle.
const keepPlaces = (entry) => ({
  name: 'keep-places',
  setup: (b) =>
    b.onLoad({ filter: /\.js$/ }, ({ path }) => {
      if (path.includes('/node_modules/')) return undefined;
      const place = JSON.stringify(relative(dirname(join(root, entry)), path));
      const text = readFileSync(path, 'utf8').replaceAll('import.meta.url', `new URL(${place}, import.meta.url).href`);
      return { contents: text.replace(/^#!.*\n/, ''), loader: 'js' };
    }),
});

const used = new Set();
for (const entry of ['dist/src/main.js', 'dist/src/ctl.js']) {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile: join(out, entry),
    bundle: true,
    platform: 'node',
    target: 'node18.19',
    format: 'esm',
    metafile: true,
    legalComments: 'none',
    logLevel: 'warning',
    plugins: [keepPlaces(entry)],
    // CommonJS modules inside call require for Node's own.
    banner: {
      js: "#!/usr/bin/env node\nimport { createRequire as bundledRequire } from 'node:module';\nconst require = bundledRequire(import.meta.url);",
    },
  });
  chmodSync(join(out, entry), 0o755);
  for (const input of Object.keys(metafile.inputs)) {
    const [, name] = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input) ?? [];
    if (name !== undefined) used.add(name);
  }
}

const { name, version, license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const manifest = { name, version, license, type: 'module', engines: { node: '>=18.19' } };
writeFileSync(join(out, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
copy('ipsec/strongswan.conf');
for (const file of ['page.js', 'plot.js']) copy(`dist/src/page/${file}`);
for (const file of ['index.html', 'page.css']) copy(`src/page/${file}`);
for (const [addon, file] of Object.entries(ADDONS)) copy(`packages/${addon}/build/Release/${file}.node`);
if (process.argv.includes('--bare')) process.exit();

const licences = [...used].sort().map((module) => {
  const dir = join(root, 'node_modules', module);
  const { version, license } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'));
  if (!/^(MIT|ISC|BSD-[23]-Clause|Apache-2\.0)$/.test(license)) throw new Error(`${module}: licence ${license}`);
  const text = readdirSync(dir).filter((f) => /^licen[cs]e/i.test(f));
  return [`${module} ${version} (${license})`, ...text.map((f) => readFileSync(join(dir, f), 'utf8').trim())].join(
    '\n\n',
  );
});
mkdirSync(join(out, 'share'), { recursive: true });
writeFileSync(join(out, 'share/third-party-licences.txt'), `${licences.join(`\n\n${'-'.repeat(72)}\n\n`)}\n`);

const commands = { lockstepd: join(root, 'dist/src/main.js'), lockstep: join(root, 'dist/src/ctl.js') };
if (!existsSync(commands.lockstep)) throw new Error('compile first: npm run build');
const daemon = (module) => import(pathToFileURL(join(root, `dist/src/daemon/${module}.js`)));
const { leaves, envName, ENV_LESS: envLess } = await daemon('config-schema');
const { USERS: users } = await daemon('config-doc');
const pages = manPages({ commands, version, leaves: leaves(), envName, envLess, users });
for (const [file, text] of Object.entries(pages)) writeFileSync(join(out, 'share', file), text);
for (const command of Object.keys(commands)) {
  mkdirSync(join(out, 'share/completions'), { recursive: true });
  writeFileSync(join(out, 'share/completions', command), completion(command, commands[command]));
}
