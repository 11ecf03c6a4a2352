import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import t from 'tap';
import { loadConfig } from '../../src/daemon/config.js';
import { ConfigError } from '../../src/daemon/errors.js';
import { UserStore } from '../../src/daemon/users.js';
import { storePassword } from '../../src/daemon/users-edit.js';
import { ntPasswordHash } from '../../src/proto/ppp/mschap.js';
import { toHex } from '../../src/wire/reader.js';

const parse = (yaml: string) => UserStore.parse('users.yaml', yaml);

t.test('RFC 2759 §9.2: a cleartext password gives its NT hash', async (t) => {
  t.equal(
    toHex(parse('users: {a: {password: clientPass}}').find('a')!.ntHash.reveal()),
    '44ebba8d5312b8d611474411f56989ae',
  );
});

t.test('find: the exact name first, then without domain or realm', async (t) => {
  const store = parse(`users:
  alice: {password: a}
  OFFICE\\bob: {password: b}
  bob: {password: c}
  carol@example.org: {password: d}
  carol: {password: e}
`);
  const rows: [asked: string, found: string | undefined][] = [
    ['alice', 'alice'],
    ['LAPTOP\\alice', 'alice'],
    ['alice@example.org', 'alice'],
    ['OFFICE\\bob', 'OFFICE\\bob'],
    ['HOME\\bob', 'bob'],
    ['carol@example.org', 'carol@example.org'],
    ['carol@elsewhere', 'carol'],
    ['Alice', undefined],
    ['LAPTOP\\', undefined],
    ['@', undefined],
    ['', undefined],
    ['constructor', undefined],
    ['__proto__', undefined],
  ];
  for (const [asked, found] of rows) t.equal(store.find(asked)?.name, found, asked);
  const limited: [asked: string, found: string | undefined][] = [
    ['corp\\alice', 'alice'],
    ['alice@EXAMPLE.org', 'alice'],
    ['CORP\\alice@example.org', 'alice'],
    ['CORP\\alice@example.org@example.org', undefined],
    ['OFFICE\\bob', 'OFFICE\\bob'],
    ['HOME\\bob', undefined],
    ['carol@elsewhere', undefined],
    ['CORP\\carol@example.org', 'carol@example.org'],
    ['HOME\\alice@example.org', undefined],
  ];
  for (const [asked, found] of limited) t.equal(store.find(asked, ['CORP', 'example.org'])?.name, found, asked);
  t.equal(store.find('CORP\\alice', [])?.name, undefined, 'none is taken off');
  t.equal(store.size, 5);
});

t.test('what a user may have', async (t) => {
  const store = parse(`users:
  hash: {nt_hash: "44EBBA8D5312B8D611474411F56989AE", address: 10.99.0.77}
  off: {password: x, disabled: true, routes: [10.1.0.0/16, 10.2.0.7]}
  old: {password: x, expired: true}
`);
  const hash = store.find('hash')!;
  t.equal(hash.disabled, false);
  t.strictSame(store.find('off')!.routes, ['10.1.0.0/16', '10.2.0.7/32']);
  t.strictSame(parse('users: {a: {password: x, routes: []}}').find('a')!.routes, [], 'none, whatever others have');
  t.equal(store.find('off')!.disabled, true);
  t.strictSame([hash.expired, store.find('old')!.expired], [false, true]);
  t.equal(hash.password, undefined);
  t.equal(toHex(hash.ntHash.reveal()), '44ebba8d5312b8d611474411f56989ae');
  t.equal(hash.address, '10.99.0.77');
  t.strictSame([...store.fixedAddresses()], [['hash', '10.99.0.77']]);
});

