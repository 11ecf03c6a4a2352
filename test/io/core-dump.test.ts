import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { keepMemoryOutOfCores } from '../../src/io/core-dump.js';
import { run } from '../../src/io/run.js';

t.test('no memory in core dumps, of this process and of those it starts (proc(5))', async (t) => {
  t.equal(keepMemoryOutOfCores(), true);
  t.equal(Number.parseInt(readFileSync('/proc/self/coredump_filter', 'utf8'), 16), 0);
  t.equal(Number.parseInt((await run('cat', ['/proc/self/coredump_filter'])).stdout, 16), 0);
  t.equal(keepMemoryOutOfCores(join(t.testdir(), 'none/filter')), false, 'a kernel without');
});
