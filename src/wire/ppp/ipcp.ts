/** IPCP's option table. RFC 1332 §3, RFC 1877 §1. */
import { toHex } from '../reader.js';
import { ip4, numbered16, OptionCodec, type Option as OptionOf, type OptionTable, octets, spec } from './options.js';

const VAN_JACOBSON = 0x002d; // RFC 1332 §3.2

const compression = numbered16((v) =>
  [v.protocol === VAN_JACOBSON ? 'VJ' : v.protocol.toString(16), toHex(v.data)].filter((s) => s !== '').join(' '),
);

export const IPCP = {
  addresses: spec(1, 'addrs', octets(), 'RFC 1332 §3.1 (deprecated)'),
  compression: spec(2, 'compress', compression, 'RFC 1332 §3.2'),
  address: spec(3, 'addr', ip4, 'RFC 1332 §3.3'),
  mobile: spec(4, 'mobile-ip', octets(), 'RFC 2290 §3'),
  dns1: spec(129, 'dns1', ip4, 'RFC 1877 §1.1'),
  nbns1: spec(130, 'nbns1', ip4, 'RFC 1877 §1.2'),
  dns2: spec(131, 'dns2', ip4, 'RFC 1877 §1.3'),
  nbns2: spec(132, 'nbns2', ip4, 'RFC 1877 §1.4'),
} as const satisfies OptionTable;

export type IpcpOption = OptionOf<typeof IPCP>;
export const ipcpOptions = new OptionCodec(IPCP);

/** RFC 1332 §3.3: all zero asks the other side for an address. */
export const UNSPECIFIED = '0.0.0.0';
