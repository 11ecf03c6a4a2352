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
  } | null;
  readonly child: {
    readonly mark: number;
    readonly reqid: number;
    readonly spiIn: string;
    readonly spiOut: string;
    readonly cipher: string;
    readonly encap: boolean;
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
          },
    mtu: s.mtu,
    upSince: s.upSince ?? null,
    octetsIn: Number(counters?.octetsIn ?? 0n),
    octetsOut: Number(counters?.octetsOut ?? 0n),
    packetsIn: Number(counters?.packetsIn ?? 0n),
    packetsOut: Number(counters?.packetsOut ?? 0n),
    drops: Object.fromEntries(Object.entries(counters?.drops ?? {}).map(([k, v]) => [k, Number(v)])),
  };
};
