import { mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ControlServer, callControl, type DrainRequest } from '../../src/daemon/control.js';
import { HANDLERS, POOL, SESSION, STATUS } from '../lib/ctl-rig.js';

const handlers = (asked: (string | DrainRequest)[] = []) => ({
  ...HANDLERS,
  disconnect: (target: string) => asked.push(target),
  drain: (request: DrainRequest) => void asked.push(request),
});

const scratch = (t: Test): string => {
  const dir = mkdtempSync(join(tmpdir(), 'control-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 'control.sock');
};

/** As a daemon that was killed leaves it: nobody answers. */
const deadSocket = async (path: string): Promise<void> => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.1`, resolve));
  renameSync(`${path}.1`, path); // close() removes what has the first name
  await new Promise((resolve) => server.close(resolve));
};

t.test('answers the calls, to owner and group only', async (t) => {
  const path = scratch(t);
  const asked: (string | DrainRequest)[] = [];
  const server = await ControlServer.open(path, handlers(asked));
  t.teardown(() => server.close());
  t.equal(statSync(path).mode & 0o777, 0o660);
  t.strictSame(await callControl(path, 'GET', '/status'), STATUS);
  t.strictSame(await callControl(path, 'GET', '/sessions'), [SESSION]);
  t.strictSame(await callControl(path, 'POST', '/disconnect', { target: 'alice' }), { disconnected: 1 });
  t.strictSame(await callControl(path, 'GET', '/pool'), POOL);
  t.strictSame(await callControl(path, 'POST', '/drain', { redirect: '192.0.2.9' }), STATUS);
  t.strictSame(asked, ['alice', { cancel: false, close: true, redirect: '192.0.2.9' }]);
});

t.test('bad calls get a sentence', async (t) => {
  const path = scratch(t);
  const server = await ControlServer.open(path, handlers());
  t.teardown(() => server.close());
  await t.rejects(callControl(path, 'POST', '/disconnect', {}), { message: /^target: expected/ });
  for (const [key, value] of Object.entries({ cancel: 1, close: 'yes', redirect: 'here' }))
    await t.rejects(callControl(path, 'POST', '/drain', { [key]: value }), {
      message: new RegExp(`^${key}: expected`),
    });
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
  await deadSocket(path);
  const next = await ControlServer.open(path, handlers());
  await next.close();
  writeFileSync(path, 'precious');
  await t.rejects(ControlServer.open(path, handlers()), {
    message: `control.socket: ${path} is there and is no socket: name another path, or remove it`,
  });
  t.equal(readFileSync(path, 'utf8'), 'precious');
});
