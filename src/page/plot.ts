/** A line plot over time, as SVG; what it shows is also said in words, for those who do not see it. */

export interface Line {
  /** The class its colour comes from. */
  readonly name: string;
  readonly values: readonly number[];
}

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 600;
const HEIGHT = 140;
const TOP = 12;
const BOTTOM = 18;

/** `times` in ms since 1970, one per value, rising; `label` says in a sentence what is to be seen. */
export function plot(
  times: readonly number[],
  lines: readonly Line[],
  show: (n: number) => string,
  label: string,
): Element {
  const svg = element('svg', {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: 'img',
    'aria-label': label,
  });
  const [first = 0, last = 0] = [times[0], times.at(-1)];
  const top = ceiling(Math.max(...lines.flatMap((l) => l.values), 1));
  const x = (at: number) => (last > first ? ((at - first) / (last - first)) * WIDTH : WIDTH);
  const y = (n: number) => TOP + (1 - n / top) * (HEIGHT - TOP - BOTTOM);
  for (const n of [0, top]) svg.append(element('line', { class: 'grid', x1: 0, x2: WIDTH, y1: y(n), y2: y(n) }));
  svg.append(words(0, y(top) - 2, 'start', show(top)), words(0, HEIGHT - 4, 'start', clock(first)));
  svg.append(words(WIDTH, HEIGHT - 4, 'end', clock(last)));
  for (const { name, values } of lines) {
    const points = values.map((n, i) => `${x(times[i] ?? last).toFixed(1)},${y(n).toFixed(1)}`).join(' ');
    svg.append(element('polyline', { class: name, points, 'vector-effect': 'non-scaling-stroke' }));
  }
  return svg;
}

/** The next of 1, 2, 5, 10, 20, 50 ... */
export function ceiling(n: number): number {
  const power = 10 ** Math.floor(Math.log10(n));
  return power * ([1, 2, 5].find((step) => n <= step * power) ?? 10);
}

const element = (name: string, attributes: Readonly<Record<string, string | number>>): Element => {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
};

const words = (x: number, y: number, anchor: string, text: string): Element => {
  const made = element('text', { x, y, 'text-anchor': anchor });
  made.textContent = text;
  return made;
};

const clock = (at: number): string => (at === 0 ? '' : new Date(at).toTimeString().slice(0, 5));
