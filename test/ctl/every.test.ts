import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import t, { type Test } from 'tap';
import { buildProgram } from '../../src/ctl/program.js';
import { processShell } from '../../src/ctl/shell.js';
import { type Ran, type RunOptions, runCtl, scratch, withDaemon } from '../lib/ctl-rig.js';

/**
 * Every command, run in each of the ways a person or a script meets it. What each prints is tested in its own file; this is
 * that none is forgotten.
 */
interface Row {
  /** A run that succeeds. */
  readonly args: string;
  readonly options?: RunOptions;
  /** A run with a mistake in it, and the sentence. */
  readonly bad: readonly [args: string, says: RegExp];
  /** The one secret it is there to hand on. */
  readonly shares?: string;
  /** Without a daemon it does the same; otherwise it says that there is none. */
  readonly alone?: true;
  /** What it found on this machine may be its failure. */
  readonly verdict?: RegExp;
}

const SECRETS = ['wonderland', 'a good password', 'a shared key', 'fixtureShared', 'fixture-Pass'];
const OLD = fileURLToPath(new URL('../../../test/vectors/import/hwdsl2', import.meta.url));
const typed = { typing: true, typed: ['a good password', 'a good password'] };
const ROWS: Readonly<Record<string, Row>> = {
  status: { args: '', bad: ['much', /too many arguments/] },
  sessions: { args: '', bad: ['--watch 0', /--watch: 0 is not a number/] },
  session: { args: '9', bad: ['', /missing required argument 'id'/] },
  disconnect: { args: 'alice', bad: ['', /missing required argument 'target'/] },
  pool: { args: '', bad: ['10.0.0.1', /too many arguments/] },
  drain: { args: '--keep', bad: ['--timeout x', /--timeout: x is not/] },
  trace: { args: '', bad: ['--limit 0', /--limit: 0 is not/] },
  'user add': { args: 'carol', options: typed, bad: ['', /missing required argument 'name'/], alone: true },
  'user del': { args: 'alice', bad: ['zoe', /zoe/], alone: true },
  'user passwd': { args: 'alice', options: typed, bad: ['zoe', /zoe/], alone: true },
  'user list': { args: '', bad: ['alice', /too many arguments/], alone: true },
  'user disable': { args: 'alice', bad: ['zoe', /zoe/], alone: true },
  'user enable': { args: 'alice', bad: ['zoe', /zoe/], alone: true },
  'user expire': { args: 'alice', bad: ['zoe', /zoe/], alone: true },
  'user set-address': { args: 'alice 10.99.0.9', bad: ['alice here', /here/], alone: true },
  'user set-rate': { args: 'alice 1M', bad: ['alice fast', /fast/], alone: true },
  'user limit': { args: 'alice 2', bad: ['alice many', /many/], alone: true },
  doctor: { args: '', bad: ['now', /too many arguments/], alone: true, verdict: /^lockstep: .*fail/ },
  'config check': { args: '', bad: ['--loudly', /unknown option/], alone: true },
  'config explain': {
    args: 'pool',
    bad: ['pool.ipv', /pool\.ipv: no such setting \(did you mean pool\.ipv4\?\)/],
    alone: true,
  },
  'import xl2tpd': {
    args: `${OLD}/etc/xl2tpd/xl2tpd.conf --root ${OLD} --out new`,
    bad: ['/nowhere --out new', /nowhere: the file cannot be read/],
    alone: true,
  },
  'import chap-secrets': {
    args: `${OLD}/etc/ppp/chap-secrets --out new`,
    bad: ['/nowhere --out new', /the file cannot be read/],
    alone: true,
  },
  'import ipsec.secrets': {
    args: `${OLD}/etc/ipsec.secrets --out new`,
    bad: ['/nowhere --out new', /the file cannot be read/],
    alone: true,
  },
  profile: {
    args: 'alice --for linux --server vpn.example.com',
    bad: ['zoe --for linux', /no such user/],
    alone: true,
    shares: 'a shared key',
  },
  version: { args: '', bad: ['--loudly', /unknown option/], alone: true },
};

const leafCommands = (command: Command, path = ''): string[] =>
  command.commands.length === 0
    ? [path.trim()]
    : command.commands.flatMap((child) => leafCommands(child, `${path} ${child.name()}`));

/** A configuration with one user; what runs a command with it, in a directory of its own. */
const place = (t: Test) => {
  const dir = scratch(t);
  const write = (name: string, text: string, mode = 0o600) => {
    writeFileSync(join(dir, name), text, { mode });
    chmodSync(join(dir, name), mode);
  };
  mkdirSync(join(dir, 'state'));
  write('psk', 'a shared key\n');
  write('users.yaml', 'users:\n  alice: {password: wonderland}\n');
  write('lockstep.yaml', 'pool: {ipv4: 10.99.0.0/24}\nrun_dir: run\nstate_dir: state\n', 0o644);
  return (args: string) => [
    '-c',
    join(dir, 'lockstep.yaml'),
    ...args.replace('--out new', `--out ${dir}/new`).split(' ').filter(Boolean),
  ];
};

t.test('the table has every command', async (t) => {
  const known = leafCommands(buildProgram(processShell('1')));
  t.strictSame([...known].sort(), Object.keys(ROWS).sort());
});

for (const [name, row] of Object.entries(ROWS)) {
  t.test(name, async (t) => {
    const good = `${name} ${row.args}`;
    const succeeded = (t: Test, { status, err }: Ran) => {
      if (status === 1 && row.verdict) t.match(err, row.verdict);
      else t.strictSame([status, err], [0, '']);
    };
    await t.test('for people and as JSON', async (t) => {
      const run = await withDaemon(t);
      const text = await run(place(t)(good), row.options);
      succeeded(t, text);
      t.throws(() => JSON.parse(text.out), 'people get no JSON');
      const json = await run(place(t)(`${good} --json`), row.options);
      succeeded(t, json);
      for (const line of json.out.split('\n')) t.ok(typeof JSON.parse(line) === 'object', 'one JSON value per line');
      const told = SECRETS.filter((secret) => secret !== row.shares && (text.out + json.out).includes(secret));
      t.strictSame(told, [], 'no secret');
    });
    await t.test('bad input: status 2, one sentence, nothing printed', async (t) => {
      const run = await withDaemon(t);
      const { status, out, err } = await run(place(t)(`${name} ${row.bad[0]}`), row.options);
      t.strictSame([status, out], [2, '']);
      t.match(err, row.bad[1]);
      t.notOk(err.includes('\n    at '), 'no stack');
      t.equal((await run(place(t)(`${name} --frobnicate`))).status, 2, 'an unknown option');
    });
    await t.test('a stopped daemon', async (t) => {
      const socket = join(scratch(t), 'none.sock');
      const ran = await runCtl(['-s', socket, ...place(t)(good)], row.options);
      if (row.alone) succeeded(t, ran);
      else t.strictSame([ran.status, ran.err], [1, `lockstep: lockstepd is not running (no answer on ${socket})`]);
    });
  });
}
