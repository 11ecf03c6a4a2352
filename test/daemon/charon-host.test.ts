import { join } from 'node:path';
import t from 'tap';
import { ExternalCharon } from '../../src/daemon/charon-host.js';
import { claimXfrm } from '../../src/io/xfrm.js';
import { type LogLine, memoryLog } from '../lib/daemon-rig.js';
import { childSa, ikeSa } from '../lib/ike-events.js';

t.test('a charon of another service: SAs in the kernel that it does not know are removed, its own stay', async (t) => {
  const record = join(t.testdir(), 'xfrm-owned.json');
  const listen = ['198.51.100.1'];
  await claimXfrm(listen, { record });
  const sa = (spi: string, mark: string) =>
    `src 192.0.2.9 dst 198.51.100.1\n\tproto esp spi 0x${spi} reqid 1 mode transport\n\toutput-mark ${mark}/0xffffffff\n`;
  let kernel = [sa('c0000001', '0x1'), sa('c0000099', '0x1')];
  const run = async (_: string, args: readonly string[], input = '') => {
    kernel = kernel.filter((s) => !input.includes(`spi ${/0x\w+/.exec(s)?.[0]}`));
    return { status: 0, stdout: args[1] === 'state' ? kernel.join('') : '', stderr: '' };
  };
  const log: LogLine[] = [];
  const charon = new ExternalCharon({ xfrm: { record, run }, listen, allowForeign: false, log: memoryLog(log) });
  const known = async () => [ikeSa('7', [childSa('1', 1)])];
  await charon.settle(known);
  t.strictSame(kernel, [sa('c0000001', '0x1')]);
  t.match(log, [{ level: 'info', event: 'ike.stale-removed', fields: { removed: 1 } }]);
  await charon.settle(known);
  t.equal(log.length, 1, 'nothing more to remove, nothing said');
});
