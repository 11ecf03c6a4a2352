import t from 'tap';
import { Drive } from '../../src/daemon/drive.js';
import { ipsecPolicy } from '../../src/daemon/ipsec-policy.js';
import { Secret } from '../../src/daemon/secret.js';
import { Sidecar } from '../../src/daemon/sidecar.js';
import { MemoryIke } from '../../src/io/memory-ike.js';
import { type LogLine, memoryLog } from '../lib/daemon-rig.js';
import { ikeSa } from '../lib/ike-events.js';
import { MemoryCharon } from '../lib/memory-host.js';
import { VirtualClock } from '../lib/virtual-clock.js';

const settle = async () => {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
};

const policy = ipsecPolicy({ listen: ['198.51.100.1'], secrets: [{ secret: new Secret('shared') }] });

interface Kernel {
  confirms: boolean | Promise<boolean>;
  /** Instead of yes, to whether the policies still stand. */
  answer?: (() => Promise<boolean>) | undefined;
}

function make({ external = false } = {}) {
  const clock = new VirtualClock();
  const monitor = new MemoryIke();
  const said: string[] = [];
  const charon = new MemoryCharon(said);
  const log: LogLine[] = [];
  const kernel: Kernel = { confirms: true };
  const sidecar = new Sidecar({
    monitor,
    charon: external
      ? Object.assign(charon, { settle: async () => void said.push(`settled with ${monitor.policies.length} loaded`) })
      : charon,
    policy,
    shuntsStand: async () => kernel.answer?.() ?? kernel.confirms,
    drive: new Drive(clock),
    log: memoryLog(log),
    onEvent: () => {},
    onSafe: () => said.push(`safe with ${monitor.policies.length} loaded`),
    onUnsafe: (reason) => said.push(`unsafe: ${reason}`),
  });
  const pass = async (ms: number) => {
    for (const end = clock.now() + ms; ; ) {
      await settle();
      if (clock.armed === undefined || clock.armed > end) return clock.run(end);
      clock.run(clock.armed);
    }
  };
  const start = () => {
    const started = sidecar.start();
    started.catch(() => {});
    return started;
  };
  return { clock, monitor, charon, log, kernel, sidecar, said, pass, start };
}

const lost = { type: 'lost' } as const;
const connected = { type: 'connected' } as const;

t.test('charon up, policy loaded, drop policies confirmed by charon and kernel: safe', async (t) => {
  const { sidecar, monitor, said, clock } = make();
  await sidecar.start();
  t.strictSame(said, ['charon start', 'safe with 1 loaded']);
  t.equal(monitor.policies[0], policy);
  t.equal(clock.armed, clock.now() + 5_000, 'the timeout of the start is off; the policies are looked at again');
});

t.test('charon run by somebody else: settled before anything is loaded, at every connection', async (t) => {
  const { sidecar, said, monitor } = make({ external: true });
  await sidecar.start();
  t.strictSame(said, ['charon start', 'settled with 0 loaded', 'safe with 1 loaded']);
  monitor.push(lost, connected);
  await settle();
  t.strictSame(said.slice(3), ['settled with 1 loaded']);
  t.equal(monitor.policies.length, 2);
});

t.test('SAs of before the port was open are closed, and none of those that came after', async (t) => {
  const { sidecar, said, monitor, log, pass } = make({ external: true });
  monitor.sas = [ikeSa('7', []), ikeSa('9', [])];
  await sidecar.start();
  t.strictSame(monitor.terminated, ['7', '9']);
  t.match(log.at(-1), { event: 'ike.leftovers-closed', fields: { sas: 2 } });
  monitor.terminated.length = 0;
  monitor.push(lost);
  await pass(1_000);
  monitor.push(connected);
  await settle();
  t.strictSame(monitor.terminated, [], 'within the grace nothing was given up');
  monitor.push(lost);
  await pass(4_000);
  monitor.push(connected);
  await settle();
  t.strictSame(monitor.terminated, ['7', '9']);
  t.equal(said.at(-1), 'safe with 3 loaded');
});

t.test('a charon that outlives us keeps the drop policies alone', async (t) => {
  const { sidecar, monitor } = make({ external: true });
  await sidecar.start();
  monitor.sas = [ikeSa('3', [])];
  await sidecar.stop();
  const last = monitor.policies.at(-1);
  t.strictSame([last?.secrets, Object.keys(last?.connections ?? {})], [[], ['l2tp-cleartext-198.51.100.1']]);
  t.strictSame(last?.shunts, policy.shunts);
  t.strictSame(monitor.terminated, ['3']);

  const broken = make({ external: true });
  await broken.sidecar.start();
  broken.monitor.refuse = new Error('vici: the connection was lost');
  await broken.sidecar.stop();
  t.match(broken.log.at(-1), { event: 'ike.unload-failed' });
  t.equal(broken.monitor.closed, true);
});

