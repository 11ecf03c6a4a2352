/** IPV6CP's option table. RFC 5072 §4. */
import { toHex } from '../reader.js';
import { OptionCodec, type Option as OptionOf, type OptionTable, spec, type ValueCodec } from './options.js';

const interfaceId: ValueCodec<Uint8Array> = {
  read: (d) => (d.length === 8 ? d : undefined),
  write: (v) => v,
  show: toHex,
};

export const IPV6CP = {
  interfaceId: spec(1, 'id', interfaceId, 'RFC 5072 §4.1'),
} as const satisfies OptionTable;

export type Ipv6cpOption = OptionOf<typeof IPV6CP>;
export const ipv6cpOptions = new OptionCodec(IPV6CP);

/** §4.1: all zero asks the other side for one. */
export const NO_INTERFACE_ID = new Uint8Array(8);
