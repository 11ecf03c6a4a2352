/**
 * `lockstep profile`: the ready thing for a user's device. The key goes into the file, and from there never onto a command
 * line: a process list shows those.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ipaddr from 'ipaddr.js';
import type { ServerCertificate } from '../daemon/certificates.js';
import { type Config, type IkeConfig, loadConfig } from '../daemon/config.js';
import { type Interfaces, outsideAddresses } from '../daemon/config-check.js';
import { whyUnreadable } from '../daemon/errors.js';
import { type User, UserStore } from '../daemon/users.js';
import { apple } from './profile/apple.js';
import { chromeos } from './profile/chromeos.js';
import type { Fields, Profile } from './profile/fields.js';
import { linux } from './profile/linux.js';
import { page } from './profile/page.js';
import { routeros } from './profile/routeros.js';
import { windows } from './profile/windows.js';
import type { AddCommand, Context } from './program.js';
import { UsageError } from './shell.js';
import { printable } from './table.js';

interface Options {
  readonly for: string;
  readonly server?: string;
  readonly name?: string;
  readonly out?: string;
  readonly route?: readonly string[];
  readonly split?: boolean;
  readonly behindNat?: boolean;
  readonly withPassword?: boolean;
  readonly identity?: string;
  readonly sign: boolean;
  readonly json?: boolean;
}

const KINDS: Readonly<Record<string, (fields: Fields) => Profile>> = {
  windows,
  apple,
  android: page,
  chromeos,
  linux,
  routeros,
};
const kinds = Object.keys(KINDS).join(', ');

export const addProfile: AddCommand = (program, context) => {
  program
    .command('profile <user>')
    .description('the ready settings for a user: a script, a profile or a page; it holds the pre-shared key')
    .requiredOption('--for <client>', kinds)
    .option('--server <name>', 'what clients dial; the listen address when there is one only')
    .option('--name <text>', 'what the connection is called on the client')
    .option('-o, --out <file>', 'write here, mode 0600, instead of to standard output')
    .option('--split', 'only the networks of `routes` go through the tunnel')
    .option('--route <network>', 'only this network goes through the tunnel; may be repeated', collect)
    .option(
      '--behind-nat',
      'the gateway is behind NAT; assumed when its IPv4 listen addresses are private and --server is another',
    )
    .option('--identity <id>', 'with the key of this identity of ike.psk_ids')
    .option('--with-password', "put the user's password in, too")
    .option('--no-sign', 'apple: leave the profile unsigned, though there is a server certificate')
    .option('--json', 'the fields as JSON')
    .action((user: string, o: Options) => make(context, user, o));
};

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

function make(context: Context, name: string, o: Options): void {
  const kind = Object.hasOwn(KINDS, o.for) ? KINDS[o.for] : undefined;
  if (kind === undefined) throw new UsageError(`--for ${printable(o.for)}: is not one of ${kinds}`);
  const config = loadConfig(context.config());
  const fields = fieldsOf(config, name, o, listenOf(config, context.interfaces()));
  if (o.json === true) return context.print(JSON.stringify(fields));
  const profile = kind(fields);
  const signer = o.for === 'apple' && o.sign ? config.ike?.certificates?.server[0] : undefined;
  if (o.out === undefined) {
    if (signer !== undefined) throw new UsageError('a signed profile is binary: use --out, or --no-sign');
    return context.print(profile.text.trimEnd());
  }
  save(o.out, signer === undefined ? profile.text : signed(profile.text, signer));
  context.print(
    [
      `${o.out}: settings of ${printable(name)} for ${o.for}; it holds a key`,
      ...profile.steps.map((s) => `- ${s}`),
    ].join('\n'),
  );
}

function fieldsOf(config: Config, name: string, o: Options, listen: readonly string[]): Fields {
  const { ike, usersFile } = config;
  if (ike === null) throw new UsageError('the gateway serves L2TP without IPsec: native clients cannot use it');
  const user = UserStore.load(usersFile).find(name);
  if (user === undefined) throw new UsageError(`${printable(name)}: no such user in ${usersFile}`);
  if (/\p{Cc}/u.test(user.name)) throw new UsageError('a user name with control characters cannot be in a profile');
  const server = serverOf(o, listen);
  const { psk, group } = keyOf(ike, o);
  const password = o.withPassword === true ? passwordOf(user) : undefined;
  const routes = o.route ?? (o.split === true ? config.routes : []);
  if (o.split === true && routes.length === 0)
    throw new UsageError('--split: `routes` of the configuration is empty; name the networks with --route');
  for (const route of routes) requireNetwork(route);
  return {
    name: text('--name', o.name ?? `VPN ${server}`),
    server,
    user: user.name,
    ...(password === undefined ? {} : { password }),
    psk,
    ...(group === undefined ? {} : { group }),
    routes,
    behindNat: o.behindNat ?? (!listen.includes(server) && isPrivateOnly(listen)),
  };
}

/** Where we listen; with `auto`, on the host where this runs. */
function listenOf(config: Config, interfaces: Interfaces): readonly string[] {
  const { addresses, raw } = config.listen;
  if (addresses !== 'auto') return addresses;
  return outsideAddresses(config, interfaces)
    .filter((a) => a.on !== raw?.interface)
    .map((a) => a.address);
}

