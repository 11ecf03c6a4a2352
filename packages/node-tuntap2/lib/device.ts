/** A device over a driver: checks arguments, explains failures, keeps the rules of the contract. Shared by both kinds. */
import type { Duplex } from 'node:stream';
import { formatIp, formatPrefix } from './address.js';
import { type Driver, MAIN_TABLE, READABLE, type RouteEntry } from './driver.js';
import { ERRNO, explain, invalid, TuntapError } from './errors.js';
import { checkMtu, isInteger, offloadNames, type ParsedOptions, parseAddress, parseRoute, show } from './options.js';
import { PacketStream } from './stream.js';
import type { Offload, Route, Tuntap, TuntapQueue } from './types.js';

const BATCH = 64;
const BATCH_MAX = 65_536;

/** Opens the driver and applies what is left of the options; on failure nothing stays open. */
export function openDevice<D extends Driver, T extends Tuntap>(
  options: ParsedOptions,
  open: (options: ParsedOptions) => D,
  Kind: new (driver: D, options: ParsedOptions) => T,
): T {
  const label = options.name === '' ? `new ${options.tap ? 'tap' : 'tun'}` : options.name;
  const driver = attempt(label, 'open the device', () => open(options));
  try {
    const device = new Kind(driver, options);
    if (options.mtu !== undefined) device.mtu = options.mtu;
    return device;
  } catch (error) {
    driver.close();
    throw error;
  }
}

export class Device<D extends Driver> implements Tuntap {
  readonly name: string;
  readonly mode: 'tun' | 'tap';
  readonly index: number;
  readonly vnetHeader: boolean;
  readonly offloads: readonly Offload[];
  readonly queues: readonly Queue[];
  protected readonly driver: D;
  #closed = false;
  #stream: PacketStream | undefined;

  constructor(driver: D, options: ParsedOptions) {
    this.driver = driver;
    this.name = driver.name;
    this.mode = options.tap ? 'tap' : 'tun';
    this.index = driver.index;
    this.vnetHeader = options.vnetHeader;
    this.offloads = offloadNames(driver.offloads);
    this.queues = Array.from({ length: options.queues }, (_, i) => new Queue(driver, driver.name, i));
  }

  get mtu(): number {
    return this.#do('read the MTU', () => this.driver.link().mtu);
  }

  set mtu(mtu: number) {
    checkMtu('mtu', mtu);
    this.#do(`set the MTU to ${mtu}`, () => this.driver.setMtu(mtu));
  }

  get up(): boolean {
    return this.#do('read the state', () => this.driver.link().up);
  }

  setUp(up: boolean): void {
    if (typeof up !== 'boolean') throw invalid('setUp', `up: ${show(up)} is neither true nor false`);
    this.#do(`set ${up ? 'up' : 'down'}`, () => this.driver.setUp(up));
  }

  addAddress(address: string, options: { readonly peer?: string } = {}): void {
    const { local, prefix, peer } = parseAddress('addAddress', address, options.peer);
    this.#do(`add address ${address}`, () => this.driver.addAddress(local, prefix, peer));
  }

  removeAddress(address: string): void {
    const { local, prefix, peer } = parseAddress('removeAddress', address);
    this.#do(`remove address ${address}`, () => this.driver.removeAddress(local, prefix, peer));
  }

  addresses(): string[] {
    const entries = this.#do('list addresses', () => this.driver.addresses());
    return entries.map(({ local, prefix }) => formatPrefix({ address: local, length: prefix }));
  }

  addRoute(route: Route): void {
    const entry = parseRoute('addRoute', route);
    this.#do(`add route ${route.destination}`, () => this.driver.addRoute(entry));
  }

  removeRoute(route: Route): void {
    const entry = parseRoute('removeRoute', route);
    this.#do(`remove route ${route.destination}`, () => this.driver.removeRoute(entry));
  }

  routes(): Route[] {
    return this.#do('list routes', () => this.driver.routes()).map(formatRoute);
  }

  stream(): Duplex {
    const queue = this.queues[0]!;
    return this.#do('open a stream', () => {
      queue.claim('stream');
      this.#stream = new PacketStream(queue.port);
      return this.#stream;
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.driver.close();
    this.#stream?.deviceClosed();
  }

  #do<T>(action: string, work: () => T): T {
    if (this.#closed) throw closed(this.name, action);
    return attempt(this.name, action, work);
  }
}

export class Queue implements TuntapQueue {
  readonly #driver: Driver;
  readonly #device: string;
  readonly #index: number;
  #reader: 'stream' | 'listener' | undefined;

  constructor(driver: Driver, device: string, index: number) {
    this.#driver = driver;
    this.#device = device;
    this.#index = index;
  }

  get fd(): number {
    return this.#driver.fd(this.#index);
  }

  readBatch(max: number = BATCH): Uint8Array[] {
    if (!isInteger(max, 1, BATCH_MAX)) {
      throw invalid('readBatch', `max: ${show(max)} is not an integer from 1 to ${BATCH_MAX}`);
    }
    return attempt(this.#device, 'read', () => this.#driver.read(this.#index, max));
  }

  writeBatch(packets: readonly Uint8Array[]): number {
    const odd = Array.isArray(packets) ? packets.findIndex((packet) => !(packet instanceof Uint8Array)) : 0;
    if (odd >= 0) throw invalid('writeBatch', `packets: ${show(packets)} is not a list of Uint8Array`);
    return attempt(this.#device, 'write', () => this.#driver.write(this.#index, packets));
  }

  onReadable(listener: (() => void) | undefined): void {
    if (listener !== undefined && typeof listener !== 'function') {
      throw invalid('onReadable', `listener: ${show(listener)} is neither a function nor undefined`);
    }
    attempt(this.#device, 'watch', () => {
      if (this.#reader === 'stream') throw busy(this.#device);
      this.#driver.watch(this.#index, listener === undefined ? 0 : READABLE, () => listener?.());
      this.#reader = listener === undefined ? undefined : 'listener';
    });
  }

  /** @internal One reader per queue: two would take each other's packets. */
  claim(reader: 'stream'): void {
    if (this.#reader !== undefined) throw busy(this.#device);
    this.#reader = reader;
  }

  /** @internal */
  get port() {
    return {
      read: (max: number) => this.readBatch(max),
      write: (packets: readonly Uint8Array[]) => this.writeBatch(packets),
      watch: (events: number, callback: (events: number) => void) =>
        attempt(this.#device, 'watch', () => this.#driver.watch(this.#index, events, callback)),
      release: () => {
        this.#reader = undefined;
      },
    };
  }
}

function formatRoute(route: RouteEntry): Route {
  return {
    destination: formatPrefix({ address: route.destination, length: route.prefix }),
    ...(route.via && { via: formatIp(route.via) }),
    ...(route.metric !== 0 && { metric: route.metric }),
    ...(route.table !== MAIN_TABLE && { table: route.table }),
    ...(route.source && { source: formatIp(route.source) }),
  };
}

function attempt<T>(device: string, action: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    throw explain(thrown, device, action);
  }
}

const closed = (device: string, action: string): TuntapError =>
  new TuntapError(`${device}: cannot ${action}: the device is closed (EBADF)`, 'EBADF', ERRNO.EBADF, 'close');

const busy = (device: string): TuntapError =>
  new TuntapError(
    `${device}: the queue has a reader already: a stream or an onReadable listener (EBUSY)`,
    'EBUSY',
    ERRNO.EBUSY,
    'watch',
  );
