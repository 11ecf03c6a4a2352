/**
 * The local users: users.yaml -> UserStore. A store never changes; a reload loads a new one, and a file with a mistake
 * leaves the old one in force. RFC 2759 §8.3 (NT hash), RFC 1994 and RFC 1334 (which need the cleartext).
 */
import { ipv4ToNumber } from '../proto/aaa/address.js';
import { ntPasswordHash } from '../proto/ppp/mschap.js';
import type { Config } from './config.js';
import { excludedAddresses } from './config-check.js';
import { ip, list, NotAllowed, network4 } from './config-format.js';
import { parseYaml, type YamlFile } from './config-yaml.js';
import { ConfigError, nearest, type Origin, show } from './errors.js';
import { Secret } from './secret.js';
import { readSecretFile } from './secret-file.js';
import { splitTunnelProblem } from './split-tunnel.js';

export interface Limit {
  readonly up: number;
  readonly down: number;
}

export interface User {
  /** As written in the file, whatever spelling the client used. */
  readonly name: string;
  /** Cleartext; absent when the file has only the NT hash, and then PAP and CHAP-MD5 cannot be checked. */
  readonly password?: Secret;
  /** MD4 of the UTF-16LE password, 16 octets (RFC 2759 §8.3). */
  readonly ntHash: Secret<Uint8Array>;
  /** Always this IPv4 address. */
  readonly address?: string;
  readonly disabled: boolean;
  /** The password no longer lets in, but to set a new one where that is allowed. */
  readonly expired: boolean;
  /** Bits per second of IP packets, from and to the user, in each session; 0 = no limit. */
  readonly limit?: Limit;
  /** Networks of a split tunnel, instead of dhcp.routes. */
  readonly routes?: readonly string[];
  /** Sessions at one time, instead of limits.sessions_per_user. */
  readonly sessions?: number;
}

export class UserStore {
  readonly file: string;
  readonly #users: ReadonlyMap<string, User>;
  readonly #origins: ReadonlyMap<string, Origin>;

  private constructor(file: string, users: ReadonlyMap<string, User>, origins: ReadonlyMap<string, Origin>) {
    this.file = file;
    this.#users = users;
    this.#origins = origins;
  }

  /** @throws ConfigError: unreadable, readable by others, not YAML, or a user that makes no sense */
  static load(path: string): UserStore {
    const file = readSecretFile(path, MAX_USERS_FILE);
    if (!file.ok)
      throw new ConfigError({ file: path }, undefined, file.problem, 'a file with mode 0600, of at most 4 MiB');
    return UserStore.parse(path, file.text);
  }

  /** The same from a text; `path` is for errors only. @throws ConfigError */
  static parse(path: string, text: string): UserStore {
    return UserStore.of(parseYaml(path, text));
  }

  /** @throws ConfigError */
  static of(yaml: YamlFile): UserStore {
    for (const key of Object.keys(yaml.value))
      if (key !== 'users') throw new ConfigError(origin(yaml, [key]), key, 'is an unknown key', 'users');
    const entries = yaml.value.users ?? {};
    if (typeof entries !== 'object' || Array.isArray(entries))
      throw new ConfigError(
        origin(yaml, ['users']),
        'users',
        'is not a mapping',
        'a line `name: {password: ...}` per user',
      );
    const users = new Map<string, User>();
    const origins = new Map<string, Origin>();
    const addresses = new Map<string, string>();
    for (const [name, entry] of Object.entries(entries)) {
      const user = parseUser(yaml, name, entry);
      const twin = user.address === undefined ? undefined : addresses.get(user.address);
      if (twin !== undefined)
        throw new ConfigError(
          origin(yaml, ['users', name, 'address']),
          `users.${name}.address`,
          `${user.address} already belongs to ${twin}`,
          'an address of its own',
        );
      if (user.address !== undefined) addresses.set(user.address, name);
      users.set(name, user);
      for (const key of ['address', 'routes']) origins.set(`${name}.${key}`, origin(yaml, ['users', name, key]));
    }
    return new UserStore(yaml.file, users, origins);
  }

  get size(): number {
    return this.#users.size;
  }

  [Symbol.iterator](): IterableIterator<User> {
    return this.#users.values();
  }

