import { join } from 'node:path';
import t from 'tap';
import { sessionsTable } from '../../src/ctl/sessions.js';
import { wantsColor } from '../../src/ctl/shell.js';
import { octets, table } from '../../src/ctl/table.js';
import type { DrainRequest } from '../../src/daemon/control.js';
import { POOL, runCtl, SESSION, STATUS, scratch, withDaemon } from '../lib/ctl-rig.js';

const ESC = '\u001b';

t.test('a stopped daemon: one sentence, exit status 1', async (t) => {
  const socket = join(scratch(t), 'none.sock');
  const commands = ['trace', 'status', 'sessions', 'sessions --json', 'session 9', 'disconnect alice', 'pool', 'drain'];
  for (const command of commands) {
    t.strictSame(
      await runCtl(['-s', socket, ...command.split(' ')]),
      { status: 1, out: '', err: `lockstep: lockstepd is not running (no answer on ${socket})` },
      command,
    );
  }
});

t.test('version needs no daemon', async (t) => {
  const run = await withDaemon(t);
  t.match(await run(['version']), { status: 0, out: /^lockstep 9\.8\.7\nlockstepd 1\.2\.3\nNode\.js \d/ });
  const stopped = await runCtl(['-s', join(scratch(t), 'none.sock'), 'version', '--json']);
  t.match(JSON.parse(stopped.out), { lockstepd: null, node: process.versions.node });
  t.match(await runCtl(['-s', join(scratch(t), 'none.sock'), 'version']), { out: /lockstepd is not running/ });
});

