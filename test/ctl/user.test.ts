import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type RunOptions, runCtl, scratch, withDaemon } from '../lib/ctl-rig.js';

const USERS = `# Staff. Ask Ann before you change this.
users:
  # the boss
  alice: {password: "wonderland", address: 10.99.0.50}   # since 2019
  bob:
    # on leave
    password: builder
    disabled: true
  007: {nt_hash: "44ebba8d5312b8d611474411f56989ae"}
  # the end
`;

const SECRETS = /wonderland|builder|44ebba8d|s3cret|another/i;

/** A directory with a configuration and users; the daemon is stopped. */
function make(t: Test, users: string | null = USERS) {
  const dir = scratch(t);
  const write = (name: string, text: string) => writeFileSync(join(dir, name), text, { mode: 0o600 });
  write('psk', 'a shared key of some length\n');
  write('lockstep.yaml', 'ike: {psk_file: psk}\nusers_file: users.yaml\n');
  if (users !== null) write('users.yaml', users);
  const file = join(dir, 'users.yaml');
  const run = async (args: string, options: RunOptions = {}) => {
    const base = ['-c', join(dir, 'lockstep.yaml'), '-s', join(dir, 'none.sock')];
    const ran = await runCtl([...base, 'user', ...args.split(' ')], options);
    t.notMatch(`${ran.out}${ran.err}`, SECRETS, `${args}: no secret is shown`);
    return ran;
  };
  return { dir, file, run, text: () => readFileSync(file, 'utf8') };
}

t.test('list: a table and JSON, without passwords', async (t) => {
  const { run } = make(t);
  t.equal(
    (await run('list')).out,
    [
      'USER   STORED    ADDRESS     SESSIONS  BIT/S',
      '7      nt_hash   pool        -         -',
      'alice  password  10.99.0.50  -         -',
      'bob    password  pool        -         -      disabled',
    ].join('\n'),
  );
  t.match(JSON.parse((await run('list --json')).out), [
    { name: '7', stored: 'nt_hash' },
    { name: 'alice', stored: 'password', address: '10.99.0.50', sessions: null, disabled: false },
    { name: 'bob', disabled: true },
  ]);
  t.equal((await make(t, '').run('list')).out, 'no users');
});

t.test('each change keeps every comment, the order and the mode', async (t) => {
  const { run, text, file, dir } = make(t);
  t.match(await run('add carol --address 10.99.0.51 --limit 2', { typed: ['s3cret'] }), {
    status: 0,
    out: 'carol was added (lockstepd is not running)',
  });
  t.match(await run('add 123 --nt-hash', { typed: ['s3cret'] }), { status: 0 });
  t.match(await run('passwd alice', { typed: ['another', 'another'], typing: true }), { status: 0 });
  t.match(await run('passwd 7', { typed: ['another'] }), { status: 0 });
  t.match(await run('expire alice'), { out: /^alice has an expired password/ });
  t.match((await run('list')).out, /alice .* expired$/m);
  t.match(await run('passwd alice', { typed: ['another'] }), { status: 0 }, 'and it is not expired any more');
  t.match(await run('enable bob'), { out: /^bob may connect/ });
  t.match(await run('disable alice'), { out: /^alice is disabled/ });
  t.match(await run('set-address bob 10.99.0.60'), { out: /^bob gets 10\.99\.0\.60/ });
  t.match(await run('set-address alice none'), { out: /^alice gets an address of the pool/ });
  t.match(await run('limit bob 3'), { out: /^bob has 3 sessions at most/ });
  t.match(await run('limit carol none'), { out: /^carol has the limit of all/ });
  t.match(await run('set-rate carol 5M/20M'), { out: /^carol has 5M\/20M bit\/s at most/ });
  t.match(await run('set-rate bob 512k'), { status: 0 });
  t.match(await run('set-rate alice 1G'), { status: 0 });
  t.match(await run('set-rate alice none'), { out: /^alice has no rate limit/ });
  t.match((await run('list')).out, /carol .* 5000000\/20000000$/m);
  t.equal(
    text(),
    `# Staff. Ask Ann before you change this.
users:
  # the boss
  alice: { password: "another", disabled: true } # since 2019
  bob:
    # on leave
    password: builder
    address: 10.99.0.60
    sessions: 3
    limit: 512000
  7: { password: another }
  carol: { password: s3cret, address: 10.99.0.51, limit: { up: 5000000, down: 20000000 } }
  "123": { nt_hash: ${text().match(/nt_hash: ("?[0-9a-f]{32}"?)/)?.[1]} }
  # the end
`,
  );
  t.equal(statSync(file).mode & 0o777, 0o600);
  t.match(await run('del bob'), { out: /^bob was removed; `lockstep disconnect bob`/ });
  t.notMatch(text(), /bob|builder/);
  t.strictSame(readdirSync(dir).sort(), ['lockstep.yaml', 'psk', 'users.yaml'], 'no draft is left');
});

t.test('a first user, with no file; a file that is a link stays one', async (t) => {
  const { run, text, file } = make(t, null);
  t.match(await run('list'), { status: 2, err: /users\.yaml cannot be read \(no such file\)/ });
  t.match(await run('add alice', { typed: ['s3cret'] }), { status: 0 });
  t.equal(text(), 'users:\n  alice: { password: s3cret }\n');
  t.equal(statSync(file).mode & 0o777, 0o600);
  const real = join(scratch(t), 'real.yaml');
  writeFileSync(real, 'users:\n', { mode: 0o600 });
  const link = join(scratch(t), 'users.yaml');
  symlinkSync(real, link);
  t.match(await runCtl(['-s', `${real}.no`, 'user', 'add', 'bob', '--users', link], { typed: ['s3cret'] }), {
    status: 0,
  });
  t.match(readFileSync(real, 'utf8'), /bob/);
});

