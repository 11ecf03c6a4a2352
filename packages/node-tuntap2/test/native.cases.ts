// The contract against the kernel, and what only the kernel can show: an answering stack, descriptors, a deleted interface.
import { execFileSync, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { openTuntap, type Tuntap, type TuntapOptions } from 'node-tuntap2';
import t, { type Test } from 'tap';
import { contract, numbered, payloads, type World } from './contract.js';
import { checksum, HOST, icmpEcho, octets, PEER, PORT, udp } from './packets.js';

const world: World = {
  open: openTuntap,
  host: async () => {
    const socket = createSocket('udp4');
    const arrived: string[] = [];
    let wake = () => {};
    socket.on('message', (message) => {
      arrived.push(message.toString());
      wake();
    });
    socket.bind(PORT, HOST);
    await once(socket, 'listening');
    return {
      send: async (sent) => {
        for (const payload of sent) {
          await new Promise<void>((resolve, reject) => {
            socket.send(payload, PORT, PEER, (error) => (error ? reject(error) : resolve()));
          });
        }
      },
      receive: async (count) => {
        while (arrived.length < count) await new Promise<void>((resolve) => (wake = resolve));
        return arrived.splice(0, count);
      },
      close: () => socket.close(),
    };
  },
};

const opened = (t: Test, options: Partial<TuntapOptions> = {}): Tuntap => {
  const device = openTuntap({ mode: 'tun', ...options });
  t.teardown(() => device.close());
  return device;
};

/** The first packet of queue 0 that `wanted` recognises. */
const packet = (device: Tuntap, wanted: (packet: Buffer) => boolean): Promise<Buffer> =>
  new Promise((resolve) => {
    const queue = device.queues[0]!;
    queue.onReadable(() => {
      const found = queue
        .readBatch()
        .map((each) => Buffer.from(each))
        .find(wanted);
      if (found === undefined) return;
      queue.onReadable(undefined);
      resolve(found);
    });
  });

t.test('contract', async (t) => contract(t, world));

t.test('the kernel answers a ping that came in through the device (RFC 792)', async (t) => {
  const device = opened(t, { name: 'ping%d', mtu: 1400 });
  device.addAddress(`${HOST}/32`, { peer: PEER });
  device.setUp(true);
  const reply = packet(device, (each) => each[0] === 0x45 && each[9] === 1);
  t.equal(device.queues[0]!.writeBatch([icmpEcho(8, PEER, HOST, 0x1234, 'lockstep')]), 1);
  const got = await reply;
  t.equal(got.subarray(20).toString('hex'), icmpEcho(0, HOST, PEER, 0x1234, 'lockstep').subarray(20).toString('hex'));
  t.strictSame([...got.subarray(12, 20)], [...octets(HOST), ...octets(PEER)]);
  t.equal(checksum(got.subarray(0, 20)), 0);
});

t.test('a TAP device carries Ethernet: the kernel answers ARP (RFC 826)', async (t) => {
  const device = opened(t, { mode: 'tap' });
  device.addAddress(`${HOST}/24`);
  device.setUp(true);
  const mac = [0x02, 0, 0, 0, 0, 2];
  const arp = (op: number, rest: number[]) => [0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, op, ...rest];
  const reply = packet(device, (each) => each.readUInt16BE(12) === 0x0806 && each.readUInt16BE(20) === 2);
  const request = arp(1, [...mac, ...octets(PEER), 0, 0, 0, 0, 0, 0, ...octets(HOST)]);
  device.queues[0]!.writeBatch([Uint8Array.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, ...mac, ...request])]);
  const got = await reply;
  t.strictSame([...got.subarray(0, 6)], mac);
  t.strictSame([...got.subarray(28, 42)], [...octets(HOST), ...mac, ...octets(PEER)]);
});

t.test('with csum the kernel leaves checksums to us, without it does them itself', async (t) => {
  for (const [offloads, flags] of [
    [['csum'], 1],
    [[], 0],
  ] as const) {
    const device = opened(t, { vnetHeader: true, offloads });
    device.addAddress(`${HOST}/24`);
    device.setUp(true);
    const host = await world.host(device);
    const sent = packet(device, (each) => each[10] === 0x45 && each[19] === 17);
    await host.send(['x']);
    t.equal((await sent)[0], flags, 'VIRTIO_NET_HDR_F_NEEDS_CSUM');
    host.close();
    device.close();
  }
});

t.test('descriptors are close-on-exec and non-blocking, and there are no others', async (t) => {
  const open = () => readdirSync('/proc/self/fd').filter((fd) => linked(fd) !== undefined);
  const before = open();
  const device = opened(t, { queues: 3 });
  const after = open().filter((fd) => !before.includes(fd));
  for (const fd of after) t.ok(flagsOf(fd) & 0o2000000, `O_CLOEXEC: ${linked(fd)}`);
  for (const { fd } of device.queues) t.ok(flagsOf(fd) & 0o4000, 'O_NONBLOCK');
  const kinds = after.map((fd) => linked(fd)!.replace(/\[\d+\]/, '')).sort();
  t.strictSame(kinds, ['/dev/net/tun', '/dev/net/tun', '/dev/net/tun', 'socket:'], 'three queues, one netlink socket');
});

