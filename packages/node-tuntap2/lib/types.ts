/** The interface of a TUN/TAP device, obeyed by the native addon (`index.ts`) and the in-memory twin (`memory.ts`). */

export interface TuntapOptions {
  readonly mode: 'tun' | 'tap';
  /** Interface name, or a pattern such as `tun%d`; the kernel picks one when absent. */
  readonly name?: string;
  /** Number of queues; default 1. More than one opens the device with IFF_MULTI_QUEUE. */
  readonly queues?: number;
  /** Prefix every packet with a 10-octet virtio_net_hdr (IFF_VNET_HDR). Default false. */
  readonly vnetHeader?: boolean;
  /** Offloads to ask for (TUNSETOFFLOAD); needs vnetHeader. USO4 and USO6 only together, dropped when the kernel has none. */
  readonly offloads?: readonly Offload[];
  readonly mtu?: number;
  /** Keep the interface when the last descriptor is closed. Default false. */
  readonly persist?: boolean;
}

export type Offload = 'csum' | 'tso4' | 'tso6' | 'tso-ecn' | 'uso4' | 'uso6';

export interface Route {
  /** `a.b.c.d/n` or `h::/n`. */
  readonly destination: string;
  readonly via?: string;
  readonly metric?: number;
  readonly table?: number;
  readonly source?: string;
}

/** A queue: one file descriptor. */
export interface TuntapQueue {
  readonly fd: number;
  /** Packets now available, at most `max` (default 64), without waiting; an empty list = would block. */
  readBatch(max?: number): Uint8Array[];
  /** Packets accepted; the caller keeps the rest (would block). */
  writeBatch(packets: readonly Uint8Array[]): number;
  /**
   * Calls `listener` in every turn of the event loop in which packets wait (level-triggered), and keeps the process alive
   * meanwhile; `undefined` stops. One reader per queue: EBUSY on queue 0 while its stream is open.
   */
  onReadable(listener: (() => void) | undefined): void;
}

export interface Tuntap {
  readonly name: string;
  readonly mode: 'tun' | 'tap';
  readonly index: number;
  readonly vnetHeader: boolean;
  /** What the kernel accepted of the offloads asked for. */
  readonly offloads: readonly Offload[];
  readonly queues: readonly TuntapQueue[];
  mtu: number;
  readonly up: boolean;
  setUp(up: boolean): void;
  /** `address/prefix`, with an optional peer address for point-to-point. EEXIST is an error. */
  addAddress(address: string, options?: { readonly peer?: string }): void;
  removeAddress(address: string): void;
  addresses(): string[];
  addRoute(route: Route): void;
  removeRoute(route: Route): void;
  routes(): Route[];
  /** One packet per chunk, from and to queue 0; backpressure observed. Ends when the device is closed. */
  stream(): import('node:stream').Duplex;
  /** Closes every queue. Idempotent; afterwards every other method throws TuntapError EBADF. */
  close(): void;
}
