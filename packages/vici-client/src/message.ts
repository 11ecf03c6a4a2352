/**
 * The message layer: a tree of sections, key/values and lists, as elements in the order they were sent. Pure. Read
 * "Message format" in the strongSwan VICI README first.
 */
import { type Decoded, InvalidMessage, type Malformed } from './errors.js';

/* Specification */
export const ELEMENT = {
  SECTION_START: 1,
  SECTION_END: 2,
  KEY_VALUE: 3,
  LIST_START: 4,
  LIST_ITEM: 5,
  LIST_END: 6,
} as const;
/** Octets of a name: its length field has 8 bits. */
export const NAME_LIMIT = 0xff;
/** Octets of a value: its length field has 16 bits. */
export const VALUE_LIMIT = 0xffff;

/* Implementation */
/** "Nested to arbitrary levels"; charon uses 5. Bounded so that no message can exhaust the stack. */
export const DEPTH_LIMIT = 64;

export type Element =
  | { readonly kind: 'value'; readonly name: string; readonly value: Uint8Array }
  | { readonly kind: 'list'; readonly name: string; readonly items: readonly Uint8Array[] }
  | { readonly kind: 'section'; readonly name: string; readonly section: Section };

/** Numbers are sent in decimal, booleans as `yes` and `no`, strings as UTF-8, octets as they are. */
export type ValueInput = string | number | bigint | boolean | Uint8Array;
/** An array is a list, an object or Map a section. Undefined is left out. */
export type ElementInput = ValueInput | readonly ValueInput[] | SectionInput | undefined;
/** Plain objects put integer-like names ("10") first: use a Map where such names need an order. */
export type SectionInput = Section | ReadonlyMap<string, ElementInput> | { readonly [name: string]: ElementInput };

/** A message as plain data; see {@link Section.toStrings}. */
export interface Strings {
  [name: string]: string | string[] | Strings;
}

const text = (octets: Uint8Array): string =>
  Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength).toString('utf8');

/**
 * A message, or a section in it. Names are one character per octet (VICI says ASCII), values are octets. Names should
 * be unique, but are not trusted to be: everything is kept in order, and the accessors answer with the first.
 */
export class Section {
  readonly #elements: readonly Element[];
  constructor(elements: readonly Element[] = []) {
    this.#elements = elements;
  }

  /** Builds a message from plain data. Throws {@link InvalidMessage} for what is neither value, list nor section. */
  static from(input: SectionInput): Section {
    return build(input, '', 0);
  }

  get elements(): readonly Element[] {
    return this.#elements;
  }

  /** The value of a key as octets. */
  bytes(name: string): Uint8Array | undefined {
    return this.#find('value', name)?.value;
  }

  /** The value of a key as UTF-8 text. */
  text(name: string): string | undefined {
    const value = this.bytes(name);
    return value && text(value);
  }

  /** The items of a list as UTF-8 text; {@link items} gives octets. */
  list(name: string): string[] | undefined {
    return this.items(name)?.map(text);
  }

  items(name: string): readonly Uint8Array[] | undefined {
    return this.#find('list', name)?.items;
  }

  section(name: string): Section | undefined {
    return this.#find('section', name)?.section;
  }

  /** All sub-sections in order with their names, those of one name included. */
  sections(): [name: string, section: Section][] {
    return this.#elements.flatMap((e): [string, Section][] => (e.kind === 'section' ? [[e.name, e.section]] : []));
  }

  /** Plain data for logs and tests, all values as text. A repeated name becomes `name#2`, `name#3`... */
  toStrings(): Strings {
    const out = new Map<string, string | string[] | Strings>();
    for (const e of this.#elements) {
      let name = e.name;
      for (let n = 2; out.has(name); n++) name = `${e.name}#${n}`;
      out.set(name, e.kind === 'value' ? text(e.value) : e.kind === 'list' ? e.items.map(text) : e.section.toStrings());
    }
    return Object.fromEntries(out); // defines own properties, so a peer's `__proto__` is only a name
  }