t.test(
  'a first file that root writes belongs to who runs the daemon',
  { skip: process.geteuid?.() !== 0 },
  async (t) => {
    const { dir, run, file } = make(t, null);
    mkdirSync(join(dir, 'state'));
    chownSync(join(dir, 'state'), 12_345, 12_346);
    appendFileSync(join(dir, 'lockstep.yaml'), 'state_dir: state\n');
    t.match(await run('add alice', { typed: ['s3cret'] }), { status: 0 });
    t.match(statSync(file), { uid: 12_345, gid: 12_346 });
    chownSync(file, 12_347, 12_348);
    t.match(await run('disable alice'), { status: 0 });
    t.match(statSync(file), { uid: 12_347, gid: 12_348 }, 'one that is there keeps its owner');
  },
);

t.test('bad input: one sentence, 2, and the file is as before', async (t) => {
  const { run, text, file } = make(t);
  for (const [args, says, typed = []] of [
    ['add alice', 'lockstep: alice: is a user already; `lockstep user passwd` changes the password'],
    ['add dora', 'lockstep: no password was given'],
    ['add dora', 'lockstep: no password was given', ['']],
    ['add dora --limit x', 'lockstep: x: is not a number of sessions from 1 to 65535, or none', ['s3cret']],
    ['add dora --limit 0', /users\.dora\.sessions: the value is not a number of sessions/, ['s3cret']],
    ['add dora --address 10.99.0.50', /10\.99\.0\.50 already belongs to alice/, ['s3cret']],
    ['add dora --address 10.99.0.1', /10\.99\.0\.1 is pool\.gateway/, ['s3cret']],
    ['add dora', /not a text; allowed: a text of 1 to 256/, ['s3cret'.repeat(99)]],
    ['add a\u0001b', /is not a user name/, ['s3cret']],
    ['del nobody', `lockstep: nobody: no such user in ${file}`],
    ['set-address bob here', /here is not allowed/],
    ['set-rate bob fast', 'lockstep: fast: is not a rate such as 20M, 512k/2M or none'],
    ['set-rate bob 1/2/3', /is not a rate/],
    ['set-rate bob 5M/', /is not a rate/],
    ['set-rate bob 9999999G', /users\.bob\.limit: the value is not a limit/],
    ['limit bob many', /^lockstep: many: is not a number/],
    ['passwd', /missing required argument 'name'/],
    ['frobnicate', /unknown command/],
  ] as [string, string | RegExp, string[]?][])
    t.match(await run(args, { typed }), { status: 2, out: '', err: says }, args);
  t.match(await run('passwd bob', { typed: ['s3cret', 'typo'], typing: true }), {
    status: 2,
    err: 'lockstep: the two passwords differ',
  });
  t.equal(text(), USERS);
  chmodSync(file, 0o644);
  t.match(await run('disable bob'), { status: 2, err: /has mode 0644/ });
});

t.test(
  'what YAML can say and a change cannot follow: one sentence with file and line, and the file is as before',
  async (t) => {
    for (const [users, line, what] of [
      ['users:\n  alice: &a {password: wonderland}\n  bob: *a\n', 2, 'an anchor of YAML'],
      ['users: &u\n  alice: {password: wonderland}\n', 2, 'an anchor of YAML'],
      ['users:\n  alice: {password: &p wonderland}\n  bob: {password: *p}\n', 2, 'an anchor of YAML'],
      ['%YAML 1.1\n---\nusers:\n  <<: {alice: {password: wonderland}}\n', 4, 'an entry of this kind'],
      ['users:\n  ? [alice]\n  : {password: wonderland}\n', 2, 'an entry of this kind'],
    ] as const) {
      const { run, text, file } = make(t, users);
      for (const args of ['disable alice', 'disable bob', 'del alice', 'add carol'])
        t.match(await run(args, { typed: ['s3cret'] }), {
          status: 2,
          out: '',
          err: `lockstep: ${file}:${line}: ${what} cannot be changed here; allowed: entries written out \`name: {...}\``,
        });
      t.equal(text(), users);
    }
    t.match(
      (await make(t, 'users:\n  alice: wonderland\n').run('disable alice')).err,
      /users\.alice: is not a mapping/,
    );
  },
);

t.test('a running daemon is asked to read the file again; its refusal is no success', async (t) => {
  const { file } = make(t);
  let reloads = 0;
  const run = await withDaemon(t, { reload: () => void reloads++ });
  t.match(await run(['user', 'disable', 'alice', '--users', file]), { status: 0, out: 'alice is disabled' });
  t.strictSame(JSON.parse((await run(['user', 'enable', 'alice', '--users', file, '--json'])).out), {
    file,
    done: 'alice may connect',
    daemon: 'reloaded',
  });
  t.equal(reloads, 2);
  const deaf = await withDaemon(t, {
    reload: async () => {
      throw new Error('lockstep.yaml:1: not now');
    },
  });
  t.match(await deaf(['user', 'disable', 'alice', '--users', file]), {
    status: 1,
    err: `lockstep: ${file} is changed, but lockstepd goes on as before: lockstep.yaml:1: not now`,
    out: '',
  });
  t.ok(existsSync(file));
});
