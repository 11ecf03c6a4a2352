import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type CharonUnderTest, contract } from './contract.js';
import { FakeCharon } from './fake-charon.js';
import { RealCharon } from './real-charon.js';

contract(t, 'in memory', (): CharonUnderTest => {
  let fake: FakeCharon | undefined;
  const stop = async () => {
    await fake?.stop();
    fake = undefined;
  };
  return {
    endpoint: async () => {
      if (!fake) throw new Error('ECONNREFUSED');
      return fake.connect();
    },
    start: async () => {
      fake = new FakeCharon();
    },
    kill: stop,
    remove: stop,
  };
});

contract(t, 'in memory behind a unix socket', (): CharonUnderTest => {
  const dir = mkdtempSync(join(tmpdir(), 'vici-'));
  const fake = new FakeCharon();
  const path = join(dir, 'vici');
  return {
    endpoint: `unix://${path}`,
    start: () => fake.listen(path),
    kill: () => fake.stop(),
    remove: async () => {
      await fake.stop();
      rmSync(dir, { recursive: true });
    },
  };
});

contract(t, 'charon-systemd', (): CharonUnderTest => {
  const real = new RealCharon();
  return {
    endpoint: real.endpoint,
    start: () => real.start(),
    kill: () => real.stop('SIGKILL'),
    remove: () => real.remove(),
  };
});
