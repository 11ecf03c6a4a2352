/** Two endpoints over a bad link, many seeds: always established or a clean end, never stuck, nothing left behind. */
import t from 'tap';
import type { EndpointOut } from '../../../src/proto/l2tp/events.js';
import { noisy } from '../../lib/pair.js';
import { type Dialogue, dial, dialogue, find, toLac, toLns, tunnelOf } from './dialogue.js';

const SEEDS = 150;
const noises = [
  { loss: 0.05, duplicate: 0.05, reorder: 0.05 },
  { loss: 0.3, duplicate: 0.1, reorder: 0.1 },
  { loss: 0.1, duplicate: 0.3, reorder: 0.3 },
  { loss: 0.3, duplicate: 0.3, reorder: 0.3 },
];
const secret = () => Buffer.from('s');

/** Every open has at most one end, nothing happens to what never began, and gone follows down. */
function lawful(outs: readonly EndpointOut[]): string | undefined {
  const tunnels = new Map<number, string>();
  const sessions = new Map<string, string>();
  for (const o of outs) {
    if (o.type === 'note') continue;
    if (o.type === 'session-open' || o.type === 'session-up' || o.type === 'session-down') {
      // The answer to an open-session on a tunnel that is over already.
      if (o.session.sessionId === 0) continue;
      const key = `${o.session.tunnelId}/${o.session.sessionId}`;
      const was = sessions.get(key);
      const wants = {
        'session-open': [undefined],
        'session-up': ['session-open'],
        'session-down': [undefined, 'session-open', 'session-up'],
      };
      if (!(wants[o.type] as (string | undefined)[]).includes(was)) return `${key}: ${o.type} after ${was}`;
      if (o.type === 'session-down') sessions.delete(key);
      else sessions.set(key, o.type);
      if (tunnels.get(o.session.tunnelId) !== 'tunnel-up') return `${key}: ${o.type} without its tunnel`;
    } else if (o.type !== 'send') {
      const was = tunnels.get(o.tunnelId);
      const wants = {
        'tunnel-up': [undefined],
        'tunnel-down': [undefined, 'tunnel-up'],
        'tunnel-gone': ['tunnel-down'],
      };
      if (!(wants[o.type] as (string | undefined)[]).includes(was)) return `${o.tunnelId}: ${o.type} after ${was}`;
      const alive = [...sessions.keys()].some((k) => k.startsWith(`${o.tunnelId}/`));
      if (o.type === 'tunnel-down' && alive) return `${o.tunnelId}: down before its sessions`;
      if (o.type === 'tunnel-gone') tunnels.delete(o.tunnelId);
      else tunnels.set(o.tunnelId, o.type);
    }
  }
  return undefined;
}

function life(p: Dialogue): void {
  dial(p);
  p.run(45_000);
  const [up] = find(p.out.a, 'tunnel-up');
  if (!up) return;
  for (const ref of ['one', 'two']) p.input('a', { type: 'open-session', tunnelId: up.tunnelId, ref });
  p.run(45_000);
  const [first] = find(p.out.a, 'session-up');
  if (first) {
    const { tunnelId, sessionId } = first.session;
    p.input('a', { type: 'close-session', tunnelId, sessionId, result: { result: 3 } });
  }
  p.run(100_000);
}

for (const [n, noise] of noises.entries()) {
  t.test(`loss ${noise.loss}, duplicates ${noise.duplicate}, reordering ${noise.reorder}`, async (t) => {
    let reached = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const own = seed % 3 === 0 ? { lac: { secret }, lns: { secret } } : {};
      const p = dialogue({ seed, link: noisy(seed * 31 + n, noise), ...own });
      life(p);
      for (const side of ['a', 'b'] as const) {
        const broken = lawful(p.out[side]);
        if (broken) t.fail(`seed ${seed}, ${side}: ${broken}\n${p.trace.join('\n')}`);
        if (find(p.out[side], 'note').some((o) => o.event === 'l2tp.message.malformed'))
          t.fail(`seed ${seed}: malformed`);
      }
      const [up] = find(p.out.a, 'session-up');
      if (up) reached++;
      // Neither side may be between two states once every timer has had its turn.
      const refs = [...find(p.out.a, 'session-up'), ...find(p.out.a, 'session-down')].map((o) => o.ref);
      const ended = [...find(p.out.a, 'tunnel-up'), ...find(p.out.a, 'tunnel-down')];
      if (ended.length === 0) t.fail(`seed ${seed}: the dial had no outcome`);
      if (find(p.out.a, 'tunnel-up').length > 0 && !(refs.includes('one') && refs.includes('two'))) {
        t.fail(`seed ${seed}: a call had no outcome`);
      }
      if (p.lac.totals.halfOpen + p.lns.totals.halfOpen > 0) t.fail(`seed ${seed}: half-open for ever`);

      // The end: whatever is left goes within the bounds, on both sides.
      for (const o of find(p.out.a, 'tunnel-up')) {
        p.input('a', { type: 'close-tunnel', tunnelId: o.tunnelId, result: { result: 1 } });
      }
      p.run(300_000);
      const left = p.lac.totals.tunnels + p.lns.totals.tunnels + p.lac.totals.sessions + p.lns.totals.sessions;
      if (left > 0 || p.lac.nextTimeout() !== undefined || p.lns.nextTimeout() !== undefined) {
        t.fail(`seed ${seed}: ${left} left`);
      }
    }
    t.ok(reached > SEEDS * 0.5, `${reached} of ${SEEDS} seeds reached a session`);
    t.pass('no seed got stuck');
  });
}

t.test('a dead link: both ends find out and clean up', async (t) => {
  let dead = false;
  const p = dialogue({ link: () => (dead ? [] : [10]) });
  dial(p);
  p.run(100);
  p.input('a', { type: 'open-session', tunnelId: tunnelOf(p, 'a'), ref: 'call' });
  p.run(100);
  dead = true;
  p.run(100_000);
  for (const side of ['a', 'b'] as const) t.match(find(p.out[side], 'tunnel-down'), [{ by: 'timeout' }]);
  t.match([p.lac.totals, p.lns.totals], Array(2).fill({ tunnels: 0, sessions: 0 }));
});

t.test('both dial each other at once over a bad link, with and without tie breakers', async (t) => {
  for (let seed = 1; seed <= 100; seed++) {
    const tie = { tieBreaker: seed % 2 === 0 };
    const p = dialogue({ seed, link: noisy(seed, noises[1]!), lac: tie, lns: tie });
    p.input('a', { type: 'open-tunnel', path: toLns, ref: 'a' });
    p.input('b', { type: 'open-tunnel', path: toLac, ref: 'b' });
    p.run(400_000);
    for (const side of ['a', 'b'] as const) {
      const broken = lawful(p.out[side]);
      if (broken) t.fail(`seed ${seed}, ${side}: ${broken}`);
    }
    const left = p.lac.totals.tunnels + p.lns.totals.tunnels;
    if (left > 0) t.fail(`seed ${seed}: ${left} tunnels without a session are left`);
  }
  t.pass('no seed got stuck');
});
