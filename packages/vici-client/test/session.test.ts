/** One connection: what must hold whatever charon does. The contract has what charon 5.9.8 does. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import t from 'tap';
import {
  Closed,
  CommandFailed,
  CommandTimeout,
  CommandUnknown,
  ConnectFailed,
  ConnectionLost,
  InvalidMessage,
  ProtocolError,
  type Section,
  Session,
} from 'vici-client';
import { encodePacket } from 'vici-client/packet';
import { parseEndpoint, SEGMENT_LIMIT } from 'vici-client/transport';
import { condition, failure, printed } from './contract.js';
import { FakeCharon, type Handler } from './fake-charon.js';

const setup = (overrides: Record<string, Handler> = {}, options = {}) => {
  const charon = new FakeCharon();
  for (const [command, handler] of Object.entries(overrides)) charon.overrides.set(command, handler);
  return { charon, session: new Session(charon.connect(), options) };
};
const never = () => new Promise<never>(() => {});
const SECRET = 'correct horse';

/** Stands in for Node's timers until `body` is through: `pass` is what makes the time go. */
async function standingTime(body: (pass: (ms: number) => void) => Promise<void>): Promise<void> {
  const { setTimeout, clearTimeout } = globalThis;
  const timers = new Map<object, { at: number; f: () => void }>();
  let now = 0;
  const set = (f: () => void, ms: number) => {
    const timer = {};
    timers.set(timer, { at: now + ms, f });
    return timer;
  };
  const pass = (ms: number) => {
    now += ms;
    for (const [timer, { at, f }] of [...timers]) if (at <= now && timers.delete(timer)) f();
  };
  Object.assign(globalThis, { setTimeout: set, clearTimeout: (timer: object) => timers.delete(timer) });
  try {
    await body(pass);
  } finally {
    Object.assign(globalThis, { setTimeout, clearTimeout });
  }
}

t.test('one request in flight: the next is sent when the answer is here', async (t) => {
  let release = () => {};
  const slow: Handler = async () => {
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    return { slow: 1 };
  };
  const { charon, session } = setup({ slow });
  const answers: string[] = [];
  const first = session.request('slow').then(() => answers.push('slow'));
  const second = session.request('version').then(() => answers.push('version'));
  const third = session.subscribe('log', () => {}).then(() => answers.push('log'));
  await new Promise(setImmediate);
  t.same(charon.received, ['CMD_REQUEST slow']);
  release();
  await Promise.all([first, second, third]);
  t.same(answers, ['slow', 'version', 'log']);
  t.same(charon.received, ['CMD_REQUEST slow', 'CMD_REQUEST version', 'EVENT_REGISTER log']);
  session.close();
});

t.test('what awaits a listing runs before events that charon sent after it, all in one chunk', async (t) => {
  const { charon, session } = setup({
    'list-sas': (_, emit) => {
      emit('list-sa', { l2tp: { uniqueid: 1 } });
      queueMicrotask(() => queueMicrotask(() => queueMicrotask(() => charon.raise('child-updown', { l2tp: {} }))));
      emit('child-updown', { up: 'yes', l2tp: {} });
      return {};
    },
  });
  const seen: string[] = [];
  await session.subscribe('child-updown', (e) => seen.push(e.text('up') === 'yes' ? 'up' : 'down'));
  const wrapped = async () => (await session.list('list-sas')).length;
  seen.push(`listed ${await wrapped()}`);
  await session.request('version');
  t.same(seen, ['up', 'listed 1', 'down']);
  session.close();
});

t.test('registrations: once per event however many listen, undone by the last', async (t) => {
  const { charon, session } = setup();
  const seen: string[] = [];
  const [a, b] = await Promise.all([
    session.subscribe('ike-updown', () => seen.push('a')),
    session.subscribe('ike-updown', () => seen.push('b')),
  ]);
  const raise = async () => {
    charon.raise('ike-updown', {});
    await session.request('version'); // behind it, so the event is through
  };
  await raise();
  await a();
  await a(); // harmless
  await raise();
  const again = b().then(() => session.subscribe('ike-updown', () => seen.push('c')));
  await again;
  await raise();
  t.same(seen, ['a', 'b', 'b', 'c']);
  const registrations = charon.received.filter((r) => r.startsWith('EVENT'));
  const [register, unregister] = ['EVENT_REGISTER ike-updown', 'EVENT_UNREGISTER ike-updown'];
  t.same(registrations, [register, unregister, register]);
  session.close();
});

