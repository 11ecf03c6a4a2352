/**
 * Configuration options and the engine that turns a table of them into decode, encode and log names. RFC 1661 §6.
 *
 * A control protocol has one table (`lcp.ts`, `ipcp.ts`). The raw form is kept beside the typed one, because
 * acknowledged and rejected options go back exactly as they came (RFC 1661 §5.2, §5.4).
 */
import { Reader, toHex, Writer } from '../reader.js';
import { type Decoded, malformed, ok } from '../result.js';

/** An option as it stands in a packet: type and data, without its length octet. */
export interface RawOption {
  readonly type: number;
  readonly data: Uint8Array;
}

/** How one option's data becomes a value and back; `read` gives undefined when the length is not the option's. */
export interface ValueCodec<V> {
  read(data: Uint8Array): V | undefined;
  write(value: V): Uint8Array;
  show(value: V): string;
}

export interface OptionSpec<V> {
  readonly type: number;
  /** Name in log lines; pppd's where it has one. */
  readonly label: string;
  readonly value: ValueCodec<V>;
  readonly ref: string;
}

/** A row of a table. */
export const spec = <V>(type: number, label: string, value: ValueCodec<V>, ref: string): OptionSpec<V> => ({
  type,
  label,
  value,
  ref,
});

// biome-ignore lint/suspicious/noExplicitAny: a table mixes value types; Value<> below recovers each of them
export type OptionTable = Readonly<Record<string, OptionSpec<any>>>;
export type OptionName<T extends OptionTable> = keyof T & string;
export type Value<T extends OptionTable, K extends OptionName<T>> = T[K] extends OptionSpec<infer V> ? V : never;
/** A known option with its value, e.g. `{ name: 'mru', value: 1400 }`. */
export type Option<T extends OptionTable> = {
  [K in OptionName<T>]: { readonly name: K; readonly value: Value<T, K> };
}[OptionName<T>];

/** What a raw option means: a value; a known option of the wrong length (no `value`); or nothing we know. */
export type Meaning<T extends OptionTable> =
  | ({ readonly kind: 'value' } & Option<T>)
  | { readonly kind: 'bad-length'; readonly name: OptionName<T> }
  | { readonly kind: 'unknown' };

const HEADER = 2; // §6: Type, Length

/** The option list that fills a Configure packet. A length beyond the packet discards the packet (§6, Length). */
export function decodeOptions(data: Uint8Array): Decoded<RawOption[]> {
  const r = new Reader(data);
  const options: RawOption[] = [];
  while (r.left > 0) {
    const at = r.at;
    const type = r.u8();
    const length = r.u8();
    if (r.overrun || length < HEADER || length - HEADER > r.left) {
      return malformed(at, 'RFC 1661 §6', 'Configuration Option Length');
    }
    // A copy: what was negotiated outlives the datagram it came in.
    options.push({ type, data: r.bytes(length - HEADER).slice() });
  }
  return ok(options);
}

export function encodeOptions(options: readonly RawOption[]): Uint8Array {
  const w = new Writer();
  for (const { type, data } of options) {
    w.u8(type)
      .u8(data.length + HEADER)
      .bytes(data);
  }
  return w.done();
}

/** Codec of one table. */
export class OptionCodec<T extends OptionTable> {
  readonly #table: T;
  readonly #byType: ReadonlyMap<number, OptionName<T>>;

  constructor(table: T) {
    this.#table = table;
    this.#byType = new Map(Object.entries(table).map(([name, spec]) => [spec.type, name]));
  }

  decode(raw: RawOption): Meaning<T> {
    const name = this.#byType.get(raw.type);
    if (name === undefined) return { kind: 'unknown' };
    const value: unknown = this.#table[name]!.value.read(raw.data);
    return value === undefined ? { kind: 'bad-length', name } : ({ kind: 'value', name, value } as Meaning<T>);
  }

  /** The value of an option in a list; undefined when it is not there, or has the wrong length. */
  find<K extends OptionName<T>>(options: readonly RawOption[], name: K): Value<T, K> | undefined {
    const raw = options.find(({ type }) => type === this.#table[name]!.type);
    return raw === undefined ? undefined : (this.#table[name]!.value.read(raw.data) as Value<T, K> | undefined);
  }

  encode(option: Option<T>): RawOption {
    const row = this.#table[option.name]!;
    return { type: row.type, data: row.value.write(option.value) };
  }

  /** `<mru 1400> <magic 0x1a2b3c4d> <pcomp>`: one line for a log. */
  show(options: readonly RawOption[]): string {
    return options.map((raw) => this.#showOne(raw)).join(' ');
  }

  #showOne(raw: RawOption): string {
    const meaning = this.decode(raw);
    switch (meaning.kind) {
      case 'value': {
        const row = this.#table[meaning.name]!;
        return `<${[row.label, row.value.show(meaning.value)].filter((s) => s !== '').join(' ')}>`;
      }
      case 'bad-length':
        return `<${this.#table[meaning.name]!.label} bad length ${toHex(raw.data)}>`;
      case 'unknown':
        return `<option ${raw.type} ${toHex(raw.data)}>`;
    }
  }
}

/* Value codecs that the tables are written in. */

const exactly = (length: number, data: Uint8Array): Reader | undefined =>
  data.length === length ? new Reader(data) : undefined;

export const u8: ValueCodec<number> = {
  read: (d) => exactly(1, d)?.u8(),
  write: (v) => new Writer(1).u8(v).done(),
  show: String,
};

export const u16: ValueCodec<number> = {
  read: (d) => exactly(2, d)?.u16(),
  write: (v) => new Writer(2).u16(v).done(),
  show: String,
};

export const u32: ValueCodec<number> = {
  read: (d) => exactly(4, d)?.u32(),
  write: (v) => new Writer(4).u32(v).done(),
  show: (v) => `0x${v.toString(16).padStart(8, '0')}`,
};

/** An option without data: its presence is the value. */
export const flag: ValueCodec<true> = {
  read: (d) => (d.length === 0 ? true : undefined),
  write: () => new Uint8Array(0),
  show: () => '',
};

/** An IPv4 address in dotted form. */
export const ip4: ValueCodec<string> = {
  read: (d) => exactly(4, d)?.rest().join('.'),
  write: (v) => Uint8Array.from(v.split('.'), Number),
  show: (v) => v,
};

/** Octets without meaning to us, at least `min` of them. */
export const octets = (min = 0): ValueCodec<Uint8Array> => ({
  read: (d) => (d.length >= min ? d : undefined),
  write: (v) => v,
  show: toHex,
});

/** A 16-bit number and octets that depend on it: authentication, quality and compression protocols. */
export interface Numbered {
  readonly protocol: number;
  readonly data: Uint8Array;
}

export const numbered16 = (show: (v: Numbered) => string): ValueCodec<Numbered> => ({
  read: (d) => {
    const r = new Reader(d);
    const protocol = r.u16();
    return r.overrun ? undefined : { protocol, data: r.rest() };
  },
  write: (v) => new Writer().u16(v.protocol).bytes(v.data).done(),
  show,
});

/** An octet that classifies the octets behind it: callback operation, endpoint class. */
export interface Classed {
  readonly class: number;
  readonly data: Uint8Array;
}

export const classed8: ValueCodec<Classed> = {
  read: (d) => {
    const r = new Reader(d);
    const c = r.u8();
    return r.overrun ? undefined : { class: c, data: r.rest() };
  },
  write: (v) => new Writer().u8(v.class).bytes(v.data).done(),
  show: (v) => [String(v.class), toHex(v.data)].filter((s) => s !== '').join(' '),
};
