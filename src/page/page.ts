/** The status page: asks the daemon every few seconds while somebody looks, and changes only what is different. */
import type { HistoryPoint } from '../daemon/history.js';
import type { Overview } from '../daemon/status-page.js';
import type { AttemptView } from '../daemon/timeline.js';
import type { SessionView } from '../daemon/view.js';
import { plot } from './plot.js';

const OVERVIEW_MS = 3_000;
const HISTORY_MS = 30_000;

const byId = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const rows = byId('rows');
const search = byId<HTMLInputElement>('search');

const ask = async <T>(path: string, init?: RequestInit): Promise<T> => {
  const res = await fetch(path, init);
  const value = (await res.json()) as T & { readonly error?: string };
  if (!res.ok) throw new Error(value.error ?? `HTTP ${res.status}`);
  return value;
};

/** Screen readers read what changes here: only what is different is written. */
const say = (id: string, text: string): void => {
  const place = byId(id);
  if (place.textContent !== text) place.textContent = text;
};

const make = (name: string, text = '', className = ''): HTMLElement => {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
};

// The state of the gateway

const showStatus = ({ status }: Overview): void => {
  const { state, reason, draining, version, sas, tunnels } = status;
  const trouble = draining === null ? reason : `draining: ${draining}`;
  byId('state').classList.toggle('bad', state !== 'listening' || draining !== null);
  say(
    'state',
    `${state}${trouble === null ? '' : ` (${trouble})`} · ${status.sessions} sessions, ${tunnels} tunnels, ${sas} SAs · ${version}`,
  );
};

// The sessions

const idOf = (s: SessionView): string => `${s.tunnelId}/${s.sessionId}`;

const cells = (s: SessionView): string[] => [
  s.address ?? '-',
  `${s.client.address}:${s.client.port}${s.client.hostName === '' ? '' : ` (${s.client.hostName})`}`,
  s.client.type,
  s.ike === null ? '-' : `#${s.ike.uniqueId} IKEv${s.ike.version} ${s.ike.cipher}`,
  s.child === null ? '-' : String(s.child.mark),
  s.upSince === null ? s.state : since(s.upSince),
  octets(s.octetsIn),
  octets(s.octetsOut),
];

const showSessions = ({ status, sessions, found }: Overview): void => {
  const shown = [...sessions].sort((a, b) => (a.user ?? '').localeCompare(b.user ?? ''));
  const old = new Map([...rows.children].map((row) => [(row as HTMLElement).dataset.id ?? '', row as HTMLElement]));
  const keep = new Set(shown.map(idOf));
  for (const [id, row] of old) if (!keep.has(id)) row.remove();
  shown.forEach((s, i) => {
    const row = old.get(idOf(s)) ?? newRow(s);
    const user = s.user ?? '-';
    const texts = [user, ...cells(s)];
    texts.forEach((text, n) => {
      const cell = row.children[n];
      if (cell !== undefined && cell.textContent !== text) cell.textContent = text;
    });
    row.querySelector('button')?.setAttribute('aria-label', `Disconnect ${user}, ${s.address ?? idOf(s)}`);
    // A row that stays where it is keeps the keyboard's focus.
    if (rows.children[i] !== row) rows.insertBefore(row, rows.children[i] ?? null);
  });
  const more = found > shown.length ? `, ${shown.length} of them shown` : '';
  say('found', search.value.trim() === '' && more === '' ? '' : `${found} of ${status.sessions}${more}`);
};

const newRow = (s: SessionView): HTMLElement => {
  const row = make('tr');
  row.dataset.id = idOf(s);
  const name = make('th');
  name.setAttribute('scope', 'row');
  row.append(name, ...cells(s).map((_, i) => make('td', '', i > 5 ? 'number' : '')));
  const button = make('button', 'Disconnect');
  button.addEventListener('click', () => disconnect(row.dataset.id ?? '', button.getAttribute('aria-label') ?? ''));
  const last = make('td');
  last.append(button);
  row.append(last);
  return row;
};

const disconnect = (target: string, what: string): void => {
  const dialog = byId<HTMLDialogElement>('ask');
  byId('ask-text').textContent = `${what}?`;
  // Not the dialogue's `close`: it comes late, and one of a dialogue cancelled before would answer for this one.
  byId<HTMLFormElement>('ask-form').onsubmit = ({ submitter }) => {
    if ((submitter as HTMLButtonElement | null)?.value !== 'yes') return;
    const headers = { 'content-type': 'application/json', 'x-lockstep': 'status-page' };
    ask('api/disconnect', { method: 'POST', headers, body: JSON.stringify({ target }) }).then(look, failed);
  };
  dialog.showModal();
};

