import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { ControlServer } from '../../src/daemon/control.js';
import { HANDLERS } from '../lib/ctl-rig.js';
import { runProgram } from '../lib/run-program.js';

t.jobs = 2;
const dir = mkdtempSync(join(tmpdir(), 'ctl-'));
t.teardown(() => rmSync(dir, { recursive: true, force: true }));

t.test('no daemon: one sentence, exit status 1', async (t) => {
  const socket = join(dir, 'none.sock');
  for (const command of [['status'], ['sessions', '--json'], ['disconnect', 'alice']]) {
    const { status, stdout, stderr } = await runProgram('ctl', ['-s', socket, ...command]);
    t.strictSame([status, stdout, stderr], [1, '', `lockstep: lockstepd is not running (no answer on ${socket})\n`]);
  }
});

t.test('wrong usage: 2', async (t) => {
  for (const [args, says] of [
    [['sttus'], /^error: unknown command 'sttus'/],
    [['disconnect'], /^error: missing required argument 'target'/],
    [['status', '--yaml'], /^error: unknown option '--yaml'/],
    [[], /^Usage: lockstep/],
  ] as const) {
    const { status, stdout, stderr } = await runProgram('ctl', args);
    t.strictSame([status, stdout], [2, ''], args.join(' '));
    t.match(stderr, says);
  }
  t.equal((await runProgram('ctl', ['--help'])).status, 0);
});

t.test('against a daemon: standard output, no colours into a pipe', async (t) => {
  const server = await ControlServer.open(join(dir, 'c.sock'), HANDLERS);
  t.teardown(() => server.close());
  const shown = await runProgram('ctl', ['-s', join(dir, 'c.sock'), 'status']);
  t.match(shown, { status: 0, stderr: '', stdout: /^lockstepd 1\.2\.3: listening\n/ });
});
