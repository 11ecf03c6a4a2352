/**
 * What this package promises to its users about charon 5.9.8, as one suite for every charon: the in-memory one and the
 * real one. A difference between the two is a bug of the in-memory one.
 */
import type { Duplex } from 'node:stream';
import { inspect } from 'node:util';
import type t from 'tap';
import {
  Client,
  CommandAborted,
  CommandFailed,
  CommandTimeout,
  CommandUnknown,
  ConnectionLost,
  EventUnknown,
  NotConnected,
  type Section,
  Session,
} from 'vici-client';

type Test = typeof t;

export interface CharonUnderTest {
  /** Where to connect; called for each connection. */
  readonly endpoint: string | (() => Promise<Duplex>);
  start(): Promise<void>;
  /** As a crash: connections end, state is gone. */
  kill(): Promise<void>;
  /** Ends it for good and leaves nothing behind. */
  remove(): Promise<void>;
}

const GW = {
  version: 1,
  local_addrs: ['127.0.0.1'],
  remote_addrs: ['127.0.0.9'],
  proposals: ['aes256-sha1-modp2048'],
  local: { auth: 'psk' },
  remote: { auth: 'psk', id: '%any' },
  children: {
    l2tp: {
      mode: 'transport',
      esp_proposals: ['aes256-sha1'],
      local_ts: ['dynamic[udp/1701]'],
      remote_ts: ['dynamic[udp]'],
      mark_in: '%unique',
      mark_out: '%unique',
      set_mark_in: '%same',
    },
  },
};
const ts = { local_ts: ['192.0.2.1[udp/9999]'], remote_ts: ['0.0.0.0/0[udp]'] };
const SHUNT = { children: { fence: { mode: 'drop', start_action: 'trap', ...ts } } };
const PSK = 'correct horse battery';

