/** The fields of log events: the same names for the same facts everywhere. */
import type { SessionCounters } from '../io/dataplane.js';
import type { IkeEvent } from '../io/ports.js';
import type { EndpointOut } from '../proto/l2tp/events.js';
import { never } from '../wire/result.js';
import { adviceFor, byPeer, type EndCause, isFailure } from './advice.js';
import type { Session } from './registry.js';
import type { MarkInfo } from './sa-registry.js';

export const idFields = (s: Session) => ({
  tunnelId: s.ids.tunnelId,
  sessionId: s.ids.sessionId,
  mark: s.tunnel.path.mark,
  user: s.user,
});

export const peerFields = (path: { mark: number; remote: string; remotePort: number }) => ({
  remote: path.remote,
  remotePort: path.remotePort,
  mark: path.mark,
});

export const ikeFields = (sa: MarkInfo) => ({
  ike: sa.ike.uniqueId,
  remote: sa.ike.remoteHost,
  remotePort: sa.ike.remotePort,
  remoteId: sa.ike.remoteId,
  cipher: sa.ike.cipher,
});

/** A VICI event in a line, as it came. */
export const eventFields = (event: Exclude<IkeEvent, { type: 'log' }>) => {
  const base = { type: event.type };
  if (event.type === 'connected' || event.type === 'lost') return base;
  if (event.type === 'snapshot') return { ...base, sas: event.sas.length };
  const sa = event.type === 'ike-rekey' ? event.new : event.sa;
  return {
    ...base,
    ...('up' in event ? { up: event.up } : {}),
    ike: sa.uniqueId,
    state: sa.state,
    remote: sa.remoteHost,
    remotePort: sa.remotePort,
    children: sa.children.map((c) => ({ id: c.uniqueId, mark: c.markIn, state: c.state, spiIn: c.spiIn })),
  };
};

/** Why L2TP ended a session, when nothing above it did before. */
export const callEnd = (session: Session, out: EndpointOut & { type: 'session-down' }): [EndCause, string] => {
  const code = out.result === undefined ? '' : ` (result ${out.result.result})`;
  switch (out.by) {
    case 'peer':
      return [byPeer(session.stage, session.refused), `the client ended the call${code}`];
    case 'timeout':
      return ['tunnel-silent', 'the client no longer answers L2TP'];
    case 'abandoned':
      return ['replaced', 'the client began anew with the same tunnel id'];
    case 'protocol':
      return ['protocol-error', `protocol error${code}`];
    case 'local':
      return ['protocol-error', `closed by the gateway${code}`];
    default:
      return never(out.by);
  }
};

/** The one wide event of a session's end: everything a person asks afterwards. */
export const endFields = (session: Session, counters: SessionCounters | undefined, now: number) => ({
  ...idFields(session),
  address: session.address,
  hostName: session.tunnel.peer.hostName,
  ...peerFields(session.tunnel.path),
  stage: session.stage,
  cause: session.endCause,
  reason: session.endReason,
  hint: session.endHint ?? (session.endCause && isFailure(session.endCause) ? adviceFor(session.endCause) : undefined),
  upSeconds: session.upAt === undefined ? 0 : Math.round((now - session.upAt) / 1000),
  octetsIn: counters?.octetsIn,
  octetsOut: counters?.octetsOut,
  packetsIn: counters?.packetsIn,
  packetsOut: counters?.packetsOut,
  drops: counters?.drops,
});
