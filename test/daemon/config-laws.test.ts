import fc from 'fast-check';
import t from 'tap';
import { NotAllowed } from '../../src/daemon/config-format.js';
import { leaves } from '../../src/daemon/config-schema.js';
import { parseYaml } from '../../src/daemon/config-yaml.js';
import { ConfigError, nearest } from '../../src/daemon/errors.js';
import { UserStore } from '../../src/daemon/users.js';

/** Text that is often almost YAML. */
const yamlish = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        'users:',
        '\n',
        '  ',
        ' ',
        'a',
        ': ',
        '- ',
        '{',
        '}',
        '[',
        ']',
        ',',
        '"',
        "'",
        '&a',
        '*a',
        '!!int',
        '#',
        '|',
        '>',
        '?',
        '\t',
        '---',
      ),
      fc.constantFrom(
        'password',
        'nt_hash',
        'address',
        'disabled',
        'null',
        'true',
        '10.0.0.5',
        '1e999',
        '.nan',
        '__proto__',
        '<<',
      ),
      fc.string({ maxLength: 4 }),
    ),
    { maxLength: 40 },
  )
  .map((parts) => parts.join(''));

/** Runs `f`; anything but a result or a ConfigError of one line fails the law. */
const refusedPolitely = (f: () => unknown): boolean => {
  try {
    f();
    return true;
  } catch (e) {
    if (!(e instanceof ConfigError)) throw e;
    return !/\p{Cc}/u.test(e.message) && e.message.includes('; allowed: ');
  }
};

t.test('law: any text is YAML we understand or one sentence', async () => {
  fc.assert(
    fc.property(yamlish, (text) => refusedPolitely(() => parseYaml('x.yaml', text))),
    { numRuns: 3_000 },
  );
});

t.test('law: any text is a users file or one sentence', async () => {
  fc.assert(
    fc.property(yamlish, (text) => refusedPolitely(() => UserStore.parse('x.yaml', `users:\n  a: ${text}`))),
    { numRuns: 3_000 },
  );
});

t.test('law: a format takes any value or says NotAllowed', async () => {
  const value = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom('auto', 'off', '0', '10.0.0.0/8', '::1', '1.2.3.4-1.2.3.9', 1e21, -1, Number.NaN),
  );
  for (const [key, { format }] of leaves())
    fc.assert(
      fc.property(value, (raw) => {
        try {
          format(raw);
        } catch (e) {
          if (!(e instanceof NotAllowed)) throw new Error(`${key}: ${String(e)}`);
        }
      }),
      { numRuns: 300 },
    );
});

t.test('nearest: a slip of the finger is understood, another word is not', async (t) => {
  const words = ['addresses', 'psk_file', 'mtu', 'routes'];
  for (const [word, want] of [
    ['adresses', 'addresses'],
    ['psk-file', 'psk_file'],
    ['rutes', 'routes'],
    ['mut', 'mtu'],
    ['telephone', undefined],
  ] as const)
    t.equal(nearest(word, words), want, word);
});
