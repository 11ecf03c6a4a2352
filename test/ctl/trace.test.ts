import t from 'tap';
import { traceText } from '../../src/ctl/trace.js';
import type { TraceQuery } from '../../src/daemon/timeline.js';
import { runCtl, scratch, TRACE, withDaemon } from '../lib/ctl-rig.js';

t.test('past attempts: steps, cause, what the client shows, what to do', async (t) => {
  const asked: TraceQuery[] = [];
  const run = await withDaemon(t, {
    trace: (query) => {
      asked.push(query);
      return TRACE;
    },
  });
  t.equal(
    (await run(['trace'])).out,
    [
      '#4 198.51.100.2 alice (pc?[2J)  2026-01-01T10:00:00.000Z  ended at auth',
      '  10:00:00.000  ike   the client begins: IKEv1 Main Mode',
      '  10:00:01.250  auth  authentication of alice failed',
      '  why:   wrong-password: too many wrong passwords',
      '  shows: Windows 691',
      '  do:    the password is not the one in the users file',
    ].join('\n'),
  );
  t.strictSame(JSON.parse((await run(['trace', 'al ice&x', '-n', '3', '--json'])).out), TRACE.attempts);
  t.strictSame(asked, [{ limit: 20 }, { peer: 'al ice&x', limit: 3 }]);
  t.ok((await run(['trace'], { color: true })).out.includes('\u001b[31mended'));
  t.equal(traceText([]), 'no attempts');
});

t.test('--follow: only what is new; a daemon that restarted begins anew', async (t) => {
  const asked: TraceQuery[] = [];
  const [attempt] = TRACE.attempts;
  const answers = [
    TRACE,
    { seq: 8, attempts: [] },
    { seq: 9, attempts: [{ ...attempt!, steps: [{ ...attempt!.steps[0]!, seq: 9, text: 'news' }] }] },
    { seq: 1, attempts: [] },
    {
      seq: 1,
      attempts: [{ ...attempt!, state: 'up' as const, cause: null, advice: null, steps: [attempt!.steps[0]!] }],
    },
  ];
  const run = await withDaemon(t, { trace: (query) => answers[asked.push(query) - 1]! });
  const { out } = await run(['trace', '--follow'], { waits: 3 });
  t.match(out.split('\n').slice(6), [
    '#4 198.51.100.2 alice (pc?[2J)  10:00:00.000  ike   news',
    /why: {3}wrong-password/,
    /shows: Windows 691/,
    /do: /,
    /the client begins/,
  ]);
  t.strictSame(asked.slice(1), [
    { after: 8, limit: 1000 },
    { after: 8, limit: 1000 },
    { after: 9, limit: 1000 },
    { limit: 1000 },
  ]);
  const json = await (await withDaemon(t))(['trace', '-f', '--json'], { waits: 1 });
  t.strictSame(
    json.out.split('\n').map((l) => JSON.parse(l)),
    [...TRACE.attempts, ...TRACE.attempts],
  );
});

t.test('bad input and a stopped daemon', async (t) => {
  for (const bad of ['0', 'x', '99999'])
    t.match(await runCtl(['trace', '-n', bad]), {
      status: 2,
      err: `lockstep: --limit: ${bad} is not a number from 1 to 9999`,
    });
  t.match(await runCtl(['-s', `${scratch(t)}/no`, 'trace']), { status: 1, out: '', err: /lockstepd is not running/ });
});
