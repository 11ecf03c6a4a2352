/**
 * Changes to users.yaml that keep its comments and its order. A change is written whole or not at all, mode 0600, with the
 * owner the file had (a new one: the daemon's), and only when what comes out is a file lockstepd would take.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type Document, isAlias, isMap, isNode, isScalar, type Pair, visit, type YAMLMap } from 'yaml';
import { ntPasswordHash } from '../proto/ppp/mschap.js';
import { parseYaml, type YamlFile } from './config-yaml.js';
import { ConfigError, whyUnreadable } from './errors.js';
import { passOn } from './ownership.js';
import { Secret } from './secret.js';
import { readSecretFile } from './secret-file.js';
import { MAX_USERS_FILE, type User, UserStore } from './users.js';

/**
 * Another password, no longer expired, in the file and in the store, in the form the user had: cleartext or NT hash. Edits of
 * others that were not taken over yet stay so. @throws ConfigError when the file cannot be written
 */
export function storePassword(store: UserStore, user: User, password: string, stateDir: string): UserStore {
  const file = UsersFile.open(store.file, { stateDir });
  const hash = ntPasswordHash(password);
  const clear = user.password !== undefined;
  file.change(user.name, { expired: null, ...(clear ? { password } : { nt_hash: Buffer.from(hash).toString('hex') }) });
  file.save();
  const changed = { ...user, expired: false, ntHash: new Secret(hash) };
  return store.with(clear ? { ...changed, password: new Secret(password) } : changed);
}

/** What a user's entry is to hold; null takes a key out. */
export interface UserChange {
  readonly password?: string | null;
  readonly nt_hash?: string | null;
  readonly address?: string | null;
  readonly disabled?: true | null;
  readonly expired?: true | null;
  readonly sessions?: number | null;
  readonly limit?: number | { readonly up: number; readonly down: number } | null;
}

export class UsersFile {
  readonly path: string;
  readonly #before: string;
  readonly #doc: Document;
  readonly #stateDir: string | undefined;

  private constructor(path: string, before: string, doc: Document, stateDir: string | undefined) {
    this.path = path;
    this.#before = before;
    this.#doc = doc;
    this.#stateDir = stateDir;
  }

  /** @throws ConfigError when there is none (unless it may be made), it has a mistake already, or holds what cannot be edited */
  static open(path: string, { create = false, stateDir }: { create?: boolean; stateDir?: string } = {}): UsersFile {
    const text = create && !exists(path) ? '' : read(path);
    const yaml = parseYaml(path, text);
    refuseUneditable(yaml, new Set([...UserStore.of(yaml)].map((u) => u.name)));
    return new UsersFile(path, text, yaml.doc, stateDir);
  }

  /** The users as they would be loaded now. */
  get store(): UserStore {
    return UserStore.parse(this.path, this.#text());
  }

  add(name: string, change: UserChange): void {
    const node = this.#doc.createNode({}) as YAMLMap;
    node.flow = true;
    this.#users().items.push(this.#doc.createPair(name, node) as Pair<unknown, unknown> as never);
    this.change(name, change);
  }

  change(name: string, change: UserChange): void {
    const entry = this.#pair(name)?.value as YAMLMap;
    for (const [key, value] of Object.entries(change)) {
      if (value === null) entry.delete(key);
      else entry.set(key, typeof value === 'object' ? flow(this.#doc.createNode(value)) : value);
    }
  }

  remove(name: string): void {
    const users = this.#users();
    users.items = users.items.filter((pair) => nameOf(pair) !== name);
  }

  /** @throws ConfigError when the result makes no sense, or the file cannot be written or was changed meanwhile */
  save(check: (users: UserStore) => void = () => {}): void {
    const text = this.#text();
    check(UserStore.parse(this.path, text));
    const there = exists(this.path);
    if (there && read(this.path) !== this.#before)
      throw new ConfigError({ file: this.path }, undefined, 'somebody else changed the file meanwhile', 'another try');
    try {
      replace(there ? realpathSync(this.path) : this.path, text, this.#stateDir);
    } catch (error) {
      const why = `the file cannot be written (${whyUnreadable(error)})`;
      throw new ConfigError({ file: this.path }, undefined, why, 'a directory you may write');
    }
  }

  #text(): string {
    return this.#doc.contents === null ? this.#before : this.#doc.toString({ lineWidth: 0 });
  }

  #users(): YAMLMap {
    const users = this.#doc.get('users');
    if (isMap(users)) return users as YAMLMap;
    this.#doc.set('users', this.#doc.createNode({}));
    return this.#doc.get('users') as YAMLMap;
  }

  #pair(name: string): Pair | undefined {
    return this.#users().items.find((pair) => nameOf(pair) === name);
  }
}

/**
 * The daemon reads more than can be changed in place: a change at an anchor would be one at each of its aliases, and a
 * merged user has no entry of his own.
 */
const refuseUneditable = ({ file, doc, lineOf }: YamlFile, names: ReadonlySet<string>): void => {
  const refuse = (node: unknown, what: string): never => {
    throw new ConfigError(
      { file, line: lineOf(isNode(node) ? node : null) },
      undefined,
      `${what} cannot be changed here`,
      'entries written out `name: {...}`',
    );
  };
  visit(doc, (_, node) => {
    if (isAlias(node)) refuse(node, 'an alias of YAML');
    if (isNode(node) && 'anchor' in node && node.anchor !== undefined) refuse(node, 'an anchor of YAML');
  });
  const users = doc.get('users');
  for (const pair of isMap(users) ? users.items : [])
    if (!isScalar(pair.key) || !isMap(pair.value) || !names.has(nameOf(pair)))
      refuse(pair.key, 'an entry of this kind');
};

/** On one line, as entries of users are. */
const flow = <T extends { flow?: boolean }>(node: unknown): T => Object.assign(node as T, { flow: true });

/** A key such as 007 is a number to YAML and a name to us. */
const nameOf = ({ key }: Pair): string => (isScalar(key) ? String(key.value) : String(key));

const exists = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;

const read = (path: string): string => {
  const file = readSecretFile(path, MAX_USERS_FILE);
  if (file.ok) return file.text;
  throw new ConfigError({ file: path }, undefined, file.problem, 'a file with mode 0600, of at most 4 MiB');
};

/** The draft is complete on the disk before it takes the file's place. */
const replace = (path: string, text: string, stateDir?: string): void => {
  const draft = `${path}.${randomBytes(4).toString('hex')}.new`;
  try {
    const fd = openSync(draft, 'wx', 0o600);
    try {
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    passOn(draft, path, stateDir);
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
};
