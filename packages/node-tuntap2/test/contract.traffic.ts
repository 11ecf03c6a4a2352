// The contract, second half: batches, queues, offloads, streams, and what closing means.
import { once } from 'node:events';
import type { Offload } from 'node-tuntap2';
import type { Test } from 'tap';
import { numbered, opened, payloads, running, streamed, type World } from './contract.js';
import { HOST, PEER, udp, udpPayload, VNET_HEADER } from './packets.js';

export function traffic(t: Test, world: World): void {
  t.test('batches', async (t) => {
    const { device, host } = await running(t, world);
    const queue = device.queues[0]!;
    const sent = numbered('out', 20);
    t.equal(queue.writeBatch(sent.map((payload) => udp(PEER, HOST, payload))), 20);
    t.strictSame(await host.receive(20), sent);
    await host.send(numbered('in', 20));
    t.strictSame(await payloads([queue], 20), numbered('in', 20));
    t.strictSame(opened(t, world).queues[0]!.readBatch(), [], 'nothing waits: an empty list, not an error');
    t.equal(queue.writeBatch([]), 0);

    await host.send(numbered('max', 5));
    t.ok(queue.readBatch(2).length <= 2);
    for (const max of [0, -1, 1.5, 65_537]) t.throws(() => queue.readBatch(max), { code: 'EINVAL', message: /^max: / });
    t.throws(() => queue.writeBatch('x' as unknown as Uint8Array[]), { code: 'EINVAL', message: /^packets: / });
    t.throws(() => queue.writeBatch(['x' as unknown as Uint8Array]), { code: 'EINVAL', message: /^packets: / });
  });

  t.test('a refused packet throws only when it is the first, so the caller knows which one it was', async (t) => {
    const { device, host } = await running(t, world);
    const queue = device.queues[0]!;
    const [good, bad] = [udp(PEER, HOST, 'good'), Uint8Array.of(0x00, 0x01)];
    t.equal(queue.writeBatch([good, good, bad, good]), 2);
    t.throws(() => queue.writeBatch([bad, good]), { name: 'TuntapError', code: 'EINVAL', syscall: 'write' });
    t.throws(() => queue.writeBatch([new Uint8Array(0)]), { code: 'EINVAL' });
    t.strictSame(await host.receive(2), ['good', 'good']);
    device.setUp(false);
    t.throws(() => queue.writeBatch([good]), { code: 'EIO', syscall: 'write', message: /the interface is down/ });
    t.throws(() => queue.writeBatch([bad]), { code: 'EINVAL' }, 'what it is comes before where it goes');
    const tap = opened(t, world, { mode: 'tap' }).queues[0]!;
    t.throws(() => tap.writeBatch([new Uint8Array(13)]), { code: 'EINVAL' }, 'less than an Ethernet header');
    t.throws(() => tap.writeBatch([new Uint8Array(60)]), { code: 'EIO' });
  });

  t.test('several queues', async (t) => {
    const { device, host } = await running(t, world, { queues: 3 });
    t.equal(device.queues.length, 3);
    t.equal(new Set(device.queues.map((queue) => queue.fd)).size, 3);
    for (const [i, queue] of device.queues.entries()) {
      t.equal(queue.writeBatch([udp(PEER, HOST, `queue ${i}`)]), 1);
      t.strictSame(await host.receive(1), [`queue ${i}`]);
    }
    await host.send(numbered('any', 6));
    t.strictSame((await payloads(device.queues, 6)).sort(), numbered('any', 6), 'each comes out of one of the queues');
    t.equal(opened(t, world, { queues: 256 }).queues.length, 256);
  });

  t.test('vnet header and offloads', async (t) => {
    const asked: Offload[] = ['csum', 'tso4', 'tso6', 'tso-ecn', 'uso4', 'uso6'];
    const { device, host } = await running(t, world, { vnetHeader: true, offloads: asked });
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
    t.strictSame(opened(t, world, { vnetHeader: true }).offloads, []);
    t.equal(opened(t, world).vnetHeader, false);
  });

  t.test('a stream carries one packet per chunk, both ways', async (t) => {
    const { device, host } = await running(t, world);
    const stream = device.stream();
    for (const payload of numbered('s', 100)) stream.write(udp(PEER, HOST, payload));
    t.strictSame(await host.receive(100), numbered('s', 100));
    await host.send(numbered('r', 100));
    t.strictSame(await streamed(stream, 100), numbered('r', 100));
  });

  t.test('a paused stream leaves packets to the kernel', async (t) => {
    const { device, host } = await running(t, world);
    const stream = device.stream();
    await host.send(numbered('early', 300));
    stream.once('readable', () => undefined); // reads up to the high water mark, and no further
    await once(stream, 'readable');
    t.ok(stream.readableLength <= stream.readableHighWaterMark);
    t.strictSame(await streamed(stream, 300), numbered('early', 300), 'nothing was lost, nothing changed places');
  });

  t.test('a stream refuses what is no packet, and can be replaced', async (t) => {
    const { device, host } = await running(t, world);
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
    const { device, host } = await running(t, world);
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
    const { device, host } = await running(t, world);
    const stream = device.stream();
    await host.send(numbered('x', 10));
    stream.on('data', (packet: Uint8Array) => {
      if (udpPayload(packet) !== undefined) device.close();
    });
    await once(stream, 'close');
    t.equal(stream.errored, null);
  });

  t.test('a listener may close the device from within', async (t) => {
    const { device, host } = await running(t, world);
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
    const device = opened(t, world, { queues: 2 });
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
