/** The reconnecting client: order of a connection's start, failures on the way, back-off. */
import fc from 'fast-check';
import t from 'tap';
import {
  backoffDelay,
  Client,
  type ClientOptions,
  Closed,
  type EventUnknown,
  NotConnected,
  type Session,
} from 'vici-client';
import { condition, failure } from './contract.js';
import { FakeCharon } from './fake-charon.js';

const backoff = { firstMs: 1, maxMs: 2 };
const setup = (options: ClientOptions) => {
  const charon = new FakeCharon();
  const client = new Client({ endpoint: async () => charon.connect(), backoff, ...options });
  return { charon, client };
};

t.test('back-off: grows from firstMs to maxMs, with jitter between half and all', async (t) => {
  const delays = (random: number) => [1, 2, 3, 7, 8, 2000].map((n) => backoffDelay(n, { random: () => random }));
  t.same(delays(0), [50, 100, 200, 3200, 5000, 5000]);
  t.same(delays(1), [100, 200, 400, 6400, 10_000, 10_000]);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e6 }), fc.double({ min: 0, max: 1, noNaN: true }), (n, r) => {
      const ms = backoffDelay(n, { firstMs: 100, maxMs: 5000, random: () => r });
      return ms >= 50 && ms <= 5000;
    }),
  );
});

t.test('subscribe, then resync, then connected', async (t) => {
  const { charon, client } = setup({
    events: { 'ike-updown': () => {}, 'child-updown': () => {} },
    resync: async (session) => void (await session.list('list-sas')),
  });
  t.equal(client.state, 'connecting');
  await failure(client.request('version'), NotConnected);
  await client.connected();
  t.equal(client.state, 'connected');
  await client.connected();
  t.same(charon.received, [
    'EVENT_REGISTER ike-updown',
    'EVENT_REGISTER child-updown',
    'EVENT_REGISTER list-sa',
    'CMD_REQUEST list-sas',
  ]);
  charon.sas.set('1', { l2tp: {} });
  t.equal((await client.list('list-sas')).length, 1);
  let streamed = 0;
  for await (const _ of client.stream('list-sas')) streamed++;
  await client.streamTo('list-sas', {}, () => streamed++);
  t.equal(streamed, 2);
  await client.close();
});

t.test('every failed step is reported and tried again, with the failures counted', async (t) => {
  const steps = ['refused', 'event', 'resync', 'lost', 'fine'];
  const reasons: string[] = [];
  const counted: number[] = [];
  let step = '';
  const charon = new FakeCharon();
  const client = new Client({
    backoff,
    endpoint: async () => {
      step = steps.shift()!;
      if (step === 'refused') throw new Error('refused');
      return charon.connect();
    },
    get events() {
      return step === 'event' ? { alert: () => {} } : { log: () => {} };
    },
    resync: async () => {
      if (step === 'resync') throw new Error('resync');
      if (step !== 'lost') return;
      await charon.stop();
      await new Promise<never>(() => {}); // a hook that would wait for ever
    },
    onLost: () => t.fail('it never was connected'),
    onRetry: (why, delayMs, failures) => {
      reasons.push((why as { code?: string }).code ?? (why as Error).message);
      counted.push(failures);
      t.ok(delayMs >= 0.5 && delayMs <= 2);
    },
  });
  await client.connected();
  t.same(reasons, ['refused', 'event-unknown', 'resync', 'connection-lost']);
  t.same(counted, [1, 2, 3, 4]);
  t.same(steps, []);
  await client.close();
});

t.test('an unknown event can be tolerated', async (t) => {
  const unknown: EventUnknown[] = [];
  const { charon, client } = setup({
    events: { alert: () => {}, log: () => {} },
    onEventUnknown: (why) => unknown.push(why),
  });
  await client.connected();
  t.match(unknown, [{ event: 'alert' }]);
  t.same(charon.received, ['EVENT_REGISTER alert', 'EVENT_REGISTER log']);
  await client.close();
});

t.test('lost and back: listeners serve the new connection, failures count from one again', async (t) => {
  const seen: string[] = [];
  const back = condition();
  let connections = 0;
  const { charon, client } = setup({
    events: { log: (e) => seen.push(e.text('msg') ?? '') },
    onConnected: () => back.met(++connections),
    onLost: (why) => seen.push(why.code),
    onRetry: (_why, _ms, failures) => seen.push(`retry ${failures}`),
  });
  for (const n of [1, 2, 3]) {
    await back.atLeast(n);
    charon.raise('log', { msg: `from ${n}` });
    await client.request('version');
    if (n < 3) await charon.stop();
  }
  const between = ['connection-lost', 'retry 1'];
  t.same(seen, ['from 1', ...between, 'from 2', ...between, 'from 3']);
  await client.close();
});

t.test('close, in each state: no attempt, no callback afterwards', async (t) => {
  const connected = setup({ onLost: () => t.fail('closed is not lost') });
  await connected.client.connected();
  const inFlight = failure(connected.client.request('version'), Closed);
  await connected.client.close();
  await inFlight;
  t.equal(connected.client.state, 'closed');
  await failure(connected.client.request('version'), Closed);
  await failure(connected.client.connected(), Closed);
  await connected.client.close();

  const retrying = new Client({
    endpoint: '/nonexistent/vici',
    backoff: { firstMs: 60_000, maxMs: 60_000 },
    onRetry: () => tried.met(1),
  });
  const tried = condition();
  const waiting = failure(retrying.connected(), Closed);
  await tried.atLeast(1);
  await retrying.close(); // does not wait for the minute
  await waiting;

  let session: Session | undefined;
  const reached = condition();
  const resyncing = setup({
    resync: (s) => {
      session = s;
      reached.met(1);
      return new Promise<never>(() => {});
    },
    onConnected: () => t.fail('resync never ended'),
  });
  await reached.atLeast(1);
  await resyncing.client.close();
  t.equal(session?.open, false);
});