  /** The user a client means: the exact name first; else without the domain or realm, where `realms` allows. */
  find(name: string, realms: Realms = 'any'): User | undefined {
    for (const candidate of spellings(name, realms)) {
      const user = this.#users.get(candidate);
      if (user !== undefined) return user;
    }
    return undefined;
  }

  /** The same with one user changed. */
  with(user: User): UserStore {
    return new UserStore(this.file, new Map(this.#users).set(user.name, user), this.#origins);
  }

  /** The same with a user's new password; whoever is here no more stays out. */
  withPasswordOf({ name, ntHash, password }: User): UserStore {
    const here = this.#users.get(name);
    if (here === undefined) return this;
    const { password: _, ...rest } = here;
    return this.with({ ...rest, expired: false, ntHash, ...(password === undefined ? {} : { password }) });
  }

  /** user -> fixed address, as AddressPool takes them. */
  *fixedAddresses(): IterableIterator<[user: string, address: string]> {
    for (const { name, address } of this) if (address !== undefined) yield [name, address];
  }

  /** The fixed ones. */
  get addresses(): string[] {
    return [...this.fixedAddresses()].map(([, address]) => address);
  }

  /** Fixed addresses must not be ours, nor split tunnels lead where nobody gets. @throws ConfigError naming the line of the users file */
  check(config: Config, listen: readonly string[] = []): void {
    const taken = new Set([...excludedAddresses(config), ...listen]);
    for (const [name, address] of this.fixedAddresses())
      if (taken.has(address))
        throw new ConfigError(
          this.#origins.get(`${name}.address`)!,
          `users.${name}.address`,
          `${address} is ${address === config.pool.gateway ? 'pool.gateway' : 'reserved'}`,
          'an address that is neither the gateway, nor where this host listens, nor the first or last of a pool network',
        );
    for (const { name, routes = [] } of this) {
      const wrong = splitTunnelProblem(routes, config.routes);
      if (wrong !== undefined)
        throw new ConfigError(
          this.#origins.get(`${name}.routes`)!,
          `users.${name}.routes`,
          wrong.problem,
          wrong.allowed,
        );
    }
  }
}

/** Domains and realms that may be taken off a name. */
export type Realms = 'any' | readonly string[];

/** `DOMAIN\\user@realm`, `user@realm`, `DOMAIN\\user`, `user`: what is before the first backslash, behind the last `@`. */
function* spellings(name: string, realms: Realms): Generator<string> {
  const allowed = (realm: string): boolean =>
    realms === 'any' || realms.some((r) => r.toLowerCase() === realm.toLowerCase());
  yield name;
  const backslash = name.indexOf('\\');
  const domain = backslash !== -1 && allowed(name.slice(0, backslash));
  const local = domain ? name.slice(backslash + 1) : name;
  if (domain) yield local;
  const at = local.lastIndexOf('@');
  if (at === -1 || !allowed(local.slice(at + 1))) return;
  yield local.slice(0, at);
}

function parseUser(yaml: YamlFile, name: string, entry: unknown): User {
  const path = ['users', name];
  const fail = (key: string | undefined, problem: string, allowed: string): never => {
    const at = key === undefined ? path : [...path, key];
    throw new ConfigError(origin(yaml, at), at.join('.'), problem, allowed);
  };
  if (name === '' || Buffer.byteLength(name) > 256 || /\p{Cc}/u.test(name))
    fail(undefined, 'is not a user name', '1 to 256 bytes without control characters');
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry))
    return fail(
      undefined,
      'is not a mapping',
      `{password: ...} or {nt_hash: ...}, with ${KEYS.slice(2).join(', ')} if wanted`,
    );

