/**
 * What strangers can cause must not fill a log: of lines about a peer that nobody has authenticated, so many of a kind for each
 * address in a while; the next line that passes says how many did not. Lines of users, and of level debug, all pass.
 */

import { Rate } from '../proto/l2tp/support.js';
import type { Instant } from '../proto/machine.js';
import type { Log } from './log.js';

/* Implementation */
const LINES = 20;
const WINDOW_MS = 10_000;
/** Kinds of line and addresses remembered; the oldest is forgotten for a new one. */
const MOST = 4_096;

export function limited(log: Log, now: () => Instant): Log {
  const rates = new Map<string, Rate>();
  const rateOf = (key: string): Rate => {
    const rate = rates.get(key) ?? new Rate(LINES, WINDOW_MS);
    rates.delete(key);
    rates.set(key, rate);
    if (rates.size > MOST) rates.delete(rates.keys().next().value!);
    return rate;
  };
  const at =
    (level: 'error' | 'warn' | 'info') =>
    (event: string, fields: object = {}): unknown => {
      const { remote, user } = fields as { remote?: unknown; user?: unknown };
      if (remote === undefined || (user !== undefined && event !== 'auth.failed')) return log[level](event, fields);
      const rate = rateOf(`${event} ${remote}`);
      if (!rate.take(now())) return undefined;
      const suppressed = rate.refused();
      return log[level](event, suppressed === 0 ? fields : { ...fields, suppressed });
    };
  return {
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    debug: (event, fields) => log.debug(event, fields),
  };
}
