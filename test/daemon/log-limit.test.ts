import t from 'tap';
import { limited } from '../../src/daemon/log-limit.js';
import { type Instant, instant } from '../../src/proto/machine.js';
import { type LogLine, memoryLog } from '../lib/daemon-rig.js';

const made = () => {
  const lines: LogLine[] = [];
  let now: Instant = instant(0);
  const log = limited(memoryLog(lines), () => now);
  const count = (event: string) => lines.filter((l) => l.event === event).length;
  const at = (ms: number) => {
    now = instant(ms);
  };
  return { log, lines, count, at };
};
const remote = '198.51.100.2';
const times = (n: number, act: (i: number) => unknown) => Array.from({ length: n }, (_, i) => act(i));

t.test('of each kind and address 20 lines in 10 s; then a line says how many there were not', async (t) => {
  const { log, lines, count, at } = made();
  times(50, () => log.info('session.end', { remote }));
  times(50, () => log.warn('auth.failed', { remote, user: 'alice' }));
  log.info('session.end', { remote: '198.51.100.3' });
  t.equal(count('session.end'), 21);
  t.equal(count('auth.failed'), 20, 'a name that was refused is no user');
  at(10_000);
  log.info('session.end', { remote });
  log.info('session.end', { remote });
  t.match(lines.slice(-2), [{ fields: { remote, suppressed: 30 } }, { fields: { remote, suppressed: undefined } }]);
});

t.test('lines of users, of nobody and debug lines all pass', async (t) => {
  const { log, lines } = made();
  times(50, () => {
    log.info('session.end', { remote, user: 'alice' });
    log.info('config.reloaded');
    log.error('session.not-installed', { remote, user: 'alice' });
    log.debug('session.open', { remote });
  });
  t.equal(lines.length, 200);
});

t.test('addresses are remembered in bounded number: the oldest is forgotten', async (t) => {
  const { log, count } = made();
  times(21, () => log.info('tunnel.up', { remote }));
  t.equal(count('tunnel.up'), 20);
  times(4_095, (i) => log.info('tunnel.up', { remote: `${i}` }));
  log.info('tunnel.up', { remote });
  t.equal(count('tunnel.up'), 20 + 4_095, 'still remembered, and the newest again');
  times(4_096, (i) => log.info('tunnel.up', { remote: `other ${i}` }));
  log.info('tunnel.up', { remote });
  t.equal(count('tunnel.up'), 20 + 4_095 + 4_096 + 1);
});