t.test('a stream and a listener of the same event: registered once, each event once for both', async (t) => {
  const { charon, session } = setup();
  charon.sas.set('1', { l2tp: { uniqueid: 1 } });
  let heard = 0;
  await session.subscribe('list-sa', () => heard++);
  t.equal((await session.list('list-sas')).length, 1);
  t.equal((await session.list('list-sas')).length, 1);
  t.equal(heard, 2);
  t.equal(charon.received.filter((r) => r === 'EVENT_REGISTER list-sa').length, 1);
  session.close();
});

t.test('stream: yields in order, returns the response, throws its error after the events', async (t) => {
  const { session } = setup({
    'list-sas': (_, emit) => {
      for (const uniqueid of [1, 2, 3]) emit('list-sa', { uniqueid });
      return { done: 'yes' };
    },
    initiate: (_, emit) => {
      emit('control-log', { msg: 'trying' });
      return { success: 'no', errmsg: 'no' };
    },
  });
  const stream = session.stream('list-sas');
  const ids: (string | undefined)[] = [];
  let step = await stream.next();
  for (; !step.done; step = await stream.next()) ids.push(step.value.text('uniqueid'));
  t.same(ids, ['1', '2', '3']);
  t.equal(step.value.text('done'), 'yes');
  const log: (string | undefined)[] = [];
  const failing = async () => {
    for await (const e of session.stream('initiate', { child: 'c' })) log.push(e.text('msg'));
  };
  t.match(await failure(failing(), CommandFailed), { command: 'initiate', errmsg: 'no' });
  t.same(log, ['trying']);
  session.close();
});

t.test('secrets: no error of a request that carries one shows it', async (t) => {
  const psk = { id: 'x', type: 'IKE', data: SECRET };
  const rows: [what: string, type: new (...args: never[]) => Error, handler: Handler | undefined][] = [
    [
      'echoed in errmsg',
      CommandFailed,
      (a) => ({ success: 'no', errmsg: `bad key '${a.text('data')}'`, data: SECRET }),
    ],
    ['unknown command', CommandUnknown, () => ({ type: 'CMD_UNKNOWN' })],
    ['no answer', CommandTimeout, never],
    ['wrong answer', ProtocolError, () => ({ type: 'EVENT_CONFIRM' })],
  ];
  for (const [what, type, handler] of rows) {
    const { session } = setup(handler && { 'load-shared': handler });
    const error = await failure(session.request('load-shared', psk, { timeoutMs: 10 }), type);
    t.notMatch(printed(error), SECRET, what);
    t.notMatch(printed(session as never), SECRET, 'nor does the session');
    session.close();
  }
  const { session } = setup({ 'load-shared': never });
  const [sent, queued] = [1, 2].map(() => failure(session.request('load-shared', psk), Closed));
  t.notMatch(printed(session as never), SECRET);
  session.close();
  t.notMatch(printed((await sent)!), SECRET);
  t.notMatch(printed((await queued)!), SECRET);
});

t.test('a request that VICI cannot carry fails alone', async (t) => {
  const { charon, session } = setup();
  const item = 'x'.repeat(60_000);
  const tooLong = { owners: Array.from({ length: 9 }, () => item) };
  t.match(
    (await failure(session.request('load-shared', tooLong), InvalidMessage)).message,
    `limit of ${SEGMENT_LIMIT}`,
  );
  await failure(session.request('n'.repeat(256)), InvalidMessage);
  await failure(session.request('load-conn', { a: null } as never), InvalidMessage);
  t.equal((await session.request('version')).text('version'), '5.9.8');
  t.same(charon.received, ['CMD_REQUEST version']);
  session.close();
});