t.test('a mistake is one sentence with the line and without the secret', async (t) => {
  const rows: [yaml: string, want: string][] = [
    ['user: {}', ':1: user: is an unknown key; allowed: users'],
    ['users: [a]', ':1: users: is not a mapping; allowed: a line `name: {password: ...}` per user'],
    [
      'users:\n  a: s3cret',
      ':2: users.a: is not a mapping; allowed: {password: ...} or {nt_hash: ...}, with address, disabled, expired, sessions, limit, routes if wanted',
    ],
    ['users:\n  a: {}', ':2: users.a: has no password; allowed: either password or nt_hash'],
    [
      'users:\n  a: {password: s3cret, nt_hash: s3cret}',
      ':2: users.a: has two passwords; allowed: either password or nt_hash',
    ],
    [
      'users:\n  a:\n    password: x\n    routes: [10.1.0.1/16]',
      ':4: users.a.routes: 10.1.0.1/16 is not allowed; allowed: an IPv4 network such as 192.0.2.0/24, host bits zero',
    ],
    [
      'users:\n  a:\n    password: x\n    routes: ["2001:db8::/32"]',
      ':4: users.a.routes: 2001:db8::/32 is not IPv4; allowed: an IPv4 network such as 192.0.2.0/24, host bits zero',
    ],
    [
      'users:\n  a:\n    password: 123456',
      ':3: users.a.password: the value (not shown) is not a text; allowed: a text of 1 to 256 characters without control characters; quote it when it looks like a number',
    ],
    [
      'users:\n  a:\n    nt_hash: s3cret',
      ':3: users.a.nt_hash: the value (not shown) is not an NT hash; allowed: 32 hexadecimal digits in quotes',
    ],
    [
      'users:\n  a: {password: s3cret, adress: 10.0.0.5}',
      ':2: users.a.adress: is an unknown key; allowed: password, nt_hash, address, disabled, expired, sessions, limit, routes (did you mean address?)',
    ],
    [
      'users:\n  a: {password: s3cret, address: 10.0.0.256}',
      ':2: users.a.address: 10.0.0.256 is not allowed; allowed: an IPv4 unicast address',
    ],
    [
      'users:\n  a: {password: s3cret, address: 10.0.0.255}',
      ':2: users.a.address: 10.0.0.255 looks like a network or broadcast address; allowed: an IPv4 unicast address',
    ],
    [
      'users:\n  a: {password: s3cret, address: 10.0.0.5}\n  b: {password: s3cret, address: 10.0.0.5}',
      ':3: users.b.address: 10.0.0.5 already belongs to a; allowed: an address of its own',
    ],
    [
      'users:\n  a: {password: s3cret, sessions: 0}',
      ':2: users.a.sessions: the value is not a number of sessions; allowed: a whole number from 1 to 65535',
    ],
    ...['-1', '1.5', '10M', 'null', '{up: 5, sideways: 5}', '{down: fast}', '[5]'].map((limit): [string, string] => [
      `users:\n  a: {password: s3cret, limit: ${limit}}`,
      ':2: users.a.limit: the value is not a limit; allowed: bits per second, a whole number from 0 (no limit) to ' +
        '1000000000000, or {up: ..., down: ...} with one each',
    ]),
    [
      'users:\n  a: {password: s3cret, disabled: maybe}',
      ':2: users.a.disabled: the value is not a truth value; allowed: true or false',
    ],
    [
      'users:\n  "": {password: s3cret}',
      ':2: users.: is not a user name; allowed: 1 to 256 bytes without control characters',
    ],
    [
      'users:\n  a: {password: "s3cret}',
      ':2: not valid YAML (missing char); allowed: YAML 1.2, keys indented with spaces, each key once',
    ],
    [
      'users:\n  a: {password: s3cret}\n  a: {password: s3cret}',
      ':3: not valid YAML (duplicate key); allowed: YAML 1.2, keys indented with spaces, each key once',
    ],
  ];
  for (const [yaml, want] of rows) {
    t.throws(() => parse(yaml), { message: `users.yaml${want}` }, yaml);
    t.throws(() => parse(yaml), ConfigError);
    t.notMatch(want, /s3cret/);
  }
  t.equal(parse('').size, 0);
  t.equal(parse('users:').size, 0);
});

t.test('the file must be for its owner only', async (t) => {
  const path = join(t.testdir({}), 'users.yaml');
  writeFileSync(path, 'users: {a: {password: x}}');
  for (const mode of [0o644, 0o640, 0o606]) {
    chmodSync(path, mode);
    t.throws(() => UserStore.load(path), {
      message: `${path}: ${path} has mode 0${mode.toString(8)}, so others than its owner can open it; allowed: a file with mode 0600, of at most 4 MiB`,
    });
  }
  chmodSync(path, 0o600);
  t.equal(UserStore.load(path).size, 1);
  t.throws(() => UserStore.load(`${path}.no`), { message: /cannot be read \(no such file\)/ });
});