t.test('failures half way and 1000 openings leave no descriptor and no interface behind', async (t) => {
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const interfaces = () => readFileSync('/proc/net/dev', 'utf8').split('\n').length;
  // Destroying an interface costs the kernel some 16 ms (RCU), taking over a persistent one 0.1 ms: most cycles do that.
  openTuntap({ mode: 'tun', name: 'cycle0', persist: true }).close();
  const cycle = (options: TuntapOptions, watched: boolean) => {
    const device = openTuntap(options);
    if (watched) device.stream().resume();
    device.close();
  };
  cycle({ mode: 'tun', name: 'cycle0' }, true); // what is made once is made now
  const before = [descriptors(), interfaces()];
  for (let i = 0; i < 1000; i++) cycle({ mode: 'tun', name: 'cycle0' }, i % 10 === 0);
  for (let i = 0; i < 100; i++) cycle({ mode: 'tap', queues: 1 + (i % 3) }, i % 10 === 0);
  for (let i = 0; i < 20; i++) t.throws(() => openTuntap({ mode: 'tap', mtu: 65_530 }), { code: 'EINVAL' });
  t.strictSame([descriptors(), interfaces()], before);
  cycle({ mode: 'tun', name: 'cycle0', persist: false }, false);
});

t.test('an interface deleted under us: every use says so', async (t) => {
  const device = opened(t, { name: 'gone0' });
  device.setUp(true);
  const stream = device.stream();
  stream.resume();
  execFileSync('ip', ['link', 'delete', 'gone0']);
  const [error] = await once(stream, 'error');
  t.match(error, { code: 'EBADFD', errno: -77, syscall: 'read', message: /the interface was deleted/ });
  t.throws(() => device.mtu, { code: 'ENODEV', syscall: 'RTM_GETLINK' });
  t.throws(() => device.addAddress('192.0.2.1/24'), { code: 'ENODEV' });
  t.throws(() => device.routes(), { code: 'ENODEV' });
  t.throws(() => device.queues[0]!.writeBatch([udp(PEER, HOST, 'x')]), { code: 'EBADFD' });
  device.close();
});

t.test('persistence: an interface stays, is taken over, and goes when told', async (t) => {
  openTuntap({ mode: 'tun', name: 'stay0', queues: 2, vnetHeader: true, persist: true, mtu: 1300 }).close();
  t.throws(() => openTuntap({ mode: 'tap', name: 'stay0' }), { code: 'EBUSY' });
  const second = opened(t, { name: 'stay0', queues: 2 });
  t.equal(second.mtu, 1300);
  t.throws(() => openTuntap({ mode: 'tun', name: 'stay0', queues: 2 }), { code: 'EBUSY' }, 'not while it is open');
  second.close();
  openTuntap({ mode: 'tun', name: 'stay0', queues: 2, persist: false }).close();
  t.equal(opened(t, { name: 'stay0' }).mtu, 1500, 'a new one');
  t.throws(() => openTuntap({ mode: 'tun', name: 'lo' }), { code: 'EBUSY', message: /^lo: cannot open the device: / });
});

t.test('addresses and routes of other programs are seen, those of other interfaces are not', async (t) => {
  const [device, other] = [opened(t, { name: 'mine0' }), opened(t, { name: 'other0' })];
  for (const each of [device, other]) each.setUp(true);
  const ip = (...args: string[]) => execFileSync('ip', args);
  ip('address', 'add', '192.0.2.1/24', 'dev', 'mine0');
  ip('route', 'add', '203.0.113.0/24', 'via', '192.0.2.7', 'dev', 'mine0', 'metric', '3');
  ip('-6', 'route', 'add', '2001:db8:f::/48', 'dev', 'mine0', 'table', '4000');
  other.addAddress('198.51.100.1/24');
  other.addRoute({ destination: '10.0.0.0/8' });
  t.strictSame(ipv4Or2001(device.addresses()), ['192.0.2.1/24']);
  t.strictSame(device.routes(), [
    { destination: '203.0.113.0/24', via: '192.0.2.7', metric: 3 },
    { destination: '2001:db8:f::/48', metric: 1024, table: 4000 },
  ]);
  t.strictSame(ipv4Or2001(other.addresses()), ['198.51.100.1/24']);
  t.strictSame(other.routes(), [{ destination: '10.0.0.0/8' }]);
  t.throws(
    () => device.addRoute({ destination: '203.0.113.0/24', source: '10.77.0.1' }),
    {
      message: /Invalid prefsrc address \(EINVAL, RTM_NEWROUTE\)$/,
    },
    "the kernel's own words",
  );
});