t.test('bytes that are not VICI end the session with a ProtocolError, for everyone waiting', async (t) => {
  const event = encodePacket({ type: 'EVENT_CONFIRM' });
  const rows: [what: string, segment: Uint8Array, message: RegExp][] = [
    ['empty packet', new Uint8Array(), /malformed packet: empty packet/],
    ['malformed event', Uint8Array.of(7, 1, 97, 2), /malformed packet: SECTION_END without SECTION_START \(octet 3\)/],
    ['a request from charon', encodePacket({ type: 'EVENT_REGISTER', name: 'log' }), /only a client may/],
    ['an answer of the wrong kind', event, /answered slow with EVENT_CONFIRM/],
  ];
  for (const [what, segment, message] of rows) {
    const { charon, session } = setup({ slow: never });
    const waiting = ['slow', 'version'].map((c) => failure(session.request(c), ProtocolError));
    charon.inject(segment);
    for (const error of await Promise.all(waiting)) t.match(error.message, message, what);
    t.equal((await session.ended).code, 'protocol');
    t.notOk(session.open);
  }
  const { charon, session } = setup();
  charon.inject(event);
  t.match((await session.ended).message, /sent EVENT_CONFIRM, and nothing was asked/);
});

t.test('the last events before charon closes are delivered, then the end', async (t) => {
  const { charon, session } = setup({ slow: never });
  const seen: string[] = [];
  await session.subscribe('ike-updown', () => seen.push('event'));
  const waiting = failure(session.request('slow'), ConnectionLost).then(() => seen.push('rejected'));
  charon.raise('ike-updown', {});
  await new Promise(setImmediate);
  await charon.stop();
  t.equal((await session.ended).code, 'connection-lost');
  await waiting;
  t.same(seen, ['event', 'rejected']);
  await failure(session.request('version'), ConnectionLost);
  await failure(
    session.subscribe('log', () => {}),
    ConnectionLost,
  );
});

t.test('a limit is of the command alone: many that are slow together are all answered, in order', (t) =>
  standingTime(async (pass) => {
    const slow: Handler = (args) => {
      pass(999);
      return { n: args.text('n') };
    };
    const { charon, session } = setup({ slow }, { timeoutMs: 1_000 });
    const answers: (string | undefined)[] = [];
    const asked = Array.from({ length: 100 }, (_, n) => `${n}`);
    await Promise.all(
      asked.map(async (n) => {
        answers.push((await session.request('slow', { n })).text('n'));
      }),
    );
    t.same(answers, asked);
    pass(1_000_000);
    t.equal((await session.request('version')).text('version'), '5.9.8', 'no limit is left running');
    t.equal(charon.received.length, 101);
    session.close();
  }),
);

t.test('one that is not answered within its limit rejects; those behind it are served, in order', (t) =>
  standingTime(async (pass) => {
    const slow: Handler = (args) => {
      pass(args.text('n') === '3' ? 1_000 : 999);
      if (args.text('n') === '3') pass(4_999); // the answer comes at the last moment of drainMs
      return { n: args.text('n') };
    };
    const { charon, session } = setup({ slow }, { timeoutMs: 1_000, drainMs: 5_000 });
    const told: unknown[] = [];
    const ask = (n: number) =>
      session.request('slow', { n }).then(
        (answer) => told.push(answer.text('n')),
        (error) => told.push(error),
      );
    await Promise.all([0, 1, 2, 3, 4, 5].map(ask));
    t.match(told, ['0', '1', '2', { code: 'command-timeout', command: 'slow', timeoutMs: 1_000 }, '4', '5']);
    t.equal(charon.received.length, 6, 'each was sent once');
    t.ok(session.open);
    session.close();
  }),
);

t.test('given up while it waits: it is not sent, and has no limit; the others keep their places', (t) =>
  standingTime(async (pass) => {
    const seen: (string | undefined)[] = [];
    const slow: Handler = (args) => {
      pass(999);
      seen.push(args.text('n'));
      return {};
    };
    const { session } = setup({ slow }, { timeoutMs: 1_000 });
    const abort = new AbortController();
    const ask = (n: number) => session.request('slow', { n }, n % 2 === 1 ? { signal: abort.signal } : {});
    const asked = Array.from({ length: 10 }, (_, n) => ask(n));
    abort.abort();
    const told = await Promise.allSettled(asked);
    t.same(
      told.map(({ status }) => status),
      asked.map((_, n) => (n % 2 === 1 ? 'rejected' : 'fulfilled')),
    );
    t.same(seen, ['0', '2', '4', '6', '8']);
    session.close();
  }),
);

