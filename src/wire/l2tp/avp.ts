/** THE table of control message AVPs and the engine it drives. RFC 2661 §4.1, §4.4; RFC 3145 §2.1. */
import { Reader, type Writer } from '../reader.js';
import { type Codec, decodeValue, encodeValue, flag, octets, record, text, u16, u32, type ValueOf } from '../tlv.js';
import { type CallErrors, ErrorCode, type ResultCode } from './codes.js';
import { unhide } from './hiding.js';

interface AvpSpec {
  readonly name: string;
  /** SMI Network Management Private Enterprise Code; 0 when absent. */
  readonly vendor?: number;
  readonly type: number;
  /** The M bit we send. */
  readonly M: boolean;
  readonly hide: 'never' | 'may';
  // biome-ignore lint/suspicious/noExplicitAny: Codec is invariant in its value; each row fixes its own.
  readonly value: Codec<any>;
  readonly ref: string;
}

/**
 * Result Code, tolerant as the field demands (§4.4.2 says 2, 4 or more octets): an odd third octet is ignored, and
 * Apple's `0300` followed by stale octets, the code in the wrong byte order, is read as 3.
 */
const resultCode: Codec<ResultCode> = {
  read: (r) => {
    const result = r.u16();
    const swapped = result >= 0x100 && (result & 0xff) === 0;
    if (swapped || r.left < 2) {
      r.rest();
      return { result: swapped ? result >> 8 : result };
    }
    const error = r.u16();
    return r.left === 0 ? { result, error } : { result, error, message: utf8(r.rest()) };
  },
  write: (w, { result, error, message }) => {
    w.u16(result);
    if (error !== undefined || message !== undefined) w.u16(error ?? ErrorCode.none);
    if (message !== undefined) w.bytes(Buffer.from(message, 'utf8').subarray(0, MAX_VALUE - 4));
  },
};

export interface Q931Cause {
  readonly code: number;
  readonly message: number;
  readonly advisory?: string;
}

const q931Cause: Codec<Q931Cause> = {
  read: (r) => {
    const cause = { code: r.u16(), message: r.u8() };
    return r.left === 0 ? cause : { ...cause, advisory: utf8(r.rest()) };
  },
  write: (w, v) =>
    void w
      .u16(v.code)
      .u8(v.message)
      .bytes(Buffer.from(v.advisory ?? '', 'utf8')),
};

const disconnectCause: Codec<CallErrors> = {
  read: (r) => {
    const cause = { code: r.u16(), protocol: r.u16(), direction: r.u8() };
    return r.left === 0 ? cause : { ...cause, message: utf8(r.rest()) };
  },
  write: (w, v) =>
    void w
      .u16(v.code)
      .u16(v.protocol)
      .u8(v.direction)
      .bytes(Buffer.from(v.message ?? '', 'utf8')),
};

const utf8 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

const wanErrors = record(
  {
    crcErrors: 4,
    framingErrors: 4,
    hardwareOverruns: 4,
    bufferOverruns: 4,
    timeouts: 4,
    alignmentErrors: 4,
  },
  2,
);

