/** `lockstep trace`: each attempt to connect, step by step, and why it ended; past ones, and live with --follow. */
import type { AttemptView, StepView, TraceView } from '../daemon/timeline.js';
import type { AddCommand } from './program.js';
import { UsageError } from './shell.js';
import { paint, printable } from './table.js';

interface Options {
  readonly follow?: boolean;
  readonly limit: string;
  readonly json?: boolean;
}

const POLL_MS = 1000;

export const addTrace: AddCommand = (program, { call, print, color, wait }) => {
  program
    .command('trace [peer]')
    .description('the timeline of each attempt: stage, cause, advice; of one address, user, host name or attempt')
    .option('-f, --follow', 'go on with what happens, step by step')
    .option('-n, --limit <count>', 'the newest so many attempts', '20')
    .option('--json', 'as JSON; with --follow one line per attempt with its new steps')
    .action(async (peer: string | undefined, o: Options) => {
      if (!/^\d{1,4}$/.test(o.limit) || Number(o.limit) < 1)
        throw new UsageError(`--limit: ${o.limit} is not a number from 1 to 9999`);
      const ask = async (more: Record<string, string>) => {
        const query = new URLSearchParams({ ...(peer === undefined ? {} : { peer }), ...more });
        return (await call('GET', `/trace?${query}`)) as TraceView;
      };
      let trace = await ask({ limit: o.limit });
      if (o.json === true) print(o.follow === true ? lines(trace) : JSON.stringify(trace.attempts));
      else print(traceText(trace.attempts, color));
      while (o.follow === true && (await wait(POLL_MS))) {
        const { seq } = trace;
        trace = await ask({ after: String(seq), limit: '1000' });
        // A daemon that was restarted counts from the beginning.
        if (trace.seq < seq) trace = await ask({ limit: '1000' });
        if (trace.attempts.length > 0) print(o.json === true ? lines(trace) : liveText(trace.attempts, color));
      }
    });
};

const lines = (trace: TraceView): string => trace.attempts.map((a) => JSON.stringify(a)).join('\n');

export const traceText = (attempts: readonly AttemptView[], color = false): string =>
  attempts.length === 0 ? 'no attempts' : attempts.map((a) => attemptText(a, color)).join('\n\n');

const attemptText = (a: AttemptView, color: boolean): string =>
  [headText(a, color), ...a.steps.map((s) => `  ${stepText(s)}`), ...outcome(a, color).map((l) => `  ${l}`)].join('\n');

const liveText = (attempts: readonly AttemptView[], color: boolean): string =>
  attempts
    .flatMap((a) => {
      const steps = a.steps.map((s) => `${stepText(s)}`);
      return [...steps, ...(a.state === 'up' ? [] : outcome(a, color))].map((l) => `#${a.id} ${whoText(a)}  ${l}`);
    })
    .join('\n');

const headText = (a: AttemptView, color: boolean): string => {
  const [begun = ''] = a.steps.map((s) => s.at);
  const how = a.state === 'ended' && a.stage !== 'up' ? `ended at ${a.stage}` : a.state;
  const tint = a.state === 'up' ? 'green' : a.state === 'ended' && a.shows.length > 0 ? 'red' : 'yellow';
  return `#${a.id} ${whoText(a)}  ${begun}  ${paint(how, tint, color)}`;
};

const whoText = (a: AttemptView): string =>
  printable(
    [a.peer ?? '?', a.user, a.hostName === null ? null : `(${a.hostName})`].filter((x) => x !== null).join(' '),
  );

const stepText = (s: StepView): string => `${s.at.slice(11, 23)}  ${s.stage.padEnd(4)}  ${printable(s.text)}`;

const outcome = (a: AttemptView, color: boolean): string[] =>
  a.cause === null
    ? []
    : [
        `why:   ${paint(a.cause, 'bold', color)}${a.reason === null ? '' : `: ${printable(a.reason)}`}`,
        ...(a.shows.length === 0 ? [] : [`shows: ${a.shows.join('; ')}`]),
        ...(a.advice === null ? [] : [`do:    ${printable(a.advice)}`]),
      ];
