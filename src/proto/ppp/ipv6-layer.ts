/** IPv6 on a link: IPV6CP, and what of it the link's user must know. It may fail, and IPv4 goes on. RFC 5072. */
import type { Instant, Random } from '../machine.js';
import type { ControlHooks } from './control.js';
import type { LinkOut } from './events.js';
import { type Ipv6cp, type Ipv6cpConfig, ipv6cp } from './ipv6cp.js';

export class Ipv6Layer {
  readonly #protocol: Ipv6cp;
  readonly #out: (event: LinkOut) => void;
  #open = false;

  /** `hooks`: what all control protocols of the link have. */
  constructor(
    config: Ipv6cpConfig,
    random: Random,
    hooks: Pick<ControlHooks, 'send' | 'note' | 'mayAnswer' | 'peerMru'>,
    out: (event: LinkOut) => void,
  ) {
    this.#out = out;
    const nothing = (): void => {};
    this.#protocol = ipv6cp(config, random, {
      ...hooks,
      acknowledging: () => this.#acknowledging(),
      up: () => {
        if (this.#open) out({ type: 'ipv6-up' });
      },
      down: () => this.#close(),
      finished: nothing,
      giveUp: nothing,
      terminated: nothing,
      codeRejected: nothing,
    });
  }

  start(now: Instant): void {
    this.#protocol.open(now);
    this.#protocol.lowerUp(now);
  }

  receive(now: Instant, information: Uint8Array): void {
    this.#protocol.receive(now, information);
    this.#closeUnlessAcked();
  }

  rejectedByPeer(now: Instant): void {
    this.#protocol.rejectedByPeer(now);
  }

  lowerDown(now: Instant): void {
    this.#protocol.lowerDown(now);
    this.#close();
  }

  nextTimeout(): Instant | undefined {
    return this.#protocol.nextTimeout();
  }

  handleTimeout(now: Instant): void {
    this.#protocol.handleTimeout(now);
    this.#closeUnlessAcked();
  }

  /** Without an identifier there is no address to let in: a peer that wants none gets its Ack, and no IPv6. */
  #acknowledging(): void {
    this.#close();
    const interfaceId = this.#protocol.negotiation.accepted('interfaceId');
    if (interfaceId === undefined) return;
    this.#open = true;
    this.#out({ type: 'ipv6-open', interfaceId });
  }

  /** What an Ack opened stays open only while that Ack stands. */
  #closeUnlessAcked(): void {
    const { state } = this.#protocol;
    if (state !== 'Ack-Sent' && state !== 'Opened') this.#close();
  }

  #close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#out({ type: 'ipv6-close' });
  }
}