/** One row per AVP. Type 20 is not assigned by RFC 2661. */
export const AVP = {
  messageType: { name: 'Message Type', type: 0, M: true, hide: 'never', value: u16(), ref: 'RFC 2661 §4.4.1' },
  resultCode: { name: 'Result Code', type: 1, M: true, hide: 'never', value: resultCode, ref: 'RFC 2661 §4.4.2' },
  protocolVersion: {
    name: 'Protocol Version',
    type: 2,
    M: true,
    hide: 'never',
    value: record({ version: 1, revision: 1 }),
    ref: 'RFC 2661 §4.4.3',
  },
  framingCapabilities: {
    name: 'Framing Capabilities',
    type: 3,
    M: true,
    hide: 'may',
    value: u32(),
    ref: 'RFC 2661 §4.4.3',
  },
  bearerCapabilities: {
    name: 'Bearer Capabilities',
    type: 4,
    M: true,
    hide: 'may',
    value: u32(),
    ref: 'RFC 2661 §4.4.3',
  },
  tieBreaker: {
    name: 'Tie Breaker',
    type: 5,
    M: false,
    hide: 'never',
    value: octets({ size: 8 }),
    ref: 'RFC 2661 §4.4.3',
  },
  firmwareRevision: { name: 'Firmware Revision', type: 6, M: false, hide: 'may', value: u16(), ref: 'RFC 2661 §4.4.3' },
  hostName: { name: 'Host Name', type: 7, M: true, hide: 'never', value: text({ min: 1 }), ref: 'RFC 2661 §4.4.3' },
  vendorName: { name: 'Vendor Name', type: 8, M: false, hide: 'may', value: text(), ref: 'RFC 2661 §4.4.3' },
  assignedTunnelId: {
    name: 'Assigned Tunnel ID',
    type: 9,
    M: true,
    hide: 'may',
    value: u16({ min: 1 }),
    ref: 'RFC 2661 §4.4.3',
  },
  receiveWindowSize: {
    name: 'Receive Window Size',
    type: 10,
    M: true,
    hide: 'never',
    value: u16({ min: 1 }),
    ref: 'RFC 2661 §4.4.3, §5.8',
  },
  challenge: { name: 'Challenge', type: 11, M: true, hide: 'may', value: octets({ min: 1 }), ref: 'RFC 2661 §4.4.3' },
  q931Cause: { name: 'Q.931 Cause Code', type: 12, M: true, hide: 'never', value: q931Cause, ref: 'RFC 2661 §4.4.4' },
  challengeResponse: {
    name: 'Challenge Response',
    type: 13,
    M: true,
    hide: 'may',
    value: octets({ size: 16 }),
    ref: 'RFC 2661 §4.4.3',
  },
  assignedSessionId: {
    name: 'Assigned Session ID',
    type: 14,
    M: true,
    hide: 'may',
    value: u16({ min: 1 }),
    ref: 'RFC 2661 §4.4.4',
  },
  callSerialNumber: {
    name: 'Call Serial Number',
    type: 15,
    M: true,
    hide: 'may',
    value: u32(),
    ref: 'RFC 2661 §4.4.4',
  },
  minimumBps: { name: 'Minimum BPS', type: 16, M: true, hide: 'may', value: u32(), ref: 'RFC 2661 §4.4.4' },
  maximumBps: { name: 'Maximum BPS', type: 17, M: true, hide: 'may', value: u32(), ref: 'RFC 2661 §4.4.4' },
  bearerType: { name: 'Bearer Type', type: 18, M: true, hide: 'may', value: u32(), ref: 'RFC 2661 §4.4.4' },
  framingType: { name: 'Framing Type', type: 19, M: true, hide: 'may', value: u32(), ref: 'RFC 2661 §4.4.4' },
  calledNumber: { name: 'Called Number', type: 21, M: true, hide: 'may', value: text(), ref: 'RFC 2661 §4.4.4' },
  callingNumber: { name: 'Calling Number', type: 22, M: true, hide: 'may', value: text(), ref: 'RFC 2661 §4.4.4' },
  subAddress: { name: 'Sub-Address', type: 23, M: true, hide: 'may', value: text(), ref: 'RFC 2661 §4.4.4' },
  txConnectSpeed: { name: '(Tx) Connect Speed', type: 24, M: true, hide: 'may', value: u32(), ref: 'RFC 2661 §4.4.4' },
  physicalChannelId: {
    name: 'Physical Channel ID',
    type: 25,
    M: false,
    hide: 'may',
    value: u32(),
    ref: 'RFC 2661 §4.4.4',
  },
  initialReceivedConfReq: {
    name: 'Initial Received LCP CONFREQ',
    type: 26,
    M: false,
    hide: 'may',
    value: octets(),
    ref: 'RFC 2661 §4.4.5',
  },
  lastSentConfReq: {
    name: 'Last Sent LCP CONFREQ',
    type: 27,
    M: false,
    hide: 'may',
    value: octets(),
    ref: 'RFC 2661 §4.4.5',
  },
  lastReceivedConfReq: {
    name: 'Last Received LCP CONFREQ',
    type: 28,
    M: false,
    hide: 'may',
    value: octets(),
    ref: 'RFC 2661 §4.4.5',
  },
  proxyAuthenType: { name: 'Proxy Authen Type', type: 29, M: false, hide: 'may', value: u16(), ref: 'RFC 2661 §4.4.5' },
  proxyAuthenName: {
    name: 'Proxy Authen Name',
    type: 30,
    M: false,
    hide: 'may',
    value: octets(),
    ref: 'RFC 2661 §4.4.5',
  },
  proxyAuthenChallenge: {
    name: 'Proxy Authen Challenge',
    type: 31,
    M: false,
    hide: 'may',
    value: octets({ min: 1 }),
    ref: 'RFC 2661 §4.4.5',
  },
  proxyAuthenId: {
    name: 'Proxy Authen ID',
    type: 32,
    M: false,
    hide: 'may',
    value: record({ id: 1 }, 1),
    ref: 'RFC 2661 §4.4.5',
  },
  proxyAuthenResponse: {
    name: 'Proxy Authen Response',
    type: 33,
    M: false,
    hide: 'may',
    value: octets(),
    ref: 'RFC 2661 §4.4.5',
  },
  callErrors: { name: 'Call Errors', type: 34, M: true, hide: 'may', value: wanErrors, ref: 'RFC 2661 §4.4.6' },
  accm: {
    name: 'ACCM',
    type: 35,
    M: true,
    hide: 'may',
    value: record({ send: 4, receive: 4 }, 2),
    ref: 'RFC 2661 §4.4.6',
  },
  randomVector: { name: 'Random Vector', type: 36, M: true, hide: 'never', value: octets(), ref: 'RFC 2661 §4.4.1' },
  privateGroupId: { name: 'Private Group ID', type: 37, M: false, hide: 'may', value: text(), ref: 'RFC 2661 §4.4.4' },
  rxConnectSpeed: { name: 'Rx Connect Speed', type: 38, M: false, hide: 'may', value: u32(), ref: 'RFC 2661 §4.4.4' },
  sequencingRequired: {
    name: 'Sequencing Required',
    type: 39,
    M: true,
    hide: 'never',
    value: flag(),
    ref: 'RFC 2661 §4.4.4',
  },
  pppDisconnectCause: {
    name: 'PPP Disconnect Cause Code',
    type: 46,
    M: false,
    hide: 'may',
    value: disconnectCause,
    ref: 'RFC 3145 §2.1',
  },
  msCorrelationId: {
    name: 'Microsoft Correlation ID',
    vendor: 311,
    type: 1,
    M: false,
    hide: 'may',
    value: octets({ size: 16 }),
    ref: 'MS-L2TPIE 2.2.1',
  },
} as const satisfies Record<string, AvpSpec>;

