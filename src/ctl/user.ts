/**
 * `lockstep user`: who may connect. Works on the users file itself, so also while the daemon is stopped; a running one is
 * asked to read it again. Passwords come from a prompt or standard input, never from the command line, where `ps` shows it.
 */
import { loadConfig } from '../daemon/config.js';
import type { User, UserStore } from '../daemon/users.js';
import { type UserChange, UsersFile } from '../daemon/users-edit.js';
import { ntPasswordHash } from '../proto/ppp/mschap.js';
import type { AddCommand, Context } from './program.js';
import { NotRunning, UsageError } from './shell.js';
import { printable, table } from './table.js';

interface Options {
  readonly users?: string;
  readonly json?: boolean;
  readonly ntHash?: boolean;
  readonly address?: string;
  readonly limit?: string;
}

export const addUser: AddCommand = (program, context) => {
  const user = program.command('user').description('who may connect; changes the users file, daemon running or not');
  const command = (spec: string, description: string) =>
    user
      .command(spec)
      .description(description)
      .option('--users <file>', 'this users file, without looking into the configuration')
      .option('--json', 'as JSON');

  command('list', 'names, fixed addresses, limits; no password').action(async (o: Options) => {
    const users = [...open(context, o).file.store].map(shown);
    context.print(o.json === true ? JSON.stringify(users) : usersText(users));
  });
  command('add <name>', 'a new user; asks for the password')
    .option('--address <address>', 'always this address')
    .option('--limit <sessions>', 'sessions at one time')
    .option('--nt-hash', 'store the NT hash only: enough for MS-CHAPv2, not for CHAP-MD5 and PAP')
    .action(async (name: string, o: Options) => {
      const { file, check } = open(context, o, true);
      if (has(file, name))
        throw new UsageError(`${name}: is a user already; \`lockstep user passwd\` changes the password`);
      const more = {
        ...(o.address === undefined ? {} : { address: o.address }),
        ...(o.limit === undefined ? {} : { sessions: limit(o.limit) }),
      };
      file.add(name, { ...stored(await askPassword(context, name), o), ...more });
      await save(context, file, check, o, `${name} was added`);
    });
  command('del <name>', 'take a user out; sessions that are up stay').action(async (name: string, o: Options) => {
    const { file, check } = existing(context, name, o);
    file.remove(name);
    await save(
      context,
      file,
      check,
      o,
      `${name} was removed; \`lockstep disconnect ${name}\` ends sessions that are up`,
    );
  });
  command('passwd <name>', 'another password')
    .option('--nt-hash', 'store the NT hash only')
    .action(async (name: string, o: Options) => {
      const { file, check } = existing(context, name, o);
      file.change(name, {
        password: null,
        nt_hash: null,
        expired: null,
        ...stored(await askPassword(context, name), o),
      });
      await save(context, file, check, o, `${name} has a new password`);
    });
  const change = (spec: string, description: string, of: (value: string) => [UserChange, string]) =>
    command(spec, description).action(async (name: string, value: string | Options, last: Options) => {
      const o = typeof value === 'string' ? last : value;
      const [entry, done] = of(typeof value === 'string' ? value : '');
      const { file, check } = existing(context, name, o);
      file.change(name, entry);
      await save(context, file, check, o, `${name} ${done}`);
    });
  change('disable <name>', 'keep the user, let him in no more', () => [{ disabled: true }, 'is disabled']);
  change('enable <name>', 'the end of disable', () => [{ disabled: null }, 'may connect']);
  change('expire <name>', 'the password lets in no more, but to set a new one: ppp.password_change', () => [
    { expired: true },
    'has an expired password',
  ]);
  change('set-address <name> <address>', 'always this address; `none`: one of the pool', (address) =>
    address === 'none' ? [{ address: null }, 'gets an address of the pool'] : [{ address }, `gets ${address}`],
  );
  change('limit <name> <sessions>', 'sessions at one time; `none`: limits.sessions_per_user', (text) =>
    text === 'none'
      ? [{ sessions: null }, 'has the limit of all']
      : [{ sessions: limit(text) }, `has ${text} sessions at most`],
  );
  change('set-rate <name> <rate>', 'bits per second, such as 20M, or 5M/20M from and to the user; `none`', (text) =>
    text === 'none'
      ? [{ limit: null }, 'has no rate limit']
      : [{ limit: rate(text) }, `has ${text} bit/s at most, in sessions that begin from now on`],
  );
};

