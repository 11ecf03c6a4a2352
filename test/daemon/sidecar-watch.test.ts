import t from 'tap';
import { Drive } from '../../src/daemon/drive.js';
import { ipsecPolicy } from '../../src/daemon/ipsec-policy.js';
import { Secret } from '../../src/daemon/secret.js';
import { Sidecar } from '../../src/daemon/sidecar.js';
import { MemoryIke } from '../../src/io/memory-ike.js';
import { type LogLine, memoryLog } from '../lib/daemon-rig.js';
import { ikeSa } from '../lib/ike-events.js';
import { VirtualClock } from '../lib/virtual-clock.js';

const policy = ipsecPolicy({ listen: ['198.51.100.1'], secrets: [{ secret: new Secret('shared') }] });
const settle = async () => {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
};

async function started(restart?: () => Promise<void>) {
  const clock = new VirtualClock();
  const monitor = new MemoryIke();
  const kernel = { holds: true, asked: 0, silent: 0 };
  const said: string[] = [];
  const log: LogLine[] = [];
  let first = 1;
  let exit = (_: string) => {};
  const onExit = (listener: typeof exit) => {
    exit = listener;
  };
  const sidecar = new Sidecar({
    monitor,
    charon: restart && { start: async () => (first-- > 0 ? undefined : restart()), stop: async () => {}, onExit },
    policy,
    shuntsStand: async () => {
      kernel.asked++;
      if (kernel.silent-- > 0) throw new Error('spawn ip EAGAIN');
      return kernel.holds;
    },
    drive: new Drive(clock),
    log: memoryLog(log),
    onEvent: () => {},
    onSafe: () => said.push('safe'),
    onUnsafe: (reason) => said.push(`unsafe: ${reason}`),
  });
  await sidecar.start();
  kernel.asked = 0;
  const pass = async (ms: number) => {
    for (let end = clock.now() + ms; clock.now() < end; ) {
      clock.run(Math.min(end, clock.now() + 100));
      await settle();
    }
  };
  return { monitor, kernel, said, log, sidecar, pass, exit };
}
const GONE = 'unsafe: the drop policies of UDP 1701 are gone from the kernel';

t.test('policies that stand are asked for every 5 s, and that is all', async (t) => {
  const { kernel, said, pass, monitor } = await started();
  await pass(20_000);
  t.equal(kernel.asked, 4);
  t.strictSame(said, ['safe']);
  t.equal(monitor.policies.length, 1);
});

t.test('a question without an answer is asked again every second, and disturbs nobody', async (t) => {
  const { kernel, said, pass, log } = await started();
  kernel.silent = 3;
  await pass(8_500);
  t.strictSame(said, ['safe']);
  t.equal(kernel.asked, 4);
  t.match(
    log,
    [1, 2, 3].map(() => ({ event: 'ike.policies-unknown', fields: { problem: 'spawn ip EAGAIN' } })),
  );
  t.equal(log.length, 3);
  kernel.silent = 4;
  await pass(8_500);
  t.strictSame(
    said,
    ['safe', 'unsafe: nobody knows whether the drop policies of UDP 1701 stand', 'safe'],
    'four times in a row it counts as no',
  );
});

t.test(
  'flushed: the port is shut, the SAs go, the policies are taken out and loaded anew, then it opens',
  async (t) => {
    const { monitor, kernel, said, pass, log } = await started();
    monitor.sas = [ikeSa('7', []), ikeSa('9', [])];
    kernel.holds = false;
    await pass(5_000);
    t.strictSame(said, ['safe', GONE]);
    t.strictSame(monitor.terminated, ['7', '9']);
    t.strictSame(
      monitor.policies.slice(1).map((p) => Object.keys(p.connections).length),
      [0, Object.keys(policy.connections).length],
      'out, then in again',
    );
    t.match(
      log.map((l) => l.event),
      ['ike.policies-gone'],
    );
    await pass(1_000);
    t.strictSame(said, ['safe', GONE], 'not before the kernel has them');
    kernel.holds = true;
    await pass(200);
    t.strictSame(said, ['safe', GONE, 'safe']);
    kernel.asked = 0;
    await pass(5_000);
    t.equal(kernel.asked, 1, 'and is watched again');
  },
);

t.test('a charon that refuses to forget is loaded all the same', async (t) => {
  const { monitor, kernel, said, pass, log } = await started();
  kernel.holds = false;
  monitor.refuse = new Error('busy');
  await pass(5_000);
  kernel.holds = true;
  await pass(200);
  t.strictSame(said, ['safe', GONE, 'safe']);
  t.match(log.find((l) => l.event === 'ike.unload-failed')?.fields, { problem: 'busy' });
});

t.test('policies that do not come to stand are tried again, until they do', async (t) => {
  const { monitor, kernel, said, pass } = await started();
  kernel.holds = false;
  await pass(30_000);
  t.strictSame(said, ['safe', GONE]);
  t.ok(monitor.policies.length >= 7, 'taken out and loaded at least three times');
  kernel.holds = true;
  await pass(10_000);
  t.strictSame(said, ['safe', GONE, 'safe']);
});

t.test('a charon started anew: nothing is loaded before what its predecessor left is gone', async (t) => {
  let ready = () => {};
  const { monitor, said, pass, exit } = await started(() => new Promise((resolve) => (ready = resolve)));
  exit('SIGTERM');
  await pass(1_000);
  monitor.push({ type: 'lost' }, { type: 'connected' });
  await pass(1_000);
  t.equal(monitor.policies.length, 1, 'VICI answers, but start() has not resolved');
  ready();
  await pass(1_000);
  t.equal(monitor.policies.length, 2);
  t.strictSame(said, ['safe', 'unsafe: charon ended: SIGTERM', 'safe']);
});

t.test('no more questions once it stops, or is unsafe for another reason', async (t) => {
  const stopped = await started();
  await stopped.sidecar.stop();
  await stopped.pass(10_000);
  t.equal(stopped.kernel.asked, 0);
  const lost = await started();
  lost.monitor.push({ type: 'lost' });
  await lost.pass(10_000);
  t.match(lost.said, ['safe', /lost/]);
  t.equal(lost.kernel.asked, 0);
});
