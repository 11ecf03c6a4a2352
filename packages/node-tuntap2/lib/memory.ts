/**
 * The in-memory twin: the same Tuntap, over a pretended kernel. It keeps the kernel's rules a program can notice (what
 * goes when the interface goes down, which errno a refusal has), and has no stack behind it: the test is the other side.
 */
import { type Ip, sameNetwork, sameOctets } from './address.js';
import { Device, openDevice } from './device.js';
import {
  type AddressEntry,
  type Driver,
  type DriverOptions,
  MAIN_TABLE,
  READABLE,
  type RouteEntry,
  WRITABLE,
} from './driver.js';
import { ERRNO, type Fault, invalid } from './errors.js';
import { OFFLOADS, parseOptions, show } from './options.js';
import type { Tuntap, TuntapOptions } from './types.js';

/** A device and its other side. */
export interface MemoryTuntap extends Tuntap {
  /** As if the kernel routed packets out of the device. Returns how many fitted; none when the interface is down. */
  inject(packets: readonly Uint8Array[], queue?: number): number;
  /** Takes what was written to the device since the last call. */
  collect(): Uint8Array[];
}

export interface MemoryKernelOptions {
  /** Whether this kernel knows UDP segmentation (Linux >= 6.2). Default true. */
  readonly uso?: boolean;
  /** Packets a device holds for `collect` before writing would block. Default 1000. */
  readonly capacity?: number;
}

/** Opens a twin. Devices of one `kernel` share its interface names; by default each has a kernel of its own. */
export function createMemoryTuntap(options: TuntapOptions, kernel: MemoryKernel = new MemoryKernel()): MemoryTuntap {
  return openDevice(parseOptions(options), (parsed) => new MemoryDriver(parsed, kernel), MemoryDevice);
}

/** What devices share: names, indexes, what the kernel is able to do. */
export class MemoryKernel {
  readonly uso: boolean;
  readonly capacity: number;
  readonly #interfaces = new Map<string, Interface>();
  #indexes = 1; // lo

  constructor({ uso = true, capacity = 1000 }: MemoryKernelOptions = {}) {
    this.uso = uso;
    this.capacity = capacity;
  }

  /** @internal TUNSETIFF */
  attach({ tap, name, queues, persist }: DriverOptions): Interface {
    const wanted = this.#pick(name === '' ? `${tap ? 'tap' : 'tun'}%d` : name);
    const existing = this.#interfaces.get(wanted);
    const found = existing ?? newInterface(wanted, ++this.#indexes, tap, queues > 1);
    if (found.attached || found.tap !== tap || found.multiQueue !== queues > 1) throw fault('TUNSETIFF', 'EBUSY');
    found.attached = true;
    found.persist = persist ?? found.persist;
    this.#interfaces.set(wanted, found);
    return found;
  }

  /** @internal The last descriptor was closed. */
  detach(gone: Interface): void {
    gone.attached = false;
    if (!gone.persist) this.#interfaces.delete(gone.name);
  }

  #pick(pattern: string): string {
    if (!pattern.includes('%d')) return pattern;
    for (let n = 0; ; n++) {
      const name = pattern.replace('%d', String(n));
      if (!this.#interfaces.has(name)) return name;
    }
  }
}

interface Interface {
  readonly name: string;
  readonly index: number;
  readonly tap: boolean;
  readonly multiQueue: boolean;
  attached: boolean;
  persist: boolean;
  mtu: number;
  up: boolean;
  addresses: AddressEntry[];
  routes: RouteEntry[];
}

const newInterface = (name: string, index: number, tap: boolean, multiQueue: boolean): Interface => ({
  name,
  index,
  tap,
  multiQueue,
  attached: false,
  persist: false,
  mtu: 1500,
  up: false,
  addresses: [],
  routes: [],
});

class MemoryDevice extends Device<MemoryDriver> implements MemoryTuntap {
  inject(packets: readonly Uint8Array[], queue = 0): number {
    if (this.queues[queue] === undefined)
      throw invalid('inject', `queue: ${show(queue)} is not a queue of ${this.name}`);
    return this.driver.inject(packets, queue);
  }

