import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type CharonExit, CharonProcess, type CharonProcessOptions, udpSockets } from '../../src/io/charon-process.js';

/** Stands in for charon: opens the socket its configuration names, after `body` has had its say. */
const standIn = (body: string) => `#!${process.execPath}
process.title = 'charon-standin';
const { readFileSync } = require('node:fs');
const socket = /socket = unix:\\/\\/(\\S+)/.exec(readFileSync(process.env.STRONGSWAN_CONF, 'utf8'))[1];
const open = () => require('node:net').createServer().listen(socket);
${body}
`;
const READY = 'console.log("00[DMN] starting"); console.error(Object.keys(process.env).sort().join()); open();';

async function lab(t: Test, body: string, more: Partial<CharonProcessOptions> = {}) {
  const runDir = await mkdtemp(join(tmpdir(), 'ike-'));
  const program = join(runDir, 'charon.cjs');
  await writeFile(program, standIn(body));
  await chmod(program, 0o700);
  const lines: string[] = [];
  const exits: CharonExit[] = [];
  const options = { runDir, programs: [join(runDir, 'missing'), program], ports: [], ...more };
  const charon = new CharonProcess({ ...options, onLine: (l) => lines.push(l), onExit: (e) => exits.push(e) });
  t.teardown(async () => {
    await charon.stop();
    await rm(runDir, { recursive: true });
  });
  return { charon, runDir, program, lines, exits };
}

t.test('starts with a private configuration, is ready when the socket accepts, stops when told', async (t) => {
  const { charon, runDir, lines, exits } = await lab(t, READY);
  await writeFile(join(runDir, 'charon.vici'), 'left by a charon that was killed');
  process.env.NOTIFY_SOCKET = '/run/systemd/notify';
  t.teardown(() => delete process.env.NOTIFY_SOCKET);
  await charon.start();
  t.equal(charon.running, true);
  const conf = join(runDir, 'strongswan.conf');
  t.equal((await stat(conf)).mode & 0o777, 0o600);
  const text = await readFile(conf, 'utf8');
  t.match(text, `socket = unix://${runDir}/charon.vici`);
  t.notMatch(text, /@\w+@/);
  t.match(text, 'aggressive_mode_psk = no');
  await charon.stop();
  t.strictSame(exits, [{ wanted: true, code: null, signal: 'SIGTERM' }]);
  t.equal(charon.running, false);
  t.ok(lines.includes('00[DMN] starting'));
  const environment = lines.find((l) => l.includes('STRONGSWAN_CONF'))?.split(',') ?? [];
  t.ok(environment.includes('PATH'));
  t.notOk(environment.includes('NOTIFY_SOCKET'), 'its READY=1 would be taken for ours');
  await t.rejects(stat(join(runDir, 'charon.vici')));
});

t.test('the configuration keeps what the rest of the gateway relies on', async (t) => {
  const text = await readFile(new URL('../../../ipsec/strongswan.conf', import.meta.url), 'utf8');
  const settings = text.replace(/^\s*#.*$/gm, '');
  t.notMatch(settings, /connmark|updown|include/);
  for (const line of [
    'install_routes = no',
    'install_virtual_ip = no',
    'i_dont_care_about_security_and_use_aggressive_mode_psk = @AGGRESSIVE@',
  ])
    t.ok(settings.includes(line), line);
  t.ok(Number(/block_threshold = (\d+)/.exec(settings)?.[1]) >= 256);
  for (const plugin of [
    'kdf',
    'openssl',
    'pem',
    'pkcs1',
    'x509',
    'revocation',
    'constraints',
    'kernel-netlink',
    'socket-default',
    'vici',
  ])
    t.match(settings, new RegExp(`load = .*\\b${plugin}\\b`));
});

t.test('an unexpected end is told, and it can be started again', async (t) => {
  const { charon, exits } = await lab(t, `${READY}`);
  await charon.start();
  process.kill(charon.pid ?? 0, 'SIGKILL');
  while (exits.length === 0) await new Promise((resolve) => setImmediate(resolve));
  t.strictSame(exits, [{ wanted: false, code: null, signal: 'SIGKILL' }]);
  await charon.start();
  t.equal(charon.running, true);
});

t.test('one that ends before it is ready', async (t) => {
  const { charon, lines } = await lab(t, 'console.error("00[LIB] no usable socket"); process.exitCode = 66;');
  await t.rejects(charon.start(), { name: 'CharonError', message: /^charon ended with status 66 before it was ready/ });
  t.equal(charon.running, false);
  t.strictSame(lines, ['00[LIB] no usable socket']);
});

t.test('one that does not heed SIGTERM is killed', async (t) => {
  const { charon, exits } = await lab(t, `process.on('SIGTERM', () => {}); ${READY}`);
  await charon.start();
  await charon.stop(50);
  t.strictSame(exits, [{ wanted: true, code: null, signal: 'SIGKILL' }]);
});

t.test('no charon installed', async (t) => {
  const { charon } = await lab(t, READY, { programs: ['/nonexistent/charon'] });
  await t.rejects(charon.start(), { message: /no IKE daemon found .*apt-get install charon-systemd/ });
});

t.test('another IKE daemon: refused by name, and left alone', async (t) => {
  const other = createSocket('udp6');
  await new Promise<void>((resolve) => other.bind(0, '::1', resolve));
  t.teardown(() => other.close());
  const { port } = other.address();
  const { charon } = await lab(t, READY, { ports: [port] });
  await t.rejects(charon.start(), {
    name: 'CharonError',
    message: new RegExp(`^UDP port ${port} is taken by .* \\(process ${process.pid}\\): stop and disable`),
  });
});

t.test('a charon that a killed daemon left behind is ended first', async (t) => {
  const { charon, runDir, program, lines } = await lab(t, READY);
  await writeFile(join(runDir, 'strongswan.conf'), `socket = unix://${runDir}/old.vici`);
  // its parent, a shell, stands for the init that adopts orphans
  const old = spawn('sh', ['-c', '"$1" & echo $!; wait', 'sh', program], {
    env: { STRONGSWAN_CONF: join(runDir, 'strongswan.conf') },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = once(old, 'exit');
  let said = '';
  for await (const chunk of old.stdout) {
    said += chunk;
    if (said.includes('starting')) break;
  }
  await charon.start();
  await ended;
  t.match(lines[0], /^ending charon \d+, left by an earlier run$/);
});

t.test('sockets of /proc/net/udp', async (t) => {
  const table = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1234: 00000000:01F4 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 24680 2 0000000000000000 0
 1235: 00000000000000000000000000000000:1194 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 24681 2 0000000000000000 0
`;
  t.strictSame(udpSockets(table), [
    { port: 500, inode: '24680' },
    { port: 4500, inode: '24681' },
  ]);
});
