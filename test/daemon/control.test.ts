import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ControlServer, callControl, type StatusView } from '../../src/daemon/control.js';
import { octets, sessionsTable, statusText, table } from '../../src/daemon/table.js';
import type { SessionView } from '../../src/daemon/view.js';

const STATUS: StatusView = {
  state: 'listening',
  reason: null,
  version: '1.2.3',
  listen: ['198.51.100.1'],
  tunnels: 1,
  sessions: 1,
  drops: {},
};

const SESSION: SessionView = {
  state: 'up',
  user: 'alice',
  address: '10.99.0.10',
  tunnelId: 7,
  sessionId: 9,
  client: { address: '198.51.100.2', port: 1701, hostName: 'pc\u001b[2J' },
  ike: {
    uniqueId: '3',
    version: 1,
    state: 'ESTABLISHED',
    remoteId: '192.168.1.5',
    remotePort: 4500,
    cipher: 'AES_CBC-256',
  },
  child: { mark: 2, reqid: 2, spiIn: 'c0000001', spiOut: 'c0000002', cipher: 'AES_CBC-256-HMAC_SHA1_96', encap: true },
  mtu: 1400,
  upSince: '2026-01-01T00:00:00.000Z',
  octetsIn: 1_500,
  octetsOut: 2_500_000,
  packetsIn: 10,
  packetsOut: 20,
  drops: {},
};

const handlers = (asked: string[] = []) => ({
  status: () => STATUS,
  sessions: () => [SESSION],
  disconnect: (target: string) => asked.push(target),
});

const scratch = (t: Test): string => {
  const dir = mkdtempSync(join(tmpdir(), 'control-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 'control.sock');
};

t.test('answers the three calls, to owner and group only', async (t) => {
  const path = scratch(t);
  const asked: string[] = [];
  const server = await ControlServer.open(path, handlers(asked));
  t.teardown(() => server.close());
  t.equal(statSync(path).mode & 0o777, 0o660);
  t.strictSame(await callControl(path, 'GET', '/status'), STATUS);
  t.strictSame(await callControl(path, 'GET', '/sessions'), [SESSION]);
  t.strictSame(await callControl(path, 'POST', '/disconnect', { target: 'alice' }), { disconnected: 1 });
  t.strictSame(asked, ['alice']);
});

t.test('bad calls get a sentence', async (t) => {
  const path = scratch(t);
  const server = await ControlServer.open(path, handlers());
  t.teardown(() => server.close());
  await t.rejects(callControl(path, 'POST', '/disconnect', {}), { message: /^target: expected/ });
  await t.rejects(callControl(path, 'GET', '/nothing'), { message: 'no such call: GET /nothing' });
  await t.rejects(callControl(path, 'POST', '/disconnect', { target: 'x'.repeat(5_000) }), { message: /too long/ });
  const raw = await new Promise<number>((resolve, reject) => {
    const req = request({ socketPath: path, method: 'POST', path: '/disconnect' }, (res) => resolve(res.statusCode!));
    req.on('error', reject);
    req.end('{not json');
  });
  t.equal(raw, 400);
});

t.test('a second daemon is refused, the socket of a dead one replaced, close removes it', async (t) => {
  const path = scratch(t);
  const server = await ControlServer.open(path, handlers());
  await t.rejects(ControlServer.open(path, handlers()), { message: /another lockstepd is running/ });
  await server.close();
  t.throws(() => statSync(path), { code: 'ENOENT' });
  writeFileSync(path, '');
  const next = await ControlServer.open(path, handlers());
  await next.close();
});

t.test('tables', async (t) => {
  t.equal(table(['A', 'LONG'], [['x', 'y']]), 'A  LONG\nx  y');
  t.equal(sessionsTable([]), 'no sessions');
  const text = sessionsTable([SESSION]);
  t.match(text, /alice\s+10\.99\.0\.10\s+198\.51\.100\.2:1701/);
  t.match(text, /#3 IKEv1 AES_CBC-256\s+c0000001\/c0000002 .* NAT-T\s+2\s+7\/9/);
  t.match(text, /1\.5 kB\s+2\.5 MB/);
  t.notOk(text.includes('\u001b'), "a client's name cannot move the cursor");
  t.match(
    statusText({ ...STATUS, state: 'closed', reason: 'charon is gone', listen: [] }),
    /closed \(charon is gone\)/,
  );
  t.equal(octets(999), '999 B');
});