export type AvpKey = keyof typeof AVP;
export type AvpValue<K extends AvpKey> = ValueOf<(typeof AVP)[K]['value']>;
/** Decoded AVPs of one message; the order of the keys is the order on the wire. */
export type Avps = { readonly [K in AvpKey]?: AvpValue<K> };

/** An AVP as framed on the wire, whatever its meaning. */
export interface AvpFrame {
  /** Octet offset of the AVP in the message body. */
  readonly at: number;
  readonly M: boolean;
  readonly H: boolean;
  /** The four reserved bits; non-zero makes the AVP unrecognized (§4.1). */
  readonly reserved: number;
  readonly vendor: number;
  readonly type: number;
  readonly value: Uint8Array;
}

/** What became of one AVP: recognized with a value, or with a problem whose weight the M bit decides (§4.1, §7.1). */
export type AvpResult = { readonly frame: AvpFrame } & (
  | { readonly key: AvpKey; readonly value: unknown; readonly problem?: undefined }
  | { readonly problem: { readonly why: string; readonly ref: string; readonly error: number } }
);

/* Specification: RFC 2661 §4.1 */
const HEADER = 6;
const LENGTH_MASK = 0x03ff;
const MAX_VALUE = LENGTH_MASK - HEADER;

const id = (vendor: number, type: number): number => vendor * 0x10000 + type;
const BY_ID: ReadonlyMap<number, AvpKey> = new Map(
  (Object.entries(AVP) as [AvpKey, AvpSpec][]).map(([key, s]) => [id(s.vendor ?? 0, s.type), key]),
);

/** The table's key for a vendor and type. */
export const avpKey = (vendor: number, type: number): AvpKey | undefined => BY_ID.get(id(vendor, type));

