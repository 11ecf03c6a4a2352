/** What the endpoint can be told, its defaults and its bounds. RFC 2661 §5.5, §5.7, §5.8; RFC 3193 §3.3. */
import type { Random } from '../machine.js';
import type { Path } from './events.js';
import type { RetransmitConfig } from './reliable.js';

export interface EndpointLimits {
  /** Tunnels in all states, lingering ones included; ids are 16 bit. */
  readonly maxTunnels: number;
  /** Tunnels between SCCRQ and SCCCN. */
  readonly maxHalfOpen: number;
  /** The same per remote address, under whatever marks. */
  readonly maxHalfOpenPerAddress: number;
  /** Tunnels in all states per (mark, remote address). */
  readonly maxTunnelsPerPeer: number;
  readonly maxSessionsPerTunnel: number;
  /** StopCCNs for SCCRQs that are not accepted, per second; beyond it they are dropped. */
  readonly refusalsPerSecond: number;
}

export interface EndpointConfig {
  /** Host Name AVP: 1..255 octets. */
  readonly hostName: string;
  /** Vendor Name AVP, left out when undefined. */
  readonly vendorName?: string;
  /** Receive Window Size AVP: control messages we take out of order or ahead, 1..65535. */
  readonly receiveWindow: number;
  readonly retransmit: RetransmitConfig;
  /** Silence before a HELLO; 0 sends none (§5.5). */
  readonly helloIntervalMs: number;
  /** From SCCRQ to established, whatever the peer acknowledges meanwhile. */
  readonly setupTimeoutMs: number;
  /** From ICRQ to ICCN. */
  readonly sessionSetupTimeoutMs: number;
  /** How long our StopCCN may wait for its acknowledgement before tunnel-gone. */
  readonly closeTimeoutMs: number;
  /** An established tunnel without sessions is closed after this long; 0 keeps it (§7.6). */
  readonly emptyTunnelTimeoutMs: number;
  /** Send a Tie Breaker AVP when dialling: one tunnel at most between the two ends (§4.4.3). */
  readonly tieBreaker: boolean;
  /** The tunnel secret for a peer: authentication and hidden AVPs (§5.1.1, §4.3). None: no Challenge is ever sent. */
  readonly secret?: (path: Path) => Uint8Array | undefined;
  /** Where an SCCRQ beyond maxTunnels is sent (RFC 3193 §4): an address in ASCII. None: it is refused. */
  readonly redirect?: string;
  readonly limits: EndpointLimits;
  readonly random: Random;
}

export const defaultLimits: EndpointLimits = {
  maxTunnels: 60_000,
  maxHalfOpen: 1_024,
  maxHalfOpenPerAddress: 16,
  maxTunnelsPerPeer: 256,
  maxSessionsPerTunnel: 1_024,
  refusalsPerSecond: 200,
};

type Defaults = Omit<EndpointConfig, 'hostName' | 'vendorName' | 'secret' | 'redirect' | 'random'>;

export const defaults: Defaults = {
  receiveWindow: 8,
  retransmit: { initialMs: 1_000, capMs: 8_000, tries: 5 },
  helloIntervalMs: 60_000,
  setupTimeoutMs: 40_000,
  sessionSetupTimeoutMs: 40_000,
  closeTimeoutMs: 5_000,
  emptyTunnelTimeoutMs: 60_000,
  tieBreaker: false,
  limits: defaultLimits,
};

/** A whole configuration from what differs from the defaults. */
export const endpointConfig = (
  own: Pick<EndpointConfig, 'hostName' | 'random'> & Partial<EndpointConfig>,
): EndpointConfig => ({ ...defaults, ...own });