// Failed attempts

const showFailed = ({ failed }: Overview): void => {
  const list = byId('failed');
  byId('no-failed').hidden = failed.length > 0;
  const old = new Map([...list.children].map((item) => [(item as HTMLElement).dataset.id ?? '', item]));
  list.replaceChildren(...failed.map((a) => old.get(`${a.id}.${a.steps.length}`) ?? attempt(a)));
};

const attempt = (a: AttemptView): HTMLElement => {
  const item = make('li');
  item.dataset.id = `${a.id}.${a.steps.length}`;
  const details = make('details');
  const summary = make('summary', `${when(a.steps.at(-1)?.at)} ${who(a)} `);
  summary.append(make('span', a.cause ?? '', 'cause'), ` at ${a.stage}`);
  const steps = make('ol');
  steps.append(
    ...a.steps.map((s) => make('li', `${when(s.at)}${s.at.slice(19, 23)}  ${s.stage.padEnd(4)}  ${s.text}`)),
  );
  details.append(summary, steps);
  if (a.reason !== null) details.append(make('p', `Why: ${a.reason}`));
  if (a.shows.length > 0) details.append(make('p', `The client shows: ${a.shows.join('; ')}`));
  if (a.advice !== null) details.append(make('p', `What to do: ${a.advice}`));
  item.append(details);
  return item;
};

const who = (a: AttemptView): string =>
  [a.peer ?? '?', a.user, a.hostName === null ? null : `(${a.hostName})`].filter((x) => x !== null).join(' ');

// The plots

const showHistory = (points: readonly HistoryPoint[]): void => {
  const times = points.map((p) => p.at);
  const column = (key: 'sessions' | 'in' | 'out') => points.map((p) => p[key]);
  const said = (key: 'sessions' | 'in' | 'out', show: (n: number) => string) =>
    `now ${show(column(key).at(-1) ?? 0)}, at most ${show(Math.max(0, ...column(key)))}`;
  const hours = `since ${when(times.length > 0 ? new Date(times[0] ?? 0).toISOString() : undefined)}`;
  const sessions = [{ name: 'count', values: column('sessions') }];
  byId('plot-sessions').replaceChildren(
    plot(times, sessions, String, `Sessions ${hours}: ${said('sessions', String)}`),
  );
  const rates = [
    { name: 'in', values: column('in') },
    { name: 'out', values: column('out') },
  ];
  const words = `Throughput ${hours}: from clients ${said('in', bits)}; to clients ${said('out', bits)}`;
  byId('plot-rate').replaceChildren(plot(times, rates, bits, words));
};

// How things are written

const scaled = (n: number, units: readonly string[]): string => {
  const power = n < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(n) / 3));
  const value = n / 1000 ** power;
  return `${value.toFixed(power === 0 || value >= 100 ? 0 : 1)} ${units[power]}`;
};
const octets = (n: number): string => scaled(n, ['B', 'kB', 'MB', 'GB', 'TB']);
const bits = (n: number): string => scaled(n, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s']);
const since = (at: string): string => {
  const minutes = Math.max(0, Math.floor((Date.now() - Date.parse(at)) / 60_000));
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24];
  return days > 0 ? `${days} d ${hours} h` : hours > 0 ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
};
const when = (at: string | undefined): string => (at === undefined ? 'now' : new Date(at).toTimeString().slice(0, 8));

// Asking

const failed = (error: Error): void => {
  byId('state').classList.add('bad');
  say('state', `no answer from lockstepd: ${error.message}`);
};

const look = async (): Promise<void> => {
  const wanted = search.value;
  const overview = await ask<Overview>(`api/overview?search=${encodeURIComponent(wanted)}`);
  if (search.value !== wanted) return; // typed on meanwhile: that has been asked for, too
  showStatus(overview);
  showSessions(overview);
  showFailed(overview);
};

const every = (ms: number, act: () => Promise<void>): void => {
  const go = () => {
    if (!document.hidden) act().catch(failed);
  };
  setInterval(go, ms);
  document.addEventListener('visibilitychange', go);
  go();
};

search.addEventListener('input', () => look().catch(failed));
every(OVERVIEW_MS, look);
every(HISTORY_MS, async () => showHistory(await ask<HistoryPoint[]>('api/history')));