/** Runs the contract. `make` gives a charon that is not started yet. */
export function contract(t: Test, name: string, make: () => CharonUnderTest): void {
  t.test(`contract: ${name}`, async (t) => {
    const charon = make();
    t.teardown(() => charon.remove());
    await charon.start();
    const connect = async () =>
      typeof charon.endpoint === 'string' ? Session.connect(charon.endpoint) : new Session(await charon.endpoint());
    /** A session per test, on a charon whose configuration the tests before may have changed but left empty. */
    const dialogue = (what: string, body: (t: Test, s: Session) => Promise<void>) =>
      t.test(what, async (t) => {
        const session = await connect();
        t.teardown(() => session.close());
        await body(t as Test, session);
      });

    await dialogue('version and stats', async (t, s) => {
      const version = await s.request('version');
      t.equal(version.text('version'), '5.9.8');
      t.same(
        version.elements.map((e) => e.name),
        ['daemon', 'version', 'sysname', 'release', 'machine'],
      );
      const stats = await s.request('stats');
      t.equal(stats.section('ikesas')?.text('total'), '0');
      t.ok(stats.list('plugins')?.includes('vici'));
    });

    await dialogue('connections: load, get, list, unload', async (t, s) => {
      t.equal((await s.request('load-conn', { gw: GW })).text('success'), 'yes');
      t.same((await s.request('get-conns')).list('conns'), ['gw']);
      const [conn, ...more] = await s.list('list-conns');
      t.same(more, []);
      t.same(conn?.section('gw')?.list('local_addrs'), ['127.0.0.1']);
      t.same(
        conn
          ?.section('gw')
          ?.section('children')
          ?.sections()
          .map(([name]) => name),
        ['l2tp'],
      );
      await s.request('unload-conn', { name: 'gw' });
      t.same((await s.request('get-conns')).list('conns'), []);
      const again = await failure(s.request('unload-conn', { name: 'gw' }), CommandFailed);
      t.match(again, { command: 'unload-conn', errmsg: "unload: connection 'gw' not found" });
    });

    await dialogue('shared keys: load, get, unload; an error never carries the key', async (t, s) => {
      await s.request('load-shared', { id: 'psk-1', type: 'IKE', data: PSK, owners: ['127.0.0.9'] });
      t.same((await s.request('get-shared')).list('keys'), ['psk-1']);
      await s.request('unload-shared', { id: 'psk-1' });
      await s.request('unload-shared', { id: 'psk-1' }, {}); // unloading what is not there succeeds
      t.same((await s.request('get-shared')).list('keys'), []);
      const wrong = await failure(s.request('load-shared', { id: 'x', type: 'no such', data: PSK }), CommandFailed);
      t.equal(wrong.errmsg, 'invalid shared key type: no such');
      t.notMatch(printed(wrong), PSK);
      const none = await failure(s.request('load-shared', { id: 'x', data: PSK }), CommandFailed);
      t.equal(none.message, 'vici: load-shared failed: shared key type missing');
    });

    await dialogue('shunts: a drop child with start_action=trap is installed and listed', async (t, s) => {
      await s.request('load-conn', { fence: SHUNT });
      const policies = () => s.list('list-policies', { drop: 'yes' });
      const [policy] = await policies();
      t.match(policy?.section('fence/fence')?.toStrings(), { child: 'fence', ike: 'fence', mode: 'DROP' });
      await s.request('uninstall', { child: 'fence' });
      t.same(await policies(), []);
      await s.request('install', { child: 'fence' });
      t.equal((await policies()).length, 1);
      await s.request('unload-conn', { name: 'fence' });
      t.same(await policies(), [], 'unload-conn uninstalls too');
      const missing = await failure(s.request('install', { child: 'fence' }), CommandFailed);
      t.equal(missing.errmsg, 'configuration name not found');
    });

    await dialogue('streams without events', async (t, s) => {
      for (const command of ['list-sas', 'list-policies', 'list-certs', 'list-authorities', 'list-conns'] as const)
        t.same(await s.list(command), [], command);
    });

    await dialogue('unknown command and event are typed, and end nothing', async (t, s) => {
      t.equal((await failure(s.request('no-such-command'), CommandUnknown)).command, 'no-such-command');
      t.equal(
        (
          await failure(
            s.subscribe('alert', () => {}),
            EventUnknown,
          )
        ).event,
        'alert',
      );
      for (const event of ['ike-updown', 'ike-rekey', 'ike-update', 'child-updown', 'child-rekey', 'log'])
        await (await s.subscribe(event, () => {}))();
      t.ok(s.open);
    });

    await dialogue('log events, once for each of two listeners, none for one that left', async (t, s) => {
      const seen: string[] = [];
      const note = (who: string, e: Section) => {
        if (e.text('msg')?.includes('added vici connection')) seen.push(`${who} ${e.text('group')} ${e.text('level')}`);
        return seen.length;
      };
      const until = condition();
      const one = await s.subscribe('log', (e) => note('one', e));
      const two = await s.subscribe('log', (e) => until.met(note('two', e)));
      await s.request('load-conn', { gw: GW });
      await until.atLeast(2); // charon raises log events from a thread of its own, after the response if it likes
      await one();
      await s.request('load-conn', { other: GW });
      await until.atLeast(3);
      t.same(seen, ['one CFG 1', 'two CFG 1', 'two CFG 1']);
      await two();
      for (const name of ['gw', 'other']) await s.request('unload-conn', { name });
    });

    await dialogue('initiate to a peer that is not there: control-log, list-sas, terminate', async (t, s) => {
      await s.request('load-conn', { gw: GW });
      const logged: string[] = [];
      const args = { child: 'l2tp', timeout: 200, loglevel: 1 };
      const timeout = await failure(
        s.streamTo('initiate', args, (e) => logged.push(e.text('msg') ?? '')),
        CommandFailed,
      );
      t.equal(timeout.errmsg, "CHILD_SA 'l2tp' not established after 200ms");
      t.match(logged[0], /^initiating Main Mode IKE_SA gw/);
      const sas: Section[] = [];
      for await (const sa of s.stream('list-sas')) sas.push(sa);
      t.equal(sas[0]?.section('gw')?.text('state'), 'CONNECTING');
      const id = sas[0]?.section('gw')?.text('uniqueid');
      const ended = await s.request('terminate', { 'ike-id': id, force: true });
      t.match(ended.toStrings(), { success: 'yes', matches: '1', terminated: '1' });
      const gone = await failure(s.request('terminate', { 'ike-id': id }), CommandFailed);
      t.equal(gone.response.text('matches'), '0');
      await s.request('unload-conn', { name: 'gw' });
    });

    await dialogue('a command given up is told at once, its answer is never taken for the next one', async (t, s) => {
      await s.request('load-conn', { gw: GW });
      const initiate = { child: 'l2tp', timeout: 400, loglevel: 1 };
      const abort = new AbortController();
      const stop = () => abort.abort('enough');
      const aborted = failure(s.streamTo('initiate', initiate, stop, { signal: abort.signal }), CommandAborted);
      const queued = new AbortController();
      const never = failure(s.request('stats', {}, { signal: queued.signal }), CommandAborted);
      queued.abort();
      const next = s.request('version');
      t.match(await aborted, { sent: true, cause: 'enough' });
      t.match(await never, { sent: false });
      t.equal((await next).text('version'), '5.9.8', "initiate's late response was discarded");
      const late = await failure(s.request('initiate', initiate, { timeoutMs: 50 }), CommandTimeout);
      t.match(late, { command: 'initiate', timeoutMs: 50 });
      const both = { signal: AbortSignal.timeout(1), timeoutMs: Infinity };
      t.match(await failure(s.request('version', {}, both), CommandAborted), { sent: false });
      t.equal((await s.request('version')).text('version'), '5.9.8');
      await s.request('terminate', { ike: 'gw', force: true });
      for await (const _ of s.stream('initiate', initiate)) break; // leaving the loop aborts
      t.equal((await s.request('version')).text('version'), '5.9.8');
      await s.request('terminate', { ike: 'gw', force: true });
      await s.request('unload-conn', { name: 'gw' });
      t.ok(s.open);
    });

    await t.test('charon killed and started again: lost, connected, subscriptions and resync', async (t) => {
      const happened: string[] = [];
      let events = 0;
      const log = condition();
      const client: Client = new Client({
        endpoint: charon.endpoint,
        backoff: { firstMs: 20, maxMs: 100 },
        events: { log: (e) => e.text('msg')?.startsWith('added vici') && log.met(++events) },
        resync: async (session) => {
          await failure(client.request('version'), NotConnected); // not before resync is through
          const before = events;
          await session.request('load-conn', { gw: GW });
          await log.atLeast(before + 1); // comes, so the registration was there first
          happened.push('resync');
        },
        onConnected: () => happened.push('connected'),
        onLost: (why) => happened.push(`lost ${why.code}`),
      });
      t.teardown(() => client.close());
      await client.connected();
      t.same(happened, ['resync', 'connected']);
      const inFlight = client.request('initiate', { child: 'l2tp', timeout: 60_000 }, { timeoutMs: Infinity });
      const both = [inFlight, client.request('version')].map((p) => failure(p, ConnectionLost));
      await charon.kill();
      await Promise.all(both);
      await charon.start();
      await client.connected();
      t.same(happened.slice(2), ['lost connection-lost', 'resync', 'connected']);
      t.same((await client.request('get-conns')).list('conns'), ['gw']);
    });
  });
}

/** The error of a promise that must reject with this type. */
export async function failure<E extends Error>(p: Promise<unknown>, type: new (...args: never[]) => E): Promise<E> {
  try {
    await p;
  } catch (error) {
    if (error instanceof type) return error;
    throw error;
  }
  throw new Error(`expected ${type.name}, and it succeeded`);
}

/** A count that grows, and promises for it to reach a number. */
export function condition() {
  let count = 0;
  let waiting: { n: number; resolve: () => void }[] = [];
  return {
    met(n: number): void {
      count = n;
      for (const w of waiting) if (w.n <= n) w.resolve();
      waiting = waiting.filter((w) => w.n > n);
    },
    atLeast: (n: number) =>
      new Promise<void>((resolve) => {
        if (count >= n) resolve();
        else waiting.push({ n, resolve });
      }),
  };
}

/** Everything a log or a crash report could show of an error. */
export const printed = (error: Error): string =>
  `${inspect(error, { depth: 20, showHidden: true })}${JSON.stringify(error)}`;
