/** What we want of IPCP, as the side that assigns addresses and as the side that is given one. RFC 1332 §3, RFC 1877. */
import { PROTOCOL } from '../../wire/ppp/frame.js';
import { type IPCP, type IpcpOption, ipcpOptions, UNSPECIFIED } from '../../wire/ppp/ipcp.js';
import { type ControlHooks, ControlProtocol } from './control.js';
import { MAX_FAILURE } from './limits.js';
import type { PeerRule, Policy } from './negotiation.js';

export type Ipcp = ControlProtocol<typeof IPCP>;

/** What the peer is given. */
export interface Lease {
  readonly address: string;
  readonly dns: readonly string[];
  readonly nbns: readonly string[];
}

/** The side that assigns: `localAddress` is ours, `lease` the peer's. */
export const assigningIpcp = (localAddress: string, lease: Lease, hooks: ControlHooks): Ipcp =>
  ipcp(hooks, assigningPolicy(localAddress, lease));

/** The side that is given an address: asks for `options` (address 0.0.0.0 and name servers, as a client does). */
export const askingIpcp = (options: readonly IpcpOption[], hooks: ControlHooks): Ipcp =>
  ipcp(hooks, askingPolicy(options));

const ipcp = (hooks: ControlHooks, policy: Policy<typeof IPCP>): Ipcp =>
  new ControlProtocol({ protocol: PROTOCOL.ipcp, codec: ipcpOptions, policy, hooks });

/** RFC 1332 §3.3: what is not ours is Nak'd with ours. */
const only = (ours: string): PeerRule<string> => ({
  review: (asked) => (asked === ours ? 'ack' : { nak: ours }),
  prefer: () => ours,
});

function assigningPolicy(localAddress: string, lease: Lease): Policy<typeof IPCP> {
  const [dns1, dns2] = lease.dns;
  const [nbns1, nbns2] = lease.nbns;
  let naks = 0;
  return {
    wishes: () => {
      naks = 0;
      return [{ name: 'address', value: localAddress }];
    },
    peer: {
      // Absent, it is appended to a Nak until MAX_FAILURE; then the peer that wants no address gets its Ack: what it
      // may use as a source is the data plane's check, not IPCP's.
      address: { ...only(lease.address), wanted: true },
      ...(dns1 === undefined ? {} : { dns1: only(dns1) }),
      ...(dns2 === undefined ? {} : { dns2: only(dns2) }),
      ...(nbns1 === undefined ? {} : { nbns1: only(nbns1) }),
      ...(nbns2 === undefined ? {} : { nbns2: only(nbns2) }),
      // Compression (VJ) and everything else: no rule, Configure-Reject.
    },
    own: {
      // Our address is not the peer's to choose. One that keeps asking is spared the option.
      address: { naked: (_, current) => (++naks > MAX_FAILURE ? 'drop' : { ask: current }) },
    },
  };
}

function askingPolicy(options: readonly IpcpOption[]): Policy<typeof IPCP> {
  return {
    wishes: () => options,
    peer: { address: { review: (asked) => (asked === UNSPECIFIED ? 'reject' : 'ack') } },
    own: {},
  };
}