t.test('confirmed late is confirmed; not at all, and start rejects', async (t) => {
  for (const late of [true, false]) {
    for (const who of ['charon', 'kernel']) {
      const { monitor, kernel, said, pass, start } = make();
      if (who === 'charon') monitor.confirmed = false;
      else kernel.confirms = false;
      const started = start();
      await pass(1_000);
      t.strictSame(said, ['charon start'], 'not safe');
      if (late) {
        monitor.confirmed = kernel.confirms = true;
        await pass(200);
        await started;
        t.equal(said.at(-1), 'safe with 1 loaded');
      } else {
        await pass(60_000);
        await t.rejects(started, { message: 'the drop policies of UDP 1701 are not in place' });
        t.strictSame(said, ['charon start'], 'never safe');
      }
    }
  }
});

t.test('a policy that charon refuses', async (t) => {
  const { monitor, said, start } = make();
  monitor.refuse = new Error('charon refused the connection l2tp: parsing proposals failed');
  await t.rejects(start(), { message: /^charon refused the connection l2tp/ });
  t.strictSame(said, ['charon start']);
});

t.test('charon that never answers VICI', async (t) => {
  const { monitor, pass, start } = make();
  monitor.start = () => {};
  const started = start();
  await pass(30_000);
  await t.rejects(started, { message: 'charon did not confirm its policies in 30 s' });
});

t.test(
  'VICI lost for less than the grace: nothing; for longer: unsafe, once; back: loaded anew, then safe',
  async (t) => {
    const { sidecar, monitor, said, pass } = make();
    await sidecar.start();
    said.length = 0;
    monitor.push(lost);
    await pass(2_900);
    monitor.push(connected);
    await pass(10_000);
    t.strictSame(said, []);
    t.equal(monitor.policies.length, 2, 'the policy is loaded again all the same');
    monitor.push(lost);
    await pass(2_000);
    monitor.push(lost);
    await pass(60_000);
    t.strictSame(said, ['unsafe: the connection to charon is lost']);
    monitor.push(connected);
    await settle();
    t.strictSame(said.slice(1), ['safe with 3 loaded']);
  },
);

t.test('VICI lost again before the policy is confirmed: the grace counts, not the broken request', async (t) => {
  const { sidecar, monitor, said, pass, log } = make();
  await sidecar.start();
  said.length = 0;
  monitor.push(lost);
  await pass(1_000);
  monitor.refuse = new Error('vici: the connection was lost');
  monitor.push(connected, lost);
  await pass(1_000);
  monitor.push(connected);
  await pass(10_000);
  t.strictSame(said, []);
  t.strictSame(
    log.filter((l) => l.event === 'ike.policy-failed'),
    [],
  );
});

t.test('charon exits: unsafe at once; started again after a growing pause; safe again', async (t) => {
  const { sidecar, monitor, charon, said, pass } = make();
  await sidecar.start();
  said.length = 0;
  charon.die('SIGSEGV');
  t.strictSame(said, ['unsafe: charon ended: SIGSEGV']);
  monitor.push(lost);
  charon.onStart = async () => {
    await settle();
    charon.die('exit status 1'); // told by both, the exit and start()
    throw new Error('charon ended with status 1 before it was ready');
  };
  const starts: number[] = [];
  for (const ms of [499, 1, 999, 1, 1_999, 1, 3_999, 1]) {
    await pass(ms);
    starts.push(charon.starts);
  }
  t.strictSame(starts, [1, 2, 2, 3, 3, 4, 4, 5], 'one at a time, after 0.5, 1, 2, 4 s');
  await pass(120_000);
  const before = charon.starts;
  await pass(30_000);
  t.equal(charon.starts, before + 1, 'every 30 s at most');
  charon.onStart = async () => {};
  await pass(30_000);
  monitor.push(connected);
  await settle();
  t.equal(said.at(-1), `safe with 2 loaded`);
  charon.die();
  const now = charon.starts;
  await pass(500);
  t.equal(charon.starts, now + 1, 'the pause is short again');
});

t.test('charon exits while the kernel is asked: what it answers about the dead one opens nothing', async (t) => {
  const { sidecar, monitor, charon, kernel, said, pass } = make();
  await sidecar.start();
  charon.die();
  monitor.push(lost);
  await pass(500);
  said.length = 0;
  let answer!: (yes: boolean) => void;
  kernel.confirms = new Promise((resolve) => {
    answer = resolve;
  });
  monitor.push(connected);
  await settle();
  charon.die();
  answer(true);
  await settle();
  t.strictSame(said, [], 'not safe');
});

