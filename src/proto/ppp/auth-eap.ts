/**
 * The authenticator of EAP: asks for the identity, sends Requests until each is answered, and takes Responses that answer
 * them. RFC 3748 §4, §5.1. Which methods there are is the backend's: our own (`eap-methods.ts`), or somebody else's, to
 * whom Responses are passed through (RFC 3748 §2.3, RFC 3579 §2).
 */
import { decodeEap, EAP_TYPE, encodeEap } from '../../wire/ppp/eap.js';
import { PROTOCOL } from '../../wire/ppp/frame.js';
import { malformed } from '../../wire/result.js';
import { after, type Instant } from '../machine.js';
import { type Authentication, type AuthenticatorConfig, type AuthenticatorHooks, denial, text } from './auth.js';
import { type EapBackend, EapMethods, type EapResponse, type EapStep } from './eap-methods.js';
import { AUTH_UNANSWERED } from './ending.js';
import type { AuthResult, EapChallenge } from './events.js';
import { AUTH_RETRY_MS, EAP_RETRY_CAP_MS, EAP_TRANSMISSIONS, MAX_EAP_ROUNDS, MAX_NAME } from './limits.js';
import type { GiveUp } from './negotiation.js';

export class EapAuthenticator implements Authentication {
  readonly protocol = PROTOCOL.eap;
  readonly #hooks: AuthenticatorHooks;
  readonly #backend: EapBackend;
  #phase: 'asking' | 'deciding' | 'granted' | 'denied' = 'asking';
  /** Of the last Request. */
  #id: number;
  #identified = false;
  #packet: Uint8Array = new Uint8Array(0);
  #transmissions = 0;
  #pause = AUTH_RETRY_MS;
  #timeoutAt: Instant | undefined;

  constructor(config: AuthenticatorConfig, peerMru: number, hooks: AuthenticatorHooks) {
    this.#hooks = hooks;
    this.#id = config.random(1).at(0)!;
    this.#backend =
      config.eap === 'pass-through' ? new PassThrough(peerMru) : new EapMethods(config.eap, config, hooks.tries);
  }

  start(now: Instant): void {
    this.#ask(now, encodeEap({ code: 'Request', id: this.#id, type: EAP_TYPE.Identity, data: new Uint8Array(0) }));
  }

