/** The gateway as seen from outside: what `status`, `pool`, the metrics and the health check show. */
import type { Dataplane } from '../io/dataplane.js';
import type { AddressPool } from '../proto/aaa/pool.js';
import type { Config } from './config.js';
import type { Connections } from './connections.js';
import type { PoolView, StatusView, Violations } from './control.js';
import { showRange } from './inside.js';
import type { Snapshot } from './metrics.js';
import type { Health } from './metrics-server.js';
import type { SaRegistry } from './sa-registry.js';
import { type Found, findSessions, type SessionView, sessionViews } from './view.js';

/** What is looked at. */
export interface Viewed {
  readonly version: string;
  readonly state: StatusView['state'];
  readonly shutBecause: string | null;
  readonly served: readonly string[];
  /** Undefined once it is closed: it answers no more. */
  readonly dataplane: Dataplane | undefined;
  readonly connections: Connections;
  readonly sas: SaRegistry;
  readonly pool: AddressPool;
  readonly config: Config;
}

export const statusView = (g: Viewed): StatusView => ({
  state: g.state,
  reason: g.shutBecause,
  version: g.version,
  listen: g.served,
  draining: g.connections.draining ?? null,
  sas: g.sas.all().length,
  tunnels: g.connections.registry.tunnelCount,
  sessions: g.connections.registry.sessionCount,
  drops: Object.fromEntries(Object.entries(g.dataplane?.globalCounters() ?? {}).map(([k, v]) => [k, Number(v)])),
  violations: violations(g),
});

const violations = ({ dataplane, connections, sas }: Viewed): Violations[] =>
  (dataplane === undefined ? [] : connections.violations).flatMap((of) => {
    const ike = sas.lookup(of.mark)?.ike;
    return ike === undefined ? [] : { ...of, remote: ike.remoteHost, remoteId: ike.remoteId };
  });

export const sessionsView = ({ dataplane, connections, sas }: Viewed): SessionView[] =>
  dataplane === undefined ? [] : sessionViews(connections.registry, dataplane, (mark) => sas.lookup(mark));

export const foundView = ({ dataplane, connections, sas }: Viewed, text: string, limit: number): Found =>
  dataplane === undefined
    ? { sessions: [], found: 0 }
    : findSessions(connections.registry, dataplane, (mark) => sas.lookup(mark), text, limit);

export const poolView = ({ pool, config }: Viewed): PoolView => {
  const { size } = pool;
  const leases = [...pool.leases()];
  const fixed = leases.filter((l) => l.fixed).length;
  return {
    ranges: config.pool.ranges.map(showRange),
    gateway: config.pool.gateway,
    dynamic: { size: size.dynamic, leased: leases.length - fixed },
    fixed: { size: size.fixed, leased: fixed },
    leases,
  };
};

export const healthView = ({ state, connections }: Viewed): Health => {
  const draining = connections.draining ?? null;
  return { ready: state === 'listening' && draining === null, state, draining };
};

export const snapshot = (g: Viewed): Snapshot => {
  const { tunnels, sas, drops, draining } = statusView(g);
  const { dataplane, pool, connections } = g;
  const { size } = pool;
  const sessions = { setup: 0, up: 0 };
  const octets = { in: 0, out: 0 };
  const sessionDrops: Record<string, number> = {};
  for (const { ids, upAt } of dataplane === undefined ? [] : connections.registry.sessions()) {
    sessions[upAt === undefined ? 'setup' : 'up']++;
    const counters = dataplane?.sessionCounters(ids.tunnelId, ids.sessionId);
    octets.in += Number(counters?.octetsIn ?? 0n);
    octets.out += Number(counters?.octetsOut ?? 0n);
    for (const [why, n] of Object.entries(counters?.drops ?? {}))
      sessionDrops[why] = (sessionDrops[why] ?? 0) + Number(n);
  }
  return {
    listening: g.state === 'listening',
    draining: draining !== null,
    sas,
    tunnels,
    sessions,
    pool: { size: size.dynamic + size.fixed, leased: pool.leased },
    octets,
    drops,
    sessionDrops,
    controlDrops: connections.controlDrops,
    controlHeld: connections.held,
  };
};
