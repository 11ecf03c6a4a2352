/** The L2TP header, control and data. RFC 2661 §3.1. */
import { Reader, Writer } from '../reader.js';
import { type Decoded, malformed, ok } from '../result.js';

export interface ControlHeader {
  readonly kind: 'control';
  readonly tunnelId: number;
  readonly sessionId: number;
  readonly Ns: number;
  readonly Nr: number;
}

export interface DataHeader {
  readonly kind: 'data';
  readonly tunnelId: number;
  readonly sessionId: number;
  /** Present when the S bit was set; Nr of a data message is reserved and not kept. */
  readonly Ns?: number;
  /** The P bit. */
  readonly priority: boolean;
}

export interface Packet<H = ControlHeader | DataHeader> {
  readonly header: H;
  /** A view into the datagram: AVPs (none in a ZLB) or a PPP frame. */
  readonly payload: Uint8Array;
}

/* Specification: bits of the first 16 */
const T = 0x8000;
const L = 0x4000;
const S = 0x0800;
const O = 0x0200;
const P = 0x0100;
const VERSION = 2;
/** Octets of a control header, and of a ZLB. */
export const CONTROL_HEADER = 12;

const REF = 'RFC 2661 §3.1';

/** Decodes the header of any datagram on the L2TP port. A malformed header is dropped: RFC 2661 §7.1. */
export function decodePacket(datagram: Uint8Array): Decoded<Packet> {
  const r = new Reader(datagram);
  const flags = r.u16();
  if (r.overrun) return malformed(0, REF, 'shorter than its flags');
  const version = flags & 0x000f;
  // §3.1 MUST: discard an unknown version. 1 is L2F (§8.1: discarded silently), 3 is L2TPv3.
  if (version !== VERSION) return malformed(1, REF, `version ${version}`);
  return flags & T ? control(r, flags, datagram) : data(r, flags, datagram);
}

function control(r: Reader, flags: number, datagram: Uint8Array): Decoded<Packet> {
  // §3.1 MUST: L and S set, O clear. Reserved bits and P are ignored on receipt.
  if ((flags & (L | S | O)) !== (L | S)) return malformed(0, REF, 'control message without L and S, or with O');
  const length = r.u16();
  const header: ControlHeader = { kind: 'control', tunnelId: r.u16(), sessionId: r.u16(), Ns: r.u16(), Nr: r.u16() };
  if (r.overrun) return malformed(datagram.length, REF, 'shorter than a control header');
  if (length < CONTROL_HEADER || length > datagram.length) return malformed(2, REF, `Length ${length}`);
  return ok({ header, payload: r.bytes(length - CONTROL_HEADER) });
}

function data(r: Reader, flags: number, datagram: Uint8Array): Decoded<Packet> {
  const length = flags & L ? r.u16() : datagram.length;
  if (length > datagram.length) return malformed(2, REF, `Length ${length}`);
  const ids = { tunnelId: r.u16(), sessionId: r.u16() };
  const sequence = flags & S ? { Ns: r.u16() } : {};
  if (flags & S) r.skip(2);
  if (flags & O) r.skip(r.u16());
  if (r.overrun) return malformed(datagram.length, REF, 'shorter than its data header');
  if (length < r.at) return malformed(2, REF, `Length ${length}`);
  return ok({
    header: { kind: 'data', ...ids, ...sequence, priority: (flags & P) !== 0 },
    payload: r.bytes(length - r.at),
  });
}

/** Flags c802 and nothing else: Windows drops a packet with any other bit (MS-L2TPIE 3.1.5.1). */
export function encodeControl(h: Omit<ControlHeader, 'kind'>, avps: Uint8Array): Uint8Array {
  return new Writer(CONTROL_HEADER + avps.length)
    .u16(T | L | S | VERSION)
    .u16(CONTROL_HEADER + avps.length)
    .u16(h.tunnelId)
    .u16(h.sessionId)
    .u16(h.Ns)
    .u16(h.Nr)
    .bytes(avps)
    .done();
}

/** A data message with L always and S when `Ns` is given; never O or P. */
export function encodeData(h: Pick<DataHeader, 'tunnelId' | 'sessionId' | 'Ns'>, frame: Uint8Array): Uint8Array {
  const sequenced = h.Ns !== undefined;
  const length = (sequenced ? 12 : 8) + frame.length;
  const w = new Writer(length)
    .u16(L | (sequenced ? S : 0) | VERSION)
    .u16(length)
    .u16(h.tunnelId)
    .u16(h.sessionId);
  if (sequenced) w.u16(h.Ns).u16(0);
  return w.bytes(frame).done();
}