t.test('a failed reload leaves the store in force as it was', async (t) => {
  const path = join(t.testdir({}), 'users.yaml');
  const save = (yaml: string) => writeFileSync(path, yaml, { mode: 0o600 });
  save('users: {a: {password: one}}');
  let store = UserStore.load(path);
  const reload = () => {
    store = UserStore.load(path);
  };
  save('users: {a: {password: }}');
  t.throws(reload, ConfigError);
  t.equal(store.find('a')!.password!.reveal(), 'one');
  save('users: {a: {password: two}}');
  reload();
  t.equal(store.find('a')!.password!.reveal(), 'two');
});

t.test('a split tunnel leads where clients get', async (t) => {
  const dir = t.testdir({ 'lockstep.yaml': 'routes: [10.1.0.0/16]', psk: 'x' });
  chmodSync(join(dir, 'psk'), 0o600);
  const config = loadConfig(join(dir, 'lockstep.yaml'), {});
  const to = (routes: string) => parse(`users:\n  a:\n    password: x\n    routes: [${routes}]`);
  t.doesNotThrow(() => to('10.1.2.0/24').check(config));
  t.throws(() => to('10.1.2.0/24, 10.2.0.0/16').check(config), {
    message:
      'users.yaml:4: users.a.routes: 10.2.0.0/16 is in no network of `routes`; allowed: networks that clients may reach',
  });
});

t.test('a fixed address must not be one of ours', async (t) => {
  const dir = t.testdir({ 'lockstep.yaml': '', psk: 'x' });
  chmodSync(join(dir, 'psk'), 0o600);
  const config = loadConfig(join(dir, 'lockstep.yaml'), {});
  const at = (address: string) => parse(`users:\n  a:\n    password: x\n    address: ${address}`);
  t.doesNotThrow(() => at('10.99.0.77').check(config, ['192.0.2.1']));
  t.throws(() => at('10.99.0.1').check(config), {
    message: /^users.yaml:4: users.a.address: 10.99.0.1 is pool.gateway;/,
  });
  t.throws(() => at('192.0.2.1').check(config, ['192.0.2.1']), {
    message: /^users.yaml:4: users.a.address: 192.0.2.1 is reserved;/,
  });
});

t.test('a user can be printed', async (t) => {
  const user = parse('users: {a: {password: s3cret}}').find('a')!;
  t.notMatch(inspect(user, { depth: 9, showHidden: true }), /s3cret/);
  t.notMatch(JSON.stringify(user), /s3cret/);
  t.equal(`${user.password}`, '***');
});

t.test('a new password of an expired one: in the file and in the store, in the form of before', async (t) => {
  const file = join(t.testdir({}), 'users.yaml');
  const text = `users:
  # the boss
  alice: { password: old, expired: true, address: 10.99.0.9 }
  bob: { nt_hash: "44ebba8d5312b8d611474411f56989ae", expired: true }
`;
  writeFileSync(file, text, { mode: 0o600 });
  const before = UserStore.load(file);
  writeFileSync(file, `${text}  carol: { password: later }\n`, { mode: 0o600 });
  const alice = storePassword(before, before.find('alice')!, 'new "one"', t.testdirName);
  const both = storePassword(alice, alice.find('bob')!, 'another', t.testdirName);
  for (const store of [both, UserStore.load(file)]) {
    t.match(store.find('alice'), { expired: false, address: '10.99.0.9' });
    t.equal(store.find('alice')!.password!.reveal(), 'new "one"');
    t.strictSame(store.find('bob')!.ntHash.reveal(), ntPasswordHash('another'));
    t.strictSame([store.find('bob')!.expired, store.find('bob')!.password], [false, undefined]);
  }
  t.equal(both.find('carol'), undefined, 'what was not taken over yet stays so');
  t.match(readFileSync(file, 'utf8'), '# the boss');
  for (const bad of ['x'.repeat(257), 'a\nb', 'a\u0085', 'a\ud800'])
    t.throws(() => parse(`users: {a: {password: ${JSON.stringify(bad)}}}`), ConfigError, JSON.stringify(bad));
  t.throws(() => storePassword(before, before.find('alice')!, 'x'.repeat(257), t.testdirName), ConfigError);
});
