/** What something costs, without a clock: how many elements of Maps and Sets it visits. */

/** Counts the steps of all iterators over Maps and Sets while `act` runs; lookups count nothing. */
export function mapSteps(act: () => void): number {
  const iterators: { next: () => unknown }[] = [new Map(), new Set()].map((all) => Object.getPrototypeOf(all.values()));
  const real = iterators.map(({ next }) => next);
  let steps = 0;
  for (const [i, iterator] of iterators.entries())
    iterator.next = function (this: unknown) {
      steps++;
      return real[i]!.call(this);
    };
  try {
    act();
  } finally {
    for (const [i, iterator] of iterators.entries()) iterator.next = real[i]!;
  }
  return steps;
}