t.test('a restarted charon gets its policies when its start is over: the end of it clears the kernel', async (t) => {
  const { sidecar, monitor, charon, said, pass } = make();
  await sidecar.start();
  let up!: () => void;
  charon.onStart = () =>
    new Promise<void>((resolve) => {
      up = resolve;
    });
  charon.die();
  monitor.push(lost);
  await pass(500);
  monitor.push(connected); // its socket is there before start() is done
  await pass(1_000);
  t.equal(monitor.policies.length, 1);
  up();
  await settle();
  t.equal(said.at(-1), 'safe with 2 loaded');
});

t.test('a policy not taken later on: unsafe, and tried again', async (t) => {
  const { sidecar, monitor, said, pass } = make();
  await sidecar.start();
  said.length = 0;
  monitor.push(lost);
  monitor.refuse = new Error('charon refused the connection l2tp: busy');
  monitor.push(connected);
  await pass(1_000);
  t.strictSame(said, ['unsafe: charon refused the connection l2tp: busy']);
  await pass(5_000);
  t.strictSame(said.slice(1), ['safe with 3 loaded']);
  t.strictSame(
    monitor.policies.map((p) => p.shunts.length),
    [1, 0, 1],
    'taken out first: charon installs only what it thinks it does not have',
  );
});

t.test(
  'the kernel loses the drop policies: unsafe within 5 s, SAs deleted, policies unloaded and loaded, safe',
  async (t) => {
    const { sidecar, monitor, kernel, said, pass } = make();
    await sidecar.start();
    said.length = 0;
    await pass(60_000);
    t.strictSame(said, []);
    for (let n = 0; n < 2; n++) {
      monitor.sas = [ikeSa('7', [])];
      monitor.policies.length = monitor.terminated.length = said.length = 0;
      kernel.answer = () => {
        kernel.answer = undefined; // the policies loaded anew stand
        return Promise.resolve(false);
      };
      await pass(6_000);
      t.strictSame(said, ['unsafe: the drop policies of UDP 1701 are gone from the kernel', 'safe with 2 loaded']);
      t.strictSame(
        monitor.policies.map((p) => p.shunts.length),
        [0, 1],
      );
      t.strictSame(monitor.terminated, ['7']);
    }
    await sidecar.stop();
  },
);

t.test('charon that dies before it was ever safe: start rejects, nothing is restarted', async (t) => {
  const { sidecar, monitor, charon, pass, start } = make();
  monitor.confirmed = false;
  const started = start();
  await pass(1_000);
  charon.die('SIGKILL');
  await t.rejects(started, { message: 'charon ended: SIGKILL' });
  await sidecar.stop();
  await pass(60_000);
  t.equal(charon.starts, 1);
});

t.test('stop while charon is between two steps of its start: it does not stay', async (t) => {
  const { sidecar, charon, said, start } = make();
  let up!: () => void;
  charon.onStart = () =>
    new Promise<void>((resolve) => {
      up = resolve;
    });
  const started = start();
  await settle();
  const stopped = sidecar.stop();
  await settle();
  up();
  await stopped;
  await t.rejects(started, { message: /^stopped before/ });
  t.strictSame(said, ['charon start', 'charon stop']);
});

t.test('stop: no restart, no grace, nothing said any more', async (t) => {
  const { sidecar, monitor, charon, said, pass } = make();
  await sidecar.start();
  said.length = 0;
  monitor.push(lost);
  await sidecar.stop();
  charon.die();
  await pass(60_000);
  t.strictSame(said, ['charon stop']);
  t.equal(monitor.closed, true);
});

t.test('another policy while clients are connected: the port stays open', async (t) => {
  const { sidecar, monitor, said } = make();
  await sidecar.start();
  const other = ipsecPolicy({ listen: ['198.51.100.1'], secrets: [{ secret: new Secret('other') }] });
  await sidecar.reload(other);
  t.strictSame(monitor.changes, [other]);
  monitor.push(lost, connected);
  await settle();
  t.equal(monitor.policies.at(-1), other, 'and a new connection gets it, too');

  monitor.refuse = new Error('charon refused the connection l2tp: no');
  await t.rejects(sidecar.reload(policy), /charon refused/);
  t.strictSame(monitor.changes.slice(1), [policy, other], 'the old one is put back');
  monitor.push(lost, connected);
  await settle();
  t.equal(monitor.policies.at(-1), other, 'and stays in force');
  t.strictSame(said, ['charon start', 'safe with 1 loaded']);
});

t.test('another policy before the first one is in place: it is the one that counts', async (t) => {
  const { sidecar, monitor, start } = make();
  const other = ipsecPolicy({ listen: ['198.51.100.1'], secrets: [{ secret: new Secret('other') }] });
  const started = start();
  await sidecar.reload(other);
  await started;
  t.strictSame(monitor.changes, []);
  t.equal(monitor.policies.at(-1), other);
});
