import { mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { IPV4_FORWARD, proxyArp, Sysctls } from '../../src/io/sysctl.js';

function host(t: Test) {
  const conf = { 'eth0.7': { proxy_arp: '0\n' }, eth1: { proxy_arp: '1\n' } };
  const dir = t.testdir({ sys: { net: { ipv4: { ip_forward: '0\n', conf } } } });
  const root = join(dir, 'sys');
  const record = join(dir, 'state', 'sysctl-owned.json');
  const read = async (...path: string[]) => (await readFile(join(root, ...path), 'utf8')).trim();
  return { root, record, read, open: () => new Sysctls({ root, record }) };
}

t.test('what was changed is put back, what was so already is left alone', async (t) => {
  const { record, read, open } = host(t);
  const sysctls = open();
  t.equal(await sysctls.set(IPV4_FORWARD, '1'), true);
  t.equal(await sysctls.set(IPV4_FORWARD, '1'), false);
  t.equal(await sysctls.set(proxyArp('eth0.7'), '1'), true);
  t.equal(await sysctls.set(proxyArp('eth1'), '1'), false);
  t.equal(await read(...IPV4_FORWARD), '1');
  await sysctls.restore();
  t.equal(await read(...IPV4_FORWARD), '0');
  t.equal(await read(...proxyArp('eth0.7')), '0');
  t.equal(await read(...proxyArp('eth1')), '1');
  await t.rejects(stat(record));
});

t.test('after a crash the next run still knows the first value', async (t) => {
  const { read, open } = host(t);
  await open().set(IPV4_FORWARD, '1');
  const next = open();
  t.equal(await next.set(IPV4_FORWARD, '1'), false);
  await next.restore();
  t.equal(await read(...IPV4_FORWARD), '0');
});

t.test('what another changed meanwhile is theirs; what is gone is no error', async (t) => {
  const { root, read, open } = host(t);
  const sysctls = open();
  await sysctls.set(IPV4_FORWARD, '1');
  await sysctls.set(proxyArp('eth0.7'), '1');
  await writeFile(join(root, ...IPV4_FORWARD), '2\n');
  await rm(join(root, ...proxyArp('eth0.7')));
  await sysctls.restore();
  t.equal(await read(...IPV4_FORWARD), '2');
});

t.test('a setting that is not there, and a path that leads elsewhere', async (t) => {
  const { open } = host(t);
  await t.rejects(
    open().set(proxyArp('wlan0'), '1'),
    new Error('cannot read the kernel setting net.ipv4.conf.wlan0.proxy_arp'),
  );
  await t.rejects(open().set(['..', 'etc'], '1'));
});

t.test('a record somebody else wrote changes nothing but what lockstepd itself changes', async (t) => {
  const { root, record, read, open } = host(t);
  await mkdir(join(root, 'kernel'));
  await writeFile(join(root, 'kernel', 'core_pattern'), '1');
  await mkdir(dirname(record));
  const forged: unknown[] = [
    { path: ['kernel', 'core_pattern'], old: '|/tmp/x', ours: '1' },
    { path: ['kernel', 'core_pattern'], old: '0', ours: '1' },
    { path: [...proxyArp('..'), '..'], old: '0', ours: '1' },
    { path: proxyArp('eth1'), old: '|/tmp/x', ours: '1' },
    { path: proxyArp('eth1'), old: 0, ours: '1' },
    { path: proxyArp('eth1'), old: '0', ours: ['1'] },
    { path: ['net', 'ipv4', 'conf', ['eth1'], 'proxy_arp'], old: '0', ours: '1' },
    { path: ['net/ipv4/conf', 'eth1', 'proxy_arp'], old: '0', ours: '1' },
    { path: ['net', 'ipv4', 'conf', '../../../kernel/core_pattern', 'proxy_arp'], old: '0', ours: '1' },
    { path: 'net', old: '0', ours: '1' },
    null,
    'x',
    7,
  ];
  for (const entry of forged) {
    await writeFile(record, JSON.stringify([entry]));
    await open().restore();
    t.equal(await read('kernel', 'core_pattern'), '1', JSON.stringify(entry));
    t.equal(await read(...proxyArp('eth1')), '1', JSON.stringify(entry));
  }
  await writeFile(record, JSON.stringify([...forged, { path: proxyArp('eth1'), old: '0', ours: '1' }]));
  await open().restore();
  t.equal(await read(...proxyArp('eth1')), '0', 'what is right among them counts');
});

t.test('a link where the draft goes is not followed', async (t) => {
  const { root, record, open } = host(t);
  const victim = join(root, '..', 'victim');
  await writeFile(victim, 'precious');
  await mkdir(dirname(record));
  await symlink(victim, `${record}.new`);
  await open().set(IPV4_FORWARD, '1');
  t.equal(await readFile(victim, 'utf8'), 'precious');
  t.match(JSON.parse(await readFile(record, 'utf8')), [{ path: IPV4_FORWARD, old: '0', ours: '1' }]);
});
