/** The joined table: one row per session, with everything below it (what `lockstep sessions` shows). */
import type { Dataplane } from '../io/dataplane.js';
import { clientType } from './client-type.js';
import { globalPrefixes } from './ipv6.js';
import type { Registry, Session } from './registry.js';
import type { MarkInfo } from './sa-registry.js';

/** JSON shape of a row; octets and packets are numbers (exact up to 2^53). */
export interface SessionView {
  readonly state: 'setup' | 'up';
  readonly user: string | null;
  readonly address: string | null;
  /** Prefixes: its own, and what is delegated to it. */
  readonly ipv6: readonly string[];
  readonly tunnelId: number;
  readonly sessionId: number;
  readonly client: {
    readonly address: string;
    readonly port: number;
    readonly hostName: string;
    /** A guess. */
    readonly type: string;
  };
  readonly ike: {
    readonly uniqueId: string;
    readonly version: number;
    readonly state: string;
    readonly remoteId: string;
    readonly remotePort: number;
    readonly cipher: string;
    /** When it is renewed by us, should the client not do so before. */
    readonly renews: string | null;
  } | null;
  readonly child: {
    readonly mark: number;
    readonly reqid: number;
    readonly spiIn: string;
    readonly spiOut: string;
    readonly cipher: string;
    readonly encap: boolean;
    readonly expires: string | null;
  } | null;
  readonly mtu: number;
  readonly upSince: string | null;
  readonly octetsIn: number;
  readonly octetsOut: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
  readonly drops: Readonly<Record<string, number>>;
}

export const sessionViews = (
  registry: Registry,
  dataplane: Dataplane,
  sa: (mark: number) => MarkInfo | undefined,
): SessionView[] => [...registry.sessions()].map((s) => view(s, dataplane, sa(s.tunnel.path.mark)));

/** What of all sessions somebody looks at. */
export interface Found {
  readonly sessions: readonly SessionView[];
  /** How many there are, the ones beyond the limit included. */
  readonly found: number;
}

/** Sessions in which `text` occurs, in no matter which case, the oldest first; only those that are shown cost a look at the dataplane. */
export const findSessions = (
  registry: Registry,
  dataplane: Dataplane,
  sa: (mark: number) => MarkInfo | undefined,
  text: string,
  limit: number,
): Found => {
  const wanted = text.trim().toLowerCase();
  const shown: Session[] = [];
  let found = 0;
  for (const s of registry.sessions()) if ((wanted === '' || hasText(s, wanted)) && found++ < limit) shown.push(s);
  return { sessions: shown.map((s) => view(s, dataplane, sa(s.tunnel.path.mark))), found };
};

const hasText = ({ user, address, ids, tunnel: { path, peer } }: Session, wanted: string): boolean =>
  [
    user,
    address,
    `${ids.tunnelId}/${ids.sessionId}`,
    `${path.remote}:${path.remotePort}`,
    peer.hostName,
    clientType(peer),
  ].some((field) => field?.toLowerCase().includes(wanted));

const time = (ms: number | undefined): string | null => (ms === undefined ? null : new Date(ms).toISOString());

const view = (s: Session, dataplane: Dataplane, sa: MarkInfo | undefined): SessionView => {
  const counters = dataplane.sessionCounters(s.ids.tunnelId, s.ids.sessionId);
  const { path, peer } = s.tunnel;
  return {
    state: s.upAt === undefined ? 'setup' : 'up',
    user: s.user ?? null,
    address: s.address ?? null,
    ipv6: globalPrefixes(s),
    tunnelId: s.ids.tunnelId,
    sessionId: s.ids.sessionId,
    client: { address: path.remote, port: path.remotePort, hostName: peer.hostName, type: clientType(peer) },
    ike:
      sa === undefined
        ? null
        : {
            uniqueId: sa.ike.uniqueId,
            version: sa.ike.version,
            state: sa.ike.state,
            remoteId: sa.ike.remoteId,
            remotePort: sa.ike.remotePort,
            cipher: sa.ike.cipher,
            renews: time(sa.ike.renewsAt),
          },
    child:
      sa === undefined
        ? null
        : {
            mark: sa.mark,
            reqid: sa.current.reqid,
            spiIn: sa.current.spiIn,
            spiOut: sa.current.spiOut,
            cipher: [sa.current.encrAlg, sa.current.encrKeysize, sa.current.integAlg].filter(Boolean).join('-'),
            encap: sa.current.encap,
            expires: time(sa.current.expiresAt),
          },
    mtu: s.mtu,
    upSince: time(s.upSince),
    octetsIn: Number(counters?.octetsIn ?? 0n),
    octetsOut: Number(counters?.octetsOut ?? 0n),
    packetsIn: Number(counters?.packetsIn ?? 0n),
    packetsOut: Number(counters?.packetsOut ?? 0n),
    drops: Object.fromEntries(Object.entries(counters?.drops ?? {}).map(([k, v]) => [k, Number(v)])),
  };
};
