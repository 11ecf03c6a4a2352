import t from 'tap';
import { IkeLogWatch } from '../../src/daemon/ike-log.js';
import { Timeline } from '../../src/daemon/timeline.js';
import type { IkeLogEvent } from '../../src/io/ports.js';
import { instant } from '../../src/proto/machine.js';
import { Rig } from '../lib/daemon-rig.js';
import { ikeDown } from '../lib/ike-events.js';
import { mapSteps } from '../lib/map-steps.js';
import { viciVectors } from '../lib/vici-vectors.js';

const begins = (ikeUniqueId: string, peer: string): IkeLogEvent => ({
  type: 'log',
  group: 'IKE',
  level: 0,
  ikeUniqueId,
  message: `${peer} is initiating a Main Mode IKE_SA`,
});

const stages = (timeline: Timeline) => timeline.view({}).attempts.map((a) => a.steps.map((s) => s.stage).join(' '));

t.test('from IKE to the end: every stage, in order', async (t) => {
  const rig = new Rig();
  rig.timeline.ikeLog(begins('1', '198.51.100.2'));
  const client = await rig.connect({ mark: 1 });
  t.match(rig.timeline.view({}).attempts, [
    { id: 1, state: 'up', stage: 'up', peer: '198.51.100.2', user: 'alice', hostName: 'client', mark: 1, cause: null },
  ]);
  t.strictSame(stages(rig.timeline), ['ike esp l2tp l2tp lcp auth ipcp up']);
  client.terminateLink();
  await rig.run(10_000);
  const [attempt, ...others] = rig.timeline.view({}).attempts;
  t.strictSame(others, []);
  t.match(attempt, { state: 'ended', stage: 'up', cause: 'client-closed', shows: [] });
  t.match(
    attempt?.steps.slice(-3).map((s) => s.text),
    [/^ended after \d+ s: /, /tunnel is down/, /IKE SA was deleted/],
  );
});

t.test('a wrong password: what the person sees, and what to do', async (t) => {
  const rig = new Rig();
  await rig.connect({ mark: 1, passwords: ['no', 'no', 'no', 'no'] });
  await rig.run(20_000);
  t.match(rig.timeline.view({}).attempts, [
    {
      state: 'ended',
      stage: 'auth',
      cause: 'wrong-password',
      shows: ['Windows 691', /Apple/],
      advice: /^the password is not the one/,
    },
  ]);
  t.match(rig.events('session.end'), [{ cause: 'wrong-password', stage: 'auth', hint: /^the password/ }]);
  t.match(rig.events('auth.failed')[0], { hint: /^the password/ });
});

t.test('IKE without L2TP; late L2TP takes the cause back', async (t) => {
  const rig = new Rig();
  const client = rig.client({ mark: 1 });
  rig.childUp(client);
  await rig.run(16_000);
  t.match(rig.timeline.view({}).attempts, [
    { state: 'trying', stage: 'esp', cause: 'no-l2tp', shows: [/809/, /Apple/, /Android/] },
  ]);
  client.dial();
  await rig.run(2_000);
  t.match(rig.timeline.view({}).attempts, [{ state: 'up', cause: null, advice: null }]);
  const mute = rig.client({ mark: 2, address: '198.51.100.3' });
  rig.childUp(mute);
  await rig.run(16_000);
  rig.ike.push(ikeDown(rig.saOf(mute)));
  await rig.run(5_000);
  t.match(rig.timeline.view({ peer: '198.51.100.3' }).attempts, [{ state: 'ended', cause: 'no-l2tp' }]);
});

t.test('the same client dials again over its SA: an attempt of its own', async (t) => {
  const rig = new Rig();
  const client = await rig.connect({ mark: 1 });
  client.closeSession();
  await rig.settle();
  client.openSession();
  await rig.run(2_000);
  t.match(rig.timeline.view({}).attempts, [
    { id: 1, state: 'ended', cause: 'client-closed' },
    { id: 2, state: 'up', peer: '198.51.100.2', mark: 1, user: 'alice' },
  ]);
});

t.test('the gateway loses charon: all that was open has ended', async (t) => {
  const rig = new Rig();
  await rig.connect({ mark: 1 });
  rig.timeline.event('port.shut', { reason: 'charon ended' });
  t.match(rig.timeline.view({}).attempts, [{ state: 'ended', cause: 'charon-gone', reason: 'charon ended' }]);
  await rig.connect({ mark: 1 });
  t.equal(rig.timeline.view({}).attempts.length, 1, 'the marks of before mean nothing any more');
});