  /** Printed without values: a message may hold a key. Use {@link toStrings} to see them. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    const shape = (s: Section): string =>
      s.#elements
        .map((e) => (e.kind === 'value' ? e.name : e.kind === 'list' ? `${e.name}[${e.items.length}]` : nested(e)))
        .join(' ');
    const nested = (e: { name: string; section: Section }) => `${e.name}{${shape(e.section)}}`;
    return `Section{${shape(this)}}`;
  }

  #find<K extends Element['kind']>(kind: K, name: string): Extract<Element, { kind: K }> | undefined {
    for (const e of this.#elements) if (e.kind === kind && e.name === name) return e as Extract<Element, { kind: K }>;
    return undefined;
  }
}

/** Octets to a message. Every valid encoding has one form: `encodeMessage(decodeMessage(b).value)` is `b` again. */
export function decodeMessage(octets: Uint8Array): Decoded<Section> {
  const r = new Cursor(octets);
  const open: { name: string; elements: Element[] }[] = [];
  let elements: Element[] = [];
  let list: { name: string; items: Uint8Array[] } | undefined;
  while (r.at < octets.length) {
    const at = r.at;
    const type = r.number(1);
    if (list !== undefined && type !== ELEMENT.LIST_ITEM && type !== ELEMENT.LIST_END)
      return malformed(at, 'only LIST_ITEM and LIST_END may follow in a list');
    switch (type) {
      case ELEMENT.SECTION_START:
        if (open.length === DEPTH_LIMIT) return malformed(at, `sections deeper than ${DEPTH_LIMIT}`);
        open.push({ name: r.name(), elements });
        elements = [];
        break;
      case ELEMENT.SECTION_END: {
        const parent = open.pop();
        if (parent === undefined) return malformed(at, 'SECTION_END without SECTION_START');
        parent.elements.push({ kind: 'section', name: parent.name, section: new Section(elements) });
        elements = parent.elements;
        break;
      }
      case ELEMENT.KEY_VALUE:
        elements.push({ kind: 'value', name: r.name(), value: r.value() });
        break;
      case ELEMENT.LIST_START:
        list = { name: r.name(), items: [] };
        break;
      case ELEMENT.LIST_ITEM:
        if (list === undefined) return malformed(at, 'LIST_ITEM outside a list');
        list.items.push(r.value());
        break;
      case ELEMENT.LIST_END:
        if (list === undefined) return malformed(at, 'LIST_END without LIST_START');
        elements.push({ kind: 'list', ...list });
        list = undefined;
        break;
      default:
        return malformed(at, 'unknown element type');
    }
    if (r.overrun) return malformed(at, 'element ends after the message');
  }
  if (list !== undefined) return malformed(r.at, 'list not closed');
  if (open.length > 0) return malformed(r.at, 'section not closed');
  return { ok: true, value: new Section(elements) };
}

/** A message to octets. Throws {@link InvalidMessage}, naming the key and never the value. */
export function encodeMessage(message: Section): Uint8Array {
  const out: Uint8Array[] = [];
  const head = (type: number, name: string, path: string) => out.push(Uint8Array.of(type), encodeName(name, path));
  const value = (octets: Uint8Array, path: string) => {
    if (octets.length > VALUE_LIMIT)
      throw new InvalidMessage(`vici: the value of ${path} has ${octets.length} octets, ${VALUE_LIMIT} are allowed`);
    out.push(Uint8Array.of(octets.length >> 8, octets.length & 0xff), octets);
  };
  const section = (s: Section, path: string, depth: number) => {
    if (depth > DEPTH_LIMIT) throw new InvalidMessage(`vici: ${path} is nested deeper than ${DEPTH_LIMIT} sections`);
    for (const e of s.elements) {
      const here = join(path, e.name);
      switch (e.kind) {
        case 'value':
          head(ELEMENT.KEY_VALUE, e.name, here);
          value(e.value, here);
          break;
        case 'list':
          head(ELEMENT.LIST_START, e.name, here);
          for (const item of e.items) {
            out.push(Uint8Array.of(ELEMENT.LIST_ITEM));
            value(item, here);
          }
          out.push(Uint8Array.of(ELEMENT.LIST_END));
          break;
        case 'section':
          head(ELEMENT.SECTION_START, e.name, here);
          section(e.section, here, depth + 1);
          out.push(Uint8Array.of(ELEMENT.SECTION_END));
          break;
      }
    }
  };
  section(message, '', 0);
  return Buffer.concat(out);
}

/** Length octet and name; packets use the same form for command and event names. */
export function encodeName(name: string, path = name): Uint8Array {
  if (name.length > NAME_LIMIT || /[^\0-\xff]/.test(name))
    throw new InvalidMessage(`vici: the name ${path} must have at most ${NAME_LIMIT} octets, ASCII only`);
  return Buffer.concat([Uint8Array.of(name.length), Buffer.from(name, 'latin1')]);
}

/** Bounded big-endian reader: a read past the end gives nothing and sets `overrun`. Shared with the packet layer. */
export class Cursor {
  at = 0;
  overrun = false;
  readonly #octets: Uint8Array;
  constructor(octets: Uint8Array) {
    this.#octets = octets;
  }
  take(length: number): Uint8Array {
    if (length > this.#octets.length - this.at) {
      this.overrun = true;
      length = 0;
    }
    this.at += length;
    return this.#octets.subarray(this.at - length, this.at);
  }
  number(length: number): number {
    return this.take(length).reduce((n, octet) => n * 0x100 + octet, 0);
  }
  /** Latin-1 keeps every octet, and is ASCII for what the README allows. */
  name(): string {
    const octets = this.take(this.number(1));
    return Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength).toString('latin1');
  }
  value(): Uint8Array {
    return this.take(this.number(2));
  }
  rest(): Uint8Array {
    return this.take(this.#octets.length - this.at);
  }
}

export const malformed = (at: number, why: string): Malformed => ({ ok: false, at, why });

const join = (path: string, name: string) => (path === '' ? name : `${path}.${name}`);

function build(input: SectionInput, path: string, depth: number): Section {
  if (input instanceof Section) return input;
  if (depth > DEPTH_LIMIT) throw new InvalidMessage(`vici: ${path} is nested deeper than ${DEPTH_LIMIT} sections`);
  const entries = input instanceof Map ? [...input] : Object.entries(input);
  return new Section(
    entries.flatMap(([name, given]: [string, ElementInput]): Element[] => {
      const here = join(path, name);
      if (given === undefined) return [];
      if (Array.isArray(given)) return [{ kind: 'list', name, items: given.map((item) => octetsOf(item, here)) }];
      if (typeof given === 'object' && given !== null && !(given instanceof Uint8Array))
        return [{ kind: 'section', name, section: build(given as SectionInput, here, depth + 1) }];
      return [{ kind: 'value', name, value: octetsOf(given as ValueInput, here) }];
    }),
  );
}

function octetsOf(value: ValueInput, path: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  switch (typeof value) {
    case 'string':
      return Buffer.from(value, 'utf8');
    case 'boolean':
      return Buffer.from(value ? 'yes' : 'no');
    case 'number':
    case 'bigint':
      if (typeof value === 'bigint' || Number.isFinite(value)) return Buffer.from(String(value));
      break;
  }
  throw new InvalidMessage(`vici: ${path} must be text, a number, a boolean, octets, a list of these, or a section`);
}