  waitingFor(): string {
    if (this.#phase === 'deciding') return 'the user store never answered';
    return this.#identified
      ? 'the client never answered an EAP Request'
      : 'the client never answered the EAP Identity Request';
  }

  nextTimeout(): Instant | undefined {
    return this.#timeoutAt;
  }

  /** RFC 3748 §4.3: it is the authenticator that sends again, unchanged; a peer that thinks it over discards it. */
  handleTimeout(now: Instant): void {
    if (this.#timeoutAt === undefined || now < this.#timeoutAt) return;
    if (this.#transmissions < EAP_TRANSMISSIONS) {
      this.#transmit(now);
      return;
    }
    this.#close('denied');
    this.#hooks.failed(now, { by: 'timeout', reason: AUTH_UNANSWERED, hint: this.waitingFor() });
  }

  receive(now: Instant, information: Uint8Array): void {
    const packet = decodeEap(information);
    if (!packet.ok) {
      this.#malformed(packet);
      return;
    }
    const { value } = packet;
    if (value.code !== 'Response' || value.id !== this.#id) return;
    if (this.#phase === 'asking') this.#answered(now, value);
    // RFC 3748 §4.2: Success has no retransmission of its own, but a Response that comes again tells that it was lost.
    else if (this.#phase === 'granted') this.#send(encodeEap({ code: 'Success', id: this.#id }));
  }

  #answered(now: Instant, response: EapResponse): void {
    if (this.#identified) {
      this.#follow(now, this.#backend.respond(response));
      return;
    }
    // RFC 3748 §5.3.1: no Nak in answer to Identity.
    if (response.type !== EAP_TYPE.Identity) return;
    if (response.data.length > MAX_NAME) {
      this.#malformed(malformed(5, 'RFC 2759 §4', 'Identity is too long'));
      return;
    }
    this.#identified = true;
    this.#follow(now, this.#backend.identity(response, text(response.data)));
  }

  result(now: Instant, result: AuthResult): void {
    if (this.#phase === 'deciding') this.#follow(now, this.#backend.result(result));
  }

  /** Only who passes through is told what to ask; the answer to a question of before counts for nothing. */
  eapRequest(now: Instant, challenge: EapChallenge): void {
    if (this.#phase !== 'deciding') return;
    const step = this.#backend.request?.(challenge);
    if (step !== undefined) this.#follow(now, step);
  }

  #follow(now: Instant, step: EapStep): void {
    switch (step.next) {
      case 'discard':
        if (step.why !== undefined) this.#malformed(step.why);
        return;
      case 'wait':
        this.#close('deciding');
        this.#hooks.authenticate(step.ask, true);
        return;
      case 'request':
        if (step.note !== undefined) this.#hooks.note(step.note, {});
        this.#pause = Math.max(step.retransmitMs ?? AUTH_RETRY_MS, AUTH_RETRY_MS);
        this.#ask(now, step.packet);
        return;
      case 'granted':
        this.#close('granted');
        this.#send(encodeEap({ code: 'Success', id: this.#id }));
        this.#hooks.granted(now, step.granted);
        return;
      case 'denied':
        this.#deny(now, step.why);
    }
  }

  #ask(now: Instant, packet: Uint8Array): void {
    const { tries } = this.#hooks;
    tries.rounds += 1;
    if (tries.rounds > MAX_EAP_ROUNDS) {
      this.#deny(now, ENDLESS);
      return;
    }
    this.#phase = 'asking';
    // The octet behind Code.
    this.#id = packet.at(1)!;
    this.#packet = packet;
    this.#transmissions = 0;
    this.#transmit(now);
  }

  #transmit(now: Instant): void {
    this.#transmissions += 1;
    this.#timeoutAt = after(now, this.#pause);
    this.#pause = Math.max(this.#pause, Math.min(this.#pause * 2, EAP_RETRY_CAP_MS));
    this.#send(this.#packet);
  }

  #deny(now: Instant, why: GiveUp): void {
    this.#close('denied');
    this.#send(encodeEap({ code: 'Failure', id: this.#id }));
    this.#hooks.failed(now, why);
  }

  #close(phase: 'deciding' | 'granted' | 'denied'): void {
    this.#phase = phase;
    this.#timeoutAt = undefined;
  }

  #malformed({ at, ref, why }: { at: number; ref: string; why: string }): void {
    this.#hooks.note('eap.malformed', { at, ref, why });
  }

  #send(packet: Uint8Array): void {
    this.#hooks.send(this.protocol, packet);
  }
}

/** Somebody else decides: every Response is a question to him, whole. */
class PassThrough implements EapBackend {
  readonly #mtu: number;
  #user = '';
  /** Of the last Response. */
  #id = 0;
  /** Of the last answer, for the next question. */
  #state: { state?: Uint8Array } = {};

  constructor(mtu: number) {
    this.#mtu = mtu;
  }

  identity(response: EapResponse, user: string): EapStep {
    this.#user = user;
    return this.respond(response);
  }

  respond(response: EapResponse): EapStep {
    this.#id = response.id;
    const packet = encodeEap(response);
    return { next: 'wait', ask: { method: 'eap', user: this.#user, packet, mtu: this.#mtu, ...this.#state } };
  }

  request({ packet, state, retransmitMs }: EapChallenge): EapStep {
    if (!this.#sendable(packet)) return { next: 'denied', why: NO_REQUEST };
    this.#state = state === undefined ? {} : { state };
    return { next: 'request', packet, ...(retransmitMs === undefined ? {} : { retransmitMs }) };
  }

  /** RFC 3748 §4.1: a Request, with another Identifier; and EAP does not fragment (§3.1). */
  #sendable(packet: Uint8Array): boolean {
    const decoded = decodeEap(packet);
    return (
      decoded.ok && decoded.value.code === 'Request' && decoded.value.id !== this.#id && packet.length <= this.#mtu
    );
  }

  /** RFC 3579 §2.6.3: the verdict is what counts, whatever EAP packet came with it. */
  result(result: AuthResult): EapStep {
    return result.ok ? { next: 'granted', granted: result } : { next: 'denied', why: denial(result) };
  }
}

const NO_REQUEST: GiveUp = {
  by: 'protocol',
  reason: 'the EAP server sent no Request that the client could be given',
  hint: 'an answer of the EAP server is broken, or too long for the MRU of the client',
};

const ENDLESS: GiveUp = {
  by: 'protocol',
  reason: `no end after ${MAX_EAP_ROUNDS} EAP Requests`,
  hint: 'client and EAP server go on asking: is a certificate chain too long?',
};
