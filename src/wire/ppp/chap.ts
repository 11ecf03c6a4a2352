/** CHAP packets and what MS-CHAP-V2 puts into them. RFC 1994 §4, RFC 2759 §3 to §7. */
import { fromHex, Reader, toHex, Writer } from '../reader.js';
import { type Decoded, malformed, ok } from '../result.js';

export type ChapPacket =
  | {
      readonly code: 'Challenge' | 'Response';
      readonly id: number;
      readonly value: Uint8Array;
      readonly name: Uint8Array;
    }
  | { readonly code: 'Success' | 'Failure'; readonly id: number; readonly message: Uint8Array }
  | ({ readonly code: 'Change-Password'; readonly id: number } & PasswordChange);

/** RFC 2759 §7: the new password under the old one. */
export interface PasswordChange extends MsChapV2Value {
  /** 516 octets. */
  readonly encryptedPassword: Uint8Array;
  /** 16 octets. */
  readonly encryptedHash: Uint8Array;
}

export const CHAP_CODE = { Challenge: 1, Response: 2, Success: 3, Failure: 4, 'Change-Password': 7 } as const;
const NAMES = new Map<number, keyof typeof CHAP_CODE>(
  Object.entries(CHAP_CODE).map(([name, n]) => [n, name as keyof typeof CHAP_CODE]),
);

const HEADER = 4;
const CHANGE_PASSWORD = 586; // 4 + 516 + 16 + 16 + 8 reserved + 24 + 2 flags

export function decodeChap(bytes: Uint8Array): Decoded<ChapPacket> {
  const header = new Reader(bytes);
  const code = NAMES.get(header.u8());
  const id = header.u8();
  const length = header.u16();
  if (header.overrun || length < HEADER || length > bytes.length) return malformed(2, 'RFC 1994 §4', 'Length');
  const r = new Reader(bytes.subarray(HEADER, length));
  switch (code) {
    case 'Challenge':
    case 'Response': {
      const size = r.u8();
      // §4.1: one or more octets of Value, and they end where Name begins.
      if (r.overrun || size === 0 || size > r.left) return malformed(HEADER, 'RFC 1994 §4.1', 'Value-Size');
      return ok({ code, id, value: r.bytes(size), name: r.rest() });
    }
    case 'Success':
    case 'Failure':
      return ok({ code, id, message: r.rest() });
    case 'Change-Password': {
      if (length !== CHANGE_PASSWORD) return malformed(2, 'RFC 2759 §7', 'Length');
      const [encryptedPassword, encryptedHash, peerChallenge] = [r.bytes(516), r.bytes(16), r.bytes(16)];
      r.skip(8);
      return ok({ code, id, encryptedPassword, encryptedHash, peerChallenge, ntResponse: r.bytes(24) });
    }
    case undefined:
      return malformed(0, 'RFC 1994 §4', 'Code');
  }
}

export function encodeChap(packet: ChapPacket): Uint8Array {
  const w = new Writer().u8(CHAP_CODE[packet.code]).u8(packet.id).u16(0);
  if ('value' in packet) {
    w.u8(packet.value.length).bytes(packet.value).bytes(packet.name);
  } else if ('message' in packet) {
    w.bytes(packet.message);
  } else {
    const { encryptedPassword, encryptedHash, peerChallenge, ntResponse } = packet;
    w.bytes(encryptedPassword).bytes(encryptedHash).bytes(peerChallenge).u64(0n).bytes(ntResponse).u16(0);
  }
  return w.patch16(2, w.length).done();
}

/** RFC 2759 §4: the Value of a Response. */
export interface MsChapV2Value {
  /** 16 octets. */
  readonly peerChallenge: Uint8Array;
  /** 24 octets. */
  readonly ntResponse: Uint8Array;
}

const MSCHAPV2_VALUE = 49; // 16 + 8 reserved + 24 + 1 flags

/** Reserved octets and flags are not looked at: a sender that fills them still means the same response. */
export function decodeMsChapV2Value(value: Uint8Array): Decoded<MsChapV2Value> {
  if (value.length !== MSCHAPV2_VALUE) return malformed(HEADER, 'RFC 2759 §4', 'Value-Size');
  const r = new Reader(value);
  const peerChallenge = r.bytes(16);
  r.skip(8);
  return ok({ peerChallenge, ntResponse: r.bytes(24) });
}

export const encodeMsChapV2Value = (v: MsChapV2Value): Uint8Array =>
  new Writer(MSCHAPV2_VALUE).bytes(v.peerChallenge).u64(0n).bytes(v.ntResponse).u8(0).done();

/** RFC 2759 §5: `S=<40 upper-case hex> M=<message>`. */
export interface MsChapV2Success {
  readonly authenticatorResponse: Uint8Array;
  readonly message: string;
}

export const encodeMsChapV2Success = (s: MsChapV2Success): Uint8Array =>
  Buffer.from(`S=${toHex(s.authenticatorResponse).toUpperCase()} M=${s.message}`, 'latin1');

export function decodeMsChapV2Success(message: Uint8Array): Decoded<MsChapV2Success> {
  const m = /^S=([0-9A-Fa-f]{40})(?: M=([\s\S]*))?/.exec(latin1(message));
  if (m === null) return malformed(HEADER, 'RFC 2759 §5', 'authenticator response');
  return ok({ authenticatorResponse: fromHex(m[1]!), message: m[2] ?? '' });
}

/** RFC 2759 §6: `E=<code> R=<0|1> C=<32 hex> V=<version> M=<message>`. */
export interface MsChapV2Failure {
  readonly error: number;
  readonly retry: boolean;
  /** 16 octets: the challenge of the next try. */
  readonly challenge: Uint8Array;
  readonly version: number;
  readonly message: string;
}

export const encodeMsChapV2Failure = (f: MsChapV2Failure): Uint8Array => {
  const challenge = toHex(f.challenge).toUpperCase();
  return Buffer.from(`E=${f.error} R=${f.retry ? 1 : 0} C=${challenge} V=${f.version} M=${f.message}`, 'latin1');
};

export function decodeMsChapV2Failure(message: Uint8Array): Decoded<MsChapV2Failure> {
  const m = /^E=(\d{1,10}) R=([01]) C=([0-9A-Fa-f]{32}) V=(\d{1,10})(?: M=([\s\S]*))?/.exec(latin1(message));
  if (m === null) return malformed(HEADER, 'RFC 2759 §6', 'Failure message');
  const [, error, retry, challenge, version, text] = m;
  return ok({
    error: Number(error),
    retry: retry === '1',
    challenge: fromHex(challenge!),
    version: Number(version),
    message: text ?? '',
  });
}

const latin1 = (b: Uint8Array): string => Buffer.from(b.buffer, b.byteOffset, b.byteLength).toString('latin1');
