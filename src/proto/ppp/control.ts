/**
 * One control protocol: the automaton, its option dialogue and its packets. LCP and every NCP are instances; what is
 * special about each of them is in `lcp.ts`, `ipcp.ts` and the hooks they give. RFC 1661 §4.4, §5.
 */
import {
  CODE,
  type ControlPacket,
  decodeControl,
  encodeControl,
  LAST_NCP_CODE,
  type LcpOnlyPacket,
} from '../../wire/ppp/control.js';
import { protocolName } from '../../wire/ppp/frame.js';
import type { OptionCodec, OptionTable, RawOption } from '../../wire/ppp/options.js';
import type { Instant } from '../machine.js';
import { type Action, Automaton, type Effects, type Event, type State } from './automaton.js';
import { type GiveUp, Negotiation, type Policy, type Reply, sameOptions } from './negotiation.js';

/** What a control protocol tells the link. Every link has some of these for as long as it lives: a class, not closures. */
export interface ControlHooks {
  send(protocol: number, packet: Uint8Array): void;
  note(event: string, fields: Record<string, unknown>): void;
  /** tlu: the protocol is open. */
  up(now: Instant): void;
  /** tld: it no longer is. */
  down(now: Instant): void;
  /** tlf: nothing more will happen. */
  finished(now: Instant): void;
  /** The option dialogue cannot succeed. */
  giveUp(now: Instant, why: GiveUp): void;
  /** The peer sent a Terminate-Request. */
  terminated(data: Uint8Array): void;
  /** The peer does not know this code of ours. */
  codeRejected(code: number): void;
  /** A Configure-Ack is about to leave (the automaton may be open for the peer once it arrives). */
  acknowledging?(): void;
  /** May another reject be sent? False when the peer asked for too many. */
  mayAnswer(now: Instant): boolean;
  /** RFC 1661 §5.6, §5.7: copies in rejects are cut to the peer's MRU. */
  peerMru(): number;
  /** The next Identifier, for an end whose protocols share one counter. Otherwise each counts from 1. */
  nextId?(): number | undefined;
  /** First value of the Restart timer, for an end with another than ours. */
  readonly restartMs?: number | undefined;
}

/** What only LCP has. */
export interface LcpOnly {
  /** Codes 8 to 13, after the automaton saw them. */
  special(now: Instant, packet: LcpOnlyPacket): void;
  /** Magic-Number in our Echo packets. */
  magic(): number;
}

export interface ControlSpec<T extends OptionTable, Self = unknown> {
  readonly protocol: number;
  readonly codec: OptionCodec<T>;
  readonly policy: Policy<T, Self>;
}

export class ControlProtocol<T extends OptionTable> implements Effects {
  readonly negotiation: Negotiation<T>;
  protected readonly hooks: ControlHooks;
  /** Present makes it LCP. */
  protected lcp: LcpOnly | undefined;
  readonly #protocol: number;
  readonly #automaton: Automaton;
  #id = 0;
  /** The last one, until a valid reply to it came. */
  #request: { id: number; options: readonly RawOption[] } | undefined;
  /** The packet that caused the event being performed. */
  #cause: ControlPacket | undefined;
  #causeBytes = EMPTY;
  #reply: Reply | undefined;
  #closeData = EMPTY;

  /** `self` is what the policy's rules are given. */
  constructor(spec: ControlSpec<T>, self: unknown, hooks: ControlHooks) {
    this.hooks = hooks;
    this.#protocol = spec.protocol;
    this.negotiation = new Negotiation(spec.codec, spec.policy, self);
    this.#automaton = new Automaton(this, hooks.restartMs);
  }

  get state(): State {
    return this.#automaton.state;
  }

  get opened(): boolean {
    return this.#automaton.state === 'Opened';
  }

  open(now: Instant): void {
    this.#automaton.event(now, 'Open');
  }

  /** `data` goes into the Terminate-Request. */
  close(now: Instant, data: Uint8Array): void {
    this.#closeData = data;
    this.#automaton.event(now, 'Close');
  }

  lowerUp(now: Instant): void {
    this.#restart();
    this.#automaton.event(now, 'Up');
  }

  lowerDown(now: Instant): void {
    this.#automaton.event(now, 'Down');
  }

  /** The peer rejected this whole protocol, which we cannot do without (RFC 1661 §4.3, RXJ-). */
  rejectedByPeer(now: Instant): void {
    this.#automaton.event(now, 'RXJ-');
  }

  nextTimeout(): Instant | undefined {
    return this.#automaton.nextTimeout();
  }

  handleTimeout(now: Instant): void {
    this.#automaton.handleTimeout(now);
  }

  nextId(): number {
    this.#id = this.hooks.nextId?.() ?? (this.#id + 1) & 0xff;
    return this.#id;
  }

