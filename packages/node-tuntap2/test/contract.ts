// What a Tuntap promises, whatever is under it: these dialogues run against the kernel and against the in-memory twin.
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import type { Offload, Route, Tuntap, TuntapOptions, TuntapQueue } from 'node-tuntap2';
import type { Test } from 'tap';
import { HOST, PEER, udp, udpPayload, VNET_HEADER } from './packets.js';

/** The machine a device lives in. */
export interface World {
  open(options: TuntapOptions): Tuntap;
  /** A UDP socket of the host at HOST:PORT, once the device has that address and is up. */
  host(device: Tuntap): Promise<Host>;
}

export interface Host {
  /** Sends datagrams to PEER:PORT, so out of the device. */
  send(payloads: readonly string[]): Promise<void>;
  /** The next `count` datagrams that came in through the device. */
  receive(count: number): Promise<string[]>;
  close(): void;
}

export function contract(t: Test, world: World): void {
  const opened = (t: Test, options: Partial<TuntapOptions> = {}): Tuntap => {
    const device = world.open({ mode: 'tun', ...options });
    t.teardown(() => device.close());
    return device;
  };
  const running = async (t: Test, options: Partial<TuntapOptions> = {}): Promise<{ device: Tuntap; host: Host }> => {
    const device = opened(t, options);
    device.addAddress(`${HOST}/24`);
    device.setUp(true);
    const host = await world.host(device);
    t.teardown(() => host.close());
    return { device, host };
  };

  t.test('names', async (t) => {
    t.match(opened(t, { name: 'pat%d' }).name, /^pat\d+$/, 'a pattern is filled in');
    t.match(opened(t).name, /^tun\d+$/, 'the kernel names a TUN device');
    t.match(opened(t, { mode: 'tap' }).name, /^tap\d+$/, 'and a TAP device');
    const first = opened(t, { name: 'contract0' });
    t.equal(first.name, 'contract0');
    t.ok(first.index > 0);
    for (const options of [{}, { queues: 2 }, { mode: 'tap' }] as const) {
      t.throws(() => opened(t, { name: 'contract0', ...options }), { name: 'TuntapError', code: 'EBUSY' });
    }
    first.close();
    t.equal(opened(t, { name: 'contract0', mode: 'tap' }).mode, 'tap', 'a closed device gives its name back');
    const many = opened(t, { name: 'contract1', queues: 2 });
    t.throws(() => opened(t, { name: 'contract1', queues: 2 }), { code: 'EBUSY' }, 'nobody joins another one unasked');
    t.equal(many.queues.length, 2);
  });

  t.test('malformed options are refused in one sentence that names the key', async (t) => {
    const table: [options: unknown, sentence: RegExp][] = [
      [undefined, /^options: undefined /],
      [{}, /^mode: undefined is neither 'tun' nor 'tap'$/],
      [{ mode: 'tun', colour: 1 }, /^colour: unknown option/],
      [{ mode: 'tun', name: '' }, /^name: '' /],
      [{ mode: 'tun', name: 'sixteen-octets-x' }, /^name: 'sixteen-octets-x' is not an interface name/],
      [{ mode: 'tun', name: 'a/b' }, /^name: /],
      [{ mode: 'tun', name: 'a b' }, /^name: /],
      [{ mode: 'tun', name: 'a:1' }, /^name: /],
      [{ mode: 'tun', name: '..' }, /^name: /],
      [{ mode: 'tun', name: 'tün0' }, /^name: /],
      [{ mode: 'tun', name: 'a\0b' }, /^name: /],
      [{ mode: 'tun', name: '%d%d' }, /^name: /],
      [{ mode: 'tun', name: 'x%s' }, /^name: /],
      [{ mode: 'tun', name: 7 }, /^name: 7 /],
      [{ mode: 'tun', queues: 0 }, /^queues: 0 is not an integer from 1 to 256$/],
      [{ mode: 'tun', queues: 257 }, /^queues: /],
      [{ mode: 'tun', queues: 1.5 }, /^queues: /],
      [{ mode: 'tun', vnetHeader: 1 }, /^vnetHeader: 1 is neither true nor false$/],
      [{ mode: 'tun', persist: 'yes' }, /^persist: 'yes' /],
      [{ mode: 'tun', mtu: 67 }, /^mtu: 67 is not an integer from 68 to 65535$/],
      [{ mode: 'tun', mtu: 65_536 }, /^mtu: /],
      [{ mode: 'tun', mtu: Number.NaN }, /^mtu: /],
      [{ mode: 'tun', vnetHeader: true, offloads: 'csum' }, /^offloads: 'csum' is not a list$/],
      [{ mode: 'tun', vnetHeader: true, offloads: ['lro'] }, /^offloads: 'lro' is unknown/],
      [{ mode: 'tun', vnetHeader: true, offloads: ['toString'] }, /^offloads: 'toString' is unknown/],
      [{ mode: 'tun', offloads: ['csum'] }, /^offloads: need vnetHeader/],
      [{ mode: 'tun', vnetHeader: true, offloads: ['tso4'] }, /^offloads: tso4 need csum/],
      [{ mode: 'tun', vnetHeader: true, offloads: ['csum', 'tso-ecn'] }, /^offloads: tso-ecn needs/],
      [{ mode: 'tun', vnetHeader: true, offloads: ['csum', 'uso4'] }, /^offloads: uso4 and uso6 /],
    ];
    for (const [options, message] of table) {
      const wanted = { name: 'TuntapError', code: 'EINVAL', errno: -22, syscall: 'openTuntap', message };
      t.throws(() => world.open(options as TuntapOptions), wanted, String(message));
    }
  });

  t.test('MTU and state', async (t) => {
    const device = opened(t, { mtu: 1400 });
    t.equal(device.mtu, 1400);
    device.mtu = 68;
    t.equal(device.mtu, 68);
    device.mtu = 65_535;
    t.equal(device.mtu, 65_535);
    t.throws(() => opened(t, { mode: 'tap', mtu: 65_522 }), { code: 'EINVAL', syscall: 'RTM_SETLINK' });
    t.equal(opened(t, { mode: 'tap', mtu: 65_521 }).mtu, 65_521, 'a TAP packet holds an Ethernet header too');
    for (const mtu of [67, 65_536, -1, 1500.5]) {
      t.throws(() => Object.assign(device, { mtu }), { code: 'EINVAL', message: /^mtu: / });
    }
    t.equal(opened(t).mtu, 1500);
    t.equal(device.up, false);
    device.setUp(true);
    device.setUp(true);
    t.equal(device.up, true);
    device.setUp(false);
    t.equal(device.up, false);
  });

  t.test('addresses', async (t) => {
    const device = opened(t);
    t.strictSame(device.addresses(), []);
    device.addAddress('192.0.2.1/24');
    device.addAddress('2001:DB8:0:0:0:0:0:1/64');
    device.addAddress('198.51.100.1/32', { peer: '198.51.100.2' });
    device.addAddress('2001:db8:1::1/128', { peer: '2001:db8:1::2' });
    const all = ['192.0.2.1/24', '198.51.100.1/32', '2001:db8:1::1/128', '2001:db8::1/64'];
    t.strictSame(device.addresses().sort(), all);
    const taken = { name: 'TuntapError', code: 'EEXIST', errno: -17, syscall: 'RTM_NEWADDR' };
    t.throws(() => device.addAddress('192.0.2.1/24'), taken);
    t.throws(() => device.addAddress('2001:db8::1/64'), taken);
    const absent = { name: 'TuntapError', code: 'EADDRNOTAVAIL', syscall: 'RTM_DELADDR' };
    t.throws(() => device.removeAddress('192.0.2.2/24'), absent);
    t.throws(() => device.removeAddress('192.0.2.1/25'), absent, 'the prefix length belongs to it');
    t.throws(() => device.removeAddress('2001:db8::2/64'), absent);
    for (const address of all) device.removeAddress(address);
    t.strictSame(device.addresses(), []);
    t.throws(() => device.removeAddress('192.0.2.1/24'), absent);

    for (const bad of [
      '',
      '192.0.2.1',
      '192.0.2.1/33',
      '192.0.2.1/-1',
      '192.0.2.1/08',
      '192.0.2/24',
      '192.0.2.256/24',
    ]) {
      t.throws(() => device.addAddress(bad), {
        code: 'EINVAL',
        syscall: 'addAddress',
        message: /^address: .*is not an /,
      });
    }
    for (const bad of ['2001:db8::1/129', '2001:db8::1::2/64', '::1%lo/128', 'fe80::1/', '/64', 'a/b/c']) {
      t.throws(() => device.addAddress(bad), { code: 'EINVAL', syscall: 'addAddress' });
    }
    t.throws(() => device.addAddress(5 as unknown as string), { code: 'EINVAL' });
    t.throws(() => device.addAddress('192.0.2.1/32', { peer: '::1' }), {
      message: /^peer: '::1' is not an IPv4 address$/,
    });
    t.throws(() => device.removeAddress('nonsense'), { code: 'EINVAL', syscall: 'removeAddress' });
    t.strictSame(device.addresses(), []);
  });

  t.test('routes', async (t) => {
    const device = opened(t);
    const plain: Route = { destination: '203.0.113.0/24' };
    t.throws(() => device.addRoute(plain), { code: 'ENETDOWN', syscall: 'RTM_NEWROUTE' });
    t.throws(() => device.addRoute({ destination: '2001:db8:f::/48' }), { code: 'ENETDOWN' });
    device.addAddress('192.0.2.1/24');
    device.addAddress('2001:db8::1/64');
    device.setUp(true);
    t.strictSame(device.routes(), [], 'what the kernel derives from addresses is left out');

    const rows: [add: Route, listed: Route][] = [
      [plain, plain],
      [
        { ...plain, metric: 7 },
        { ...plain, metric: 7 },
      ],
      [
        { ...plain, table: 1000 },
        { ...plain, table: 1000 },
      ],
      [
        { destination: '198.51.100.0/25', via: '192.0.2.9' },
        { destination: '198.51.100.0/25', via: '192.0.2.9' },
      ],
      [
        { destination: '198.51.100.128/25', source: '192.0.2.1' },
        { destination: '198.51.100.128/25', source: '192.0.2.1' },
      ],
      [
        { destination: '0.0.0.0/0', metric: 50 },
        { destination: '0.0.0.0/0', metric: 50 },
      ],
      [{ destination: '10.1.2.3/32' }, { destination: '10.1.2.3/32' }],
      [{ destination: '2001:DB8:F::/48' }, { destination: '2001:db8:f::/48', metric: 1024 }],
      [
        { destination: '2001:db8:e::/48', via: '2001:db8::9', metric: 5 },
        { destination: '2001:db8:e::/48', via: '2001:db8::9', metric: 5 },
      ],
      [
        { destination: '2001:db8:d::/48', source: '2001:db8::1', table: 70_000 },
        { destination: '2001:db8:d::/48', source: '2001:db8::1', table: 70_000, metric: 1024 },
      ],
      [{ destination: '::/0' }, { destination: '::/0', metric: 1024 }],
    ];
    for (const [add] of rows) device.addRoute(add);
    const key = (route: Route) => JSON.stringify(Object.entries(route).sort());
    t.strictSame(device.routes().map(key).sort(), rows.map(([, listed]) => key(listed)).sort());
    for (const [add] of rows) {
      t.throws(() => device.addRoute(add), { name: 'TuntapError', code: 'EEXIST', syscall: 'RTM_NEWROUTE' }, key(add));
    }
    for (const [, listed] of rows) device.removeRoute(listed);
    t.strictSame(device.routes(), [], 'what is listed can be removed');
    for (const [add] of rows) {
      t.throws(
        () => device.removeRoute(add),
        { name: 'TuntapError', code: 'ESRCH', syscall: 'RTM_DELROUTE' },
        key(add),
      );
    }

    t.throws(
      () => device.addRoute({ ...plain, via: '10.200.0.1' }),
      { code: 'ENETUNREACH' },
      'a gateway nobody reaches',
    );
    t.throws(() => device.addRoute({ destination: '2001:db8:c::/48', via: '2001:db8:bad::1' }), {
      code: 'EHOSTUNREACH',
    });
    t.throws(() => device.addRoute({ ...plain, source: '10.200.0.1' }), { code: 'EINVAL', syscall: 'RTM_NEWROUTE' });
    const malformed: [route: unknown, sentence: RegExp][] = [
      [null, /^route: null /],
      [{}, /^destination: undefined is not a prefix/],
      [{ destination: '192.0.2.0' }, /^destination: /],
      [{ destination: '192.0.2.0/33' }, /^destination: /],
      [
        { destination: '192.0.2.1/24' },
        /^destination: 192\.0\.2\.1\/24 has bits beyond its prefix, write 192\.0\.2\.0\/24$/,
      ],
      [{ destination: '2001:db8::1/64' }, /write 2001:db8::\/64$/],
      [{ ...plain, via: '2001:db8::9' }, /^via: '2001:db8::9' is not an IPv4 address$/],
      [{ ...plain, source: 'x' }, /^source: /],
      [{ ...plain, metric: -1 }, /^metric: -1 /],
      [{ ...plain, table: 0 }, /^table: 0 /],
    ];
    for (const [route, message] of malformed) {
      t.throws(() => device.addRoute(route as Route), { code: 'EINVAL', syscall: 'addRoute', message });
      t.throws(() => device.removeRoute(route as Route), { code: 'EINVAL', syscall: 'removeRoute', message });
    }
    t.strictSame(device.routes(), []);
  });

  t.test('what goes along with an address, and with the state', async (t) => {
    const device = opened(t);
    device.setUp(true);
    device.addAddress('192.0.2.1/24');
    device.addAddress('198.51.100.1/24');
    device.addRoute({ destination: '203.0.113.0/25', source: '192.0.2.1' });
    device.addRoute({ destination: '203.0.113.128/25' });
    device.removeAddress('192.0.2.1/24');
    t.strictSame(device.routes(), [{ destination: '203.0.113.128/25' }], 'its source is gone');
    device.removeAddress('198.51.100.1/24');
    t.strictSame(device.routes(), [], 'the last IPv4 address takes the IPv4 routes along');

    device.addAddress('192.0.2.1/24');
    device.addAddress('2001:db8::1/64');
    device.addRoute({ destination: '203.0.113.0/24' });
    device.addRoute({ destination: '2001:db8:f::/48' });
    device.setUp(false);
    t.strictSame(device.routes(), [], 'down: no routes');
    t.strictSame(device.addresses(), ['192.0.2.1/24'], 'down: no IPv6 addresses');
  });

  t.test('batches', async (t) => {
    const { device, host } = await running(t);
    const queue = device.queues[0]!;
    const sent = numbered('out', 20);
    t.equal(queue.writeBatch(sent.map((payload) => udp(PEER, HOST, payload))), 20);
    t.strictSame(await host.receive(20), sent);
    await host.send(numbered('in', 20));
    t.strictSame(await payloads([queue], 20), numbered('in', 20));
    t.strictSame(queue.readBatch(), [], 'nothing waits: an empty list, not an error');
    t.equal(queue.writeBatch([]), 0);

    await host.send(numbered('max', 5));
    t.ok(queue.readBatch(2).length <= 2);
    for (const max of [0, -1, 1.5, 65_537]) t.throws(() => queue.readBatch(max), { code: 'EINVAL', message: /^max: / });
    t.throws(() => queue.writeBatch('x' as unknown as Uint8Array[]), { code: 'EINVAL', message: /^packets: / });
    t.throws(() => queue.writeBatch(['x' as unknown as Uint8Array]), { code: 'EINVAL', message: /^packets: / });
  });

  t.test('a refused packet throws only when it is the first, so the caller knows which one it was', async (t) => {
    const { device, host } = await running(t);
    const queue = device.queues[0]!;
    const [good, bad] = [udp(PEER, HOST, 'good'), Uint8Array.of(0x00, 0x01)];
    t.equal(queue.writeBatch([good, good, bad, good]), 2);
    t.throws(() => queue.writeBatch([bad, good]), { name: 'TuntapError', code: 'EINVAL', syscall: 'write' });
    t.throws(() => queue.writeBatch([new Uint8Array(0)]), { code: 'EINVAL' });
    t.strictSame(await host.receive(2), ['good', 'good']);
    device.setUp(false);
    t.throws(() => queue.writeBatch([good]), { code: 'EIO', syscall: 'write', message: /the interface is down/ });
    t.throws(() => queue.writeBatch([bad]), { code: 'EINVAL' }, 'what it is comes before where it goes');
    const tap = opened(t, { mode: 'tap' }).queues[0]!;
    t.throws(() => tap.writeBatch([new Uint8Array(13)]), { code: 'EINVAL' }, 'less than an Ethernet header');
    t.throws(() => tap.writeBatch([new Uint8Array(60)]), { code: 'EIO' });
  });

  t.test('several queues', async (t) => {
    const { device, host } = await running(t, { queues: 3 });
    t.equal(device.queues.length, 3);
    t.equal(new Set(device.queues.map((queue) => queue.fd)).size, 3);
    for (const [i, queue] of device.queues.entries()) {
      t.equal(queue.writeBatch([udp(PEER, HOST, `queue ${i}`)]), 1);
      t.strictSame(await host.receive(1), [`queue ${i}`]);
    }
    await host.send(numbered('any', 6));
    t.strictSame((await payloads(device.queues, 6)).sort(), numbered('any', 6), 'each comes out of one of the queues');
    t.equal(opened(t, { queues: 256 }).queues.length, 256);
  });

  t.test('vnet header and offloads', async (t) => {
    const asked: Offload[] = ['csum', 'tso4', 'tso6', 'tso-ecn', 'uso4', 'uso6'];
    const { device, host } = await running(t, { vnetHeader: true, offloads: asked });
    t.equal(device.vnetHeader, true);
    const uso = device.offloads.filter((offload) => offload.startsWith('uso'));
    t.strictSame(
      [...device.offloads].filter((offload) => !uso.includes(offload)),
      asked.slice(0, 4),
    );
    t.ok(uso.length === 0 || uso.length === 2, 'USO for both families or for none');
    const header = new Uint8Array(VNET_HEADER);
    t.equal(device.queues[0]!.writeBatch([Buffer.concat([header, udp(PEER, HOST, 'with header')])]), 1);
    t.strictSame(await host.receive(1), ['with header']);
    t.throws(() => device.queues[0]!.writeBatch([header.subarray(1)]), { code: 'EINVAL' });
    await host.send(['answer']);
    t.strictSame(await payloads(device.queues, 1, VNET_HEADER), ['answer']);
    t.strictSame(opened(t, { vnetHeader: true }).offloads, []);
    t.equal(opened(t).vnetHeader, false);
  });

  t.test('a stream carries one packet per chunk, both ways', async (t) => {
    const { device, host } = await running(t);
    const stream = device.stream();
    for (const payload of numbered('s', 100)) stream.write(udp(PEER, HOST, payload));
    t.strictSame(await host.receive(100), numbered('s', 100));
    await host.send(numbered('r', 100));
    t.strictSame(await streamed(stream, 100), numbered('r', 100));
  });

  t.test('a paused stream leaves packets to the kernel', async (t) => {
    const { device, host } = await running(t);
    const stream = device.stream();
    await host.send(numbered('early', 300));
    stream.once('readable', () => undefined); // reads up to the high water mark, and no further
    await once(stream, 'readable');
    t.ok(stream.readableLength <= stream.readableHighWaterMark);
    t.strictSame(await streamed(stream, 300), numbered('early', 300), 'nothing was lost, nothing changed places');
  });

  t.test('a stream refuses what is no packet, and can be replaced', async (t) => {
    const { device, host } = await running(t);
    const stream = device.stream();
    t.throws(() => device.stream(), { code: 'EBUSY' }, 'one at a time');
    t.throws(() => device.queues[0]!.onReadable(() => undefined), { code: 'EBUSY' });
    stream.write('text');
    const [refusal] = await once(stream, 'error');
    t.match(refusal, { name: 'TuntapError', code: 'EINVAL', syscall: 'stream.write' });
    const second = device.stream();
    second.write(Uint8Array.of(0xff));
    const [kernel] = await once(second, 'error');
    t.match(kernel, { name: 'TuntapError', code: 'EINVAL', syscall: 'write' });
    const third = device.stream();
    third.end(udp(PEER, HOST, 'third'));
    t.strictSame(await host.receive(1), ['third']);
    third.destroy();
    device.queues[0]!.onReadable(() => undefined);
    t.throws(() => device.stream(), { code: 'EBUSY' }, 'a listener is a reader too');
    device.queues[0]!.onReadable(undefined);
    device.stream().destroy();
  });

  t.test('a stream ends when its device is closed', async (t) => {
    const { device, host } = await running(t);
    const stream = device.stream();
    await host.send(['last words']);
    const got = await streamed(stream, 1);
    stream.resume();
    device.close();
    await once(stream, 'close');
    t.strictSame(got, ['last words']);
    t.equal(stream.readableEnded, true);
    t.equal(stream.errored, null);
  });

  t.test('a consumer may close the device from within', async (t) => {
    const { device, host } = await running(t);
    const stream = device.stream();
    await host.send(numbered('x', 10));
    stream.on('data', (packet: Uint8Array) => {
      if (udpPayload(packet) !== undefined) device.close();
    });
    await once(stream, 'close');
    t.equal(stream.errored, null);
  });

  t.test('a listener may close the device from within', async (t) => {
    const { device, host } = await running(t);
    await host.send(numbered('y', 10));
    await new Promise<void>((resolve) => {
      device.queues[0]!.onReadable(() => {
        device.close();
        resolve();
      });
    });
    t.equal(device.queues[0]!.fd, -1);
  });

  t.test('closed is closed', async (t) => {
    const device = opened(t, { queues: 2 });
    const { name, index } = device;
    device.close();
    device.close();
    const uses: [string, () => unknown][] = [
      ['mtu', () => device.mtu],
      ['mtu=', () => Object.assign(device, { mtu: 1500 })],
      ['up', () => device.up],
      ['setUp', () => device.setUp(true)],
      ['addAddress', () => device.addAddress('192.0.2.1/24')],
      ['removeAddress', () => device.removeAddress('192.0.2.1/24')],
      ['addresses', () => device.addresses()],
      ['addRoute', () => device.addRoute({ destination: '192.0.2.0/24' })],
      ['removeRoute', () => device.removeRoute({ destination: '192.0.2.0/24' })],
      ['routes', () => device.routes()],
      ['stream', () => device.stream()],
      ['readBatch', () => device.queues[1]!.readBatch()],
      ['writeBatch', () => device.queues[1]!.writeBatch([udp(PEER, HOST, 'late')])],
      ['writeBatch of nothing', () => device.queues[0]!.writeBatch([])],
      ['onReadable', () => device.queues[0]!.onReadable(() => undefined)],
    ];
    for (const [what, use] of uses) t.throws(use, { name: 'TuntapError', code: 'EBADF', errno: -9 }, what);
    t.strictSame([device.name, device.index], [name, index], 'what it was is still known');
    t.strictSame(
      device.queues.map((queue) => queue.fd),
      [-1, -1],
      'a stale descriptor number is not handed out',
    );
  });
}

export const numbered = (word: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${word} ${i}`);

/** At least `count` UDP payloads from some queues, as they become readable; `skip` octets of vnet header before each. */
export function payloads(queues: readonly TuntapQueue[], count: number, skip = 0): Promise<string[]> {
  const got: string[] = [];
  return new Promise((resolve, reject) => {
    const take = (queue: TuntapQueue): void => {
      try {
        for (const packet of queue.readBatch()) {
          const payload = udpPayload(packet.subarray(skip));
          if (payload !== undefined) got.push(payload);
        }
      } catch (error) {
        reject(error);
      }
      if (got.length < count) return;
      for (const each of queues) each.onReadable(undefined);
      resolve(got);
    };
    for (const queue of queues) queue.onReadable(() => take(queue));
  });
}

/** The next `count` UDP payloads of a stream, which stays open. */
export async function streamed(stream: Duplex, count: number): Promise<string[]> {
  const got: string[] = [];
  for await (const packet of stream.iterator({ destroyOnReturn: false })) {
    const payload = udpPayload(packet);
    if (payload !== undefined) got.push(payload);
    if (got.length === count) break;
  }
  return got;
}
