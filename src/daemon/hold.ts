/**
 * SCCRQ and child-updown travel on different descriptors, so a control packet may arrive before charon has told us of
 * its mark. It is held until the mark is confirmed: at most PER_MARK per mark, TOTAL in all, for MAX_AGE_MS.
 */
import type { Path } from '../proto/l2tp/events.js';

/* Implementation */
const PER_MARK = 4;
const TOTAL = 256;
const MAX_AGE_MS = 2_000;

interface Held {
  readonly path: Path;
  readonly data: Uint8Array;
  readonly until: number;
}

export class HoldQueue {
  readonly #byMark = new Map<number, Held[]>();
  #size = 0;
  /** Packets that found no room or grew too old. */
  dropped = 0;

  get size(): number {
    return this.#size;
  }

  hold(now: number, path: Path, data: Uint8Array): void {
    this.#expire(now);
    const held = this.#byMark.get(path.mark) ?? [];
    if (held.length >= PER_MARK || this.#size >= TOTAL) {
      this.dropped++;
      return;
    }
    // Copied: a view would keep the whole batch it came in.
    held.push({ path, data: new Uint8Array(data), until: now + MAX_AGE_MS });
    this.#byMark.set(path.mark, held);
    this.#size++;
  }

  /** The mark is confirmed: its packets in order of arrival, those still young enough. */
  release(now: number, mark: number): { path: Path; data: Uint8Array }[] {
    this.#expire(now);
    const held = this.#byMark.get(mark) ?? [];
    this.#byMark.delete(mark);
    this.#size -= held.length;
    return held;
  }

  /** The marks are not what they were: nothing of their time may be taken for their next holders'. */
  clear(): void {
    this.#byMark.clear();
    this.#size = 0;
  }

  #expire(now: number): void {
    for (const [mark, held] of this.#byMark) {
      const young = held.filter((h) => h.until > now);
      this.#size -= held.length - young.length;
      this.dropped += held.length - young.length;
      if (young.length === 0) this.#byMark.delete(mark);
      else this.#byMark.set(mark, young);
    }
  }
}
