/** From the configuration file to what the protocol machines and charon are told. */
import { randomBytes } from 'node:crypto';
import type { SessionState } from '../io/dataplane.js';
import { endpointConfig as complete, defaultLimits, defaults, type EndpointConfig } from '../proto/l2tp/config.js';
import type { LinkConfig } from '../proto/ppp/events.js';
import type { InformSettings } from './answers.js';
import type { Config, IkeConfig } from './config.js';
import type { IpsecSettings } from './ipsec-policy.js';
import { pooledRandom } from './random.js';
import { Secret } from './secret.js';
import { routesToTell } from './split-tunnel.js';

/** A tunnel whose only call failed or ended: time for another call, and not longer, for its IKE SA stays with it. */
const EMPTY_TUNNEL_MS = 20_000;

/** Probes left unanswered before a peer is dead. */
const DPD_TRIES = 5;

const random = pooledRandom();

const seconds = (ms: number): number => Math.round(ms / 1_000);

export const endpointConfig = ({ l2tp, limits }: Config): EndpointConfig => ({
  ...complete({
    hostName: l2tp.hostName,
    receiveWindow: l2tp.receiveWindow,
    helloIntervalMs: l2tp.helloInterval,
    closeTimeoutMs: l2tp.closeTimeout,
    retransmit: { ...defaults.retransmit, tries: l2tp.retransmissions },
    emptyTunnelTimeoutMs: EMPTY_TUNNEL_MS,
    random,
    limits: {
      ...defaultLimits,
      maxTunnels: limits.tunnels,
      maxHalfOpen: limits.halfOpen,
      maxHalfOpenPerAddress: limits.halfOpenPerAddress,
    },
  }),
  ...tunnelSecret(l2tp.secret),
  ...(l2tp.redirect === null ? {} : { redirect: l2tp.redirect }),
});

const tunnelSecret = (secret: Config['l2tp']['secret']): Pick<EndpointConfig, 'secret'> | undefined =>
  secret === null ? undefined : { secret: () => Buffer.from(secret.reveal()) };

export const linkConfig = ({ l2tp, pool, ppp }: Config): Omit<LinkConfig, 'mru'> => ({
  localAddress: pool.gateway,
  auth: ppp.auth,
  eap: ppp.eap,
  name: l2tp.hostName,
  echoIntervalMs: ppp.echoInterval,
  echoFailures: ppp.echoFailures,
  mtuProbeIntervalMs: ppp.mtuProbeInterval,
  setupTimeoutMs: ppp.setupTimeout,
  authTries: ppp.authTries,
  random,
});

export const transitState = ({ l2tp }: Config): Pick<SessionState, 'dscp' | 'smallFirst' | 'reorder'> => ({
  dscp: l2tp.dscp === 'none' ? 0 : l2tp.dscp,
  smallFirst: l2tp.smallFirst,
  reorder: l2tp.reorder,
});

export const informSettings = (config: Config): InformSettings => ({
  gateway: config.pool.gateway,
  dns: config.dns,
  nbns: config.nbns,
  domain: config.dhcp.domain,
  routes: routesToTell(config),
});

/**
 * Stands for `psk_file: none`: charon always has a key for everybody, one that nobody knows. Under the same
 * name as everyone's, it takes that one's place before a reload's connections come.
 */
const nobodysKey = new Secret(randomBytes(32).toString('base64'));

export const ipsecSettings = (ike: IkeConfig, listen: readonly string[]): IpsecSettings => ({
  listen,
  secrets: [
    { secret: ike.psk ?? nobodysKey },
    ...ike.pskRanges.map(({ peers, psk }) => ({ secret: psk, peers })),
    ...ike.pskIds.map(({ id, psk }) => ({ secret: psk, id })),
  ],
  aggressive: ike.aggressive,
  keysProve: ike.psk === null && !ike.allowForeign,
  certificates: ike.certificates,
  legacy: ike.legacy,
  ...(ike.proposals === 'auto' ? {} : { proposals: ike.proposals }),
  ...(ike.espProposals === 'auto' ? {} : { espProposals: ike.espProposals }),
  ikeLifetime: seconds(ike.ikeLifetime),
  espLifetime: seconds(ike.childLifetime),
  dpdDelay: seconds(ike.dpdDelay),
  dpdTimeout: DPD_TRIES * seconds(ike.dpdDelay),
});
