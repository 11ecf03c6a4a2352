import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import t from 'tap';
import { serviceManager, watchdogMs } from '../../src/io/notify.js';

const recorder = (env: NodeJS.ProcessEnv, answer = 0) => {
  const sent: string[] = [];
  const errors: number[] = [];
  const send = (path: string, text: string) => {
    sent.push(`${path} ${text}`);
    return answer;
  };
  return { sent, errors, manager: serviceManager({ env, pid: 7, send, onError: (errno) => errors.push(errno) }) };
};

t.test('the words of sd_notify(3)', async (t) => {
  const { sent, manager } = recorder({ NOTIFY_SOCKET: '/n' });
  manager.ready('serving\n192.0.2.1');
  manager.reloading();
  manager.stopping();
  t.equal(sent[0], '/n READY=1\nSTATUS=serving 192.0.2.1');
  t.match(sent[1], /^\/n RELOADING=1\nMONOTONIC_USEC=\d+$/);
  t.equal(sent[2], '/n STOPPING=1');
});

t.test('without systemd nothing is sent and nothing fails', async (t) => {
  const { sent, manager } = recorder({ WATCHDOG_USEC: '1000' });
  manager.ready('x');
  manager.startWatchdog();
  manager.stopping();
  t.same(sent, []);
});

t.test('what cannot be sent is told, not thrown', async (t) => {
  const { errors, manager } = recorder({ NOTIFY_SOCKET: '/n' }, 2);
  manager.ready('x');
  t.same(errors, [2]);
});

t.test('the watchdog is fed twice in the time systemd waits, and only by the process it watches', async (t) => {
  t.equal(watchdogMs({ WATCHDOG_USEC: '30000000' }, 7), 15_000);
  t.equal(watchdogMs({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '7' }, 7), 15_000);
  t.equal(watchdogMs({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '8' }, 7), undefined);
  t.equal(watchdogMs({ WATCHDOG_USEC: 'x' }, 7), undefined);
  t.equal(watchdogMs({}, 7), undefined);
});

t.test('the addon says why a socket cannot be reached', async (t) => {
  const tell = (path: string) => {
    let errno = 0;
    serviceManager({ env: { NOTIFY_SOCKET: path }, onError: (e) => (errno = e) }).stopping();
    return errno;
  };
  const { ENOENT, ECONNREFUSED, ENAMETOOLONG } = constants.errno;
  t.equal(tell('/nowhere/notify'), ENOENT);
  t.equal(tell(`@lockstep-nobody-${process.pid}`), ECONNREFUSED);
  t.equal(tell(`/${'n'.repeat(108)}`), ENAMETOOLONG);
});

t.test('endProcess ends it at once, with its exit code: no handler of exit is waited for', async (t) => {
  const module = new URL('../../src/io/notify.js', import.meta.url).href;
  const program = `
    import { endProcess } from '${module}';
    process.on('exit', () => console.log('a handler'));
    setInterval(() => {}, 1000);
    endProcess(7, process.exit);`;
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  t.equal(status, 7);
  t.equal(stdout, '');
});