/** `20M`: both ways; `5M/20M`: from the user and to him. */
const rate = (text: string): NonNullable<UserChange['limit']> => {
  const [up, down, ...more] = text.split('/').map((part) => {
    const [, digits, unit = ''] = /^(\d{1,12})([kMG]?)$/.exec(part) ?? [];
    return digits === undefined ? undefined : Number(digits) * UNITS[unit as keyof typeof UNITS];
  });
  if (up === undefined || (down === undefined && text.includes('/')) || more.length > 0)
    throw new UsageError(`${text}: is not a rate such as 20M, 512k/2M or none`);
  return down === undefined ? up : { up, down };
};

const UNITS = { '': 1, k: 1e3, M: 1e6, G: 1e9 } as const;

/** The users file, and what the configuration demands of it. */
const open = ({ config }: Context, o: Options, create = false) => {
  if (o.users !== undefined) return { file: UsersFile.open(o.users, { create }), check: () => {} };
  const settings = loadConfig(config());
  const check = (users: UserStore) =>
    users.check(settings, settings.listen.addresses === 'auto' ? [] : settings.listen.addresses);
  return { file: UsersFile.open(settings.usersFile, { create, stateDir: settings.stateDir }), check };
};

const has = (file: UsersFile, name: string): boolean => [...file.store].some((u) => u.name === name);

const existing = (context: Context, name: string, o: Options) => {
  const opened = open(context, o);
  if (!has(opened.file, name)) throw new UsageError(`${name}: no such user in ${opened.file.path}`);
  return opened;
};

const limit = (text: string): number => {
  if (!/^\d{1,5}$/.test(text)) throw new UsageError(`${text}: is not a number of sessions from 1 to 65535, or none`);
  return Number(text);
};

const stored = (password: string, { ntHash }: Options): UserChange =>
  ntHash === true ? { nt_hash: Buffer.from(ntPasswordHash(password)).toString('hex') } : { password };

const askPassword = async ({ readSecret, typing }: Context, name: string): Promise<string> => {
  const password = await readSecret(`Password of ${printable(name)}: `);
  if (password === undefined || password === '') throw new UsageError('no password was given');
  if (typing && (await readSecret('Once more: ')) !== password) throw new UsageError('the two passwords differ');
  return password;
};

const save = async (
  { print, call }: Context,
  file: UsersFile,
  check: (users: UserStore) => void,
  o: Options,
  done: string,
): Promise<void> => {
  file.save(check);
  const daemon = await call('POST', '/reload').then(
    () => 'reloaded',
    (error: Error) => {
      if (error instanceof NotRunning) return 'not running';
      throw new Error(`${file.path} is changed, but lockstepd goes on as before: ${error.message}`);
    },
  );
  print(
    o.json === true
      ? JSON.stringify({ file: file.path, done, daemon })
      : `${done}${daemon === 'reloaded' ? '' : ' (lockstepd is not running)'}`,
  );
};

const shown = (u: User) => ({
  name: u.name,
  stored: u.password === undefined ? 'nt_hash' : 'password',
  address: u.address ?? null,
  sessions: u.sessions ?? null,
  limit: u.limit ?? null,
  disabled: u.disabled,
  expired: u.expired,
});

const usersText = (users: readonly ReturnType<typeof shown>[]): string =>
  users.length === 0
    ? 'no users'
    : table(
        ['USER', 'STORED', 'ADDRESS', 'SESSIONS', 'BIT/S', ''],
        users.map((u) => [
          printable(u.name),
          u.stored,
          u.address ?? 'pool',
          u.sessions === null ? '-' : String(u.sessions),
          u.limit === null ? '-' : `${u.limit.up}/${u.limit.down}`,
          [u.disabled ? 'disabled' : '', u.expired ? 'expired' : ''].filter((s) => s !== '').join(' '),
        ]),
      );
