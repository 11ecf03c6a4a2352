/** The DHCP message: BOOTP's fixed fields, a cookie, options. RFC 2131 §2, §3, RFC 1542 §2.1, RFC 3396 (long options). */
import { ip4, type RawOption } from '../ppp/options.js';
import { Reader, Writer } from '../reader.js';
import { type Decoded, malformed, ok } from '../result.js';
import { DHCP } from './options.js';

export interface DhcpMessage {
  /** 1 BOOTREQUEST, 2 BOOTREPLY. */
  readonly op: number;
  readonly htype: number;
  readonly hlen: number;
  readonly xid: number;
  readonly flags: number;
  readonly ciaddr: string;
  readonly giaddr: string;
  /** 16 octets, whatever `hlen` says of them. */
  readonly chaddr: Uint8Array;
  /** In the order of the packet; each type once. */
  readonly options: readonly RawOption[];
}

export const BOOTREQUEST = 1;
export const BOOTREPLY = 2;
/** RFC 2132 §9.6. */
export const MESSAGE_TYPE = { ack: 5, inform: 8 } as const;

const COOKIE = 0x63825363;
const PAD = 0;
const END = 255;
const SNAME = 64;
const FILE = 128;
const FIXED = 236;
/** Octets in front of the options. */
export const DHCP_HEADER = FIXED + 4;
/** RFC 1542 §2.1: no BOOTP message is shorter. */
const LEAST = 300;

export function decodeDhcp(bytes: Uint8Array): Decoded<DhcpMessage> {
  const r = new Reader(bytes);
  const [op, htype, hlen] = [r.u8(), r.u8(), r.u8()];
  r.skip(1); // hops
  const xid = r.u32();
  r.skip(2); // secs
  const flags = r.u16();
  const ciaddr = r.bytes(4).join('.');
  r.skip(8); // yiaddr, siaddr
  const giaddr = r.bytes(4).join('.');
  const chaddr = r.bytes(16).slice();
  const sname = r.bytes(SNAME);
  const file = r.bytes(FILE);
  if (r.u32() !== COOKIE || r.overrun) return malformed(FIXED, 'RFC 2131 §3', 'magic cookie');
  const found: Parts = new Map();
  if (!collect(r.rest(), found)) return malformed(DHCP_HEADER, 'RFC 2132 §2', 'option length');
  // RFC 2131 §4.1: the options field says whether the other two hold options; file comes first.
  const overload = new Reader(whole(found.get(DHCP.overload.type) ?? [])).u8();
  if ((overload & 1 && !collect(file, found)) || (overload & 2 && !collect(sname, found)))
    return malformed(DHCP_HEADER - FILE - SNAME, 'RFC 2132 §2', 'option length in file or sname');
  const options = [...found].map(([type, parts]) => ({ type, data: whole(parts) }));
  return ok({ op, htype, hlen, xid, flags, ciaddr, giaddr, chaddr, options });
}

/** By type, in the order of the packet. Joined once at the end: a peer repeats a type as often as it likes. */
type Parts = Map<number, Uint8Array[]>;

const whole = (parts: readonly Uint8Array[]): Uint8Array =>
  parts.reduce((w, part) => w.bytes(part), new Writer()).done();

/** Adds the options of one field; false when one reaches beyond it. What comes twice is one long option (RFC 3396 §5). */
function collect(field: Uint8Array, into: Parts): boolean {
  const r = new Reader(field);
  while (r.left > 0) {
    const type = r.u8();
    if (type === PAD) continue;
    if (type === END) return true;
    const data = r.bytes(r.u8());
    if (r.overrun) return false;
    const parts = into.get(type);
    if (parts === undefined) into.set(type, [data]);
    else parts.push(data);
  }
  return true; // RFC 2131 §4.1 wants an End; without one the field is the end
}

/** Options of more than 255 octets are our bug. */
export function encodeDhcp(m: DhcpMessage): Uint8Array {
  const w = new Writer(LEAST).u8(m.op).u8(m.htype).u8(m.hlen).u8(0).u32(m.xid).u16(0).u16(m.flags);
  w.bytes(ip4.write(m.ciaddr)).bytes(new Uint8Array(8)).bytes(ip4.write(m.giaddr)).bytes(m.chaddr);
  w.bytes(new Uint8Array(SNAME + FILE)).u32(COOKIE);
  for (const { type, data } of m.options) w.u8(type).u8(data.length).bytes(data);
  w.u8(END);
  return w.bytes(new Uint8Array(Math.max(0, LEAST - w.length))).done();
}
