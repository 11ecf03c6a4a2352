/**
 * lockstep.yaml -> Config. Convict merges defaults, the file and the environment (stronger in that order); what is wrong
 * is a ConfigError of one sentence. Reading secrets happens here too, so that a bad key file is found before anything starts.
 */
import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import convict from 'convict';
import { type Certificates, readCertificates } from './certificates.js';
import { checkConfig, gatewayOf } from './config-check.js';
import { NotAllowed, type PoolRange } from './config-format.js';
import { camel, ENV_LESS, envName, isLeaf, leaves, SCHEMA, type Settings } from './config-schema.js';
import { parseYaml, type YamlFile } from './config-yaml.js';
import { ConfigError, nearest, type Origin, show, whyUnreadable } from './errors.js';
import type { Secret } from './secret.js';
import { readSecret } from './secret-file.js';

type With<T, R> = Omit<T, keyof R> & Readonly<R>;

/** The configuration of one run, complete: paths absolute, secrets read, durations in milliseconds, keys in camelCase. */
export type Config = With<
  Settings,
  {
    /** The file it came from. */
    file: string;
    /** Null: L2TP is served raw only (`listen.raw`), and nothing speaks IPsec. */
    ike: IkeConfig | null;
    pool: { readonly ranges: readonly PoolRange[]; readonly gateway: string };
    l2tp: With<Omit<Settings['l2tp'], 'secretFile'>, { secret: Secret | null }>;
    control: { readonly socket: string };
    origin: OriginOf;
  }
>;

export type IkeConfig = With<
  Omit<Settings['ike'], 'pskFile' | 'certificates'>,
  {
    /** Null: no key for everybody. */
    psk: Secret | null;
    pskRanges: readonly { readonly peers: readonly string[]; readonly psk: Secret }[];
    pskIds: readonly { readonly id: string; readonly psk: Secret }[];
    /** Null: clients have pre-shared keys only. */
    certificates: Certificates | null;
    vici: string;
  }
>;

export const DEFAULT_CONFIG = '/etc/lockstep/lockstep.yaml';

/**
 * Reads, merges, checks. `set` holds what the command line says (`{'log.format': 'json'}`); it beats the environment.
 * @throws ConfigError
 */
export function loadConfig(
  path: string,
  env: NodeJS.ProcessEnv = process.env,
  set: Readonly<Record<string, unknown>> = {},
): Config {
  const file = resolve(path);
  const yaml = parseYaml(file, readText(file));
  refuseUnknown(yaml);

  const merged = convict(convictSchema(), { env, args: [] });
  merged.load(withoutNulls(yaml.value));
  for (const [key, value] of Object.entries(set)) merged.set(key, value);

  const origin = originOf(yaml, env, set);
  const settings = parseLeaves((key) => merged.get(key), origin);
  const wishes = leaves().flatMap(([key]) => (key.startsWith('ike.') && !IKE_PLACES.includes(key) ? [key] : []));
  const ike = Object.hasOwn(yaml.value, 'ike') || wishes.some((key) => given(key, env, set));
  return finish(file, settings, origin, ike);
}

/** They say where charon is, not whether clients have IPsec; the systemd units set them in the environment always. */
const IKE_PLACES = ['ike.charon', 'ike.vici'];

/** Applies each setting's format. */
function parseLeaves(get: (key: string) => unknown, origin: OriginOf): Settings {
  const settings: Record<string, unknown> = {};
  for (const [key, { format }] of leaves()) {
    const steps = key.split('.').map(camel);
    const name = steps.pop()!;
    let section = settings;
    for (const step of steps) {
      section[step] ??= {};
      section = section[step] as Record<string, unknown>;
    }
    try {
      section[name] = format(get(key));
    } catch (e) {
      if (!(e instanceof NotAllowed)) throw e;
      throw new ConfigError(origin(key, e.at), dotted(key, e.at), `${show(e.value)} ${e.why}`, e.allowed);
    }
  }
  return settings as unknown as Settings;
}

/** Derived values, absolute paths, secrets, and the checks between settings. */
function finish(file: string, s: Settings, origin: OriginOf, ikeGiven: boolean): Config {
  const dir = dirname(file);
  const absolute = (p: string): string => (isAbsolute(p) ? p : join(dir, p));
  const secret: Readers['secret'] = (key, path, at = []) => {
    const read = readSecret(absolute(path));
    if (read.ok) return read.secret;
    throw new ConfigError(origin(key, at), dotted(key, at), read.problem, 'a file with one line, mode 0600');
  };
  const { secretFile, ...l2tp } = s.l2tp;
  const runDir = absolute(s.runDir);
  const config: Config = {
    ...s,
    file,
    ike: s.listen.raw !== null && !ikeGiven ? null : ikeConfig(s.ike, runDir, { secret, absolute, origin }),
    pool: { ranges: s.pool.ipv4, gateway: gatewayOf(s.pool, origin) },
    l2tp: { ...l2tp, secret: secretFile === null ? null : secret('l2tp.secret_file', secretFile) },
    control: { socket: s.control.socket ?? join(runDir, 'control.sock') },
    usersFile: absolute(s.usersFile),
    runDir,
    stateDir: absolute(s.stateDir),
    origin,
  };
  checkConfig(config);
  return config;
}

interface Readers {
  readonly secret: (key: string, path: string, at?: readonly (string | number)[]) => Secret;
  readonly absolute: (path: string) => string;
  readonly origin: OriginOf;
}

