// What a Tuntap promises, whatever is under it: these dialogues run against the kernel and against the in-memory twin.
import type { Duplex } from 'node:stream';
import type { Tuntap, TuntapOptions, TuntapQueue } from 'node-tuntap2';
import type { Test } from 'tap';
import { configuration } from './contract.configuration.js';
import { traffic } from './contract.traffic.js';
import { HOST, udpPayload } from './packets.js';

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
  configuration(t, world);
  traffic(t, world);
}

/** A device that lives as long as its test. */
export function opened(t: Test, world: World, options: Partial<TuntapOptions> = {}): Tuntap {
  const device = world.open({ mode: 'tun', ...options });
  t.teardown(() => device.close());
  return device;
}

/** A device with the address HOST, up, and the host behind it. */
export async function running(
  t: Test,
  world: World,
  options: Partial<TuntapOptions> = {},
): Promise<{ device: Tuntap; host: Host }> {
  const device = opened(t, world, options);
  device.addAddress(`${HOST}/24`);
  device.setUp(true);
  const host = await world.host(device);
  t.teardown(() => host.close());
  return { device, host };
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