t.test('status', async (t) => {
  const run = await withDaemon(t);
  t.strictSame(JSON.parse((await run(['status', '--json'])).out), STATUS);
  t.equal(
    (await run(['status'])).out,
    'lockstepd 1.2.3: listening\nlistening on: 198.51.100.1\nSAs: 2, tunnels: 1, sessions: 1\ndropped packets: short 3',
  );
  const shut = await withDaemon(t, {
    status: () => ({ ...STATUS, state: 'closed', reason: 'charon ended', listen: [], draining: 'for repair' }),
  });
  t.match((await shut(['status'])).out, /closed \(charon ended\)\ndraining: for repair\nlistening on: nothing/);
  const violations = [{ mark: 7, remote: '198.51.100.9', remoteId: `mallory${ESC}`, data: 3, control: 1 }];
  const attacked = await withDaemon(t, { status: () => ({ ...STATUS, violations }) });
  const { out } = await attacked(['status']);
  t.match(out, /\nfor others' tunnels, from 198\.51\.100\.9 \(mark 7, mallory.*\): 3 data, 1 control packets\n/);
  t.notOk(out.includes(ESC));
});

t.test('sessions: a table, JSON, and nobody', async (t) => {
  const run = await withDaemon(t);
  t.strictSame(JSON.parse((await run(['sessions', '--json'])).out), [SESSION]);
  const { out } = await run(['sessions']);
  t.match(out, /^USER +ADDRESS +CLIENT +TYPE .* OUT\nalice +10\.99\.0\.10 +198\.51\.100\.2:1701 +Windows 10 or 11/);
  t.match(out, /#3 IKEv1 AES_CBC-256 +c0000001\/c0000002 .* NAT-T +2 +7\/9 .* 1\.5 kB +2\.5 MB$/);
  t.notOk(out.includes(ESC), "a client's name cannot move the cursor");
  t.equal(sessionsTable([]), 'no sessions');
  t.match(
    sessionsTable([{ ...SESSION, user: null, address: null, ike: null, child: null, upSince: null, state: 'setup' }]),
    / - .* setup /,
  );
});

t.test('sessions --watch: rates from the second look on; a screen only on a terminal', async (t) => {
  let octetsIn = 0;
  const sessions = () => {
    octetsIn += 1_000_000;
    return [{ ...SESSION, octetsIn }];
  };
  const run = await withDaemon(t, { sessions });
  const looks = (await run(['sessions', '--watch', '1', '--json'], { waits: 1 })).out
    .split('\n')
    .map((l) => JSON.parse(l));
  t.match(looks[0], [{ user: 'alice', rateIn: null, rateOut: null }]);
  t.match(looks[1], [{ rateIn: Number, rateOut: 0 }]);
  t.ok(looks[1][0].rateIn > 0);
  const text = await run(['sessions', '-w'], { waits: 1, terminal: true });
  t.match(text.out, /IN\/S +OUT\/S/);
  t.equal(text.out.split(`${ESC}[2J`).length, 3, 'the screen is cleared for each');
  t.notOk((await run(['sessions', '-w'], { waits: 1 })).out.includes(ESC));
  for (const bad of ['0', 'soon', '4000'])
    t.match(await run(['sessions', '-w', bad]), {
      status: 2,
      err: `lockstep: --watch: ${bad} is not a number from 1 to 3600`,
    });
});

t.test('session: by id, user or address; two are asked about', async (t) => {
  const run = await withDaemon(t);
  for (const id of ['7/9', '9', 'alice', '10.99.0.10', '198.51.100.2'])
    t.match(await run(['session', id]), { status: 0, out: /^session +7\/9 up\nuser +alice\n/ }, id);
  const { out } = await run(['session', '9']);
  t.match(out, /client type +Windows 10 or 11 \(a guess\)/);
  t.match(out, /dropped: spoof +4$/);
  t.notMatch(out, /dropped: closed/);
  t.strictSame(JSON.parse((await run(['session', '9', '--json'])).out), SESSION);
  t.match(await run(['session', 'bob']), {
    status: 1,
    err: 'lockstep: bob: no such user, address or session is connected',
  });
  const two = await withDaemon(t, { sessions: () => [SESSION, { ...SESSION, tunnelId: 8 }] });
  t.match(await two(['session', 'alice']), {
    status: 2,
    err: 'lockstep: alice names 2 sessions: 7/9, 8/9; give one of these',
  });
});

t.test('disconnect', async (t) => {
  const run = await withDaemon(t);
  t.match(await run(['disconnect', 'alice']), { status: 0, out: '1 session disconnected' });
  t.strictSame(JSON.parse((await run(['disconnect', 'alice', '--json'])).out), { disconnected: 1 });
  t.match(await run(['disconnect', 'bob']), {
    status: 1,
    out: '',
    err: 'lockstep: bob: no such user, address or session is connected',
  });
});

t.test('pool', async (t) => {
  const run = await withDaemon(t);
  t.strictSame(JSON.parse((await run(['pool', '--json'])).out), POOL);
  t.equal(
    (await run(['pool'])).out,
    [
      'ranges   10.99.0.2-10.99.0.254',
      'gateway  10.99.0.1',
      'dynamic  1 of 252 leased',
      'fixed    0 of 1 leased',
      '',
      'ADDRESS     USER   KIND',
      '10.99.0.10  alice  dynamic',
    ].join('\n'),
  );
  const empty = await withDaemon(t, { pool: () => ({ ...POOL, leases: [] }) });
  t.notMatch((await empty(['pool'])).out, /ADDRESS/);
});

t.test('drain: asks, waits for the last one, and says so', async (t) => {
  const asked: DrainRequest[] = [];
  let left = 2;
  const handlers = {
    drain: (request: DrainRequest) => void asked.push(request),
    status: () => ({
      ...STATUS,
      draining: asked.at(-1)?.cancel === true ? null : 'for repair',
      sessions: left,
      tunnels: left,
    }),
  };
  const run = await withDaemon(t, handlers);
  const onWait = () => void left--;
  t.match(await run(['drain', '--redirect', '192.0.2.9'], { waits: 9, onWait }), {
    status: 0,
    out: 'draining: nobody new is let in, no session is left; `lockstep drain --cancel` ends it',
  });
  left = 2;
  t.match(await run(['drain', '--timeout', '1'], { waits: 9 }), {
    status: 1,
    err: 'lockstep: 2 sessions and 2 tunnels are left after 1 s; nobody new is let in',
  });
  t.match(await run(['drain', '--keep']), { status: 0, out: /2 sessions still up/ });
  t.strictSame(JSON.parse((await run(['drain', '--cancel', '--json'])).out), {
    draining: null,
    tunnels: 2,
    sessions: 2,
  });
  t.match(await run(['drain', '--cancel']), { status: 0, out: 'clients are let in again' });
  const close = { cancel: false, close: true, redirect: null };
  t.strictSame(asked, [
    { ...close, redirect: '192.0.2.9' },
    close,
    { ...close, close: false },
    { ...close, cancel: true },
    { ...close, cancel: true },
  ]);
});

t.test('wrong usage: one sentence, 2, and the daemon is not asked', async (t) => {
  for (const [args, says] of [
    ['sttus', /unknown command 'sttus'/],
    ['disconnect', /missing required argument 'target'/],
    ['session', /missing required argument 'id'/],
    ['status --yaml', /unknown option '--yaml'/],
    ['drain --redirect here', 'lockstep: --redirect: here is not an IP address'],
    ['drain --timeout x', 'lockstep: --timeout: x is not a whole number from 0 to 86400'],
    ['drain --cancel --keep', 'lockstep: --cancel goes with neither --keep nor --redirect'],
  ] as const)
    t.match(await runCtl(args.split(' ')), { status: 2, out: '', err: says }, args);
});

t.test('colours only where somebody sees them and did not refuse', async (t) => {
  t.equal(wantsColor(true, {}), true);
  t.equal(wantsColor(false, {}), false);
  t.equal(wantsColor(true, { NO_COLOR: '1' }), false);
  t.equal(wantsColor(true, { NO_COLOR: '' }), true);
  t.equal(wantsColor(true, { TERM: 'dumb' }), false);
  const run = await withDaemon(t);
  for (const command of [['status'], ['sessions'], ['session', '9']]) {
    t.ok((await run(command, { color: true })).out.includes(`${ESC}[`), command.join(' '));
    t.notOk((await run(command)).out.includes(ESC), command.join(' '));
    t.notOk((await run([...command, '--json'], { color: true })).out.includes(`${ESC}[`), command.join(' '));
  }
});

t.test('tables', async (t) => {
  t.equal(table(['A', 'LONG'], [['x', 'y']]), 'A  LONG\nx  y');
  t.equal(octets(999), '999 B');
  t.equal(octets(2_500_000), '2.5 MB');
});
