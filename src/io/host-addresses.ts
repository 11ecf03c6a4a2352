/** The host's own global addresses, for `listen: auto`. */
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';

type Interfaces = NodeJS.Dict<Pick<NetworkInterfaceInfo, 'address' | 'family' | 'internal'>[]>;

/**
 * Addresses a client can reach us at, in the order of the interfaces: no loopback, no link-local (RFC 3927, RFC 4291
 * §2.5.6: useless without a zone), none of the interfaces in `except` (our own TUN). Private ones stay in: a gateway
 * behind a port-forwarding router has no other.
 */
export function hostAddresses(except: readonly string[] = [], interfaces: Interfaces = networkInterfaces()): string[] {
  return Object.entries(interfaces)
    .filter(([name]) => !except.includes(name))
    .flatMap(([, addresses]) => addresses ?? [])
    .filter((a) => !a.internal && !/^(169\.254\.|fe[89ab][0-9a-f]:)/i.test(a.address))
    .map((a) => a.address);
}
