import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { keepMemoryOutOfCores } from '../../src/io/core-dump.js';
import { run } from '../../src/io/run.js';

const MODULE = new URL('../../src/io/core-dump.js', import.meta.url).href;

/** What a process that keeps a secret leaves when it aborts; undefined when this machine hands cores to a program. */
function coreOf(dir: string, begin: string): Buffer | undefined {
  const secret = `globalThis.secret = ['needle', 'in', 'the', 'heap'].join('-')`;
  const script = `import { keepMemoryOutOfCores } from '${MODULE}'; ${begin}; ${secret}; process.abort()`;
  const shell = 'ulimit -c unlimited; exec "$0" --input-type=module -e "$1"';
  spawnSync('sh', ['-c', shell, process.execPath, script], { cwd: dir });
  const [file] = readdirSync(dir).filter((name) => name.startsWith('core'));
  if (file === undefined) return undefined;
  const core = readFileSync(join(dir, file));
  rmSync(join(dir, file));
  return core;
}

t.test('no memory in core dumps, of this process and of those it starts (proc(5))', async (t) => {
  t.equal(keepMemoryOutOfCores(), true);
  t.equal(Number.parseInt(readFileSync('/proc/self/coredump_filter', 'utf8'), 16), 0);
  t.equal(Number.parseInt((await run('cat', ['/proc/self/coredump_filter'])).stdout, 16), 0);
  t.equal(keepMemoryOutOfCores(join(t.testdir(), 'none/filter')), false, 'a kernel without');
});

t.test('a process that aborts', async (t) => {
  const dir = t.testdir();
  // This one's children have its filter, and the default is wanted for the comparison.
  const without = coreOf(dir, `(await import('node:fs')).writeFileSync('/proc/self/coredump_filter', '0x33')`);
  if (without === undefined) {
    t.comment('not looked at: core dumps are off here, or go to a program');
    return;
  }
  t.ok(without.includes('needle-in-the-heap'), 'a core has what the process knew');
  const kept = coreOf(dir, 'keepMemoryOutOfCores()');
  t.equal(kept?.includes('needle-in-the-heap'), false, 'unless it was kept out');
});
