// Builds the native addons with node-gyp against the headers of the Node that runs this script: no install script, no download.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const nodedir = join(dirname(process.execPath), '..');
if (!existsSync(join(nodedir, 'include/node/node_api.h'))) {
  console.error(
    `build-native: ${nodedir}/include/node/node_api.h is missing: install the headers of Node ${process.version} (Debian: libnode-dev)`,
  );
  process.exit(1);
}
const gyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
for (const addon of process.argv.slice(2).length > 0
  ? process.argv.slice(2)
  : ['node-tuntap2', 'l2tp-dataplane', 'sd-notify']) {
  const run = spawnSync(process.execPath, [gyp, 'rebuild', '--silent', `--nodedir=${nodedir}`, '--jobs=2'], {
    cwd: join(root, 'packages', addon),
    stdio: 'inherit',
  });
  if (run.status !== 0) process.exit(run.status ?? 1);
}
