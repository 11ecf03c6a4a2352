// The packet code without Node: unit tests and mutated inputs under the address and undefined-behaviour sanitizers, the
// packet thread under the thread sanitizer. Everything is compiled here; nothing of it is in the addon.
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';

const run = promisify(execFile);
const home = fileURLToPath(new URL('../../../../packages/l2tp-dataplane/', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'l2tp-dataplane-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
t.setTimeout(900_000);

const PACKET_CODE = [
  'address',
  'coalesce',
  'forward',
  'icmp',
  'parse',
  'punt',
  'queue',
  'routes',
  'segment',
  'table',
  'upcalls',
];
const FUZZ = ['fuzz/packets', 'fuzz/coalesce', 'fuzz/segment', 'fuzz/queue', 'fuzz/reorder'];
const THREAD = ['socket', 'thread', 'calls'];
const WARNINGS = ['-std=gnu++17', '-Wall', '-Wextra', '-Werror', '-O0', '-g1', '-fno-exceptions', '-pthread'];
const ROUNDS = 300_000;

async function build(
  name: string,
  sanitizers: string,
  tests: readonly string[],
  sources: readonly string[],
  ...options: readonly string[]
): Promise<string> {
  const out = join(directory, name);
  const files = [...tests.map((f) => `${f}.cc`), ...sources.map((f) => `src/${f}.cc`)];
  await run(
    'g++',
    [...WARNINGS, `-fsanitize=${sanitizers}`, '-fno-sanitize-recover=all', ...options, '-o', out, ...files],
    {
      cwd: home,
    },
  );
  return out;
}

// Side by side: compiling is most of the time.
const unit = build(
  'unit',
  'address,undefined',
  ['test/native/unit', 'test/native/merge', 'test/native/queue', 'test/native/drive', ...FUZZ],
  PACKET_CODE,
);
const stress = build('stress', 'thread', ['test/native/stress'], [...PACKET_CODE, ...THREAD]);
const WRAPPED = '-Wl,--wrap=write,--wrap=epoll_wait';
const wake = build('wake', 'address,undefined', ['test/native/wake'], [...PACKET_CODE, ...THREAD], WRAPPED);
const send = build(
  'send',
  'address,undefined',
  ['test/native/send'],
  [...PACKET_CODE, ...THREAD],
  '-Wl,--wrap=sendmmsg,--wrap=setsockopt,--wrap=clock_gettime,--wrap=poll,--wrap=epoll_wait',
);
const sockets = build('sockets', 'address,undefined', ['test/native/sockets'], [...PACKET_CODE, ...THREAD]);

t.test('RFC 2661 §8.1 MUST: UDP checksums are on; the outer DF bit only for probes', async (t) => {
  const namespace = process.getuid?.() === 0 ? '-n' : '-rn';
  const { stdout } = await run('unshare', [namespace, 'sh', '-c', `ip link set lo up && exec ${await sockets}`]);
  t.same(stdout.trim().split('\n'), [
    'ok UDP checksums',
    'ok the outer DF bit',
    'ok two queues',
    'ok traffic classes',
    'ok many sessions',
  ]);
});

t.test('packet code: units, then mutations of test/native/seeds.txt', async (t) => {
  const { stdout } = await run(await unit, ['test/native/seeds.txt', String(ROUNDS)], { cwd: home });
  const done = stdout.trim().split('\n');
  t.equal(done.at(-1), `ok ${ROUNDS} mutated inputs`);
  for (const line of done) t.match(line, /^ok /);
});

t.test('packet thread: floods, changes and ends without a data race', async (t) => {
  // GCC 12's runtime cannot map its shadow under much address randomisation.
  const still = spawnSync('setarch', ['-R', 'true']).status === 0 ? ['setarch', '-R'] : [];
  const namespace = process.getuid?.() === 0 ? ['-n'] : ['-rn'];
  const { stdout } = await run('unshare', [...namespace, ...still, await stress], { timeout: 600_000 });
  t.match(stdout, /^ok \d+ upcalls$/m);
});

t.test('sender: trains of datagrams, refused or not', async (t) => {
  const { stdout } = await run(await send, [], { timeout: 600_000 });
  for (const line of stdout.trim().split('\n')) t.match(line, /^ok /);
});

t.test('packet thread: sleeps after a wakeup that came too late', async (t) => {
  const { stdout } = await run(await wake, [], { timeout: 600_000 });
  t.match(stdout, /^ok asleep after \d+ turns$/m);
});
