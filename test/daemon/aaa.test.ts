import fc from 'fast-check';
import t from 'tap';
import { type AuthVerdict, LocalAaa } from '../../src/daemon/aaa.js';
import { brokenBinding, type IdentityBindings, matches } from '../../src/daemon/identity.js';
import { UserStore } from '../../src/daemon/users.js';
import { ipv4ToNumber } from '../../src/proto/aaa/address.js';
import { AddressPool } from '../../src/proto/aaa/pool.js';
import type { AuthRequest } from '../../src/proto/ppp/events.js';
import { generateNtResponse, ntPasswordHash } from '../../src/proto/ppp/mschap.js';
import { MsChapV2Peer } from '../../src/proto/ppp/mschap-peer.js';
import { seeded } from '../lib/ppp-pair.js';

const users = UserStore.parse(
  'users.yaml',
  'users: {alice: {password: a}, bob: {password: b}, carol: {password: c, address: 10.0.0.3}, dora: {password: d, disabled: true}, eve: {password: e, sessions: 1}}',
);

function make(sessionsPerUser = 2, last = '10.0.0.4', identities: IdentityBindings = new Map()) {
  const ranges = [{ first: ipv4ToNumber('10.0.0.2')!, last: ipv4ToNumber(last)! }];
  const pool = new AddressPool({ ranges, fixed: users.fixedAddresses() });
  const aaa = new LocalAaa({
    users: () => users,
    realms: 'any',
    identities: () => identities,
    pool,
    dns: ['10.0.0.53'],
    nbns: [],
    sessionsPerUser,
  });
  const claims: string[] = [];
  const context = {
    remote: '198.51.100.2',
    identity: '192.168.1.10' as string | undefined,
    claimedIdentity: 'laptop.example.com' as string | undefined,
    tunnelId: 1,
    sessionId: 1,
    claim: (user: string) => void claims.push(user),
  };
  return { pool, claims, context, ask: (request: AuthRequest) => aaa.authenticate(request, context), aaa };
}

const FIRST = ipv4ToNumber('10.0.0.2')!;
const pap = (user: string, password: string): AuthRequest => ({ method: 'pap', user, password });
const leased = (v: Awaited<ReturnType<ReturnType<typeof make>['ask']>>) => (v.result.ok ? v.result.address : v.cause);

t.test('MS-CHAPv2: the user, the address, the name servers, and the proof that we know the password', async (t) => {
  const { ask } = make();
  const [authenticatorChallenge, peerChallenge] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)];
  // RFC 2759 §4, §8.1: hashed as typed, without the domain
  const ntResponse = generateNtResponse(authenticatorChallenge, peerChallenge, 'alice', ntPasswordHash('a'));
  const verdict = await ask({
    method: 'mschapv2',
    user: 'PC\\alice',
    id: 1,
    authenticatorChallenge,
    peerChallenge,
    ntResponse,
  });
  t.match(verdict.result, { ok: true, user: 'alice', address: '10.0.0.2', dns: ['10.0.0.53'], nbns: [] });
  t.equal(verdict.result.ok && verdict.result.authenticatorResponse?.length, 20);
});

