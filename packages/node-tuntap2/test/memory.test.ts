// The contract against the in-memory twin, and what only the twin can show: its other side, and a device that blocks.
import { once } from 'node:events';
import type { Tuntap } from 'node-tuntap2';
import { createMemoryTuntap, MemoryKernel, type MemoryTuntap } from 'node-tuntap2/memory';
import t from 'tap';
import { contract, numbered, type World } from './contract.js';
import { HOST, PEER, udp, udpPayload, VNET_HEADER } from './packets.js';

const kernel = new MemoryKernel();

const world: World = {
  open: (options) => createMemoryTuntap(options, kernel),
  host: async (given: Tuntap) => {
    const device = given as MemoryTuntap;
    const skip = device.vnetHeader ? VNET_HEADER : 0;
    return {
      send: async (sent) => {
        device.inject(sent.map((payload) => Buffer.concat([new Uint8Array(skip), udp(HOST, PEER, payload)])));
      },
      receive: async (count) => {
        const got: string[] = [];
        while (got.length < count) {
          got.push(...device.collect().map((packet) => udpPayload(packet.subarray(skip)) ?? 'no datagram'));
          await new Promise(setImmediate);
        }
        return got;
      },
      close: () => undefined,
    };
  },
};

t.test('contract', async (t) => contract(t, world));

t.test('a kernel without USO accepts the rest', async (t) => {
  const old = new MemoryKernel({ uso: false });
  const device = createMemoryTuntap({ mode: 'tun', vnetHeader: true, offloads: ['csum', 'tso4', 'uso4', 'uso6'] }, old);
  t.strictSame(device.offloads, ['csum', 'tso4']);
});

t.test('a device that would block: batches are cut, the stream waits, nothing is lost', async (t) => {
  const device = createMemoryTuntap({ mode: 'tun' }, new MemoryKernel({ capacity: 10 }));
  device.setUp(true);
  const packets = numbered('w', 25).map((payload) => udp(PEER, HOST, payload));
  t.equal(device.queues[0]!.writeBatch(packets), 10, 'the caller keeps the rest');
  t.equal(device.queues[0]!.writeBatch(packets), 0);
  t.equal(device.collect().length, 10);

  const stream = device.stream();
  for (const packet of packets) stream.write(packet);
  const got: (string | undefined)[] = [];
  while (got.length < 25) {
    const collected = device.collect();
    t.ok(collected.length <= 10);
    got.push(...collected.map(udpPayload));
    await new Promise(setImmediate);
  }
  t.strictSame(got, numbered('w', 25));

  for (const packet of packets) stream.write(packet);
  device.close();
  const [error] = await once(stream, 'error');
  t.match(error, { code: 'EBADF' }, 'a write under way when the device closes fails');
});

t.test('the other side', async (t) => {
  const device = createMemoryTuntap({ mode: 'tun', queues: 2 });
  t.equal(device.inject([udp(HOST, PEER, 'down')]), 0, 'a device that is down gets nothing');
  device.setUp(true);
  t.equal(
    device.inject(
      numbered('p', 600).map((payload) => udp(HOST, PEER, payload)),
      1,
    ),
    500,
    'a full queue drops',
  );
  t.equal(device.queues[0]!.readBatch().length, 0);
  t.equal(device.queues[1]!.readBatch(1000).length, 500);
  t.throws(() => device.inject([], 2), { code: 'EINVAL', message: /^queue: 2 / });
});

t.test('a persistent interface keeps its configuration', async (t) => {
  const machine = new MemoryKernel();
  const first = createMemoryTuntap({ mode: 'tun', name: 'keep0', persist: true, mtu: 1300 }, machine);
  first.close();
  const second = createMemoryTuntap({ mode: 'tun', name: 'keep0' }, machine);
  t.equal(second.mtu, 1300);
  t.throws(() => createMemoryTuntap({ mode: 'tap', name: 'keep0' }, machine), { code: 'EBUSY' });
  second.close();
  createMemoryTuntap({ mode: 'tun', name: 'keep0', persist: false }, machine).close();
  const third = createMemoryTuntap({ mode: 'tun', name: 'keep0' }, machine);
  t.equal(third.mtu, 1500);
});