t.test('the connection ends: all that wait reject at once, however long they might have', (t) =>
  standingTime(async (pass) => {
    const { session } = setup({ hang: never }, { timeoutMs: 1_000, drainMs: 5_000 });
    const hanging = failure(session.request('hang'), CommandTimeout);
    const waiting = Array.from({ length: 10 }, () => failure(session.request('version'), ConnectionLost));
    pass(1_000);
    await hanging;
    t.ok(session.open);
    pass(5_000);
    await Promise.all(waiting);
    t.equal((await session.ended).code, 'connection-lost');
  }),
);

t.test('an abandoned command that is never answered ends the session after drainMs', async (t) => {
  const { session } = setup({ hang: never }, { drainMs: 5 });
  await failure(session.request('hang', {}, { timeoutMs: 5 }), CommandTimeout);
  t.match(await session.ended, { code: 'connection-lost', message: /did not answer hang within 5 ms/ });
});

t.test('given up between registration and request: the request is not sent, the registration counts', async (t) => {
  const abort = new AbortController();
  const { charon, session } = setup();
  const aborted = session.list('list-sas', {}, { signal: abort.signal });
  abort.abort();
  await t.rejects(aborted, { code: 'command-aborted', sent: true });
  await session.list('list-sas');
  t.same(charon.received, ['EVENT_REGISTER list-sa', 'CMD_REQUEST list-sas']);
  await t.rejects(session.request('version', {}, { signal: abort.signal }), { code: 'command-aborted', sent: false });
  session.close();
});

t.test('close: everyone waiting rejects with Closed; twice is once', async (t) => {
  const { session } = setup({ slow: never });
  const waiting = [session.request('slow'), session.request('version'), session.list('list-sas')];
  const rejected = waiting.map((p) => failure(p, Closed));
  const unsubscribe = await setup().session.subscribe('log', () => {});
  session.close();
  session.close();
  await Promise.all(rejected);
  t.equal((await session.ended).code, 'closed');
  await unsubscribe();
});

t.test("what a listener throws is an uncaught exception, and the session's other listeners go on", async (t) => {
  const uncaught = condition();
  const thrown: unknown[] = [];
  const { charon, session } = setup();
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (e) => uncaught.met(thrown.push(e)));
  t.teardown(() => {
    process.removeAllListeners('uncaughtException');
    for (const listener of others) process.on('uncaughtException', listener);
  });
  const seen: Section[] = [];
  await session.subscribe('log', () => {
    throw new Error("the listener's own");
  });
  await session.subscribe('log', (e) => seen.push(e));
  charon.raise('log', {});
  await uncaught.atLeast(1);
  t.match(thrown, [{ message: "the listener's own" }]);
  t.equal(seen.length, 1);
  t.equal((await session.request('version')).text('version'), '5.9.8');
  session.close();
});

t.test('over TCP', async (t) => {
  const charon = new FakeCharon();
  const server = createServer((stream) => charon.accept(stream)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const session = await Session.connect(`tcp://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.equal((await session.request('version')).text('version'), '5.9.8');
  session.close();
  server.close();
});

t.test('endpoints', async (t) => {
  t.same(parseEndpoint('unix:///run/x/vici'), { path: '/run/x/vici' });
  t.same(parseEndpoint('/run/x/vici'), { path: '/run/x/vici' });
  t.same(parseEndpoint('tcp://127.0.0.1:4502'), { host: '127.0.0.1', port: 4502 });
  t.same(parseEndpoint('tcp://[::1]:4502'), { host: '::1', port: 4502 });
  for (const wrong of ['', 'run/vici', 'unix://run', 'tcp://h', 'tcp://h:0', 'tcp://h:65536', 'udp://h:1', '/a\0b'])
    await failure(Session.connect(wrong), ConnectFailed);
  const missing = await failure(Session.connect('/nonexistent/vici'), ConnectFailed);
  t.match(missing, { message: 'vici: cannot connect to /nonexistent/vici: ENOENT', cause: { code: 'ENOENT' } });
  const aborted = Session.connect('/nonexistent/vici', { signal: AbortSignal.abort() });
  t.match(await failure(aborted, ConnectFailed), { message: /aborted/ });
});
