/**
 * Value codecs for TLV families: a table row names its codec, and from the table follow decoding, encoding, the
 * TypeScript type and the log name. Used by the AVP table (RFC 2661 §4.4); knows no protocol itself.
 */
import { Reader, Writer } from './reader.js';

export interface Codec<T> {
  /** Reads one value from exactly the octets of `r`; undefined when they are not a value of this type. */
  read(r: Reader): T | undefined;
  write(w: Writer, value: T): void;
}

/** What a codec decodes to. */
export type ValueOf<C> = C extends Codec<infer T> ? T : never;

/** Decodes all of `bytes`; undefined when too short, too long or out of range. */
export function decodeValue<T>(codec: Codec<T>, bytes: Uint8Array): T | undefined {
  const r = new Reader(bytes);
  const value = codec.read(r);
  return r.overrun || r.left > 0 ? undefined : value;
}

export function encodeValue<T>(codec: Codec<T>, value: T): Uint8Array {
  const w = new Writer();
  codec.write(w, value);
  return w.done();
}

interface Range {
  readonly min?: number;
}

export const u16 = ({ min = 0 }: Range = {}): Codec<number> => ({
  read: (r) => atLeast(min, r.u16()),
  write: (w, v) => void w.u16(v),
});

export const u32 = (): Codec<number> => ({
  read: (r) => r.u32(),
  write: (w, v) => void w.u32(v),
});

/** Any octets, copied; `size` fixes their number, `min` bounds it from below. */
export const octets = ({ min = 0, size }: Range & { readonly size?: number } = {}): Codec<Uint8Array> => ({
  read: (r) => (r.left < min || (size !== undefined && r.left !== size) ? undefined : Uint8Array.from(r.rest())),
  write: (w, v) => void w.bytes(v),
});

/** UTF-8 text. Octets that are not UTF-8 become U+FFFD: a name is never worth refusing a peer for. */
export const text = ({ min = 0 }: Range = {}): Codec<string> => ({
  read: (r) => (r.left < min ? undefined : Buffer.from(r.rest()).toString('utf8')),
  write: (w, v) => void w.bytes(Buffer.from(v, 'utf8')),
});

/** Present or absent, without a value. */
export const flag = (): Codec<true> => ({ read: () => true, write: () => undefined });

/** Fixed fields of 1 or 4 octets after `reserved` octets that are sent as zero and ignored on receipt. */
export const record = <K extends string>(
  fields: Readonly<Record<K, 1 | 4>>,
  reserved = 0,
): Codec<Record<K, number>> => {
  const layout = Object.entries(fields) as [K, 1 | 4][];
  return {
    read: (r) => {
      r.skip(reserved);
      return Object.fromEntries(layout.map(([k, n]) => [k, n === 1 ? r.u8() : r.u32()])) as Record<K, number>;
    },
    write: (w, v) => {
      w.bytes(new Uint8Array(reserved));
      for (const [k, n] of layout) n === 1 ? w.u8(v[k]) : w.u32(v[k]);
    },
  };
};

const atLeast = (min: number, v: number): number | undefined => (v < min ? undefined : v);
