/** DHCPv6 between client and server: messages, options, delegated prefixes. RFC 8415 §8, §21; RFC 3646. */

import type { Prefix6 } from '../ip/address6.js';
import { prefixOctets } from '../ip/address6.js';
import { domains } from '../ip/names.js';
import {
  type Option,
  OptionCodec,
  type OptionTable,
  octets,
  type RawOption,
  spec,
  type ValueCodec,
} from '../ppp/options.js';
import { Reader, toHex, Writer } from '../reader.js';
import { type Decoded, malformed, ok } from '../result.js';

/** §7.3. */
export const MESSAGE = {
  solicit: 1,
  advertise: 2,
  request: 3,
  renew: 5,
  rebind: 6,
  reply: 7,
  release: 8,
  informationRequest: 11,
} as const;
/** §21.13. */
export const STATUS = { success: 0, noAddrsAvail: 2, noBinding: 3, noPrefixAvail: 6 } as const;

export interface Dhcp6Message {
  readonly type: number;
  /** 24 bits. */
  readonly transaction: number;
  readonly options: readonly RawOption[];
}

export function decodeDhcp6(bytes: Uint8Array): Decoded<Dhcp6Message> {
  const r = new Reader(bytes);
  const head = r.u32();
  if (r.overrun) return malformed(0, 'RFC 8415 §8', 'message header');
  const options = decodeOptions6(r.rest());
  return options === undefined
    ? malformed(4, 'RFC 8415 §21.1', 'option-len')
    : ok({ type: head >>> 24, transaction: head & 0xffffff, options });
}

export const encodeDhcp6 = ({ type, transaction, options }: Dhcp6Message): Uint8Array =>
  new Writer()
    .u8(type)
    .u8(transaction >>> 16)
    .u16(transaction)
    .bytes(encodeOptions6(options))
    .done();

function decodeOptions6(data: Uint8Array): RawOption[] | undefined {
  const r = new Reader(data);
  const options: RawOption[] = [];
  while (r.left > 0) {
    const type = r.u16();
    const value = r.bytes(r.u16());
    if (r.overrun) return undefined;
    options.push({ type, data: value.slice() });
  }
  return options;
}

function encodeOptions6(options: readonly RawOption[]): Uint8Array {
  const w = new Writer();
  for (const { type, data } of options) w.u16(type).u16(data.length).bytes(data);
  return w.done();
}

/** An identity association: §21.4 (addresses), §21.21 (prefixes). */
export interface Association {
  readonly iaid: number;
  /** Seconds. */
  readonly t1: number;
  readonly t2: number;
  readonly options: readonly RawOption[];
}

const association: ValueCodec<Association> = {
  read: (d) => {
    const r = new Reader(d);
    const [iaid, t1, t2] = [r.u32(), r.u32(), r.u32()];
    const options = r.overrun ? undefined : decodeOptions6(r.rest());
    return options && { iaid, t1, t2, options };
  },
  write: (v) => new Writer().u32(v.iaid).u32(v.t1).u32(v.t2).bytes(encodeOptions6(v.options)).done(),
  show: (v) => `${v.iaid} ${v.t1} ${v.t2} ${dhcp6Options.show(v.options)}`.trim(),
};

/** §21.22. */
export interface DelegatedPrefix extends Prefix6 {
  /** Seconds. */
  readonly preferred: number;
  readonly valid: number;
}

const delegatedPrefix: ValueCodec<DelegatedPrefix> = {
  read: (d) => {
    const r = new Reader(d);
    const [preferred, valid, length] = [r.u32(), r.u32(), r.u8()];
    const prefix = (r.u64() << 64n) | r.u64();
    return r.overrun || length > 128 ? undefined : { preferred, valid, length, prefix };
  },
  write: (v) => new Writer().u32(v.preferred).u32(v.valid).u8(v.length).bytes(prefixOctets(v)).done(),
  show: (v) => `${toHex(prefixOctets(v))}/${v.length} ${v.preferred} ${v.valid}`,
};

/** A code, and text that we send none of. */
const status: ValueCodec<number> = {
  read: (d) => (d.length < 2 ? undefined : new Reader(d).u16()),
  write: (v) => new Writer(2).u16(v).done(),
  show: String,
};

const servers: ValueCodec<readonly Uint8Array[]> = {
  read: (d) => {
    const r = new Reader(d);
    return d.length === 0 || d.length % 16 !== 0 ? undefined : Array.from({ length: d.length / 16 }, () => r.bytes(16));
  },
  write: (v) => v.reduce((w, address) => w.bytes(address), new Writer()).done(),
  show: (v) => v.map(toHex).join(' '),
};

/** Told, never asked for: not decoded. */
const search: ValueCodec<string> = {
  read: () => undefined,
  write: (v) => domains([v]),
  show: String,
};

export const DHCP6 = {
  clientId: spec(1, 'client', octets(1), 'RFC 8415 §21.2'),
  serverId: spec(2, 'server', octets(1), 'RFC 8415 §21.3'),
  addresses: spec(3, 'ia-na', association, 'RFC 8415 §21.4'),
  requested: spec(6, 'asks', octets(), 'RFC 8415 §21.7'),
  rapidCommit: spec(14, 'rapid-commit', octets(), 'RFC 8415 §21.14'),
  status: spec(13, 'status', status, 'RFC 8415 §21.13'),
  dns: spec(23, 'dns', servers, 'RFC 3646 §3'),
  domains: spec(24, 'search', search, 'RFC 3646 §4'),
  prefixes: spec(25, 'ia-pd', association, 'RFC 8415 §21.21'),
  prefix: spec(26, 'prefix', delegatedPrefix, 'RFC 8415 §21.22'),
} as const satisfies OptionTable;

export type Dhcp6Option = Option<typeof DHCP6>;
export const dhcp6Options = new OptionCodec(DHCP6);
