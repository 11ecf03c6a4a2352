// The real device. This file starts itself again in a fresh network namespace, so that nothing leaks into the machine's own
// network; whoever is not root gets a user namespace as well, which is where the capability then comes from.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MARK = 'TUNTAP2_TEST_NAMESPACE';

if (process.env[MARK] === undefined) {
  const namespaces = process.getuid?.() === 0 ? ['--net'] : ['--user', '--map-root-user', '--net'];
  const self = [process.execPath, ...process.execArgv, fileURLToPath(import.meta.url)];
  const run = spawnSync('unshare', [...namespaces, ...self], {
    stdio: 'inherit',
    env: { ...process.env, [MARK]: '1' },
  });
  if (run.error) throw run.error;
  process.exitCode = run.status ?? 1;
} else {
  await import('./native.cases.js');
}
