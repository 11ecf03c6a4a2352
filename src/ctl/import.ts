/**
 * `lockstep import`: a first configuration from an xl2tpd gateway's files. Nothing is overwritten without --force, nothing is
 * written that lockstepd would not take, and what could not be carried over is listed.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { loadConfig } from '../daemon/config.js';
import { ConfigError, whyUnreadable } from '../daemon/errors.js';
import { passOn, passOnReadOnly } from '../daemon/ownership.js';
import { UserStore } from '../daemon/users.js';
import {
  type ImportedPsk,
  type ImportedSettings,
  type ImportedUser,
  type Note,
  readChapSecrets,
  readIpsecConf,
  readIpsecSecrets,
  readPppOptions,
  readXl2tpd,
  type Source,
} from './import-read.js';
import type { AddCommand, Context } from './program.js';
import { UsageError } from './shell.js';
import { printable } from './table.js';

interface Options {
  readonly out?: string;
  readonly root: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

const SECRETS = '/etc/ppp/chap-secrets';
const KEYS = '/etc/ipsec.secrets';
const CONFIG = 'lockstep.yaml';

export const addImport: AddCommand = (program, context) => {
  const group = program.command('import').description('take over users, keys and settings of an xl2tpd gateway');
  const command = (name: string, file: string, description: string, gather: (path: string, o: Options) => Gathered) =>
    group
      .command(`${name} [path]`)
      .description(`${description}; ${file} when no path is given`)
      .option('--out <directory>', "where to write; the configuration's directory when absent")
      .option('--root <directory>', 'the other files are looked for below this', '/')
      .option('--force', 'overwrite what is there')
      .option('--json', 'as JSON')
      .action((path: string | undefined, o: Options) => carry(context, gather(path ?? join(o.root, file), o), o));
  command(
    'xl2tpd',
    '/etc/xl2tpd/xl2tpd.conf',
    'everything: xl2tpd.conf, PPP options, chap-secrets, ipsec files',
    everything,
  );
  command('chap-secrets', SECRETS, 'the users only', (path) => {
    const notes: Note[] = [];
    return { notes, users: readChapSecrets(read(path), notes) };
  });
  command('ipsec.secrets', KEYS, 'the pre-shared key only', (path) => {
    const notes: Note[] = [];
    return { notes, psks: readIpsecSecrets(read(path), notes) };
  });
};

interface Gathered {
  readonly notes: Note[];
  readonly settings?: ImportedSettings;
  readonly users?: readonly ImportedUser[];
  readonly psks?: readonly ImportedPsk[];
}

const everything = (path: string, { root }: Options): Gathered => {
  const notes: Note[] = [];
  const { settings, pppOptions } = readXl2tpd(read(path), notes);
  const optional = <T>(file: string, take: (source: Source) => T): T | undefined => {
    const at = join(root, file);
    if (existsSync(at)) return take(read(at));
    notes.push({ where: at, text: 'not there' });
    return undefined;
  };
  return {
    notes,
    settings: {
      ...settings,
      ...(pppOptions === undefined ? {} : optional(pppOptions, (s) => readPppOptions(s, notes))),
      ...optional('/etc/ipsec.conf', (s) => readIpsecConf(s, notes)),
    },
    users: optional(SECRETS, (s) => readChapSecrets(s, notes)) ?? [],
    psks: optional(KEYS, (s) => readIpsecSecrets(s, notes)) ?? [],
  };
};

const read = (file: string): Source => {
  try {
    return { file, text: readFileSync(file, 'utf8') };
  } catch (error) {
    const why = `the file cannot be read (${whyUnreadable(error)})`;
    throw new ConfigError({ file }, undefined, why, 'a readable file; `lockstep import --help`');
  }
};

const carry = ({ print, config }: Context, gathered: Gathered, o: Options): void => {
  const out = resolve(o.out ?? dirname(config()));
  const files = texts(gathered);
  if (Object.keys(files).length === 0) throw new UsageError('nothing was found that could be taken over');
  const there = Object.keys(files).filter((name) => existsSync(join(out, name)));
  if (there.length > 0 && o.force !== true)
    throw new UsageError(`${there.map((name) => join(out, name)).join(', ')}: is there already; --force overwrites`);
  install(out, files, config());
  const written = Object.keys(files).map((name) => join(out, name));
  const { users = [], notes } = gathered;
  if (o.json === true) return print(JSON.stringify({ written, users: users.map((u) => u.name), notes }));
  const left = notes.map(({ where, text }) => `  ${where}: ${printable(text)}`);
  print(
    [
      `written: ${written.join(', ')}`,
      ...(users.length > 0 ? [`users: ${users.length}`] : []),
      ...(left.length > 0 ? ['not carried over, or worth a look:', ...left] : []),
    ].join('\n'),
  );
};

/** File name -> text; the configuration last, as it is what makes the others count. */
const texts = ({ settings, users = [], psks = [], notes }: Gathered): Record<string, string> => {
  const files: Record<string, string> = {};
  const [psk, ...more] = psks.filter((p) => p.peers.length === 0);
  const ranges = psks.filter((p) => p.peers.length > 0);
  for (const _ of more) notes.push({ where: 'ipsec.secrets', text: 'a second key for everybody: the first counts' });
  if (psk !== undefined) files.psk = `${psk.psk}\n`;
  ranges.forEach((range, i) => {
    files[`psk.${i + 1}`] = `${range.psk}\n`;
  });
  if (users.length > 0) {
    const entry = ({ password, address }: ImportedUser) => ({
      password,
      ...(address === undefined ? {} : { address }),
    });
    files['users.yaml'] = stringify(
      { users: Object.fromEntries(users.map((u) => [u.name, entry(u)])) },
      { lineWidth: 0 },
    );
  }
  if (settings === undefined) {
    for (const [i, { peers }] of ranges.entries())
      notes.push({ where: `psk.${i + 1}`, text: `name it in \`ike.psk_ranges\`, for the peers [${peers.join(', ')}]` });
    return files;
  }
  if (psks.length === 0)
    throw new UsageError(`no pre-shared key was found in ${KEYS}: nobody could connect, and nothing was written`);
  const nested: Record<string, unknown> = {
    ike: { psk_file: psk === undefined ? 'none' : 'psk' },
    users_file: 'users.yaml',
  };
  const all: ImportedSettings = { ...settings };
  if (ranges.length > 0) all['ike.psk_ranges'] = ranges.map((r, i) => ({ peers: r.peers, psk_file: `psk.${i + 1}` }));
  for (const [key, value] of Object.entries(all)) {
    const [section, name] = key.split('.') as [string, string?];
    if (name === undefined) nested[section] = value;
    else nested[section] = { ...(nested[section] as object | undefined), [name]: value };
  }
  return {
    ...files,
    [CONFIG]: `# Taken over by \`lockstep import xl2tpd\`.\n${stringify(nested, { lineWidth: 0 })}`,
  };
};