  collect(): Uint8Array[] {
    return this.driver.collect();
  }
}

/* Specification: drivers/net/tun.c, net/ipv6/route.c */
const TAP_MTU_MAX = 65_535 - 14;
const ETHERNET_HEADER = 14;
const VNET_HEADER = 10;
const IPV6_DEFAULT_METRIC = 1024;
/** Packets a queue holds before the kernel drops: txqueuelen. */
const QUEUE_LENGTH = { tun: 500, tap: 1000 };

/** Numbers far above any real descriptor: passing one to the system fails instead of hitting something. */
let nextFd = 1_000_000_000;

class MemoryDriver implements Driver {
  readonly name: string;
  readonly index: number;
  readonly offloads: number;
  readonly #kernel: MemoryKernel;
  readonly #interface: Interface;
  readonly #vnetHeader: boolean;
  readonly #queues: { fd: number; inbox: Uint8Array[]; watch: Watch | undefined }[];
  #outbox: Uint8Array[] = [];
  #open = true;

  constructor(options: DriverOptions, kernel: MemoryKernel) {
    this.#kernel = kernel;
    this.#interface = kernel.attach(options);
    this.name = this.#interface.name;
    this.index = this.#interface.index;
    this.#vnetHeader = options.vnetHeader;
    this.offloads = kernel.uso ? options.offloads : options.offloads & ~(OFFLOADS.uso4 | OFFLOADS.uso6);
    this.#queues = Array.from({ length: options.queues }, () => ({ fd: nextFd++, inbox: [], watch: undefined }));
  }

