/** IPv6 on a link: IPV6CP, and what of it the link's user must know. It may fail, and IPv4 goes on. RFC 5072. */
import type { Instant, Outbox, Random } from '../machine.js';
import type { ControlHooks } from './control.js';
import type { LinkOut } from './events.js';
import { type Ipv6cp, type Ipv6cpConfig, ipv6cp } from './ipv6cp.js';

/** What all control protocols of the link have. */
type LinkHooks = Pick<ControlHooks, 'send' | 'note' | 'mayAnswer' | 'peerMru' | 'nextId' | 'restartMs'>;

export class Ipv6Layer implements ControlHooks {
  readonly #link: LinkHooks;
  readonly #out: Outbox<LinkOut>;
  readonly #protocol: Ipv6cp;
  #open = false;

  constructor(config: Ipv6cpConfig, random: Random, link: LinkHooks, out: Outbox<LinkOut>) {
    this.#link = link;
    this.#out = out;
    this.#protocol = ipv6cp(config, random, this);
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
  acknowledging(): void {
    this.#close();
    const interfaceId = this.#protocol.negotiation.accepted('interfaceId');
    if (interfaceId === undefined) return;
    this.#open = true;
    this.#out.push({ type: 'ipv6-open', interfaceId });
  }

  up(): void {
    if (this.#open) this.#out.push({ type: 'ipv6-up' });
  }

  down(): void {
    this.#close();
  }

  /* Its end is no end of the link. */
  finished(): void {}
  terminated(): void {}
  codeRejected(): void {}
  // Never asked: the policy drops what the peer does not want.
  /* v8 ignore next */
  giveUp(): void {}

  send(protocol: number, packet: Uint8Array): void {
    this.#link.send(protocol, packet);
  }

  note(event: string, fields: Record<string, unknown>): void {
    this.#link.note(event, fields);
  }

  mayAnswer(now: Instant): boolean {
    return this.#link.mayAnswer(now);
  }

  peerMru(): number {
    return this.#link.peerMru();
  }

  nextId(): number | undefined {
    return this.#link.nextId?.();
  }

  get restartMs(): number | undefined {
    return this.#link.restartMs;
  }

  /** What an Ack opened stays open only while that Ack stands. */
  #closeUnlessAcked(): void {
    const { state } = this.#protocol;
    if (state !== 'Ack-Sent' && state !== 'Opened') this.#close();
  }

  #close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#out.push({ type: 'ipv6-close' });
  }
}
