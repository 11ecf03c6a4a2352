/** What we want of IPCP, as the side that assigns addresses and as the side that is given one. RFC 1332 §3, RFC 1877. */
import { PROTOCOL } from '../../wire/ppp/frame.js';
import { type IPCP, type IpcpOption, ipcpOptions, UNSPECIFIED } from '../../wire/ppp/ipcp.js';
import { type ControlHooks, ControlProtocol, type ControlSpec } from './control.js';
import { insist, type PeerRule } from './negotiation.js';

export type Ipcp = ControlProtocol<typeof IPCP>;

/** What the peer is given. */
export interface Lease {
  readonly address: string;
  readonly dns: readonly string[];
  readonly nbns: readonly string[];
}

/** The side that assigns: `localAddress` is ours, `lease` the peer's. */
export const assigningIpcp = (localAddress: string, lease: Lease, hooks: ControlHooks): Ipcp =>
  new ControlProtocol(ASSIGNING, { localAddress, lease }, hooks);

/** The side that is given an address: asks for `options` (address 0.0.0.0 and name servers, as a client does). */
export const askingIpcp = (options: readonly IpcpOption[], hooks: ControlHooks): Ipcp =>
  new ControlProtocol(ASKING, options, hooks);

/** Of one link. */
interface Assigning {
  readonly localAddress: string;
  readonly lease: Lease;
}

/** RFC 1332 §3.3: what is not ours is Nak'd with ours. Of what we have nothing to offer: Configure-Reject. */
const only = (pick: (lease: Lease) => string | undefined): PeerRule<string, Assigning> => ({
  review: (asked, { lease }) => {
    const ours = pick(lease);
    return ours === undefined ? 'reject' : asked === ours ? 'ack' : { nak: ours };
  },
  prefer: ({ lease }) => pick(lease),
});

const ASSIGNING: ControlSpec<typeof IPCP, Assigning> = {
  protocol: PROTOCOL.ipcp,
  codec: ipcpOptions,
  policy: {
    wishes: ({ localAddress }) => [{ name: 'address', value: localAddress }],
    peer: {
      // Absent, it is appended to a Nak until MAX_FAILURE; then the peer that wants no address gets its Ack: what it
      // may use as a source is the data plane's check, not IPCP's.
      address: { ...only(({ address }) => address), wanted: true },
      dns1: only(({ dns }) => dns[0]),
      dns2: only(({ dns }) => dns[1]),
      nbns1: only(({ nbns }) => nbns[0]),
      nbns2: only(({ nbns }) => nbns[1]),
      // Compression (VJ) and everything else: no rule, Configure-Reject.
    },
    own: { address: insist() },
  },
};

const ASKING: ControlSpec<typeof IPCP, readonly IpcpOption[]> = {
  protocol: PROTOCOL.ipcp,
  codec: ipcpOptions,
  policy: {
    wishes: (options) => options,
    peer: { address: { review: (asked) => (asked === UNSPECIFIED ? 'reject' : 'ack') } },
    own: {},
  },
};
