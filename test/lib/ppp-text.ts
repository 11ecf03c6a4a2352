/** PPP frames in words, for vectors and traces, and back to octets. */
import { type ChapPacket, decodeChap, encodeChap } from '../../src/wire/ppp/chap.js';
import { type ControlPacket, decodeControl, decodeTerminateReason, encodeControl } from '../../src/wire/ppp/control.js';
import { decodeEap, decodeMd5Value, EAP_TYPE, type EapPacket, eapTypeName, encodeEap } from '../../src/wire/ppp/eap.js';
import { decodeFrame, encodeFrame, type Frame, PROTOCOL, protocolName } from '../../src/wire/ppp/frame.js';
import { ipcpOptions } from '../../src/wire/ppp/ipcp.js';
import { ipv6cpOptions } from '../../src/wire/ppp/ipv6cp.js';
import { lcpOptions } from '../../src/wire/ppp/lcp.js';
import { decodePap, encodePap } from '../../src/wire/ppp/pap.js';
import { toHex } from '../../src/wire/reader.js';
import type { Decoded, Malformed } from '../../src/wire/result.js';

const quoted = (b: Uint8Array): string => JSON.stringify(Buffer.from(b).toString('latin1'));
const failed = (m: Malformed): string => `malformed at=${m.at} ${m.ref}: ${m.why}`;
const line = (...parts: (string | number)[]): string => parts.filter((p) => p !== '').join(' ');

/** `LCP Configure-Request 1 <mru 1400>`; malformed frames say where and why. */
export function describeFrame(bytes: Uint8Array): string {
  const frame = decodeFrame(bytes);
  return frame.ok ? line(protocolName(frame.value.protocol), describeInformation(frame.value)) : failed(frame);
}

function describeInformation({ protocol, information }: Frame): string {
  switch (protocol) {
    case PROTOCOL.lcp:
      return worded(decodeControl(information, 'lcp'), (p) => describeControl(p, lcpOptions));
    case PROTOCOL.ipcp:
      return worded(decodeControl(information, 'ncp'), (p) => describeControl(p, ipcpOptions));
    case PROTOCOL.ipv6cp:
      return worded(decodeControl(information, 'ncp'), (p) => describeControl(p, ipv6cpOptions));
    case PROTOCOL.chap:
      return worded(decodeChap(information), describeChap);
    case PROTOCOL.eap:
      return worded(decodeEap(information), describeEap);
    case PROTOCOL.pap:
      return worded(decodePap(information), (p) =>
        'message' in p
          ? line(p.code, p.id, quoted(p.message))
          : line(p.code, p.id, quoted(p.peerId), quoted(p.password)),
      );
    default:
      return toHex(information);
  }
}

const worded = <T>(decoded: Decoded<T>, words: (value: T) => string): string =>
  decoded.ok ? words(decoded.value) : failed(decoded);

function describeChap(p: ChapPacket): string {
  if ('message' in p) return line(p.code, p.id, quoted(p.message));
  if ('value' in p) return line(p.code, p.id, `value=${toHex(p.value)}`, `name=${quoted(p.name)}`);
  return line(p.code, p.id, `value=${toHex(p.encryptedPassword)}`);
}

/** `Request 7 Identity ""`, `Response 8 Nak 4 26`, `Request 9 MSCHAPv2 CHAP Challenge 9 value=...`. */
function describeEap(p: EapPacket): string {
  if (!('type' in p)) return line(p.code, p.id);
  const head = line(p.code, p.id, eapTypeName(p.type));
  switch (p.type) {
    case EAP_TYPE.Identity:
    case EAP_TYPE.Notification:
      return line(head, quoted(p.data));
    case EAP_TYPE.Nak:
      return line(head, ...p.data);
    case EAP_TYPE.MD5:
      return line(
        head,
        worded(decodeMd5Value(p.data), (v) => `value=${toHex(v.value)} name=${quoted(v.name)}`),
      );
    case EAP_TYPE.MSCHAPv2:
      return p.data.length === 1
        ? line(head, 'OpCode', toHex(p.data))
        : line(head, 'CHAP', worded(decodeChap(p.data), describeChap));
    default:
      return line(head, toHex(p.data));
  }
}

function describeControl(p: ControlPacket, options: { show(raw: readonly never[]): string }): string {
  const head = line(p.code === 'unknown' ? `code-${p.number}` : p.code, p.id);
  if ('options' in p) return line(head, options.show(p.options as readonly never[]));
  if ('rejected' in p) return line(head, toHex(p.rejected));
  if ('protocol' in p) return line(head, protocolName(p.protocol), toHex(p.information));
  const magic = 'magic' in p ? `magic=0x${p.magic.toString(16).padStart(8, '0')}` : '';
  const seconds = 'seconds' in p ? `seconds=${p.seconds}` : '';
  const body = 'message' in p ? quoted(p.message) : toHex(p.data);
  if (p.code !== 'Terminate-Request') return line(head, magic, seconds, body);
  const { text, windowsError } = decodeTerminateReason(p.data);
  return line(
    head,
    body,
    text === undefined ? '' : `"${text}"`,
    windowsError === undefined ? '' : `windows=${windowsError}`,
  );
}

/** Decodes and encodes again: what we would send in that frame's place. */
export function reencode(bytes: Uint8Array): Uint8Array | undefined {
  const frame = decodeFrame(bytes);
  if (!frame.ok) return undefined;
  const { protocol, information } = frame.value;
  const again = reencodeInformation(protocol, information);
  return again === undefined ? undefined : encodeFrame(protocol, again);
}

function reencodeInformation(protocol: number, information: Uint8Array): Uint8Array | undefined {
  const through = <T>(decoded: Decoded<T>, encode: (value: T) => Uint8Array): Uint8Array | undefined =>
    decoded.ok ? encode(decoded.value) : undefined;
  switch (protocol) {
    case PROTOCOL.lcp:
      return through(decodeControl(information, 'lcp'), encodeControl);
    case PROTOCOL.ipcp:
      return through(decodeControl(information, 'ncp'), encodeControl);
    case PROTOCOL.chap:
      return through(decodeChap(information), encodeChap);
    case PROTOCOL.eap:
      return through(decodeEap(information), encodeEap);
    case PROTOCOL.pap:
      return through(decodePap(information), encodePap);
    default:
      return information;
  }
}