t.test("charon's log: begun, failed, and again though the log says it once only", async (t) => {
  const timeline = new Timeline();
  const watch = new IkeLogWatch((failure) => timeline.ikeFailed(failure));
  const part = viciVectors('log').find((p) => p.name === 'ikev1-wrong-psk')!;
  let reported = 0;
  for (const run of ['7', '8'])
    for (const event of part.events as readonly IkeLogEvent[]) {
      const line = { ...event, ikeUniqueId: run };
      timeline.ikeLog(line);
      if (watch.note(instant(0), line) !== undefined) reported++;
    }
  t.equal(reported, 1);
  const { attempts } = timeline.view({});
  t.equal(attempts.length, 2);
  for (const attempt of attempts) {
    t.match(attempt, {
      state: 'ended',
      stage: 'ike',
      peer: '198.51.100.2',
      cause: 'wrong-psk',
      shows: ['Windows 789'],
    });
    t.match(attempt.steps[0]?.text, /IKEv1 Main Mode/);
  }
});

t.test('an old proposal: the advice names what was offered', async (t) => {
  const timeline = new Timeline();
  timeline.ikeFailed({
    cause: 'no-ike-proposal',
    peer: '198.51.100.9',
    offered: 'IKE:3DES_CBC/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024',
    configured: 'IKE:AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048',
    message: 'no proposal found',
    advice: '',
  });
  t.match(timeline.view({}).attempts, [
    {
      advice: 'this client offered only 3DES_CBC/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024: set `ike.legacy`, or update it',
    },
  ]);
});

t.test('a renewal of the IKE SA is no attempt', async (t) => {
  const rig = new Rig();
  const client = await rig.connect({ mark: 1 });
  rig.timeline.ikeLog(begins('77', '198.51.100.2'));
  t.equal(rig.timeline.size, 2);
  rig.timeline.event('ike.child-changed', { mark: 1, ike: '77', remote: '198.51.100.2' });
  t.match(rig.timeline.view({}).attempts, [{ id: 1, state: 'up', stage: 'up' }]);
  client.closeTunnel();
  await rig.run(1_000);
  t.match(rig.timeline.view({}).attempts, [{ state: 'ended' }]);
});

t.test('an IKE SA that was renewed is known by its new id alone', (t) => {
  const timeline = new Timeline();
  const remote = '192.0.2.1';
  timeline.event('ike.child-up', { mark: 1, ike: '1', remote });
  timeline.event('ike.child-changed', { mark: 1, ike: '2', remote });
  timeline.ikeLog(begins('1', remote));
  t.equal(timeline.view({}).attempts.length, 2, 'the old id is free');
  timeline.ikeLog(begins('2', remote));
  t.equal(timeline.view({}).attempts.length, 2, 'the new one is not');
  t.end();
});

t.test('a new charon uses the ids of the old one again: an attempt stays its own', (t) => {
  const timeline = new Timeline();
  const [one, two] = ['192.0.2.1', '192.0.2.2'];
  const failed = { cause: 'wrong-psk', ikeUniqueId: '1', message: 'no', advice: '' } as const;
  timeline.ikeLog(begins('1', one));
  timeline.ikeFailed({ ...failed, peer: two });
  t.match(timeline.view({ peer: one }).attempts, [{ state: 'trying', mark: null }], 'another peer');
  timeline.event('ike.child-up', { mark: 1, ike: '1', remote: two });
  t.match(
    timeline.view({ peer: two }).attempts,
    [
      { state: 'ended', mark: null },
      { state: 'trying', mark: 1 },
    ],
    'what has ended does not go on',
  );
  timeline.ikeLog(begins('5', one));
  timeline.charonConnected();
  timeline.ikeLog(begins('5', one));
  t.equal(timeline.view({ peer: one }).attempts.length, 3);
  t.end();
});

t.test('questions: by whom, since when, how many', async (t) => {
  const timeline = new Timeline();
  timeline.ikeLog(begins('1', '192.0.2.1'));
  const { seq } = timeline.view({});
  timeline.ikeLog(begins('2', '192.0.2.2'));
  timeline.ikeLog(begins('3', '192.0.2.3'));
  const peers = (query: object) => timeline.view(query).attempts.map((a) => a.peer);
  t.strictSame(peers({ peer: '192.0.2.2' }), ['192.0.2.2']);
  t.strictSame(peers({ peer: '3' }), ['192.0.2.3']);
  t.strictSame(peers({ after: seq }), ['192.0.2.2', '192.0.2.3']);
  t.strictSame(peers({ limit: 1 }), ['192.0.2.3']);
  t.throws(() => peers({ limit: 0 }), { message: 'limit: expected 1 or more' });
  t.strictSame(peers({ peer: 'nobody' }), []);
});