/** The AVP's name for logs and Error Messages. */
export function avpName(vendor: number, type: number): string {
  const key = avpKey(vendor, type);
  if (key) return AVP[key].name;
  return vendor === 0 ? `AVP ${type}` : `AVP ${type} of vendor ${vendor}`;
}

/** Splits a message body into AVPs; `bad` is the offset of the first one whose Length is wrong, where reading ends. */
export function readAvpFrames(body: Uint8Array): { readonly frames: readonly AvpFrame[]; readonly bad?: number } {
  const r = new Reader(body);
  const frames: AvpFrame[] = [];
  while (r.left > 0) {
    const at = r.at;
    const bits = r.u16();
    const length = bits & LENGTH_MASK;
    const frame = {
      at,
      M: (bits & 0x8000) !== 0,
      H: (bits & 0x4000) !== 0,
      reserved: (bits >> 10) & 0xf,
      vendor: r.u16(),
      type: r.u16(),
      value: r.bytes(length - HEADER),
    };
    if (r.overrun) return { frames, bad: at };
    frames.push(frame);
  }
  return { frames };
}

/** Writes one AVP as framed; a value longer than 1017 octets is our bug. */
export function writeAvpFrame(w: Writer, f: Omit<AvpFrame, 'at'>): void {
  if (f.value.length > MAX_VALUE) throw new RangeError(`${avpName(f.vendor, f.type)}: ${f.value.length} octets`);
  w.u16((f.M ? 0x8000 : 0) | (f.H ? 0x4000 : 0) | (f.reserved << 10) | (HEADER + f.value.length));
  w.u16(f.vendor).u16(f.type).bytes(f.value);
}

/** Recognizes AVPs in order, unhiding with `secret` and the Random Vector last seen (§4.3). */
export function* recognizeAvps(frames: Iterable<AvpFrame>, secret?: Uint8Array): Generator<AvpResult> {
  let randomVector: Uint8Array | undefined;
  for (const frame of frames) {
    const result = recognize(frame, secret, randomVector);
    if (!result.problem && result.key === 'randomVector') randomVector = frame.value;
    yield result;
  }
}

function recognize(frame: AvpFrame, secret?: Uint8Array, randomVector?: Uint8Array): AvpResult {
  const name = avpName(frame.vendor, frame.type);
  const fail = (error: number, ref: string, why: string): AvpResult => ({
    frame,
    problem: { error, ref, why: `${name}: ${why}` },
  });
  const key = avpKey(frame.vendor, frame.type);
  if (key === undefined) return fail(ErrorCode.unknownAvp, 'RFC 2661 §4.1', 'unknown');
  // §4.1 MUST: a reserved bit makes it an unrecognized AVP.
  if (frame.reserved !== 0) return fail(ErrorCode.unknownAvp, 'RFC 2661 §4.1', 'reserved bits set');
  const spec: AvpSpec = AVP[key];
  let octets = frame.value;
  if (frame.H) {
    if (spec.hide === 'never') return fail(ErrorCode.value, spec.ref, 'hidden');
    if (!secret) return fail(ErrorCode.value, 'RFC 2661 §4.3', 'hidden, and no tunnel secret is configured');
    if (!randomVector) return fail(ErrorCode.value, 'RFC 2661 §4.3', 'hidden without a Random Vector before it');
    const clear = unhide(frame.type, frame.value, secret, randomVector);
    if (!clear) return fail(ErrorCode.value, 'RFC 2661 §4.3', 'cannot be unhidden');
    octets = clear;
  }
  const value = decodeValue(spec.value, octets);
  if (value === undefined) return fail(ErrorCode.value, spec.ref, `bad value of ${octets.length} octets`);
  return { frame, key, value };
}

/** Writes AVPs in the order of the keys, with the table's M bit and nothing hidden. */
export function writeAvps(w: Writer, avps: Avps): void {
  for (const [key, value] of Object.entries(avps) as [AvpKey, unknown][]) {
    if (value === undefined) continue;
    const spec: AvpSpec = AVP[key];
    writeAvpFrame(w, {
      M: spec.M,
      H: false,
      reserved: 0,
      vendor: spec.vendor ?? 0,
      type: spec.type,
      value: encodeValue(spec.value, value),
    });
  }
}
