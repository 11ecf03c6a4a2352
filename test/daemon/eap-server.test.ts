import t from 'tap';
import { LocalAaa } from '../../src/daemon/aaa.js';
import { UserStore } from '../../src/daemon/users.js';
import { ipv4ToNumber } from '../../src/proto/aaa/address.js';
import { AddressPool } from '../../src/proto/aaa/pool.js';
import { Rig, type RigOptions } from '../lib/daemon-rig.js';
import { eapContract } from '../lib/eap-contract.js';
import { MemoryEapServer } from '../lib/eap-server.js';

const local = (): LocalAaa => {
  const users = UserStore.parse('users.yaml', 'users: {alice: {password: wonderland}}');
  return new LocalAaa({
    users: () => users,
    realms: 'any',
    identities: () => new Map(),
    pool: new AddressPool({ ranges: [{ first: ipv4ToNumber('10.0.0.2')!, last: ipv4ToNumber('10.0.0.9')! }] }),
    dns: [],
    nbns: [],
    sessionsPerUser: 4,
  });
};

t.test('the contract of who decides EAP: the twin in memory', (t) =>
  eapContract(t, () => new MemoryEapServer(local(), ['mschapv2', 'md5'])),
);

t.test('a gateway whose EAP somebody else decides: up, refused, and without EAP as ever', async (t) => {
  const options: RigOptions = {
    link: { auth: ['mschapv2', 'eap'] },
    aaa: (users) => new MemoryEapServer(users, ['md5']),
  };
  const rig = new Rig(options);
  const client = await rig.connect({ mark: 1, ppp: { auth: ['eap'] } });
  await rig.settle();
  t.match(client.events.at(-1), /^up /);
  t.match(rig.events('auth.ok'), [{ user: 'alice', method: 'eap', eap: true }]);
  t.ok(
    client.frames.some((f) => /^EAP Request \d+ MD5/.test(f)),
    'by the method of the server, not by ours',
  );

  const refused = new Rig(options);
  await refused.connect({ mark: 1, passwords: ['guess'], ppp: { auth: ['eap'] } });
  await refused.run(10_000);
  t.match(refused.events('auth.failed'), [{ user: 'alice', method: 'eap', cause: 'wrong-password' }]);

  const plain = new Rig(options);
  await plain.connect({ mark: 1 });
  await plain.settle();
  t.match(plain.events('auth.ok'), [{ user: 'alice', method: 'mschapv2' }]);
});
