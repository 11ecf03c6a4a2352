/** What we want of IPV6CP: two interface identifiers that differ. Addresses come afterwards, by RFC 4861. RFC 5072 §4.1. */
import { PROTOCOL } from '../../wire/ppp/frame.js';
import { type IPV6CP, ipv6cpOptions, NO_INTERFACE_ID } from '../../wire/ppp/ipv6cp.js';
import { Reader, sameBytes, Writer } from '../../wire/reader.js';
import type { Random } from '../machine.js';
import { type ControlHooks, ControlProtocol, type ControlSpec } from './control.js';
import { insist, type Verdict } from './negotiation.js';

export type Ipv6cp = ControlProtocol<typeof IPV6CP>;

/** What of the link's configuration is of IPv6; identifiers are 8 octets. */
export interface Ipv6cpConfig {
  /** What we call ourselves. */
  readonly ours: Uint8Array;
  /** Another peer on the same prefix has this identifier: it would have the same address. */
  readonly taken?: (interfaceId: Uint8Array) => boolean;
}

export const ipv6cp = (config: Ipv6cpConfig, random: Random, hooks: ControlHooks): Ipv6cp =>
  new ControlProtocol(SPEC, new Wants(config, random), hooks);

/** What the policy knows of one link. */
class Wants {
  readonly ours: Uint8Array;
  readonly #taken: (interfaceId: Uint8Array) => boolean;
  readonly #random: Random;
  #suggestion: Uint8Array | undefined;

  constructor({ ours, taken = nobody }: Ipv6cpConfig, random: Random) {
    this.ours = ours;
    this.#taken = taken;
    this.#random = random;
  }

  review(asked: Uint8Array): Verdict<Uint8Array> {
    const unfit = sameBytes(asked, NO_INTERFACE_ID) || sameBytes(asked, this.ours) || this.#taken(asked);
    return unfit ? { nak: this.suggest() } : 'ack';
  }

  suggest(): Uint8Array {
    if (this.#suggestion === undefined || this.#taken(this.#suggestion)) this.#suggestion = interfaceId(this.#random);
    return this.#suggestion;
  }
}

const SPEC: ControlSpec<typeof IPV6CP, Wants> = {
  protocol: PROTOCOL.ipv6cp,
  codec: ipv6cpOptions,
  policy: {
    wishes: ({ ours }) => [{ name: 'interfaceId', value: ours }],
    peer: { interfaceId: { review: (asked, w) => w.review(asked), prefer: (w) => w.suggest(), wanted: true } },
    own: { interfaceId: insist() },
  },
};

const nobody = (): boolean => false;

/** §4.1: random, with the "universal" bit clear; never zero, nor one as small as `ours`. */
const interfaceId = (random: Random): Uint8Array => {
  const octets = random(8);
  const first = (new Reader(octets).u8() & 0xfd) | 0x40;
  return new Writer(8).u8(first).bytes(octets.subarray(1)).done();
};
