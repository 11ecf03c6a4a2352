import { format, inspect } from 'node:util';
import t from 'tap';
import { Secret } from '../../src/daemon/secret.js';

t.test('every way of printing a secret gives ***', async (t) => {
  for (const secret of [new Secret('hunter2'), new Secret(Buffer.from('hunter2'))]) {
    const printed = [
      String(secret),
      `${secret}`,
      `${secret as unknown as string}x`.slice(0, 3),
      JSON.parse(JSON.stringify(secret)),
      inspect(secret),
      inspect(secret, { showHidden: true, depth: 9 }),
      format('%s', secret),
      format('%o', secret),
      format('%j', secret).replaceAll('"', ''),
      [secret].join(),
    ];
    for (const text of printed) t.equal(text, '***');
    t.strictSame(Object.keys(secret), []);
    t.strictSame(Object.entries(structuredClone(secret)), []);
    t.equal(String(secret.reveal()), 'hunter2');
  }
});