t.test('an expired password: refused, or good for setting a new one, once', async (t) => {
  const store = UserStore.parse('users.yaml', 'users: {fay: {password: old, expired: true}, gus: {password: old}}');
  const kept: [string, string][] = [];
  const aaa = (changePassword?: (user: { name: string }, password: string) => void, addresses = 3) =>
    new LocalAaa({
      users: () => store,
      realms: 'any',
      ...(changePassword === undefined ? {} : { changePassword }),
      identities: () => new Map(),
      pool: new AddressPool({ ranges: [{ first: FIRST, last: FIRST + addresses - 1 }] }),
      dns: [],
      nbns: [],
      sessionsPerUser: 2,
    });
  const { context } = make();
  const changing = aaa((user, password) => void kept.push([user.name, password]));
  t.match(await aaa().authenticate(pap('fay', 'old'), context), { cause: 'expired', result: { code: 648 } });
  t.notOk('change' in ((await aaa().authenticate(pap('fay', 'old'), context)) as AuthVerdict).result, 'nobody may');
  t.match(await changing.authenticate(pap('fay', 'guess'), context), { cause: 'wrong-password' });
  t.match(await changing.authenticate(pap('fay', 'old'), context), { cause: 'expired', result: { change: true } });

  const change = (user: string, password: string, from = 'old'): AuthRequest => {
    const authenticatorChallenge = new Uint8Array(16).fill(1);
    const peer = new MsChapV2Peer({ user, passwords: [from], newPassword: password, random: seeded(3) });
    const packet = peer.next(1, Buffer.from(`E=648 R=0 C=${'01'.repeat(16)} V=3 M=`));
    if (typeof packet === 'string' || packet.code !== 'Change-Password') throw new Error('no Change-Password');
    const { code: _, ...parts } = packet;
    return { method: 'mschapv2-change', user, authenticatorChallenge, ...parts };
  };
  t.match(await changing.authenticate(change('fay', 'x', 'guess'), context), { cause: 'wrong-password' });
  t.match(await changing.authenticate(change('fay', 'old'), context), {
    cause: 'change-failed',
    result: { code: 709 },
  });
  t.match(await changing.authenticate(change('gus', 'new'), context), { cause: 'change-failed' }, 'has not expired');
  t.match(await aaa().authenticate(change('fay', 'new'), context), { cause: 'change-failed' }, 'not switched on');
  const broken = aaa(() => {
    throw new Error('read-only');
  });
  t.match(await broken.authenticate(change('fay', 'new'), context), {
    cause: 'change-failed',
    facts: { error: Error },
  });
  const controls = await changing.authenticate(change('fay', 'new\nrm'), context);
  t.match(controls, { cause: 'change-failed', facts: { error: /control characters/ } }, 'no file may hold it');
  const full = aaa((user, password) => void kept.push([user.name, password]), 1);
  t.equal(leased(await full.authenticate(change('fay', 'old'), context)), 'change-failed');
  t.match(await full.authenticate(pap('gus', 'old'), context), { result: { ok: true } }, 'the address is free again');
  t.match(await full.authenticate(change('fay', 'new'), context), { cause: 'no-address' });
  t.strictSame(kept, [], 'nothing was kept so far');
  t.match(await changing.authenticate(change('CORP\\fay', 'new'), context), { result: { ok: true, user: 'fay' } });
  t.strictSame(kept, [['fay', 'new']]);
});

t.test('only who has proven who he is claims anything', async (t) => {
  const { ask, claims } = make();
  for (const request of [pap('alice', 'x'), pap('nobody', 'x'), pap('dora', 'x'), pap('dora', 'd')]) await ask(request);
  t.strictSame(claims, []);
  await ask(pap('alice', 'a'));
  t.strictSame(claims, ['alice']);
});

t.test('the message to the client is the same for an unknown user and a wrong password', async (t) => {
  const { ask } = make();
  const [unknown, wrong] = [await ask(pap('nobody', 'x')), await ask(pap('alice', 'x'))];
  t.strictSame(unknown.result, wrong.result);
  t.not(unknown.cause, wrong.cause);
});

t.test('a bound user from another machine: refused as if the password were wrong, and nothing is taken', async (t) => {
  const bound = new Map([['alice', ['*.example.com', '192.168.1.1?']]]);
  const { ask, context, claims, pool } = make(2, '10.0.0.4', bound);
  const wrongPassword = await ask(pap('alice', 'x'));
  for (const identity of ['192.168.1.10', undefined, '', 'example.com']) {
    context.identity = identity;
    for (const name of ['alice', 'PC\\alice', 'alice@realm']) {
      const verdict = await ask(pap(name, 'a'));
      t.equal(verdict.cause, 'wrong-identity', `${name} from ${identity}`);
      t.strictSame(verdict.result, wrongPassword.result, 'the client cannot tell');
      t.strictSame(
        verdict.facts,
        { identity: 'laptop.example.com', proven: identity !== undefined, pattern: ['*.example.com', '192.168.1.1?'] },
        'what it says counts for nothing',
      );
    }
  }
  t.strictSame([claims, pool.leased], [[], 0]);
  t.equal(leased(await ask(pap('bob', 'b'))), '10.0.0.2', 'who is not bound comes from anywhere');
  context.identity = 'Laptop.EXAMPLE.com';
  t.equal(leased(await ask(pap('alice', 'a'))), '10.0.0.4');
});

t.test('neither a wrong password nor a disabled account tells more from another machine', async (t) => {
  const { ask } = make(2, '10.0.0.4', new Map([['dora', ['elsewhere']]]));
  t.equal((await ask(pap('dora', 'x'))).cause, 'wrong-password');
  const { cause, result } = await ask(pap('dora', 'd'));
  t.strictSame([cause, result], ['wrong-identity', (await ask(pap('nobody', 'x'))).result]);
});

