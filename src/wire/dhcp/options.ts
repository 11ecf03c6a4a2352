/** The DHCP options a VPN client asks for or tells. RFC 2132, RFC 3442, MS-DHCPE §2.2.8 (249 is 121 under another number). */
import {
  ip4,
  type Option,
  OptionCodec,
  type OptionTable,
  octets,
  spec,
  u8,
  u16,
  type ValueCodec,
} from '../ppp/options.js';
import { Reader, Writer } from '../reader.js';
import { type Route, readRoutes, writeRoutes } from './routes.js';

/** One or more IPv4 addresses, the preferred first. */
const ip4s: ValueCodec<readonly string[]> = {
  read: (d) => {
    if (d.length === 0 || d.length % 4 !== 0) return undefined;
    const r = new Reader(d);
    return Array.from({ length: d.length / 4 }, () => r.bytes(4).join('.'));
  },
  write: (v) => v.reduce((w, address) => w.bytes(ip4.write(address)), new Writer()).done(),
  show: (v) => v.join(' '),
};

/** ASCII, without a NUL at its end. */
const text: ValueCodec<string> = {
  read: (d) => (d.length === 0 ? undefined : Buffer.from(d).toString('latin1')),
  write: (v) => Buffer.from(v, 'latin1'),
  show: (v) => v,
};

const routes: ValueCodec<readonly Route[]> = {
  read: readRoutes,
  write: writeRoutes,
  show: (v) => v.map(({ network, gateway }) => `${network} via ${gateway}`).join(', '),
};

export const DHCP = {
  subnetMask: spec(1, 'mask', ip4, 'RFC 2132 §3.3'),
  dns: spec(6, 'dns', ip4s, 'RFC 2132 §3.8'),
  domain: spec(15, 'domain', text, 'RFC 2132 §3.17'),
  nbns: spec(44, 'nbns', ip4s, 'RFC 2132 §8.5'),
  overload: spec(52, 'overload', u8, 'RFC 2132 §9.3'),
  messageType: spec(53, 'type', u8, 'RFC 2132 §9.6'),
  serverId: spec(54, 'server', ip4, 'RFC 2132 §9.7'),
  parameters: spec(55, 'asks', octets(1), 'RFC 2132 §9.8'),
  maxSize: spec(57, 'max-size', u16, 'RFC 2132 §9.10'),
  vendorClass: spec(60, 'vendor-class', text, 'RFC 2132 §9.13'),
  clientId: spec(61, 'client', octets(2), 'RFC 2132 §9.14'),
  userClass: spec(77, 'user-class', text, 'MS-DHCPE §2.2.6'),
  routes: spec(121, 'routes', routes, 'RFC 3442'),
  microsoftRoutes: spec(249, 'ms-routes', routes, 'MS-DHCPE §2.2.8'),
} as const satisfies OptionTable;

export type DhcpOption = Option<typeof DHCP>;
export const dhcpOptions = new OptionCodec(DHCP);
