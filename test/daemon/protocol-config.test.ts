import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadConfig } from '../../src/daemon/config.js';
import { endpointConfig } from '../../src/daemon/protocol-config.js';
import { fullCycleMs } from '../../src/proto/l2tp/reliable.js';

t.test('RFC 2661 §5.8 SHOULD: the number of retransmissions can be configured', async (t) => {
  const cycle = (yaml: string) => {
    const dir = t.testdir({ 'lockstep.yaml': `ike: {psk_file: psk}\n${yaml}`, psk: 'key' });
    chmodSync(join(dir, 'psk'), 0o600);
    return fullCycleMs(endpointConfig(loadConfig(join(dir, 'lockstep.yaml'), {})).retransmit);
  };
  t.equal(cycle(''), 31_000);
  t.equal(cycle('l2tp: {retransmissions: 2}'), 1_000 + 2_000 + 4_000);
  t.equal(cycle('l2tp: {retransmissions: 10}'), 1_000 + 2_000 + 4_000 + 8 * 8_000);
});
