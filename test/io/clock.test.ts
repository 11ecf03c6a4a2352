import t from 'tap';
import { MonotonicClock } from '../../src/io/clock.js';
import { hostAddresses } from '../../src/io/host-addresses.js';

t.test('the alarm rings once, at its time or after, never before', async (t) => {
  const clock = new MonotonicClock();
  const at = clock.now() + 20;
  let rings = 0;
  await new Promise<void>((resolve) =>
    clock.arm(at, () => {
      rings++;
      resolve();
    }),
  );
  t.ok(clock.now() >= at);
  t.equal(rings, 1);
});

t.test('it is CLOCK_MONOTONIC, which the packet thread stamps traffic with', async (t) => {
  const monotonic = () => Number(process.hrtime.bigint()) / 1e6;
  const before = monotonic();
  const now = new MonotonicClock().now();
  t.ok(before <= now && now <= monotonic());
});

t.test('arming again replaces the alarm; undefined disarms; the past rings soon', async (t) => {
  const clock = new MonotonicClock();
  const rung: string[] = [];
  clock.arm(clock.now() + 1, () => rung.push('replaced'));
  clock.arm(undefined, () => rung.push('none'));
  await new Promise<void>((resolve) =>
    clock.arm(0, () => {
      rung.push('past');
      resolve();
    }),
  );
  t.strictSame(rung, ['past']);
  clock.arm(clock.now() + 2 ** 40, () => rung.push('in 35 years'));
  await new Promise((resolve) => setImmediate(resolve));
  clock.arm(undefined, () => {});
  t.strictSame(rung, ['past']);
});

t.test('addresses a client can reach: no loopback, no link-local, not our own TUN', async (t) => {
  const a = (address: string, internal = false) =>
    ({ address, internal, family: address.includes(':') ? 'IPv6' : 'IPv4' }) as const;
  const interfaces = {
    lo: [a('127.0.0.1', true), a('::1', true)],
    eth0: [a('198.51.100.1'), a('2001:db8::1'), a('fe80::1'), a('169.254.7.7')],
    eth1: [a('10.20.0.1'), a('FE80::2')],
    lockstep0: [a('10.99.0.1')],
    down: undefined,
  };
  t.strictSame(hostAddresses(['lockstep0'], interfaces), ['198.51.100.1', '2001:db8::1', '10.20.0.1']);
});
