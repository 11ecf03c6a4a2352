// The codecs against two limits of the same run: copying the same octets, and JSON carrying the same values. RFC 2661 §3.1, RFC 1661 §5.
import { decodePacket, encodeControl, encodeData } from '../src/wire/l2tp/header.js';
import { decodeMessage, encodeMessage } from '../src/wire/l2tp/message.js';
import { decodeControl, encodeControl as encodePpp } from '../src/wire/ppp/control.js';
import { decodeFrame, encodeFrame, PROTOCOL } from '../src/wire/ppp/frame.js';
import { lcpOptions } from '../src/wire/ppp/lcp.js';
import { fromHex, toHex } from '../src/wire/reader.js';
import { octets, vectors } from '../test/lib/vectors.js';
import { type Bench, consumed, nanoseconds, type Row, ratio, show, spread } from './measure.js';

/** Bytes on the wire, how to read them, and how to write what was read. */
interface Case<V> {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly decode: (bytes: Uint8Array) => V;
  readonly encode: (value: V) => Uint8Array;
}

const must = <T>(
  decoded: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string },
): T => {
  if (!decoded.ok) throw new Error(decoded.why);
  return decoded.value;
};

function decodeL2tp(bytes: Uint8Array) {
  const { header, payload } = must(decodePacket(bytes));
  if (header.kind !== 'control') throw new Error('not a control message');
  return { header, message: must(decodeMessage(payload)) };
}

/** What a Windows client sends. */
function windows(name: string) {
  const vector = vectors('l2tp-clients.txt').find((v) => v.name.startsWith(`Windows${name}`));
  if (!vector) throw new Error(`no vector of a Windows client begins with${name}`);
  return {
    name: name.split(' ').at(-1)!.replace(':', ''),
    bytes: octets(vector, 'decode'),
    decode: decodeL2tp,
    encode: ({ header, message }: ReturnType<typeof decodeL2tp>) => encodeControl(header, encodeMessage(message)),
  };
}

const FRAME = new Uint8Array(1_402).fill(0x5a);
const DATA = {
  name: 'data message, 1400 octets',
  bytes: encodeData({ tunnelId: 0x1111, sessionId: 0x2222 }, FRAME),
  decode: (bytes: Uint8Array) => must(decodePacket(bytes)),
  encode: ({ header, payload }: { header: { tunnelId: number; sessionId: number }; payload: Uint8Array }) =>
    encodeData(header, payload),
};

// Windows: MRU, Magic-Number, PFC, ACFC, Callback.
const LCP_REQUEST = fromHex('c021 0101 0015 0104 0578 0506 1234 5678 0702 0802 0d03 06'.replaceAll(' ', ''));
function decodeLcp(bytes: Uint8Array) {
  const { information } = must(decodeFrame(bytes));
  const packet = must(decodeControl(information, 'lcp'));
  if (packet.code !== 'Configure-Request') throw new Error('not a Configure-Request');
  const options = packet.options.map((raw) => {
    const meaning = lcpOptions.decode(raw);
    if (meaning.kind !== 'value') throw new Error(`option ${raw.type}: ${meaning.kind}`);
    return meaning;
  });
  return { id: packet.id, options };
}
const LCP = {
  name: 'LCP Configure-Request',
  bytes: LCP_REQUEST,
  decode: decodeLcp,
  encode: ({ id, options }: ReturnType<typeof decodeLcp>) =>
    encodeFrame(
      PROTOCOL.lcp,
      encodePpp({ code: 'Configure-Request', id, options: options.map((o) => lcpOptions.encode(o)) }),
    ),
};

function rows<V>({ name, bytes, decode, encode }: Case<V>): Row[] {
  const value = decode(bytes);
  const text = JSON.stringify(value, (_, v) => (v instanceof Uint8Array ? toHex(v) : v));
  const json = JSON.parse(text);
  const again = encode(value);
  const ns = nanoseconds({
    decode: () => Object.keys(decode(bytes) as object).length,
    encode: () => encode(value).length,
    copy: () => bytes.slice().length,
    parse: () => Object.keys(JSON.parse(text)).length,
    stringify: () => JSON.stringify(json).length,
  });
  const row = (what: 'decode' | 'encode', other: 'parse' | 'stringify'): Row => ({
    what: `${what} ${name} (${again.length} octets)`,
    figure: `${show(spread(ns[what]))} ns`,
    limit: `copy ${show(spread(ns.copy))} ns, JSON.${other} ${show(spread(ns[other]))} ns`,
    ratio: `${ratio(ns[what], ns.copy).toFixed(1)} copies, ${ratio(ns[what], ns[other]).toFixed(2)} JSON.${other}`,
  });
  return [row('decode', 'parse'), row('encode', 'stringify')];
}

export const codec: Bench = async () => {
  const all = [...rows(windows(' 10/11 SCCRQ')), ...rows(windows(' ICRQ')), ...rows(DATA), ...rows(LCP)];
  // What the measured calls returned: it is used, so none of them could be left out.
  if (consumed() === 0) throw new Error('nothing was measured');
  return all;
};
