/** TUN and TAP devices on Linux: queues, offloads, addresses and routes. Read Documentation/networking/tuntap.rst first. */
import { Device, openDevice } from './device.js';
import { openNative } from './driver.js';
import { parseOptions } from './options.js';
import type { Tuntap, TuntapOptions } from './types.js';

export { TuntapError } from './errors.js';
export type { Offload, Route, Tuntap, TuntapOptions, TuntapQueue } from './types.js';

/**
 * Creates a device, or takes over a persistent one of this name that nobody has open. Needs CAP_NET_ADMIN (not for a
 * persistent device owned by the user). The interface starts down, without addresses.
 *
 * Throws TuntapError: EINVAL (an option, named), EBUSY (name in use), EPERM, ENOENT (no /dev/net/tun).
 */
export function openTuntap(options: TuntapOptions): Tuntap {
  return openDevice(parseOptions(options), openNative, Device);
}