t.test(
  'bounds: forged IKE pushes out nobody who got further; one address has its share; a day is enough',
  async (t) => {
    let now = new Date('2026-01-01T00:00:00Z');
    const timeline = new Timeline(() => now);
    timeline.event('ike.child-up', { mark: 1, ike: '1', remote: '192.0.2.1' });
    for (let i = 0; i < 1_000; i++) timeline.ikeLog(begins(`x${i}`, `10.0.${i >> 8}.${i & 255}`));
    t.equal(timeline.size, 257);
    t.match(timeline.view({ peer: '192.0.2.1' }).attempts, [{ stage: 'esp' }]);
    for (let i = 0; i < 200; i++) timeline.ikeLog(begins(`y${i}`, '192.0.2.7'));
    t.equal(timeline.view({ peer: '192.0.2.7', limit: 1_000 }).attempts.length, 50);
    for (let i = 0; i < 100; i++) timeline.event('l2tp.tunnel.refused', { mark: 1, why: 'x'.repeat(5_000) });
    const [attempt] = timeline.view({ peer: '192.0.2.1' }).attempts;
    t.equal(attempt?.steps.length, 40);
    t.equal(attempt?.steps.at(-1)?.text.length, 200);
    t.match(attempt?.steps[0]?.text, /ESP SA is up/, 'the beginning is kept');
    for (let i = 2; i < 5_000; i++)
      timeline.event('ike.child-up', { mark: i, ike: `${i}`, remote: `172.16.${i >> 8}.${i & 255}` });
    t.ok(timeline.size <= 4_096 + 256);
    now = new Date('2026-01-03T00:00:00Z');
    t.strictSame(timeline.view({}).attempts, []);
    t.equal(timeline.size, 0);
  },
);

/** A timeline and clients of it, each with an address of its own, that come under a mark and go. */
function crowd() {
  const timeline = new Timeline(() => new Date('2026-01-01T00:00:00Z'));
  const remote = (mark: number) => `172.16.${mark >> 8}.${mark & 255}`;
  return {
    timeline,
    remote,
    come: (...marks: number[]) => {
      for (const mark of marks) timeline.event('ike.child-up', { mark, ike: `${mark}`, remote: remote(mark) });
    },
    go: (mark: number) => timeline.event('ike.child-down', { mark, reason: 'gone' }),
    known: (...marks: number[]) =>
      marks.filter((mark) => timeline.view({ peer: remote(mark) }).attempts.some((a) => a.mark === mark)),
  };
}
const count = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

t.test('full: the oldest that has ended is forgotten first, whenever it ended; else the oldest', async (t) => {
  const { timeline, come, go, known } = crowd();
  come(...count(1, 4_096));
  for (const mark of [30, 20, 4_096, 25]) go(mark);
  const watched = [1, 2, 3, 20, 25, 30, 4_096];
  for (const [mark, forgotten] of [
    [5_001, 20],
    [5_002, 25],
    [5_003, 30],
    [5_004, 4_096],
    [5_005, 1],
    [5_006, 2],
  ] as const) {
    t.strictSame(known(forgotten), [forgotten], `${forgotten} is there`);
    come(mark);
    t.strictSame(known(forgotten), [], `${forgotten} is forgotten`);
  }
  t.strictSame(known(...watched), [3]);
  go(3);
  come(5_007);
  t.strictSame(known(...watched), []);
  t.equal(timeline.size, 4_096);
});

t.test('full: what was forgotten for its address is not forgotten again', async (t) => {
  const { timeline, come, go, known } = crowd();
  const remote = '192.0.2.1';
  for (const mark of count(10_001, 10_060)) {
    timeline.event('ike.child-up', { mark, ike: `${mark}`, remote });
    go(mark);
  }
  t.equal(timeline.size, 50);
  come(...count(1, 4_046), ...count(5_001, 5_050));
  t.equal(timeline.size, 4_096);
  t.strictSame(timeline.view({ peer: remote }).attempts, []);
  t.strictSame(known(1, 2, 4_046, 5_050), [1, 2, 4_046, 5_050]);
  come(5_051);
  t.strictSame(known(1, 2), [2]);
  t.equal(timeline.size, 4_096);
});

t.test('full of attempts that are alive: one more costs no walk through them', async (t) => {
  const { timeline, come } = crowd();
  come(...count(1, 4_096));
  const steps = mapSteps(() => come(...count(5_001, 5_100)));
  t.ok(steps < 1_000, `${steps} elements were visited`);
  t.equal(timeline.size, 4_096);
});

t.test('the log gets every event as before', async (t) => {
  const lines: unknown[] = [];
  const at = (level: string) => (event: string, fields?: object) => void lines.push([level, event, fields]);
  const log = new Timeline().listening({ error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') });
  log.error('a', { x: 1 });
  log.warn('b', {});
  log.info('session.up', { mark: 9 });
  log.debug('d');
  t.strictSame(lines, [
    ['error', 'a', { x: 1 }],
    ['warn', 'b', {}],
    ['info', 'session.up', { mark: 9 }],
    ['debug', 'd', {}],
  ]);
});