t.test('patterns', async (t) => {
  const rows: [pattern: string, identity: string, want: boolean][] = [
    ['192.168.1.10', '192.168.1.10', true],
    ['192.168.1.10', '192.168.1.100', false],
    ['192.168.1.1', '192x168y1z1', false],
    ['*', '', true],
    ['*', 'anything at all', true],
    ['alice@*', 'Alice@Example.Com', true],
    ['*.example.com', 'a.b.example.com', true],
    ['*.example.com', 'example.com', false],
    ['*.example.com', 'a.example.com.evil.test', false],
    ['C=DE, O=Example, CN=*', 'C=DE, O=Example, CN=laptop-7', true],
    ['C=DE, O=Example, CN=*', 'C=DE, O=Other, CN=O=Example, CN=laptop-7', false],
    ['c=de, o=example, cn=laptop-?', 'C=DE, O=Example, CN=laptop-7', false],
    ['ab*ba', 'aba', false],
    ['ab*ba', 'abba', true],
    ['a*b*a', 'aba', true],
    ['a*b*b', 'ab', false],
    ['a**z', 'az', true],
    ['\u212a', 'k', false],
  ];
  for (const [pattern, identity, want] of rows) t.equal(matches(pattern, identity), want, `${pattern} : ${identity}`);
  t.equal(brokenBinding(new Map([['alice', ['*']]]), 'alice', undefined)?.length, 1, 'not known is not anybody');
});

t.test('law: a pattern matches what a regular expression made of it matches', async () => {
  const text = fc.array(fc.constantFrom('a', 'B', '.', '*', ','), { maxLength: 8 }).map((c) => c.join(''));
  fc.assert(
    fc.property(text, text, (pattern, identity) => {
      const parts = pattern.split('*').map((p) => p.replaceAll('.', '\\.'));
      return matches(pattern, identity) === new RegExp(`^${parts.join('.*')}$`, 'i').test(identity);
    }),
  );
  // A peer's text, however long, is looked through once.
  if (matches(`${'a*'.repeat(500)}b`, 'a'.repeat(1_000_000))) throw new Error('matched');
});

t.test('a fixed address is nobody else’s, and one at a time', async (t) => {
  const { ask, aaa } = make();
  t.strictSame([leased(await ask(pap('alice', 'a'))), leased(await ask(pap('alice', 'a')))], ['10.0.0.2', '10.0.0.4']);
  t.equal(leased(await ask(pap('bob', 'b'))), 'no-address');
  t.equal(leased(await ask(pap('carol', 'c'))), '10.0.0.3');
  t.equal(leased(await ask(pap('carol', 'c'))), 'no-address');
  aaa.release('10.0.0.3');
  t.equal(leased(await ask(pap('carol', 'c'))), '10.0.0.3');
});

t.test('the leftover that a claim ends makes room for who claims', async (t) => {
  const { aaa, context } = make(1);
  const first = await aaa.authenticate(pap('carol', 'c'), context);
  const claim = () => aaa.release('10.0.0.3');
  const second = await aaa.authenticate(pap('carol', 'c'), { ...context, sessionId: 2, claim });
  t.strictSame([leased(first), leased(second)], ['10.0.0.3', '10.0.0.3']);
});

t.test('law: leases never exceed the limit of a user; a release twice, or of nobody’s, frees nothing', async () => {
  const act = fc.oneof(
    fc.constantFrom('alice', 'bob').map((user) => ({ user })),
    fc.nat(3).map((n) => ({ release: `10.0.0.${n + 2}` })),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 40 }), async (acts) => {
      const { ask, aaa, pool } = make(2, '10.0.0.9');
      const held = new Map<string, string>();
      for (const a of acts) {
        if ('release' in a) {
          aaa.release(a.release);
          held.delete(a.release);
          continue;
        }
        const before = [...held.values()].filter((u) => u === a.user).length;
        const { result, cause } = await ask(pap(a.user, a.user[0]!));
        if (result.ok !== before < 2 || (!result.ok && cause !== 'too-many')) throw new Error(`${before} ${cause}`);
        if (result.ok) held.set(result.address, a.user);
      }
      if (pool.leased !== held.size) throw new Error(`${pool.leased} leased, ${held.size} held`);
    }),
  );
});

t.test("a user's own limit counts instead of everybody's", async (t) => {
  const { ask } = make(2);
  t.equal(leased(await ask(pap('eve', 'e'))), '10.0.0.2');
  t.equal(leased(await ask(pap('eve', 'e'))), 'too-many');
});
