// How the benches measure: what is of interest and its limits run in turns in the same process, and medians are compared,
// so that a busy machine slows both and the ratio stays.

/** A median with the lowest and the highest of its rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** One line of a result: a figure, the limit of the same run, and how they relate. */
export interface Row {
  readonly what: string;
  readonly figure: string;
  readonly limit: string;
  readonly ratio: string;
}

export type Bench = () => Promise<readonly Row[]>;

/** Many short rounds: what disturbs the machine for a while hits some of them, not the median. */
const ROUNDS = 41;
const ROUND_MS = 5;

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: sorted[sorted.length >> 1]!, min: sorted[0]!, max: sorted[sorted.length - 1]! };
}

/** What a loop's result is added to, so that no call can be optimised away. */
let sink = 0;
export const consumed = (): number => sink;

/** Nanoseconds per call of each function in each turn, the functions taking turns. Each returns a number that depends on its work. */
export function nanoseconds<K extends string>(functions: Readonly<Record<K, () => number>>): Record<K, number[]> {
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
  return rounds;
}

function timed(run: () => number, count: number): number {
  const began = performance.now();
  for (let i = 0; i < count; i++) sink = (sink + run()) | 0;
  return performance.now() - began;
}

/** How many times as large `a` is as `b`: the median of the ratios of the turns. */
export const ratio = (a: readonly number[], b: readonly number[]): number =>
  spread(a.map((value, turn) => value / b[turn]!)).median;

/** `123 (100-150)` */
export const show = (s: Spread, digits = 0): string =>
  `${s.median.toFixed(digits)} (${s.min.toFixed(digits)}-${s.max.toFixed(digits)})`;