  send(packet: ControlPacket): void {
    this.hooks.send(this.#protocol, encodeControl(packet));
  }

  /** A frame's information field. False when it was malformed or not to be acted upon. */
  receive(now: Instant, bytes: Uint8Array): boolean {
    if (this.state === 'Initial' || this.state === 'Starting') return false;
    const decoded = decodeControl(bytes, this.lcp === undefined ? 'ncp' : 'lcp');
    if (!decoded.ok) {
      this.#note('ppp.malformed', { at: decoded.at, ref: decoded.ref, why: decoded.why });
      return false;
    }
    this.#cause = decoded.value;
    this.#causeBytes = bytes;
    const accepted = this.#dispatch(now, decoded.value);
    if (!accepted) this.#note('ppp.out-of-sequence', { code: decoded.value.code, id: decoded.value.id });
    this.#cause = undefined;
    this.#causeBytes = EMPTY;
    return accepted;
  }

  #dispatch(now: Instant, packet: ControlPacket): boolean {
    switch (packet.code) {
      case 'Configure-Request':
        this.#configureRequest(now, packet.options);
        return true;
      case 'Configure-Ack':
      case 'Configure-Nak':
      case 'Configure-Reject':
        return this.#configureReply(now, packet.code, packet.id, packet.options);
      case 'Terminate-Request':
        this.hooks.terminated(packet.data);
        this.#automaton.event(now, 'RTR');
        return true;
      case 'Terminate-Ack':
        this.#automaton.event(now, 'RTA');
        return true;
      case 'Code-Reject': {
        const code = packet.rejected.at(0) ?? 0;
        // §5.6: codes 1 to 7 are fundamental.
        const catastrophic = code >= CODE['Configure-Request'] && code <= LAST_NCP_CODE;
        this.hooks.codeRejected(code);
        this.#automaton.event(now, catastrophic ? 'RXJ-' : 'RXJ+');
        return true;
      }
      case 'unknown':
        this.#automaton.event(now, 'RUC');
        return true;
      case 'Protocol-Reject':
        // §5.7: received in any state but Opened, silently discarded.
        if (!this.opened) return false;
        this.#automaton.event(now, 'RXJ+');
        this.lcp?.special(now, packet);
        return true;
      case 'Echo-Request':
      case 'Echo-Reply':
      case 'Discard-Request':
      case 'Identification':
      case 'Time-Remaining':
        this.#automaton.event(now, 'RXR');
        this.lcp?.special(now, packet);
        return true;
    }
  }

  #configureRequest(now: Instant, options: readonly RawOption[]): void {
    const state = this.state;
    if (state === 'Closed' || state === 'Closing' || state === 'Stopping') {
      // These rows are the same for RCR+ and RCR-: nothing is negotiated.
      this.#automaton.event(now, 'RCR+');
      return;
    }
    // A request in Opened or Stopped begins a new dialogue (§4.3, RCR implementation note).
    if (state === 'Opened' || state === 'Stopped') this.#restart();
    this.#reply = this.negotiation.review(options);
    this.#automaton.event(now, this.#reply.code === 'Configure-Ack' ? 'RCR+' : 'RCR-');
    this.#reply = undefined;
  }

  #configureReply(now: Instant, code: Reply['code'], id: number, options: readonly RawOption[]): boolean {
    const request = this.#request;
    // §5.2 to §5.4: must match the last request; a duplicate of a reply already taken does not.
    if (request === undefined || id !== request.id) return false;
    if (code === 'Configure-Ack') {
      if (!sameOptions(options, request.options)) return false;
      this.#request = undefined;
      this.#automaton.event(now, 'RCA');
      return true;
    }
    const outcome = code === 'Configure-Nak' ? this.negotiation.naked(options) : this.negotiation.rejected(options);
    if (outcome === 'invalid') return false;
    this.#request = undefined;
    if (outcome !== undefined) this.hooks.giveUp(now, outcome);
    else this.#automaton.event(now, 'RCN');
    return true;
  }

  #restart(): void {
    this.#request = undefined;
    this.negotiation.reset();
  }

  /** RFC 1661 §4.4: the automaton's. */
  act(now: Instant, action: Exclude<Action, 'irc' | 'zrc'>): void {
    switch (action) {
      case 'tlu':
        return this.hooks.up(now);
      case 'tld':
        return this.hooks.down(now);
      case 'tls':
        return; // the link's user brings the lower layer up, not we
      case 'tlf':
        return this.hooks.finished(now);
      case 'scr':
        return this.#sendConfigureRequest();
      case 'sca':
      case 'scn':
        return this.#sendReply();
      case 'str':
        return this.send({ code: 'Terminate-Request', id: this.nextId(), data: this.#closeData });
      case 'sta':
        // §5.5: the Identifier is the one of the packet that is answered.
        return this.send({ code: 'Terminate-Ack', id: this.#cause!.id, data: EMPTY });
      case 'scj':
        return this.#sendCodeReject(now);
      case 'ser':
        return this.#sendEchoReply();
    }
  }

  /** The automaton's. */
  illegal(event: Event, state: State): void {
    this.#note('ppp.illegal-event', { event, state });
  }

  #sendConfigureRequest(): void {
    const options = this.negotiation.request();
    const last = this.#request;
    // §5.1: a new Identifier when the options changed or a valid reply came; a retransmission keeps it, so that a
    // reply to either copy counts.
    const again = last !== undefined && sameOptions(options, last.options);
    const id = again ? last.id : this.nextId();
    this.#request = { id, options };
    this.send({ code: 'Configure-Request', id, options });
  }

  #sendReply(): void {
    const { code, options } = this.#reply!;
    if (code === 'Configure-Ack') this.hooks.acknowledging?.();
    this.send({ code, id: this.#cause!.id, options });
  }

  #sendCodeReject(now: Instant): void {
    if (!this.hooks.mayAnswer(now)) return;
    const rejected = this.#causeBytes.subarray(0, this.hooks.peerMru() - 4);
    this.send({ code: 'Code-Reject', id: this.nextId(), rejected });
  }

  /** §5.8. RXR covers replies and discards too: those are not answered. */
  #sendEchoReply(): void {
    const cause = this.#cause!;
    if (cause.code !== 'Echo-Request') return;
    // Only LCP decodes Echo-Requests.
    this.send({ code: 'Echo-Reply', id: cause.id, magic: this.lcp!.magic(), data: cause.data });
  }

  #note(event: string, fields: Record<string, unknown>): void {
    this.hooks.note(event, { protocol: this.#name, ...fields });
  }

  get #name(): string {
    return protocolName(this.#protocol);
  }
}

const EMPTY: Uint8Array = new Uint8Array(0);
