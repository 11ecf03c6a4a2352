import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { runProgram } from '../lib/run-program.js';

t.jobs = 2;

/** The files of a configuration, with one line more. */
function files(t: Test, line = '', users = 'users: {alice: {password: wonderland}}'): string {
  const dir = t.testdir({});
  const write = (name: string, text: string, mode = 0o600) => writeFileSync(join(dir, name), text, { mode });
  write('psk', 'a shared key\n');
  write('users.yaml', users);
  write(
    'lockstep.yaml',
    `pool: {ipv4: 10.99.0.0/24}\nlisten: {addresses: auto}\nrun_dir: run\nstate_dir: state\n${line}`,
    0o644,
  );
  return join(dir, 'lockstep.yaml');
}

/** Exit status 2, nothing on standard output, and one sentence that says all. */
async function refused(t: Test, args: string[], sentence: RegExp): Promise<void> {
  const { status, stdout, stderr } = await runProgram('main', args);
  t.equal(status, 2, 'a restart changes nothing');
  t.equal(stdout, '');
  t.match(stderr, sentence);
  t.equal(stderr.trimEnd().split('\n').length, 1, 'one sentence');
  t.notMatch(stderr, /wonderland|a shared key|\n {4}at /);
}

t.test('--check: fine', async (t) => {
  const path = files(t);
  const { status, stdout, stderr } = await runProgram('main', ['--check', '-c', path]);
  t.strictSame([status, stderr], [0, '']);
  t.match(stdout, /lockstep.yaml: no mistake in it; users: 1\n$/);
  t.strictSame(readdirSync(join(path, '..')).sort(), ['lockstep.yaml', 'psk', 'users.yaml'], 'and nothing was made');
});

t.test('--check: what is wrong, in one sentence', async (t) => {
  await t.test('a value', async (t) => {
    const path = files(t, 'limits: {sessions: many}\n');
    await refused(t, ['--check', '-c', path], /lockstep\.yaml:5: limits\.sessions: many .*; allowed: /);
  });
  await t.test('an unknown key', async (t) => {
    await refused(t, ['--check', '-c', files(t, 'loging: {}\n')], /lockstep\.yaml:5: loging: .*allowed: /);
  });
  await t.test('a user', async (t) => {
    await refused(
      t,
      ['--check', '-c', files(t, '', 'users: {alice: {pasword: wonderland}}')],
      /users\.yaml:1: users\.alice/,
    );
  });
  await t.test('no such file: nothing is written for a check', async (t) => {
    const path = join(t.testdir({}), 'lockstep.yaml');
    await refused(t, ['--check', '-c', path], /lockstep\.yaml: the file cannot be read \(no such file\)/);
    t.strictSame(readdirSync(join(path, '..')), []);
  });
  await t.test('a directory', async (t) => {
    await refused(t, ['-c', t.testdir({})], /cannot be read \(it is a directory\)/);
  });
});

t.test('the command line', async (t) => {
  await refused(t, ['--frobnicate'], /^error: unknown option '--frobnicate'/);
  await refused(t, ['start'], /^error: too many arguments/);
  await refused(t, ['--check', '-c', files(t), '--log-level', 'loud'], /log\.level: loud/);
  const { status, stdout } = await runProgram('main', ['--version']);
  t.strictSame([status, stdout], [0, `${JSON.parse(readFileSync('package.json', 'utf8')).version}\n`]);
});

t.test('--init: secrets in files of their own, shown once', async (t) => {
  const path = join(t.testdir({}), 'etc/lockstep.yaml');
  const first = await runProgram('main', ['--init', '-c', path]);
  t.strictSame([first.status, first.stderr], [0, '']);
  const made = readdirSync(join(path, '..')).sort();
  t.strictSame(made, ['lockstep.yaml', 'psk', 'users.yaml']);
  for (const name of made) t.equal(statSync(join(path, '..', name)).mode & 0o777, 0o600, name);
  const psk = readFileSync(join(path, '../psk'), 'utf8').trim();
  t.ok(first.stdout.includes(psk), 'the key to type into a client');
  const second = await runProgram('main', ['--init', '-c', path]);
  t.equal(second.status, 0);
  t.match(second.stdout, /is there already: nothing was changed/);
  t.notOk(second.stdout.includes(psk));
});

t.test('--clean and --prepare-ike, which root runs, write no configuration', async (t) => {
  const path = join(t.testdir({}), 'etc/lockstep.yaml');
  for (const option of ['--clean', '--prepare-ike'])
    await refused(t, [option, '-c', path], /lockstep\.yaml: the file cannot be read \(no such file\)/);
  t.strictSame(readdirSync(join(path, '../..')), []);
});

t.test('without its native addons it says so, leaves with 1, and nothing is left', async (t) => {
  const path = files(t);
  const hook = join(t.testdirName, 'no-addons.cjs');
  writeFileSync(
    hook,
    `const Module = require('node:module');
     const resolve = Module._resolveFilename;
     Module._resolveFilename = function (request, ...rest) {
       if (!request.endsWith('.node')) return resolve.call(this, request, ...rest);
       throw Object.assign(new Error('Cannot find module ' + request + '\\nRequire stack: ...'), { code: 'MODULE_NOT_FOUND' });
     };`,
  );
  const { status, stdout, stderr } = await runProgram('main', ['-c', path, '--log-format', 'json'], ['-r', hook]);
  t.strictSame([status, stderr], [1, '']);
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((l) => JSON.parse(l) as { event: string; problem?: string });
  t.match(lines, [{ event: 'gateway.failed', problem: /the native addon is not built: / }]);
  t.notMatch(lines.at(0)?.problem, /\n/);
  t.notOk(readdirSync(join(path, '..')).includes('run'), 'no control socket');
});