/** All of it is tried beside its place before any of it takes its place. */
const install = (out: string, files: Readonly<Record<string, string>>, config: string): void => {
  let draft: string | undefined;
  try {
    mkdirSync(out, { recursive: true, mode: 0o700 });
    draft = mkdtempSync(join(out, '.import-'));
    chmodSync(draft, 0o700);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(draft, name), text, { mode: 0o600 });
    const stateDir = verify(draft, files) ?? stateDirOf(config);
    for (const name of Object.keys(files))
      (name === CONFIG ? passOnReadOnly : passOn)(join(draft, name), join(out, name), stateDir);
    for (const name of Object.keys(files)) renameSync(join(draft, name), join(out, name));
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(
      { file: out },
      undefined,
      `cannot be written (${whyUnreadable(error)})`,
      'a directory you may write',
    );
  } finally {
    if (draft !== undefined) rmSync(draft, { recursive: true, force: true });
  }
};

/** The state directory of the configuration, when there is one among the files. @throws ConfigError */
const verify = (dir: string, files: Readonly<Record<string, string>>): string | undefined => {
  const users = files['users.yaml'] === undefined ? undefined : UserStore.parse('users.yaml', files['users.yaml']);
  if (files[CONFIG] === undefined) return undefined;
  const config = loadConfig(join(dir, CONFIG), {});
  users?.check(config);
  return config.stateDir;
};

const stateDirOf = (config: string): string | undefined => {
  try {
    return loadConfig(config).stateDir;
  } catch {
    return undefined; // users or a key alone, before there is a configuration that loads
  }
};
