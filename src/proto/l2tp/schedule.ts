/** Deadlines of very many machines: a binary heap with lazy deletion, so that a packet costs O(log n), not a scan. */
import type { Instant } from '../machine.js';

interface Entry<T> {
  readonly at: Instant;
  readonly item: T;
}

/**
 * Each item has at most one valid entry: the one `#armed` names. A deadline that moves away leaves the earlier entry in
 * place (the item is woken early, which is harmless); one that moves closer adds an entry and orphans the other.
 */
export class Schedule<T> {
  readonly #heap: Entry<T>[] = [];
  readonly #armed = new Map<T, Instant>();

  /** Wake `item` no later than `at`. */
  arm(item: T, at: Instant | undefined): void {
    const armed = this.#armed.get(item);
    if (at === undefined || (armed !== undefined && armed <= at)) return;
    this.#armed.set(item, at);
    this.#push({ at, item });
  }

  forget(item: T): void {
    this.#armed.delete(item);
  }

  /** The earliest time an item must be woken. */
  next(): Instant | undefined {
    for (let top = this.#heap[0]; top; top = this.#heap[0]) {
      if (this.#armed.get(top.item) === top.at) return top.at;
      this.#pop();
    }
    return undefined;
  }

  /** Disarms and returns one item due at `now`. */
  take(now: Instant): T | undefined {
    const at = this.next();
    if (at === undefined || at > now) return undefined;
    const { item } = this.#pop();
    this.#armed.delete(item);
    return item;
  }

  #push(entry: Entry<T>): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(entry);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (heap[parent]!.at <= entry.at) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = entry;
  }

  /** Only for a heap that is not empty. */
  #pop(): Entry<T> {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let i = 0;
    for (let child = 1; child < heap.length; child = 2 * i + 1) {
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child++;
      if (heap[child]!.at >= last.at) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
    return top;
  }
}
