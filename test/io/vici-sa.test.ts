import fc from 'fast-check';
import t from 'tap';
import { EVENTS, type EventName, ikeEvent, listedSas } from '../../src/io/vici-sa.js';
import { childSa, ikeSa } from '../lib/ike-events.js';
import { viciVectors } from '../lib/vici-vectors.js';

t.test('a recorded child-updown, field by field', async (t) => {
  const event = viciVectors('ikev1')[0]?.events[2];
  t.strictSame(event, {
    type: 'child-updown',
    up: true,
    sa: ikeSa('1', [childSa('1', 1, { spiIn: 'cbf39dd8', spiOut: 'c46e58ee' })], {
      spis: 'a2f020b64f975574 5a91961646eec087',
      remoteId: '192.168.77.11',
      natRemote: true,
      cipher: 'AES_CBC-256/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024',
      establishedSeconds: 3,
    }),
  });
});

t.test('ike-update carries the new endpoints, not those in the section', async (t) => {
  const [event] = viciVectors('ikev1')[0]?.events ?? [];
  t.match(event, { type: 'ike-update', sa: { name: '(unnamed)', localPort: 4500, remotePort: 4500 } });
});

t.test('child-rekey has old and new, and both in the SA', async (t) => {
  const part = viciVectors('ikev1').find((p) => p.name === 'client-rekeys-child');
  t.match(part?.events[0], {
    type: 'child-rekey',
    old: { uniqueId: '1', state: 'REKEYING' },
    new: { uniqueId: '5', state: 'INSTALLED' },
    sa: { children: [{ uniqueId: '1' }, { uniqueId: '5' }] },
  });
});

t.test('lifetimes are from now on', async (t) => {
  const child = { state: 'INSTALLED', 'life-time': '3600' };
  const sa = (more: Record<string, string>) => ({ l2tp: { ...more, 'child-sas': { c: child } } });
  const listed = (more: Record<string, string>, at?: number) => listedSas(sa(more), at)[0];
  t.match(listed({ 'rekey-time': '50', 'reauth-time': '40' }, 1_000), {
    renewsAt: 41_000,
    children: [{ expiresAt: 3_601_000 }],
  });
  t.equal(listed({ 'rekey-time': '50' }, 1_000)?.renewsAt, 51_000);
  t.equal(listed({ 'rekey-time': '-1' }, 5_000)?.renewsAt, 4_000);
  t.notOk('renewsAt' in listed({}, 1_000)!);
  t.notOk('expiresAt' in listed({})!.children[0]!);
  t.match(ikeEvent('ike-updown', { up: 'yes', ...sa({ 'rekey-time': '1' }) }, 5), { sa: { renewsAt: 1_005 } });
});

t.test('a mark has 32 bits, in hexadecimal', async (t) => {
  const child = (mark: string) => ({ x: { 'child-sas': { c: { 'mark-in': mark } } } });
  for (const [text, want] of [
    ['0000000a', 10],
    ['ffffffff', 0xffffffff],
    ['%unique', 0],
    ['1ffffffff', 0],
    ['', 0],
  ] as const)
    t.equal(listedSas(child(text))[0]?.children[0]?.markIn, want, text);
});

t.test('law: no message makes an exception', async (t) => {
  const names = fc.constantFrom(
    'up',
    'l2tp',
    'child-sas',
    'old',
    'new',
    'uniqueid',
    'mark-in',
    'state',
    'local-ts',
    'msg',
    '__proto__',
  );
  const { message } = fc.letrec<{ message: object }>((tie) => ({
    message: fc.dictionary(names, fc.oneof(fc.string(), fc.array(fc.string()), tie('message')), { maxKeys: 4 }),
  }));
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.constantFrom(...(Object.keys(EVENTS) as EventName[])), message, (name, m) => {
        ikeEvent(name, m as never);
        listedSas(m as never);
      }),
    ),
  );
});
