/** Human tables for `lockstep`. */
import type { StatusView } from './control.js';
import type { SessionView } from './view.js';

/** Columns padded to their widest cell, two blanks between them. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)));
  return all
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
};

export const sessionsTable = (sessions: readonly SessionView[]): string => {
  if (sessions.length === 0) return 'no sessions';
  const head = [
    'USER',
    'ADDRESS',
    'CLIENT',
    'HOST',
    'IKE SA',
    'CHILD SA',
    'MARK',
    'TUNNEL/SESSION',
    'UP SINCE',
    'IN',
    'OUT',
  ];
  const rows = sessions.map((s) => [
    s.user ?? '-',
    s.address ?? '-',
    `${s.client.address}:${s.client.port}`,
    printable(s.client.hostName),
    s.ike === null ? '-' : `#${s.ike.uniqueId} IKEv${s.ike.version} ${s.ike.cipher}`,
    s.child === null ? '-' : `${s.child.spiIn}/${s.child.spiOut} ${s.child.cipher}${s.child.encap ? ' NAT-T' : ''}`,
    s.child === null ? '-' : String(s.child.mark),
    `${s.tunnelId}/${s.sessionId}`,
    s.upSince ?? s.state,
    octets(s.octetsIn),
    octets(s.octetsOut),
  ]);
  return table(head, rows);
};

export const statusText = (s: StatusView): string =>
  [
    `lockstepd ${s.version}: ${s.state}${s.reason === null ? '' : ` (${s.reason})`}`,
    `listening on: ${s.listen.join(', ') || 'nothing'}`,
    `tunnels: ${s.tunnels}, sessions: ${s.sessions}`,
  ].join('\n');

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

export const octets = (n: number): string => {
  let unit = 0;
  let value = n;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 ? `${n} B` : `${value.toFixed(1)} ${UNITS[unit]}`;
};

/** A peer's text must not move a terminal's cursor. */
const printable = (text: string): string =>
  [...text].map((c) => (/[\p{L}\p{N}\p{P}\p{S} ]/u.test(c) ? c : '?')).join('');
