import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer as createTcp } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { HISTORY_STEP_MS, History, MAX_POINTS } from '../../src/daemon/history.js';
import { type Overview, type PageHandlers, serveStatusPage } from '../../src/daemon/status-page.js';
import type { AttemptView, TraceView } from '../../src/daemon/timeline.js';
import type { SessionView } from '../../src/daemon/view.js';
import { hasChromium, openPage } from '../lib/chromium.js';
import { HANDLERS, SESSION, STATUS, scratch, TRACE } from '../lib/ctl-rig.js';

const BEGAN = Date.parse('2026-01-01T08:00:00Z');

t.test('history: rates of what lives and what has ended, the oldest forgotten', async (t) => {
  let octets = { in: 0, out: 0 };
  const history = new History(() => ({ sessions: { up: 2 }, octets }));
  history.sample(BEGAN);
  octets = { in: 30_000, out: 60_000 };
  history.sample(BEGAN + 30_000);
  octets = { in: 10_000, out: 0 };
  history.event('session.end', { octetsIn: 50_000n, octetsOut: 60_000n });
  history.event('session.up', { octetsIn: 99_000n });
  history.sample(BEGAN + 60_000);
  t.strictSame(history.points, [
    { at: BEGAN, sessions: 2, in: 0, out: 0 },
    { at: BEGAN + 30_000, sessions: 2, in: 8_000, out: 16_000 },
    { at: BEGAN + 60_000, sessions: 2, in: 8_000, out: 0 },
  ]);
  octets = { in: 20_000, out: 0 };
  history.sample(BEGAN + 10_000);
  t.match(history.points.at(-1), { in: 0, out: 0 }, 'a clock that was set back');
  for (let i = 0; i < MAX_POINTS; i++) history.sample(BEGAN + i * HISTORY_STEP_MS);
  t.equal(history.points.length, MAX_POINTS);
  t.equal(history.points[0]?.at, BEGAN);
});

const PAGE: PageHandlers = { ...HANDLERS, find: () => ({ sessions: [SESSION], found: 1 }) };
const served = async (t: Test, handlers: Partial<PageHandlers> = {}, history = new History(idle)) => {
  const socket = join(scratch(t), 'page.sock');
  const server = await serveStatusPage(socket, { ...PAGE, ...handlers }, history);
  t.teardown(() => server.close());
  const ask = (path: string, headers: Record<string, string> = {}, method = 'GET', body = '') =>
    new Promise<{ status: number | undefined; headers: Record<string, unknown>; text: string }>((resolve, reject) => {
      const all = { host: 'localhost:9180', ...headers };
      const req = request({ socketPath: socket, path, method, headers: all }, (res) => {
        let text = '';
        res.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, text }));
      });
      req.on('error', reject).end(body);
    });
  return { socket, ask };
};
const idle = () => ({ sessions: { up: 0 }, octets: { in: 0, out: 0 } });

t.test('what is served: the page, its files, its data, and nothing else', async (t) => {
  const { ask, socket } = await served(t);
  t.equal(statSync(socket).mode & 0o777, 0o660);
  for (const [path, type, says] of [
    ['/', 'text/html', /<title>Lockstep</],
    ['/?x', 'text/html', /<title>Lockstep</],
    ['/page.js', 'text/javascript', /api\/overview/],
    ['/plot.js', 'text/javascript', /polyline/],
    ['/page.css', 'text/css', /color-scheme/],
  ] as const) {
    const { status, headers, text } = await ask(path);
    t.equal(status, 200, path);
    t.match(headers['content-type'], type);
    t.match(headers['content-security-policy'], /default-src 'none'; script-src 'self'/);
    t.match(text, says);
    t.notMatch(text, /https?:\/\/(?!www\.w3\.org\/2000\/svg)/, 'nothing from elsewhere');
  }
  const overview = JSON.parse((await ask('/api/overview')).text) as Overview;
  t.strictSame(overview, { status: STATUS, sessions: [SESSION], found: 1, failed: TRACE.attempts });
  t.match(JSON.parse((await ask('/api/history')).text), [{ sessions: 0, in: 0, out: 0 }]);
  for (const path of ['/api', '/../package.json', '/page.ts', '//', '/status'])
    t.equal((await ask(path)).status, 404, path);
  t.equal((await ask('/', {}, 'POST')).status, 404);
  t.strictSame(await ask('/', {}, 'HEAD').then((r) => [r.status, r.text]), [200, '']);
});

t.test('a search is asked for as it is typed, and no more is wanted than a person reads', async (t) => {
  const asked: unknown[] = [];
  const { ask } = await served(t, {
    find: (...what) => {
      asked.push(what);
      return { sessions: [SESSION], found: 70_000 };
    },
  });
  t.match(JSON.parse((await ask('/api/overview?search=a%26b%3Fc%20d')).text), { sessions: [SESSION], found: 70_000 });
  await ask('/api/overview?other=x');
  t.strictSame(asked, [
    ['a&b?c d', 200],
    ['', 200],
  ]);
});