function serverOf({ server }: Options, listen: readonly string[]): string {
  if (server === undefined) {
    if (listen.length !== 1)
      throw new UsageError('--server: say what clients dial; `listen.addresses` is not one address');
    return listen[0]!;
  }
  if (isIP(server) === 0 && !/^(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?$/.test(server))
    throw new UsageError(`--server ${printable(server)}: is neither a host name nor an address`);
  return server;
}

function keyOf({ psk, pskIds }: IkeConfig, { identity }: Options): { psk: string; group?: string } {
  if (identity !== undefined) {
    const found = pskIds.find(({ id }) => id === identity);
    if (found === undefined) throw new UsageError(`--identity ${printable(identity)}: is not in ike.psk_ids`);
    return { psk: found.psk.reveal(), group: identity };
  }
  if (psk === null)
    throw new UsageError(
      '`ike.psk_file` is none: there is no key for everybody; choose one of ike.psk_ids with --identity',
    );
  return { psk: psk.reveal() };
}

function passwordOf({ name, password }: User): string {
  if (password === undefined) throw new UsageError(`--with-password: of ${printable(name)} there is only the NT hash`);
  return password.reveal();
}

function requireNetwork(route: string): void {
  const [, address, length] = /^([0-9.]+)\/(\d{1,2})$/.exec(route) ?? [];
  if (address === undefined || isIP(address) !== 4 || Number(length) > 32)
    throw new UsageError(`--route ${printable(route)}: is not an IPv4 network such as 10.20.0.0/16`);
}

function text(option: string, value: string): string {
  if (value === '' || value.length > 100 || /\p{Cc}/u.test(value))
    throw new UsageError(`${option}: is not a name of 1 to 100 printable characters`);
  return value;
}

/** RFC 1918, RFC 6598. A public IPv6 address beside them is not what Windows dials through a NAT of IPv4. */
function isPrivateOnly(addresses: readonly string[]): boolean {
  const ranges = addresses.filter((a) => isIP(a) === 4).map((a) => ipaddr.IPv4.parse(a).range());
  return ranges.length > 0 && ranges.every((range) => range === 'private' || range === 'carrierGradeNat');
}

function save(path: string, data: string | Uint8Array): void {
  try {
    rmSync(path, { force: true });
    writeFileSync(path, data, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw new Error(`${path} cannot be written (${whyUnreadable(error)})`);
  }
}

/** As CMS (RFC 5652), so that the device can show whose profile it is. */
function signed(profile: string, { cert, chain, key }: ServerCertificate): Buffer {
  const dir = mkdtempSync(join(tmpdir(), 'lockstep-'));
  const file = (name: string, data: string): string => {
    writeFileSync(join(dir, name), data, { mode: 0o600 });
    return join(dir, name);
  };
  try {
    const who = ['-signer', file('cert', cert), '-inkey', file('key', key.reveal())];
    const more = chain.length > 0 ? ['-certfile', file('chain', chain.join('\n'))] : [];
    return execFileSync('openssl', ['cms', '-sign', '-binary', '-nodetach', '-outform', 'DER', ...who, ...more], {
      input: profile,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  } catch (error) {
    const { code, stderr } = error as { code?: string; stderr?: Buffer };
    const said = stderr?.toString().trim().split('\n')[0];
    const why = code === 'ENOENT' ? 'openssl is not installed' : (said ?? String(error));
    throw new Error(`the profile cannot be signed (${why}); --no-sign leaves it unsigned`);
  } finally {
    rmSync(dir, { recursive: true });
  }
}
