// How long a gateway takes to answer control while it drowns in data: a repeated L2TP message, which is acknowledged at once
// (RFC 2661 §5.8), and an LCP Echo-Request (RFC 1661 §5.8). Asked by the client whose data it is, and by another one.
import type { Question } from './lac.js';
import { type Bench, type Row, show, spread } from './measure.js';
import { Net, pause } from './net.js';
import { flow } from './raw.js';
import { ground, open, packets, prepare, type Target } from './targets.js';

const ROUNDS = 5;
const ASKS = 40;
const EVERY_MS = 25;
const FLOWS = 64;
const SECONDS = (ASKS * EVERY_MS) / 1_000 + 1;
const WARM_UP_MS = 300;
/** What a question counts that was not answered at all. */
const LOST_MS = 1_000;
const TWO = { tunnels: 2, sessions: 1, parallel: 1, auth: 'pap' } as const;

const QUESTIONS: Readonly<Record<Question, string>> = { hello: 'acknowledgement', echo: 'LCP Echo-Reply' };
/** Which of the two clients asks; the data is the first one's. */
const CASES = [
  ['idle', 0, 'idle'],
  ['up', 0, 'flood of 64-byte packets up, its own'],
  ['up', 1, "flood of 64-byte packets up, another client's"],
  ['down', 0, 'flood of 64-byte packets down, its own'],
  ['down', 1, "flood of 64-byte packets down, another client's"],
] as const;

export const controlLatency: Bench = async () => {
  const net = new Net();
  try {
    prepare(net);
    ground(net);
    const target = await open(net, 'lockstep', 1);
    const { sessions } = await target.setUp(TWO);
    const rows: Row[] = [];
    for (const question of ['hello', 'echo'] as const) {
      let idle = '-';
      for (const [load, client, what] of CASES) {
        const flows =
          load === 'idle' ? [] : Array.from({ length: FLOWS }, (_, i) => flow(target, load, sessions[0]!, i));
        const rounds: number[][] = [];
        for (let n = 0; n < ROUNDS; n++) {
          rounds.push(await beside(net, load, flows, () => target.ask(client, question, ASKS, EVERY_MS)));
        }
        const sorted = rounds.map((r) => r.map((ms) => (ms < 0 ? LOST_MS : ms)).sort((a, b) => a - b));
        const at = (part: number) => show(spread(sorted.map((r) => r[Math.floor(r.length * part)]!)), 1);
        const lost = rounds.flat().filter((ms) => ms < 0).length;
        const figure = `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`;
        rows.push({
          what: `${QUESTIONS[question]}, ${what}`,
          figure: `${figure}, ${lost} of ${ROUNDS * ASKS} lost`,
          limit: idle,
          ratio: 'target: p99 under 100 ms',
        });
        if (load === 'idle') idle = `idle: ${figure}`;
      }
    }
    return rows;
  } finally {
    net.close();
  }
};

async function beside(
  net: Net,
  load: 'idle' | 'up' | 'down',
  flows: readonly string[],
  ask: () => ReturnType<Target['ask']>,
): Promise<number[]> {
  if (load === 'idle') return ask();
  const generator = net.start(load === 'up' ? 'client' : 'server', packets(net), 'flood', String(SECONDS));
  const over = new Promise((resolve) => generator.once('exit', resolve));
  generator.stdin!.end(flows.join(''));
  await pause(WARM_UP_MS);
  const answered = await ask();
  await over;
  return answered;
}