t.test('a dump of many parts', async (t) => {
  const device = opened(t);
  device.setUp(true);
  for (let i = 0; i < 2000; i++) device.addRoute({ destination: `10.${i >> 8}.${i & 255}.0/24`, metric: 1 });
  for (let i = 0; i < 300; i++) device.addAddress(`2001:db8::${(i + 1).toString(16)}/128`);
  t.equal(new Set(device.routes().map(({ destination }) => destination)).size, 2000);
  t.equal(ipv4Or2001(device.addresses()).length, 300);
});

t.test('processes', async (t) => {
  // Without our own environment: NODE_OPTIONS would load the test runner's hooks into them.
  const run = (code: string, [command, ...args]: [string, ...string[]] = [process.execPath]) => {
    const module = ['--input-type=module', '-e', `import { openTuntap } from 'node-tuntap2'; ${code}`];
    const child = spawnSync(command, [...args, ...module], { encoding: 'utf8', env: { PATH: process.env.PATH } });
    return { status: child.status, signal: child.signal, out: child.stdout.trim(), err: child.stderr };
  };
  const fine = { status: 0, signal: null, err: '' };
  t.match(
    run(`const d = openTuntap({ mode: 'tun' }); d.setUp(true); d.stream().resume(); setImmediate(() => d.close());`),
    fine,
    'a closed device lets its process exit',
  );
  t.match(run(`openTuntap({ mode: 'tun' });`), fine, 'and so does one nobody listens to');
  t.match(
    run(`const d = openTuntap({ mode: 'tun' }); d.stream().resume(); setImmediate(() => process.exit(0));`),
    fine,
    'an exit with a watch under way',
  );
  t.match(
    run(`import { Worker } from 'node:worker_threads';
      const code = "import { parentPort } from 'node:worker_threads'; import { openTuntap } from 'node-tuntap2';" +
        "openTuntap({ mode: 'tun', name: 'worker0' }).stream().resume(); parentPort.postMessage('open');";
      for (let i = 0; i < 5; i++) {
        const worker = new Worker(code, { eval: true });
        await new Promise((resolve) => worker.once('message', resolve));
        await worker.terminate();
        openTuntap({ mode: 'tun', name: 'worker0' }).close();
      }`),
    fine,
    'a terminated worker gives its device back',
  );
  t.match(
    run(
      `import { readdirSync } from 'node:fs';
      const before = readdirSync('/proc/self/fd').length;
      for (let i = 0; i < 20; i++) { const d = openTuntap({ mode: 'tun' }); d.stream().destroy(); d.queues[0].onReadable(() => {}); d.queues[0].onReadable(undefined); }
      for (let i = 0; i < 10; i++) { gc(); await new Promise(setImmediate); }
      console.log(readdirSync('/proc/self/fd').length - before <= 4 ? 'collected' : 'leaked');`,
      [process.execPath, '--expose-gc'],
    ),
    { ...fine, out: 'collected' },
    'a forgotten device is closed by the collector',
  );
  t.match(
    run(`process.on('uncaughtException', (e) => { console.log(e.message); d.close(); });
      const d = openTuntap({ mode: 'tun' }); d.addAddress('${HOST}/24'); d.setUp(true);
      d.queues[0].onReadable(() => { d.queues[0].readBatch(); throw new Error('of the listener'); });`),
    { ...fine, out: 'of the listener' },
    "a listener's exception is an uncaught exception",
  );
  t.match(
    run(
      `try { openTuntap({ mode: 'tun' }); } catch (e) { console.log(e.name, e.code, e.errno, e.syscall, e.message); }`,
      ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin', process.execPath],
    ),
    {
      ...fine,
      out: /^TuntapError EPERM -1 TUNSETIFF new tun: cannot open the device: not permitted, CAP_NET_ADMIN is needed/,
    },
  );
});

t.test('IPv6 goes through as well', async (t) => {
  const device = opened(t);
  device.addAddress('2001:db8::1/64');
  device.setUp(true);
  const socket = createSocket('udp6');
  t.teardown(() => socket.close());
  const sent = packet(device, (each) => each[0]! >> 4 === 6 && each[6] === 17);
  socket.send('six', PORT, '2001:db8::2');
  const got = await sent;
  t.equal(got.subarray(48).toString(), 'six');
  t.equal(got.subarray(24, 40).toString('hex'), '20010db8000000000000000000000002');
});

t.test('packets written in one batch arrive in order under load', async (t) => {
  const device = opened(t);
  device.addAddress(`${HOST}/24`);
  device.setUp(true);
  const host = await world.host(device);
  for (let round = 0; round < 20; round++) {
    const batch = numbered(`round ${round}`, 64);
    t.equal(device.queues[0]!.writeBatch(batch.map((each) => udp(PEER, HOST, each))), 64);
    t.strictSame(await host.receive(64), batch);
    await host.send(batch);
    t.strictSame(await payloads(device.queues, 64), batch);
  }
  host.close();
});

// The kernel adds a link-local address of its own to an interface that is up.
const ipv4Or2001 = (addresses: string[]): string[] => addresses.filter((each) => !each.startsWith('fe80:'));

function linked(fd: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined; // the descriptor readdir itself used
  }
}

const flagsOf = (fd: string | number): number =>
  Number.parseInt(/flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))![1]!, 8);
