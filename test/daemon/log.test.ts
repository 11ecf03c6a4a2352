import { Writable } from 'node:stream';
import t from 'tap';
import { createLogger, type LogOptions } from '../../src/daemon/log.js';
import { Secret } from '../../src/daemon/secret.js';

/** A logger with a stopped clock and the lines it wrote. */
function logger(format: LogOptions['format'], level: LogOptions['level'] = 'debug') {
  const lines: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  const log = createLogger({ level, format, stream, now: () => new Date(0) });
  const last = () => JSON.parse(lines.at(-1)!);
  return { log, lines, last };
}

t.test('a JSON line: time, level, event, then the fields', async (t) => {
  const { log, lines } = logger('json');
  log.child({ tunnelId: 7 }).info('session.up', { user: 'alice', address: '10.99.0.2' });
  t.equal(
    lines.join(''),
    '{"time":"1970-01-01T00:00:00.000Z","level":"info","event":"session.up","tunnelId":7,"user":"alice","address":"10.99.0.2"}\n',
  );
});

t.test('a pretty line: key=value, quoted where a reader would stumble', async (t) => {
  const { log, lines } = logger('pretty');
  log.warn('lcp.silent', { peer: '192.0.2.7', hint: 'no answer', empty: '', equals: 'a=b', list: [1, 2] });
  t.equal(
    lines.join(''),
    '1970-01-01T00:00:00.000Z WARN  lcp.silent         peer=192.0.2.7 hint="no answer" empty="" equals="a=b" list=[1,2]\n',
  );
});

t.test('levels, and children of children', async (t) => {
  const { log, lines, last } = logger('json', 'info');
  log.debug('not.this');
  t.equal(lines.length, 0);
  log.child({ ikeId: 1 }).child({ tunnelId: 2 }).error('x', { ikeId: 3 });
  t.match(last(), { level: 'error', event: 'x', ikeId: 3, tunnelId: 2 });
  log.level = 'debug';
  log.debug('now.this');
  t.equal(last().event, 'now.this');
});

t.test('a secret does not reach the log, by type or by name', async (t) => {
  for (const format of ['json', 'pretty'] as const) {
    const { log, lines } = logger(format);
    log.info('x', {
      a: new Secret('hunter2'),
      b: { c: [new Secret(Buffer.from('hunter2'))] },
      password: 'hunter2',
      userPassword: 'hunter2',
      PSK: 'hunter2',
      tunnelSecret: Buffer.from('hunter2'),
      nested: { nt_hash: 'hunter2', ntHash: 'hunter2', secret: ['hunter2'] },
    });
    const text = lines.join('');
    t.notMatch(text, /hunter2|68756e74657232/);
    t.equal(text.split('***').length - 1, 9);
  }
});

t.test('a name that merely resembles a secret is printed', async (t) => {
  const { log, last } = logger('json');
  log.info('x', { pskRange: 'office', hash: 'ab', passive: true });
  t.match(last(), { pskRange: 'office', hash: 'ab', passive: true });
});

t.test('nothing a peer sends can start a line or drive a terminal', async (t) => {
  const nasty = 'bob\n1970 INFO session.up user=root\r\u001b[2J\u0085\u2028\u202e\u0000';
  for (const format of ['json', 'pretty'] as const) {
    const { log, lines } = logger(format);
    log.info(`event ${nasty}`, { user: nasty, [nasty]: nasty, error: new Error(nasty), list: [nasty] });
    const text = lines.join('');
    t.equal(text.indexOf('\n'), text.length - 1, 'one line');
    t.notMatch(text.slice(0, -1), /[\p{Cc}\u2028\u2029\u202e]/u);
    if (format === 'json') t.equal(JSON.parse(text).user, nasty, 'and nothing is lost');
  }
});

t.test('values JSON cannot say', async (t) => {
  const { log, last } = logger('json');
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  log.info('x', {
    bytes: new Uint8Array([0xde, 0xad]),
    long: new Uint8Array(1_000),
    small: 7n,
    big: 2n ** 64n,
    nan: Number.NaN,
    none: undefined,
    nil: null,
    date: new Date(0),
    map: new Map([[1, 'one']]),
    set: new Set([1]),
    f: () => 1,
    s: Symbol('x'),
    text: 'y'.repeat(5_000),
    many: Array.from({ length: 100 }, (_, i) => i),
    loop,
    nested: {
      get bad() {
        throw new Error('getter');
      },
    },
  });
  const line = last();
  t.match(line, {
    bytes: 'dead',
    small: 7,
    big: '18446744073709551616',
    nan: 'NaN',
    nil: null,
    date: '1970-01-01T00:00:00.000Z',
  });
  t.match(line, { map: { 1: 'one' }, set: [1], f: '(function)', s: '(symbol)', loop: { self: { self: {} } } });
  t.notOk('none' in line);
  t.equal(line.nested.bad, '(unprintable)');
  t.match(line.long, /^0{256}\.\.\.\(1000 bytes\)$/);
  t.match(line.text, /^y{1024}\.\.\.\(5000\)$/);
  t.equal(line.many.length, 65);
  t.equal(line.many[64], '(36 more)');
});

t.test('an error: name, message, code, cause and where', async (t) => {
  const { log, last } = logger('json');
  const error = Object.assign(new TypeError('broken', { cause: new Error('deeper') }), { code: 'EIO' });
  log.error('x', { error });
  t.match(last(), { error: { name: 'TypeError', message: 'broken', code: 'EIO', cause: { message: 'deeper' } } });
  t.match(last().error.stack, /log\.test/);
  log.error('y', error);
  t.match(last(), { event: 'y', error: { message: 'broken' } }, 'an error in place of the fields');
});

t.test('field names that winston or the line itself use', async (t) => {
  const { log, last } = logger('json');
  log.info('x', { message: 'SCCRQ', level: 'forged', time: 'never', event: 'forged' });
  t.match(last(), {
    event: 'x',
    level: 'info',
    time: '1970-01-01T00:00:00.000Z',
    message: 'SCCRQ',
    time_: 'never',
    event_: 'forged',
  });
});

t.test('a stream that fails does not fail its caller', async (t) => {
  const stream = new Writable({ write: (_chunk, _encoding, done) => done(new Error('EPIPE')) });
  const log = createLogger({ level: 'info', format: 'json', stream });
  log.info('x');
  await new Promise((done) => stream.once('close', done));
  t.doesNotThrow(() => log.info('y'));
});

t.test('what is not logged is not rendered either', async (t) => {
  const { log, lines } = logger('json', 'info');
  let asked = 0;
  const fields = {
    get user() {
      asked++;
      return 'alice';
    },
  };
  log.debug('x', fields);
  const once = asked;
  log.info('y', fields);
  t.equal(lines.length, 1);
  t.ok(asked > once, 'rendered when it is written');
  const dear = {
    toJSON: () => {
      throw new Error('rendered');
    },
  };
  t.doesNotThrow(() => log.debug('z', { dear }));
  t.equal(lines.length, 1);
});
