/** Code, Identifier, Length, Data: the packets of LCP and of every NCP. RFC 1661 §5, RFC 1570 §1. */
import { Reader, sameBytes, Writer } from '../reader.js';
import { type Decoded, malformed, ok } from '../result.js';
import { decodeOptions, encodeOptions, type RawOption } from './options.js';

/** Codes by number. 1-7 belong to every control protocol, the rest to LCP alone (RFC 1332 §2: others are unrecognised). */
export const CODE = {
  'Configure-Request': 1,
  'Configure-Ack': 2,
  'Configure-Nak': 3,
  'Configure-Reject': 4,
  'Terminate-Request': 5,
  'Terminate-Ack': 6,
  'Code-Reject': 7,
  'Protocol-Reject': 8,
  'Echo-Request': 9,
  'Echo-Reply': 10,
  'Discard-Request': 11,
  Identification: 12,
  'Time-Remaining': 13,
} as const;

export const LAST_NCP_CODE = CODE['Code-Reject'];

export type ConfigureCode = 'Configure-Request' | 'Configure-Ack' | 'Configure-Nak' | 'Configure-Reject';
export type TerminateCode = 'Terminate-Request' | 'Terminate-Ack';
export type EchoCode = 'Echo-Request' | 'Echo-Reply' | 'Discard-Request';

export type ControlPacket =
  | { readonly code: ConfigureCode; readonly id: number; readonly options: readonly RawOption[] }
  | { readonly code: TerminateCode; readonly id: number; readonly data: Uint8Array }
  | { readonly code: 'Code-Reject'; readonly id: number; readonly rejected: Uint8Array }
  | LcpOnlyPacket
  | { readonly code: 'unknown'; readonly number: number; readonly id: number; readonly data: Uint8Array };

export type LcpOnlyPacket =
  | {
      readonly code: 'Protocol-Reject';
      readonly id: number;
      readonly protocol: number;
      readonly information: Uint8Array;
    }
  | { readonly code: EchoCode; readonly id: number; readonly magic: number; readonly data: Uint8Array }
  | { readonly code: 'Identification'; readonly id: number; readonly magic: number; readonly message: Uint8Array }
  | {
      readonly code: 'Time-Remaining';
      readonly id: number;
      readonly magic: number;
      readonly seconds: number;
      readonly message: Uint8Array;
    };

const HEADER = 4; // §5: Code, Identifier, Length
const NAMES = new Map<number, keyof typeof CODE>(
  Object.entries(CODE).map(([name, n]) => [n, name as keyof typeof CODE]),
);

/** Decodes an information field; octets behind Length are padding (§5), a bad Length discards the packet. */
export function decodeControl(bytes: Uint8Array, family: 'lcp' | 'ncp'): Decoded<ControlPacket> {
  const header = new Reader(bytes);
  const number = header.u8();
  const id = header.u8();
  const length = header.u16();
  if (header.overrun || length < HEADER || length > bytes.length) return malformed(2, 'RFC 1661 §5', 'Length');
  const data = bytes.subarray(HEADER, length);
  const code = NAMES.get(number);
  if (code === undefined || (family === 'ncp' && number > LAST_NCP_CODE)) {
    return ok({ code: 'unknown', number, id, data });
  }
  return decodeData(code, id, data);
}

function decodeData(code: keyof typeof CODE, id: number, data: Uint8Array): Decoded<ControlPacket> {
  const r = new Reader(data);
  const done = (packet: ControlPacket): Decoded<ControlPacket> =>
    r.overrun ? malformed(HEADER, 'RFC 1661 §5', `${code} is too short`) : ok(packet);
  switch (code) {
    case 'Configure-Request':
    case 'Configure-Ack':
    case 'Configure-Nak':
    case 'Configure-Reject': {
      const options = decodeOptions(data);
      return options.ok ? ok({ code, id, options: options.value }) : { ...options, at: options.at + HEADER };
    }
    case 'Terminate-Request':
    case 'Terminate-Ack':
      return ok({ code, id, data });
    case 'Code-Reject':
      return ok({ code, id, rejected: data });
    case 'Protocol-Reject':
      return done({ code, id, protocol: r.u16(), information: r.rest() });
    case 'Echo-Request':
    case 'Echo-Reply':
    case 'Discard-Request':
      return done({ code, id, magic: r.u32(), data: r.rest() });
    case 'Identification':
      return done({ code, id, magic: r.u32(), message: r.rest() });
    case 'Time-Remaining':
      return done({ code, id, magic: r.u32(), seconds: r.u32(), message: r.rest() });
  }
}

export function encodeControl(packet: ControlPacket): Uint8Array {
  const w = new Writer();
  w.u8(packet.code === 'unknown' ? packet.number : CODE[packet.code])
    .u8(packet.id)
    .u16(0);
  writeData(w, packet);
  return w.patch16(2, w.length).done();
}

function writeData(w: Writer, packet: ControlPacket): void {
  switch (packet.code) {
    case 'Configure-Request':
    case 'Configure-Ack':
    case 'Configure-Nak':
    case 'Configure-Reject':
      w.bytes(encodeOptions(packet.options));
      return;
    case 'Terminate-Request':
    case 'Terminate-Ack':
    case 'unknown':
      w.bytes(packet.data);
      return;
    case 'Code-Reject':
      w.bytes(packet.rejected);
      return;
    case 'Protocol-Reject':
      w.u16(packet.protocol).bytes(packet.information);
      return;
    case 'Echo-Request':
    case 'Echo-Reply':
    case 'Discard-Request':
      w.u32(packet.magic).bytes(packet.data);
      return;
    case 'Identification':
      w.u32(packet.magic).bytes(packet.message);
      return;
    case 'Time-Remaining':
      w.u32(packet.magic).u32(packet.seconds).bytes(packet.message);
      return;
  }
}

/** Why the peer terminated, as far as the data of its Terminate-Request tells. */
export interface TerminateReason {
  /** Printable ASCII (pppd sends `User request`, `Peer not responding`...). */
  readonly text?: string;
  /** Windows RAS error number: 0 normal, 732 PPP did not converge, 738 no address. */
  readonly windowsError?: number;
}

const WINDOWS_SIGNATURE = Uint8Array.of(0x00, 0x3c, 0xcd, 0x74);

/** §5.5 leaves the data uninterpreted; Windows puts its magic number, a signature and a RAS error there. */
export function decodeTerminateReason(data: Uint8Array): TerminateReason {
  if (data.length === 12 && sameBytes(data.subarray(4, 8), WINDOWS_SIGNATURE)) {
    return { windowsError: new Reader(data.subarray(8)).u32() };
  }
  const text = printable(data);
  return text === '' ? {} : { text };
}

/** Octets as text for a log: ASCII 32 to 126 (RFC 1570 §1.1), others as `?`, at most 128; nothing for binary data. */
export function printable(data: Uint8Array): string {
  const shown = data.subarray(0, 128);
  const binary = shown.filter((c) => c < 32 || c > 126).length;
  if (binary * 2 >= shown.length) return '';
  return Array.from(shown, (c) => (c < 32 || c > 126 ? '?' : String.fromCharCode(c))).join('');
}
