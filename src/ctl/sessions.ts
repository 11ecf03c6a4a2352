/** `lockstep sessions` and `lockstep session <id>`: who is connected, and everything about one of them. */
import type { SessionView } from '../daemon/view.js';
import type { AddCommand } from './program.js';
import { UsageError } from './shell.js';
import { octets, paint, pairs, printable, table } from './table.js';

/** Octets per second, in and out; absent in a first look. */
export interface Rate {
  readonly in: number;
  readonly out: number;
}

export const addSessions: AddCommand = (program, { call, print, terminal, color, wait }) => {
  program
    .command('sessions')
    .description('user, inner and outer address, client, IKE SA, CHILD_SA and mark, cipher, up since, octets, rate')
    .option('--json', 'as JSON; with --watch one line each time')
    .option('-w, --watch [seconds]', 'again and again, with rates')
    .action(async (o: { json?: boolean; watch?: string | true }) => {
      const period = o.watch === undefined ? undefined : seconds(o.watch === true ? '2' : o.watch);
      let before: Look | undefined;
      do {
        const look: Look = { at: Date.now(), sessions: (await call('GET', '/sessions')) as SessionView[] };
        const rates = before === undefined ? undefined : ratesOf(before, look);
        if (o.json === true) print(JSON.stringify(period === undefined ? look.sessions : withRates(look, rates)));
        else {
          const text = sessionsTable(look.sessions, { color, ...(period === undefined ? {} : { rates }) });
          print(period !== undefined && terminal ? `${CLEAR}${text}` : text);
        }
        before = look;
      } while (period !== undefined && (await wait(period)));
    });
};

export const addSession: AddCommand = (program, { call, print, color }) => {
  program
    .command('session <id>')
    .description('everything about one session: `tunnel/session`, a session id, a user or an address')
    .option('--json', 'as JSON')
    .action(async (id: string, o: { json?: boolean }) => {
      const found = ((await call('GET', '/sessions')) as SessionView[]).filter((s) => names(s).includes(id));
      if (found.length > 1)
        throw new UsageError(`${id} names ${found.length} sessions: ${found.map(idOf).join(', ')}; give one of these`);
      const [session] = found;
      if (session === undefined) throw new Error(`${id}: no such user, address or session is connected`);
      print(o.json === true ? JSON.stringify(session) : sessionText(session, color));
    });
};

interface Look {
  readonly at: number;
  readonly sessions: readonly SessionView[];
}

const CLEAR = '\u001b[H\u001b[2J\u001b[3J';

const seconds = (text: string): number => {
  const n = Number(text);
  if (!Number.isFinite(n) || n < 1 || n > 3600) throw new UsageError(`--watch: ${text} is not a number from 1 to 3600`);
  return n * 1000;
};

const idOf = (s: SessionView) => `${s.tunnelId}/${s.sessionId}`;
const names = (s: SessionView) => [idOf(s), String(s.sessionId), s.user, s.address, s.client.address];

const ratesOf = (before: Look, now: Look): Map<string, Rate> => {
  const elapsed = Math.max(1, now.at - before.at) / 1000;
  const old = new Map(before.sessions.map((s) => [idOf(s), s]));
  return new Map(
    now.sessions.flatMap((s) => {
      const was = old.get(idOf(s));
      // The same ids with fewer octets: another session by now.
      if (was === undefined || s.octetsIn < was.octetsIn || s.octetsOut < was.octetsOut) return [];
      const rate = { in: (s.octetsIn - was.octetsIn) / elapsed, out: (s.octetsOut - was.octetsOut) / elapsed };
      return [[idOf(s), rate] as const];
    }),
  );
};

const withRates = (look: Look, rates: ReadonlyMap<string, Rate> | undefined) =>
  look.sessions.map((s) => {
    const rate = rates?.get(idOf(s));
    return { ...s, rateIn: rate?.in ?? null, rateOut: rate?.out ?? null };
  });

export interface TableOptions {
  readonly color?: boolean;
  /** Present, even if undefined: with columns for rates. */
  readonly rates?: ReadonlyMap<string, Rate> | undefined;
}

export const sessionsTable = (sessions: readonly SessionView[], options: TableOptions = {}): string => {
  if (sessions.length === 0) return 'no sessions';
  const { color = false, rates } = options;
  const watched = 'rates' in options;
  const head = ['USER', 'ADDRESS', 'CLIENT', 'TYPE', 'HOST', 'IKE SA', 'CHILD SA', 'MARK', 'TUNNEL/SESSION'];
  const rate = (s: SessionView, way: keyof Rate) => {
    const r = rates?.get(idOf(s));
    return r === undefined ? '-' : `${octets(Math.round(r[way]))}/s`;
  };
  const rows = sessions.map((s) => [
    printable(s.user ?? '-'),
    s.address ?? '-',
    `${s.client.address}:${s.client.port}`,
    s.client.type,
    printable(s.client.hostName),
    ikeText(s),
    childText(s),
    s.child === null ? '-' : String(s.child.mark),
    idOf(s),
    s.upSince ?? s.state,
    octets(s.octetsIn),
    octets(s.octetsOut),
    ...(watched ? [rate(s, 'in'), rate(s, 'out')] : []),
  ]);
  const text = table([...head, 'UP SINCE', 'IN', 'OUT', ...(watched ? ['IN/S', 'OUT/S'] : [])], rows);
  const [first = '', ...rest] = text.split('\n');
  return [paint(first, 'bold', color), ...rest].join('\n');
};

const ikeText = ({ ike }: SessionView): string =>
  ike === null ? '-' : `#${ike.uniqueId} IKEv${ike.version} ${ike.cipher}`;

const childText = ({ child }: SessionView): string =>
  child === null ? '-' : `${child.spiIn}/${child.spiOut} ${child.cipher}${child.encap ? ' NAT-T' : ''}`;

export const sessionText = (s: SessionView, color = false): string =>
  pairs([
    ['session', `${idOf(s)} ${paint(s.state, s.state === 'up' ? 'green' : 'yellow', color)}`],
    ['user', printable(s.user ?? '-')],
    ['address', s.address ?? '-'],
    ...s.ipv6.map((prefix): [string, string] => ['IPv6', prefix]),
    ['up since', s.upSince ?? '-'],
    ['client', `${s.client.address}, port ${s.client.port}`],
    ['client type', `${s.client.type} (a guess)`],
    ['client name', printable(s.client.hostName)],
    ['IKE SA', ikeText(s)],
    ['IKE identity', s.ike === null ? '-' : printable(s.ike.remoteId)],
    ['IKE SA renewed', s.ike?.renews ?? '-'],
    ['CHILD_SA', childText(s)],
    ['CHILD_SA expires', s.child?.expires ?? '-'],
    ['mark', s.child === null ? '-' : String(s.child.mark)],
    ['MTU', String(s.mtu)],
    ['in', `${octets(s.octetsIn)} in ${s.packetsIn} packets`],
    ['out', `${octets(s.octetsOut)} in ${s.packetsOut} packets`],
    ...Object.entries(s.drops)
      .filter(([, n]) => n > 0)
      .map(([why, n]): [string, string] => [`dropped: ${why}`, String(n)]),
  ]);
