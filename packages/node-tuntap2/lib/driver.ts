/** What a device is built on: the native addon, or the memory twin. Arguments are checked before they get here. */
import { createRequire } from 'node:module';
import type { Ip } from './address.js';

/** Methods throw a {@link import('./errors.js').Fault}; after `close` they throw EBADF. */
export interface Driver {
  readonly name: string;
  readonly index: number;
  /** Accepted offloads, TUN_F_* bits. */
  readonly offloads: number;
  /** -1 after close. */
  fd(queue: number): number;
  read(queue: number, max: number): Uint8Array[];
  write(queue: number, packets: readonly Uint8Array[]): number;
  /** Level-triggered; `events` = {@link READABLE} | {@link WRITABLE}, 0 stops. The callback gets those that hold. */
  watch(queue: number, events: number, callback?: (events: number) => void): void;
  link(): { mtu: number; up: boolean };
  setMtu(mtu: number): void;
  setUp(up: boolean): void;
  addAddress(local: Ip, prefix: number, peer: Ip): void;
  removeAddress(local: Ip, prefix: number, peer: Ip): void;
  addresses(): AddressEntry[];
  addRoute(route: RouteEntry): void;
  removeRoute(route: RouteEntry): void;
  routes(): RouteEntry[];
  close(): void;
}

export const READABLE = 1;
export const WRITABLE = 2;

export interface AddressEntry {
  readonly local: Ip;
  readonly prefix: number;
  readonly peer: Ip;
}

export interface RouteEntry {
  readonly destination: Ip;
  readonly prefix: number;
  readonly via: Ip | undefined;
  readonly source: Ip | undefined;
  /** 0: the kernel's default when adding, any when removing. */
  readonly metric: number;
  readonly table: number;
}

/** RT_TABLE_MAIN. */
export const MAIN_TABLE = 254;

export interface DriverOptions {
  readonly tap: boolean;
  readonly name: string;
  readonly queues: number;
  readonly vnetHeader: boolean;
  readonly offloads: number;
  readonly persist: boolean | undefined;
}

interface Addon {
  readonly Device: new (
    tap: boolean,
    name: string,
    queues: number,
    vnetHeader: boolean,
    offloads: number,
    persist: boolean | undefined,
  ) => Driver;
}

let addon: Addon | undefined;

/** Opens a real device. The addon is loaded here and not on import, so that types and the memory twin need no build. */
export function openNative(options: DriverOptions): Driver {
  addon ??= loadAddon();
  const { tap, name, queues, vnetHeader, offloads, persist } = options;
  return new addon.Device(tap, name, queues, vnetHeader, offloads, persist);
}

// Where node-gyp puts it, or beside this code when a bundler moved the code.
const PLACES = ['../build/Release/tuntap2.node', './tuntap2.node'];

function loadAddon(): Addon {
  const require = createRequire(import.meta.url);
  for (const place of PLACES) {
    try {
      return require(place) as Addon;
    } catch (error) {
      if ((error as { code?: string }).code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  throw new Error('node-tuntap2: the native addon is not built: run "npx node-gyp rebuild" in the package directory');
}
