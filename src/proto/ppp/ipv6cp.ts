/** What we want of IPV6CP: two interface identifiers that differ. Addresses come afterwards, by RFC 4861. RFC 5072 §4.1. */
import { PROTOCOL } from '../../wire/ppp/frame.js';
import { type IPV6CP, ipv6cpOptions, NO_INTERFACE_ID } from '../../wire/ppp/ipv6cp.js';
import { Reader, sameBytes, Writer } from '../../wire/reader.js';
import type { Random } from '../machine.js';
import { type ControlHooks, ControlProtocol } from './control.js';
import { MAX_FAILURE } from './limits.js';
import type { PeerRule, Policy } from './negotiation.js';

export type Ipv6cp = ControlProtocol<typeof IPV6CP>;

/** What of the link's configuration is of IPv6; identifiers are 8 octets. */
export interface Ipv6cpConfig {
  /** What we call ourselves. */
  readonly ours: Uint8Array;
  /** Another peer on the same prefix has this identifier: it would have the same address. */
  readonly taken?: (interfaceId: Uint8Array) => boolean;
}

export function ipv6cp({ ours, taken = nobody }: Ipv6cpConfig, random: Random, hooks: ControlHooks): Ipv6cp {
  let suggestion: Uint8Array | undefined;
  const suggest = (): Uint8Array => {
    if (suggestion === undefined || taken(suggestion)) suggestion = interfaceId(random);
    return suggestion;
  };
  const peer: PeerRule<Uint8Array> = {
    review: (asked) =>
      sameBytes(asked, NO_INTERFACE_ID) || sameBytes(asked, ours) || taken(asked) ? { nak: suggest() } : 'ack',
    prefer: suggest,
    wanted: true,
  };
  let naks = 0;
  const policy: Policy<typeof IPV6CP> = {
    wishes: () => {
      naks = 0;
      return [{ name: 'interfaceId', value: ours }];
    },
    peer: { interfaceId: peer },
    // Ours is not the peer's to choose. One that keeps asking is spared the option.
    own: { interfaceId: { naked: (_, current) => (++naks > MAX_FAILURE ? 'drop' : { ask: current }) } },
  };
  return new ControlProtocol({ protocol: PROTOCOL.ipv6cp, codec: ipv6cpOptions, policy, hooks });
}

const nobody = (): boolean => false;

/** §4.1: random, with the "universal" bit clear; never zero, nor one as small as `ours`. */
const interfaceId = (random: Random): Uint8Array => {
  const octets = random(8);
  const first = (new Reader(octets).u8() & 0xfd) | 0x40;
  return new Writer(8).u8(first).bytes(octets.subarray(1)).done();
};