function ikeConfig(settings: Settings['ike'], runDir: string, { secret, absolute, origin }: Readers): IkeConfig {
  const { pskFile, pskRanges, pskIds, certificates: paths, ...ike } = settings;
  const certificates = {
    ...paths,
    server: paths.server.map(({ cert, key }) => ({ cert: absolute(cert), key: absolute(key) })),
    ca: paths.ca.map(absolute),
    crl: paths.crl.map(absolute),
  };
  return {
    ...ike,
    psk: pskFile === 'none' ? null : secret('ike.psk_file', pskFile),
    pskRanges: pskRanges.map(({ peers, psk_file }, i) => ({
      peers,
      psk: secret('ike.psk_ranges', psk_file, [i, 'psk_file']),
    })),
    pskIds: pskIds.map(({ id, psk_file }, i) => ({ id, psk: secret('ike.psk_ids', psk_file, [i, 'psk_file']) })),
    certificates: readCertificates(certificates, (name, at, problem, allowed) => {
      const key = `ike.certificates.${name}`;
      throw new ConfigError(origin(key, at), dotted(key, at), problem, allowed);
    }),
    vici: ike.vici ?? join(runDir, 'charon.vici'),
  };
}

/** Where a setting (or a part of it) came from: for its own error and for those found later. */
export type OriginOf = (key: string, at?: readonly (string | number)[]) => Origin;

function originOf(yaml: YamlFile, env: NodeJS.ProcessEnv, set: Readonly<Record<string, unknown>>): OriginOf {
  return (key, at = []) => {
    if (Object.hasOwn(set, key)) return { file: 'command line' };
    if (given(key, env, {})) return { file: `environment ${envName(key)}` };
    const line = yaml.line([...key.split('.'), ...at]);
    return line === undefined ? { file: yaml.file } : { file: yaml.file, line };
  };
}

/** Whether the environment or the command line says it. */
const given = (key: string, env: NodeJS.ProcessEnv, set: Readonly<Record<string, unknown>>): boolean =>
  Object.hasOwn(set, key) || (!ENV_LESS.has(key) && env[envName(key)] !== undefined);

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (e) {
    throw new ConfigError({ file }, undefined, `the file cannot be read (${whyUnreadable(e)})`, 'a readable YAML file');
  }
}

/** Every key must be in the schema, and sections must be mappings, before convict merges anything. */
function refuseUnknown(
  yaml: YamlFile,
  node: object = SCHEMA,
  value: Record<string, unknown> = yaml.value,
  at: string[] = [],
): void {
  for (const [name, given] of Object.entries(value)) {
    const here = [...at, name];
    const key = here.join('.');
    const line = yaml.line(here);
    const origin: Origin = line === undefined ? { file: yaml.file } : { file: yaml.file, line };
    const known = Object.hasOwn(node, name) ? (node as Record<string, object>)[name] : undefined;
    if (known === undefined && name.includes('.') && leaves().some(([k]) => k === key))
      throw new ConfigError(origin, key, 'is a key below another one', `${nested(name)}, in one section of that name`);
    if (known === undefined)
      throw new ConfigError(origin, key, 'is an unknown key', suggestion(key, name, Object.keys(node)));
    if (isLeaf(known) || given === null) continue;
    if (typeof given !== 'object' || Array.isArray(given))
      throw new ConfigError(
        origin,
        key,
        `${show(given)} is not a mapping`,
        `the keys ${Object.keys(known).join(', ')}`,
      );
    refuseUnknown(yaml, known, given as Record<string, unknown>, here);
  }
}

/** `a.b` as YAML wants it. */
const nested = (name: string): string => {
  const [first = '', ...rest] = name.split('.');
  return rest.length === 0 ? `${first}: ...` : `${first}: {${nested(rest.join('.'))}}`;
};

function suggestion(key: string, name: string, siblings: string[]): string {
  const elsewhere = leaves().find(([k]) => k.endsWith(`.${name}`))?.[0];
  const meant =
    nearest(name, siblings) ??
    elsewhere ??
    nearest(
      key,
      leaves().map(([k]) => k),
    );
  return meant === undefined ? siblings.join(', ') : `${siblings.join(', ')} (did you mean ${meant}?)`;
}

/** `key:` with nothing after it leaves the default. */
function withoutNulls(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, v]) => v !== null)
      .map(([k, v]) => [
        k,
        typeof v === 'object' && !Array.isArray(v) ? withoutNulls(v as Record<string, unknown>) : v,
      ]),
  );
}

/** The schema as convict wants it. */
function convictSchema(node: object = SCHEMA, prefix = ''): convict.Schema<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(node).map(([name, child]: [string, object]) => {
      const key = `${prefix}${name}`;
      if (!isLeaf(child)) return [name, convictSchema(child, `${key}.`)];
      return [
        name,
        {
          doc: child.doc,
          format: ENV_LESS.has(key) ? WHOLE : `lockstep ${key}`,
          default: child.default,
          ...(ENV_LESS.has(key) ? {} : { env: envName(key) }),
        },
      ];
    }),
  );
}

// Under this name convict takes a mapping whole, and does not look into it for settings.
const WHOLE = 'object';
convict.addFormat({ name: WHOLE, validate: () => {}, coerce: (v: unknown) => v });
// Named formats with a converter of their own keep convict from guessing ("4x" would become 4, "maybe" true).
for (const [key, { format }] of leaves())
  convict.addFormat({ name: `lockstep ${key}`, validate: format, coerce: (v: unknown) => v });

const dotted = (key: string, at: readonly (string | number)[]): string =>
  at.reduce<string>((path, step) => (typeof step === 'number' ? `${path}[${step}]` : `${path}.${step}`), key);
