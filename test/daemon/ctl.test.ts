import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { ControlServer } from '../../src/daemon/control.js';
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

t.test('what the daemon says', async (t) => {
  const status = {
    state: 'closed',
    reason: 'charon ended',
    version: '1',
    listen: [],
    tunnels: 0,
    sessions: 0,
    drops: {},
  };
  const server = await ControlServer.open(join(dir, 'c.sock'), {
    status: () => ({ ...status, state: 'closed' }),
    sessions: () => [],
    disconnect: (target) => (target === 'alice' ? 1 : 0),
  });
  t.teardown(() => server.close());
  const run = (...args: string[]) => runProgram('ctl', ['-s', join(dir, 'c.sock'), ...args]);
  const shown = await run('status', '--json');
  t.strictSame([shown.status, JSON.parse(shown.stdout)], [0, status]);
  t.match((await run('status')).stdout, /charon ended/);
  t.match(await run('disconnect', 'alice'), { status: 0, stdout: '1 session disconnected\n' });
  t.match(await run('disconnect', 'bob'), {
    status: 1,
    stderr: 'lockstep: bob: no such user, address or session is connected\n',
  });
});