t.test('only failures are failures, newest first', async (t) => {
  const [one] = TRACE.attempts as [AttemptView];
  const trace = (): TraceView => ({
    seq: 9,
    attempts: [
      one,
      { ...one, id: 5, state: 'up', stage: 'up', cause: null, shows: [] },
      { ...one, id: 6, stage: 'up', cause: 'client-closed', shows: [] },
      { ...one, id: 7, stage: 'ike', cause: 'no-l2tp', shows: [] },
      { ...one, id: 8, state: 'trying', cause: null, shows: [] },
    ],
  });
  const { ask } = await served(t, { trace });
  const { failed } = JSON.parse((await ask('/api/overview')).text) as Overview;
  t.strictSame(
    failed.map((a) => a.id),
    [7, 4],
  );
});

t.test('another name than this host’s: no answer (DNS rebinding)', async (t) => {
  const { ask } = await served(t);
  for (const host of ['localhost', 'LOCALHOST:9180', '127.0.0.1:9180', '127.0.0.53', '[::1]:9180'])
    t.equal((await ask('/api/overview', { host })).status, 200, host);
  for (const host of [
    'evil.example',
    'evil.example:9180',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '10.0.0.1',
  ])
    t.strictSame(
      await ask('/api/overview', { host }).then((r) => [r.status, r.text]),
      [421, 'ask for localhost\n'],
      host,
    );
});

t.test('disconnect: only the page itself (CSRF)', async (t) => {
  const told: string[] = [];
  const { ask } = await served(t, { disconnect: (target) => told.push(target) });
  const own = { 'content-type': 'application/json', 'x-lockstep': 'status-page' };
  const post = (headers: Record<string, string>, body = '{"target": "7/9"}') =>
    ask('/api/disconnect', headers, 'POST', body);
  const same = { ...own, origin: 'http://localhost:9180', 'sec-fetch-site': 'same-origin' };
  for (const [name, headers] of [
    ['no header of ours', { 'content-type': 'application/json' }],
    ['what a form can send', { 'content-type': 'text/plain', 'x-lockstep': 'status-page' }],
    ['a page of somebody', { ...own, origin: 'http://evil.example' }],
    ['another port of this host', { ...own, origin: 'http://localhost:8080' }],
    ['a page without an origin', { ...own, origin: 'null' }],
    ['the same site is not the same origin', { ...own, 'sec-fetch-site': 'same-site' }],
  ] as const)
    t.match(await post(headers), { status: 403, text: /only the status page itself/ }, name);
  t.equal((await ask('/api/disconnect?target=alice')).status, 404, 'nothing is done by a GET');
  t.strictSame(told, []);
  t.match(await post(same), { status: 200, text: '{"disconnected":1}\n' });
  t.match(await post(own), { status: 200 });
  for (const [body, says] of [
    ['{}', /target: expected a session id/],
    ['[]', /target: expected/],
    ['{"target": 7}', /target: expected/],
    ['', /JSON/],
    ['"x"', /expected a JSON object/],
    [`{"target": "${'x'.repeat(5_000)}"}`, /too long/],
  ] as const)
    t.match(await post(same, body), { status: 400, text: says }, body.slice(0, 20));
  t.strictSame(told, ['7/9', '7/9']);
});

t.test('an address that is taken: a sentence', async (t) => {
  const other = createTcp();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  t.teardown(() => other.close());
  const { port } = other.address() as { port: number };
  await t.rejects(serveStatusPage(`127.0.0.1:${port}`, PAGE, new History(idle)), {
    message: `status_page.listen: 127.0.0.1:${port} cannot be opened (EADDRINUSE)`,
  });
});

/** A gateway of some size, for the browser. */
const PEOPLE = ['alice', 'bob', '<b>mallory</b>', 'carol'];
const manySessions = (): SessionView[] =>
  PEOPLE.map((user, i) => ({
    ...SESSION,
    user,
    sessionId: i + 1,
    address: `10.99.0.${10 + i}`,
    octetsIn: 10 ** (i + 4),
    upSince: new Date(Date.now() - (i + 1) * 3_000_000).toISOString(),
    client: {
      ...SESSION.client,
      hostName: `pc${i}`,
      port: 1701 + i,
      type: i === 1 ? 'iPhone, iPad or Mac' : SESSION.client.type,
    },
    child: SESSION.child && { ...SESSION.child, mark: i + 1 },
  }));

