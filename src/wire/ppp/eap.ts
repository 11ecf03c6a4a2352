/**
 * EAP packets, and what MD5-Challenge puts into them. RFC 3748 §4, §5. EAP-MSCHAPv2 (draft-kamath-pppext-eap-mschapv2 §2)
 * carries the packets of `chap.ts`, and two that are an OpCode alone.
 */
import { Reader, Writer } from '../reader.js';
import { type Decoded, malformed, ok } from '../result.js';

export type EapPacket =
  | { readonly code: 'Request' | 'Response'; readonly id: number; readonly type: number; readonly data: Uint8Array }
  | { readonly code: 'Success' | 'Failure'; readonly id: number };

export const EAP_CODE = { Request: 1, Response: 2, Success: 3, Failure: 4 } as const;

/** Types of Requests and Responses that we name. RFC 3748 §5; the rest: IANA eap-numbers. */
export const EAP_TYPE = {
  Identity: 1,
  Notification: 2,
  Nak: 3,
  MD5: 4,
  OTP: 5,
  GTC: 6,
  TLS: 13,
  TTLS: 21,
  PEAP: 25,
  MSCHAPv2: 26,
  Expanded: 254,
} as const;

const NAMES = new Map<number, string>(Object.entries(EAP_TYPE).map(([name, n]) => [n, name]));

/** For logs: `TLS`, or `type 99` for one without a name here. */
export const eapTypeName = (n: number): string => NAMES.get(n) ?? `type ${n}`;

const HEADER = 4;

/** Octets beyond Length are padding; a Length beyond the octets discards the packet (RFC 3748 §4.1). */
export function decodeEap(bytes: Uint8Array): Decoded<EapPacket> {
  const header = new Reader(bytes);
  const code = header.u8();
  const id = header.u8();
  const length = header.u16();
  if (header.overrun || length < HEADER || length > bytes.length) return malformed(2, 'RFC 3748 §4', 'Length');
  const r = new Reader(bytes.subarray(HEADER, length));
  switch (code) {
    case EAP_CODE.Request:
    case EAP_CODE.Response: {
      const type = r.u8();
      if (r.overrun) return malformed(HEADER, 'RFC 3748 §4.1', 'no Type');
      return ok({ code: code === EAP_CODE.Request ? 'Request' : 'Response', id, type, data: r.rest() });
    }
    case EAP_CODE.Success:
    case EAP_CODE.Failure:
      if (r.left > 0) return malformed(2, 'RFC 3748 §4.2', 'Length is not 4');
      return ok({ code: code === EAP_CODE.Success ? 'Success' : 'Failure', id });
    default:
      return malformed(0, 'RFC 3748 §4', 'Code');
  }
}

export function encodeEap(packet: EapPacket): Uint8Array {
  const w = new Writer().u8(EAP_CODE[packet.code]).u8(packet.id).u16(0);
  if ('type' in packet) w.u8(packet.type).bytes(packet.data);
  return w.patch16(2, w.length).done();
}

/** Type-Data of MD5-Challenge, as in CHAP. RFC 3748 §5.4. */
export interface Md5Value {
  readonly value: Uint8Array;
  readonly name: Uint8Array;
}

export function decodeMd5Value(data: Uint8Array): Decoded<Md5Value> {
  const r = new Reader(data);
  const size = r.u8();
  if (r.overrun || size === 0 || size > r.left) return malformed(HEADER + 1, 'RFC 3748 §5.4', 'Value-Size');
  return ok({ value: r.bytes(size), name: r.rest() });
}

export const encodeMd5Value = ({ value, name }: Md5Value): Uint8Array =>
  new Writer().u8(value.length).bytes(value).bytes(name).done();