  inject(packets: readonly Uint8Array[], queue: number): number {
    const { inbox } = this.#queue(queue, 'inject');
    if (!this.#interface.up) return 0;
    const room = QUEUE_LENGTH[this.#interface.tap ? 'tap' : 'tun'] - inbox.length;
    const fitting = packets.slice(0, room);
    inbox.push(...fitting.map((packet) => Uint8Array.from(packet)));
    this.#schedule();
    return fitting.length;
  }

  collect(): Uint8Array[] {
    const collected = this.#outbox;
    this.#outbox = [];
    if (this.#open) this.#schedule();
    return collected;
  }

  fd(queue: number): number {
    return this.#queues[queue]?.fd ?? -1;
  }

  read(queue: number, max: number): Uint8Array[] {
    return this.#queue(queue, 'read').inbox.splice(0, max);
  }

  write(queue: number, packets: readonly Uint8Array[]): number {
    let written = 0;
    this.#queue(queue, 'write');
    for (const packet of packets) {
      const refusal = this.#refusal(packet);
      if (refusal !== undefined && written === 0) throw fault('write', refusal);
      if (refusal !== undefined || this.#outbox.length >= this.#kernel.capacity) break;
      this.#outbox.push(Uint8Array.from(packet));
      written++;
    }
    return written;
  }

  watch(queue: number, events: number, callback?: (events: number) => void): void {
    const entry = this.#queue(queue, 'watch');
    entry.watch = events === 0 || callback === undefined ? undefined : { events, callback, scheduled: false };
    this.#schedule();
  }

  link(): { mtu: number; up: boolean } {
    return this.#interface;
  }

  setMtu(mtu: number): void {
    if (this.#interface.tap && mtu > TAP_MTU_MAX)
      throw fault('RTM_SETLINK', 'EINVAL', 'mtu greater than device maximum');
    this.#interface.mtu = mtu;
  }

  // Going down flushes every route, and IPv6 addresses as well (sysctl keep_addr_on_down is 0 by default).
  setUp(up: boolean): void {
    const self = this.#interface;
    self.up = up;
    if (up) return;
    self.routes = [];
    self.addresses = self.addresses.filter(({ local }) => local.length === 4);
  }

  addAddress(local: Ip, prefix: number, peer: Ip): void {
    const self = this.#interface;
    // IPv4 tells addresses apart by prefix too, IPv6 does not.
    const same = (entry: AddressEntry) =>
      sameOctets(entry.local, local) && (local.length === 16 || entry.prefix === prefix);
    if (self.addresses.some(same)) throw fault('RTM_NEWADDR', 'EEXIST');
    self.addresses.push({ local, prefix, peer });
  }

  removeAddress(local: Ip, prefix: number): void {
    const self = this.#interface;
    const at = self.addresses.findIndex((entry) => sameOctets(entry.local, local) && entry.prefix === prefix);
    if (at < 0) throw fault('RTM_DELADDR', 'EADDRNOTAVAIL');
    self.addresses.splice(at, 1);
    // Routes that prefer the address as source go with it; the last IPv4 address takes all IPv4 routes along.
    const bare = local.length === 4 && !self.addresses.some((entry) => entry.local.length === 4);
    const orphan = ({ destination, source }: RouteEntry) =>
      (source !== undefined && sameOctets(source, local)) || (bare && destination.length === 4);
    self.routes = self.routes.filter((route) => !orphan(route));
  }

  addresses(): AddressEntry[] {
    return [...this.#interface.addresses];
  }

  addRoute(route: RouteEntry): void {
    const self = this.#interface;
    const ipv6 = route.destination.length === 16;
    if (!self.up) throw fault('RTM_NEWROUTE', 'ENETDOWN');
    const { via, source } = route;
    if (via !== undefined && !this.#onLink(via)) throw fault('RTM_NEWROUTE', ipv6 ? 'EHOSTUNREACH' : 'ENETUNREACH');
    if (source !== undefined && !self.addresses.some(({ local }) => sameOctets(local, source))) {
      throw fault('RTM_NEWROUTE', 'EINVAL', 'Invalid source address');
    }
    const metric = ipv6 && route.metric === 0 ? IPV6_DEFAULT_METRIC : route.metric;
    const same = (other: RouteEntry) => sameTarget(other, route) && other.metric === metric;
    if (self.routes.some(same)) throw fault('RTM_NEWROUTE', 'EEXIST');
    self.routes.push({ ...route, metric });
  }

  removeRoute(route: RouteEntry): void {
    const { routes } = this.#interface;
    const fits = (given: Ip | undefined, present: Ip | undefined) =>
      given === undefined || (present !== undefined && sameOctets(given, present));
    const at = routes.findIndex(
      (other) =>
        sameTarget(other, route) &&
        (route.metric === 0 || route.metric === other.metric) &&
        fits(route.via, other.via) &&
        fits(route.source, other.source),
    );
    if (at < 0) throw fault('RTM_DELROUTE', 'ESRCH');
    routes.splice(at, 1);
  }

  routes(): RouteEntry[] {
    return [...this.#interface.routes];
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const queue of this.#queues) Object.assign(queue, { fd: -1, inbox: [], watch: undefined });
    this.#kernel.detach(this.#interface);
  }

  #queue(queue: number, syscall: string) {
    const entry = this.#queues[queue];
    if (!this.#open || entry === undefined) throw fault(syscall, 'EBADF');
    return entry;
  }

  // tun_get_user(): what is refused before the stack sees it.
  #refusal(packet: Uint8Array): keyof typeof ERRNO | undefined {
    const start = this.#vnetHeader ? VNET_HEADER : 0;
    if (packet.length < start) return 'EINVAL';
    const version = (packet[start] ?? 0) >> 4;
    const valid = this.#interface.tap ? packet.length >= start + ETHERNET_HEADER : version === 4 || version === 6;
    if (!valid) return 'EINVAL';
    return this.#interface.up ? undefined : 'EIO';
  }

  #onLink(via: Ip): boolean {
    const { addresses, routes } = this.#interface;
    return (
      addresses.some(({ peer, prefix }) => sameNetwork(peer, via, prefix)) ||
      routes.some(
        (route) =>
          route.via === undefined && route.table === MAIN_TABLE && sameNetwork(route.destination, via, route.prefix),
      )
    );
  }

  // Level-triggered, one call per turn of the loop, like a poll on a descriptor.
  #schedule(): void {
    for (const queue of this.#queues) {
      const { watch } = queue;
      if (watch === undefined || watch.scheduled || this.#ready(queue, watch) === 0) continue;
      watch.scheduled = true;
      setImmediate(() => {
        watch.scheduled = false;
        const events = queue.watch === watch ? this.#ready(queue, watch) : 0;
        if (events !== 0) watch.callback(events);
        this.#schedule();
      });
    }
  }

  #ready({ inbox }: { inbox: Uint8Array[] }, { events }: Watch): number {
    const readable = inbox.length > 0 ? READABLE : 0;
    const writable = this.#outbox.length < this.#kernel.capacity ? WRITABLE : 0;
    return events & (readable | writable);
  }
}

interface Watch {
  readonly events: number;
  readonly callback: (events: number) => void;
  scheduled: boolean;
}

// What identifies a route beside its metric.
const sameTarget = (a: RouteEntry, b: RouteEntry): boolean =>
  a.table === b.table && a.prefix === b.prefix && sameOctets(a.destination, b.destination);

function fault(syscall: string, code: keyof typeof ERRNO, detail = ''): Error & Fault {
  return Object.assign(new Error(detail || code), { errno: ERRNO[code], syscall, detail });
}