t.test('in a browser', { skip: hasChromium ? false : 'no /usr/bin/chromium here', timeout: 180_000 }, async (t) => {
  const left = manySessions();
  const history = new History(idle);
  const points = Array.from({ length: 400 }, (_, i) => {
    const wave = (period: number) => 1 + Math.sin(i / period);
    return {
      at: BEGAN + i * HISTORY_STEP_MS,
      sessions: Math.round(20 * wave(60)),
      in: 4e6 * wave(23),
      out: 2e7 * wave(31),
    };
  });
  Object.defineProperty(history, 'points', { get: () => points });
  const told: string[] = [];
  const handlers: PageHandlers = {
    ...HANDLERS,
    find: (text) => {
      const sessions = left.filter((s) => s.client.type.toLowerCase().includes(text));
      return { sessions, found: sessions.length };
    },
    status: () => ({ ...STATUS, sessions: left.length, tunnels: left.length }),
    disconnect: (target) => {
      told.push(target);
      left.splice(
        left.findIndex((s) => target === `${s.tunnelId}/${s.sessionId}`),
        1,
      );
      return 1;
    },
  };
  const free = createTcp();
  const port = await new Promise<number>((resolve) =>
    free.listen(0, '127.0.0.1', () => resolve((free.address() as { port: number }).port)),
  );
  await new Promise<void>((resolve) => free.close(() => resolve()));
  const server = await serveStatusPage(`127.0.0.1:${port}`, handlers, history);
  t.teardown(() => server.close().catch(() => {}));
  const page = await openPage(t, `http://127.0.0.1:${port}/`);
  const users = () => page.evaluate(`[...document.querySelectorAll('#rows th')].map((c) => c.textContent)`);
  const focused = () =>
    page.evaluate(`document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim()`);

  await page.until(
    `document.querySelectorAll('#rows tr').length === 4 && document.querySelectorAll('svg').length === 2`,
  );
  t.strictSame(await users(), ['<b>mallory</b>', 'alice', 'bob', 'carol'], 'names are text, whatever is in them');
  t.match(
    await page.evaluate(`document.getElementById('state').textContent`),
    /^listening · 4 sessions, 4 tunnels, 2 SAs · 1\.2\.3/,
  );

  const tree = await page.accessible();
  for (const [role, name] of [
    ['heading', 'Sessions'],
    ['searchbox', 'Search'],
    ['columnheader', 'Inner address'],
    ['rowheader', 'alice'],
    ['button', 'Disconnect alice, 10.99.0.10'],
    ['link', 'To the sessions'],
  ] as const)
    t.ok(
      tree.some((n) => n.role === role && n.name === name),
      `a screen reader finds: ${role} ${name}`,
    );
  const plots = tree.filter((n) => n.role === 'image' || n.role === 'img').map((n) => n.name);
  t.match(plots, [
    /^Sessions since 08:00:00: now \d+, at most 40$/,
    /from clients now .*, at most 8\.0 Mbit\/s; to clients .* 40\.0 Mbit\/s$/,
  ]);

  await page.key('Tab');
  t.equal(await focused(), 'To the sessions', 'the keyboard comes to the table in one step');
  await page.evaluate(`document.getElementById('search').focus()`);
  await page.type('iphone');
  await page.until(`document.querySelectorAll('#rows tr').length === 1`);
  t.strictSame(await users(), ['bob'], 'the search is the daemon’s');
  t.equal(await page.evaluate(`document.getElementById('found').textContent`), '1 of 4');

  await page.key('Tab');
  await page.key('Tab');
  t.equal(await focused(), 'Disconnect bob, 10.99.0.11');
  await page.key('Enter');
  await page.until(`document.getElementById('ask').open`);
  t.equal(await page.evaluate(`document.getElementById('ask-text').textContent`), 'Disconnect bob, 10.99.0.11?');
  t.equal(await focused(), 'Cancel', 'the safe answer first');
  await page.key('Escape');
  await page.until(`!document.getElementById('ask').open`);
  t.strictSame(told, [], 'nothing is done without a yes');
  t.equal(await focused(), 'Disconnect bob, 10.99.0.11', 'and the focus is where it was');
  await page.key('Enter');
  await page.until(`document.getElementById('ask').open`);
  await page.key('Tab');
  await page.key('Enter');
  await page.until(`document.querySelectorAll('#rows tr').length === 0`);
  await page.evaluate(`document.getElementById('ask').dispatchEvent(new Event('close'))`);
  t.strictSame(told, ['7/2'], 'once, even if the close of the dialogue cancelled before comes only now');

  await page.evaluate(
    `{ const s = document.getElementById('search'); s.value = ''; s.dispatchEvent(new Event('input')) }`,
  );
  await page.until(`document.querySelectorAll('#rows tr').length === 3`);
  await page.evaluate(`document.querySelector('#failed summary').click()`);
  const story = String(await page.evaluate(`document.getElementById('failed').innerText`));
  t.match(story, /198\.51\.100\.2 alice \(pc.*wrong-password at auth/);
  t.match(story, /10:00:00\.000 {2}ike {3}the client begins: IKEv1 Main Mode/);
  t.match(
    story,
    /Why: too many wrong passwords\s+The client shows: Windows 691\s+What to do: the password is not the one/,
  );
  t.strictSame(page.complaints, [], 'no error, and nothing the policy had to refuse');

  const shots = process.env.LOCKSTEP_SCREENSHOT;
  if (shots !== undefined) {
    mkdirSync(join(shots, '..'), { recursive: true });
    writeFileSync(shots, await page.screenshot());
  }

  await server.close();
  await page.until(`document.getElementById('state').textContent.startsWith('no answer from lockstepd')`);
  t.pass('a daemon that stopped is told');
});
