/**
 * Bounded big-endian reader and writer: the only file of `wire/` that indexes bytes.
 *
 * A read past the end does not throw: it returns zeros and sets `overrun`, which a decoder checks once at its end
 * (or asks `left` first). Every decoder reads exactly its own slice.
 */
export class Reader {
  readonly #bytes: Uint8Array;
  #pos = 0;
  #overrun = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Octets not yet read. */
  get left(): number {
    return this.#bytes.length - this.#pos;
  }

  /** Octets read so far. */
  get at(): number {
    return this.#pos;
  }

  /** True once a read asked for more than there was. */
  get overrun(): boolean {
    return this.#overrun;
  }

  u8(): number {
    if (!this.#has(1)) return 0;
    return this.#bytes[this.#pos++]!;
  }

  u16(): number {
    if (!this.#has(2)) return 0;
    const p = this.#pos;
    this.#pos += 2;
    return (this.#bytes[p]! << 8) | this.#bytes[p + 1]!;
  }

  u32(): number {
    if (!this.#has(4)) return 0;
    const hi = this.u16();
    return hi * 0x10000 + this.u16();
  }

  u64(): bigint {
    if (!this.#has(8)) return 0n;
    const hi = BigInt(this.u32());
    return (hi << 32n) | BigInt(this.u32());
  }

  /** The next `n` octets as a view (not a copy); an empty view when there are fewer. */
  bytes(n: number): Uint8Array {
    if (!this.#has(n)) return new Uint8Array(0);
    const p = this.#pos;
    this.#pos += n;
    return this.#bytes.subarray(p, p + n);
  }

  /** All that is left, as a view. */
  rest(): Uint8Array {
    return this.bytes(this.left);
  }

  skip(n: number): void {
    if (this.#has(n)) this.#pos += n;
  }

  #has(n: number): boolean {
    if (n >= 0 && n <= this.left) return true;
    this.#overrun = true;
    this.#pos = this.#bytes.length;
    return false;
  }
}

/** Growing big-endian writer. Values wider than their field are our bug and are masked, never spilled. */
export class Writer {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity = 128) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  u8(v: number): this {
    this.#grow(1);
    this.#bytes[this.#length++] = v & 0xff;
    return this;
  }

  u16(v: number): this {
    return this.u8(v >>> 8).u8(v);
  }

  u32(v: number): this {
    return this.u16((v >>> 16) & 0xffff).u16(v & 0xffff);
  }

  u64(v: bigint): this {
    return this.u32(Number((v >> 32n) & 0xffffffffn)).u32(Number(v & 0xffffffffn));
  }

  bytes(b: Uint8Array): this {
    this.#grow(b.length);
    this.#bytes.set(b, this.#length);
    this.#length += b.length;
    return this;
  }

  /** Overwrites two octets already written, e.g. a length known only now. */
  patch16(at: number, v: number): this {
    this.#bytes[at] = (v >>> 8) & 0xff;
    this.#bytes[at + 1] = v & 0xff;
    return this;
  }

  /** A copy of what was written. */
  done(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #grow(n: number): void {
    const need = this.#length + n;
    if (need <= this.#bytes.length) return;
    const bigger = new Uint8Array(Math.max(need, this.#bytes.length * 2));
    bigger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bigger;
  }
}

export const toHex = (b: Uint8Array): string => Buffer.from(b.buffer, b.byteOffset, b.byteLength).toString('hex');
export const fromHex = (s: string): Uint8Array => new Uint8Array(Buffer.from(s.replace(/\s+/g, ''), 'hex'));

/** Octet-wise equality; not constant time: use node:crypto's timingSafeEqual for secrets. */
export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((x, i) => x === b[i]);
