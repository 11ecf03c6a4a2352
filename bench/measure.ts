// How the benches measure: what is of interest and its limits run in turns in the same process, and medians are compared,
// so that a busy machine slows both and the ratio stays.

/** A median with the lowest and the highest of its rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** One line of a result: the last column but one is the figure, the last its relation to the limit of the same run. */
export interface Row {
  readonly what: string;
  readonly figure: string;
  readonly limit: string;
  readonly ratio: string;
}

export type Bench = () => Promise<readonly Row[]>;

export const ROUNDS = 9;
const ROUND_MS = 20;

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: sorted[sorted.length >> 1]!, min: sorted[0]!, max: sorted[sorted.length - 1]! };
}

/** What a loop's result is added to, so that no call can be optimised away. */
let sink = 0;
export const consumed = (): number => sink;

/** Nanoseconds per call of each function, the functions taking turns. Each returns a number that depends on its work. */
export function nanoseconds<K extends string>(functions: Readonly<Record<K, () => number>>): Record<K, Spread> {
  const names = Object.keys(functions) as K[];
  const count = {} as Record<K, number>;
  const rounds = {} as Record<K, number[]>;
  for (const name of names) {
    rounds[name] = [];
    count[name] = 64;
    while (timed(functions[name], count[name]) < ROUND_MS) count[name] *= 2;
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of names) rounds[name].push((timed(functions[name], count[name]) * 1e6) / count[name]);
  }
  return Object.fromEntries(names.map((name) => [name, spread(rounds[name])])) as Record<K, Spread>;
}

function timed(run: () => number, count: number): number {
  const began = performance.now();
  for (let i = 0; i < count; i++) sink = (sink + run()) | 0;
  return performance.now() - began;
}

/** `123 (100-150)` */
export const show = (s: Spread, digits = 0): string =>
  `${s.median.toFixed(digits)} (${s.min.toFixed(digits)}-${s.max.toFixed(digits)})`;
