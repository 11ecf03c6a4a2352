import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Config, loadConfig } from '../../src/daemon/config.js';
import { endpointConfig, transitState } from '../../src/daemon/protocol-config.js';
import { fullCycleMs } from '../../src/proto/l2tp/reliable.js';

const load = (t: Test, yaml: string): Config => {
  const dir = t.testdir({ 'lockstep.yaml': `ike: {psk_file: psk}\n${yaml}`, psk: 'key' });
  chmodSync(join(dir, 'psk'), 0o600);
  return loadConfig(join(dir, 'lockstep.yaml'), {});
};

t.test('RFC 2661 §5.8 SHOULD: the number of retransmissions can be configured', async (t) => {
  const cycle = (yaml: string) => fullCycleMs(endpointConfig(load(t, yaml)).retransmit);
  t.equal(cycle(''), 31_000);
  t.equal(cycle('l2tp: {retransmissions: 2}'), 1_000 + 2_000 + 4_000);
  t.equal(cycle('l2tp: {retransmissions: 10}'), 1_000 + 2_000 + 4_000 + 8 * 8_000);
});

t.test('RFC 2661 §5.6: a tunnel without calls waits 20 s for another, and its IKE SA with it', async (t) => {
  t.equal(endpointConfig(load(t, '')).emptyTunnelTimeoutMs, 20_000);
});

t.test('as many tunnels as the configuration says, up to what ids leave room for', async (t) => {
  const most = (yaml: string) => endpointConfig(load(t, yaml)).limits.maxTunnels;
  t.equal(most(''), 10_000);
  t.equal(most('limits: {tunnels: 65000}'), 65_000);
});

t.test('how packets are carried: DSCP, small ones first, numbered ones in order', async (t) => {
  const transit = (yaml: string) => transitState(load(t, yaml));
  t.strictSame(transit(''), { dscp: 'copy', smallFirst: false, reorder: 0 });
  t.strictSame(transit('l2tp: {dscp: none, small_first: true, reorder: 16}'), {
    dscp: 0,
    smallFirst: true,
    reorder: 16,
  });
  t.strictSame(transit('l2tp: {dscp: 46}').dscp, 46);
  t.throws(() => transit('l2tp: {dscp: 64}'), /l2tp\.dscp.*64.*copy, or none, or .*0 to 63/);
});
