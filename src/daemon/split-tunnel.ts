/** The networks a client is told by DHCPINFORM: which they are, and what may not be told. */
import { inRange, ipv4Network } from '../proto/aaa/address.js';
import { routeOctets } from '../proto/inside/inform.js';
import type { Config } from './config.js';

/* Implementation */
/** So that one copy of them reaches every client, beside name servers and a domain, in the 576 octets of RFC 2131 §2. */
export const MAX_ROUTE_OCTETS = 200;

export const FULL_TUNNEL = '0.0.0.0/0';

interface Problem {
  /** Of which network; undefined: of all together. */
  readonly at: number | undefined;
  readonly problem: string;
  readonly allowed: string;
}

/** The first thing wrong with a list of networks for a client, given the ones (`routes`) it may reach; empty: any. */
export function splitTunnelProblem(networks: readonly string[], reachable: readonly string[]): Problem | undefined {
  const ranges = reachable.map((network) => ipv4Network(network)!);
  for (const [at, network] of networks.entries()) {
    const range = ipv4Network(network)!;
    if (network === FULL_TUNNEL && networks.length > 1)
      return {
        at,
        problem: `${network} sends all traffic through the tunnel, which the other networks contradict`,
        allowed: `the networks behind the gateway, or ${network} alone for a full tunnel`,
      };
    const reached = ranges.some((r) => inRange(range.first, r) && inRange(range.last, r));
    if (reachable.length > 0 && !reached)
      return { at, problem: `${network} is in no network of \`routes\``, allowed: 'networks that clients may reach' };
  }
  const octets = routeOctets(networks);
  if (octets <= MAX_ROUTE_OCTETS) return undefined;
  const allowed = `at most ${MAX_ROUTE_OCTETS} octets: 25 networks of /17 to /24, or fewer, larger ones`;
  return {
    at: undefined,
    problem: `these ${networks.length} networks take ${octets} octets of a DHCP option`,
    allowed,
  };
}

/** `auto`: what clients may reach, if that is certain networks and they fit; then they are told nothing. */
export function routesToTell({ dhcp, routes }: Pick<Config, 'dhcp' | 'routes'>): readonly string[] {
  if (dhcp.routes !== 'auto') return dhcp.routes;
  return routes.includes(FULL_TUNNEL) || tooManyToTell({ dhcp, routes }) ? [] : routes;
}

export const tooManyToTell = ({ dhcp, routes }: Pick<Config, 'dhcp' | 'routes'>): boolean =>
  dhcp.routes === 'auto' && routeOctets(routes) > MAX_ROUTE_OCTETS;
