/** Several values under a key. Mostly there is one, and a Set for each would be what takes the most memory. */
export class Multimap<K, V extends object> {
  readonly #map = new Map<K, V | Set<V>>();

  add(key: K, value: V): void {
    const there = this.#map.get(key);
    if (there === undefined) this.#map.set(key, value);
    else if (there instanceof Set) there.add(value);
    else if (there !== value) this.#map.set(key, new Set([there, value]));
  }

  remove(key: K, value: V): void {
    const there = this.#map.get(key);
    if (there instanceof Set) there.delete(value);
    if (there === value || (there instanceof Set && there.size === 0)) this.#map.delete(key);
  }

  count(key: K): number {
    const there = this.#map.get(key);
    return there === undefined ? 0 : there instanceof Set ? there.size : 1;
  }

  /** Those of `key` as they are now. */
  of(key: K): V[] {
    const there = this.#map.get(key);
    return there === undefined ? [] : there instanceof Set ? [...there] : [there];
  }
}
