// The native data plane over real sockets: real-cell.ts in a fresh network namespace. Needs root, or user namespaces.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const source = here('../../../../packages/l2tp-dataplane/test/native/rig.cc');
const directory = mkdtempSync(join(tmpdir(), 'l2tp-dataplane-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
const rig = join(directory, 'rig');
execFileSync('g++', ['-O1', '-Wall', '-Wextra', '-Werror', '-o', rig, source]);

const namespace = process.getuid?.() === 0 ? ['-n'] : ['-rn'];
const inside = [rig, '--tun', 'tun0', '2', process.execPath, '--enable-source-maps', here('./real-cell.js')];
t.setTimeout(120_000);
await t.spawn('unshare', [...namespace, ...inside], { timeout: 120_000 }, 'in a network namespace');