  const fields = entry as Record<string, unknown>;
  for (const key of Object.keys(fields)) {
    const meant = nearest(key, KEYS);
    if (!KEYS.includes(key))
      fail(key, 'is an unknown key', KEYS.join(', ') + (meant === undefined ? '' : ` (did you mean ${meant}?)`));
  }
  const { password, nt_hash, address, disabled = false, expired = false, sessions, limit, routes } = fields;
  if ((password === undefined) === (nt_hash === undefined))
    fail(undefined, password === undefined ? 'has no password' : 'has two passwords', 'either password or nt_hash');
  if (password !== undefined && !(typeof password === 'string' && isPassword(password)))
    fail(
      'password',
      'the value (not shown) is not a text',
      'a text of 1 to 256 characters without control characters; quote it when it looks like a number',
    );
  // YAML reads 32 decimal digits as a number: ask for quotes rather than guess.
  if (nt_hash !== undefined && (typeof nt_hash !== 'string' || !/^[0-9a-fA-F]{32}$/.test(nt_hash)))
    fail('nt_hash', 'the value (not shown) is not an NT hash', '32 hexadecimal digits in quotes');
  if (typeof disabled !== 'boolean') fail('disabled', 'the value is not a truth value', 'true or false');
  if (typeof expired !== 'boolean') fail('expired', 'the value is not a truth value', 'true or false');

  if (
    sessions !== undefined &&
    !(Number.isInteger(sessions) && (sessions as number) >= 1 && (sessions as number) <= 65_535)
  )
    fail('sessions', 'the value is not a number of sessions', 'a whole number from 1 to 65535');

  const clear = password as string | undefined;
  return {
    name,
    ...(clear === undefined ? {} : { password: new Secret(clear) }),
    ntHash: new Secret<Uint8Array>(
      clear === undefined ? Uint8Array.from(Buffer.from(nt_hash as string, 'hex')) : ntPasswordHash(clear),
    ),
    ...(address === undefined
      ? {}
      : { address: parseAddress(address, (problem, allowed) => fail('address', problem, allowed)) }),
    disabled: disabled as boolean,
    expired: expired as boolean,
    ...(sessions === undefined ? {} : { sessions: sessions as number }),
    ...(routes === undefined
      ? {}
      : { routes: parseRoutes(routes, (problem, allowed) => fail('routes', problem, allowed)) }),
    ...(limit === undefined ? {} : { limit: parseLimit(limit, (problem, allowed) => fail('limit', problem, allowed)) }),
  };
}

/** What a file, a profile and a person can all hold: no control characters, no half of a surrogate pair. */
export const isPassword = (text: string): boolean => text !== '' && text.length <= 256 && !/[\p{Cc}\p{Cs}]/u.test(text);

/** One number for both ways, or one for each. */
function parseLimit(raw: unknown, fail: (problem: string, allowed: string) => never): Limit {
  const rate = (value: unknown): value is number =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_LIMIT;
  if (rate(raw)) return { up: raw, down: raw };
  const {
    up = 0,
    down = 0,
    ...rest
  } = (typeof raw === 'object' && raw !== null ? raw : { none: raw }) as Record<string, unknown>;
  if (rate(up) && rate(down) && Object.keys(rest).length === 0) return { up, down };
  return fail(
    'the value is not a limit',
    `bits per second, a whole number from 0 (no limit) to ${MAX_LIMIT}, or {up: ..., down: ...} with one each`,
  );
}

function parseRoutes(raw: unknown, fail: (problem: string, allowed: string) => never): readonly string[] {
  try {
    return NETWORKS(raw);
  } catch (e) {
    if (e instanceof NotAllowed) return fail(`${show(e.value)} ${e.why}`, e.allowed);
    throw e;
  }
}

function parseAddress(raw: unknown, fail: (problem: string, allowed: string) => never): string {
  try {
    const address = ip(4)(raw);
    const last = ipv4ToNumber(address)! & 0xff;
    return last === 0xff || last === 0
      ? fail(`${address} looks like a network or broadcast address`, ip(4).allowed)
      : address;
  } catch (e) {
    if (e instanceof NotAllowed) return fail(`${String(raw)} is not allowed`, e.allowed);
    throw e;
  }
}

function origin(yaml: YamlFile, path: readonly string[]): Origin {
  const line = yaml.line(path);
  return line === undefined ? { file: yaml.file } : { file: yaml.file, line };
}

const KEYS = ['password', 'nt_hash', 'address', 'disabled', 'expired', 'sessions', 'limit', 'routes'];
const NETWORKS = list(network4);
const MAX_LIMIT = 1_000_000_000_000;
/* Implementation */ export const MAX_USERS_FILE = 4 * 1024 * 1024;
