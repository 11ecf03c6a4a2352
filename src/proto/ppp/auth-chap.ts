/**
 * The authenticator of CHAP: CHAP-MD5 and MS-CHAP-V2. RFC 1994 §4, RFC 2759 §4 to §7. It holds the last reply, because
 * replies get lost and are asked for again.
 */
import { decodeChap, encodeChap } from '../../wire/ppp/chap.js';
import { PROTOCOL } from '../../wire/ppp/frame.js';
import { sameBytes } from '../../wire/reader.js';
import { after, type Instant } from '../machine.js';
import type { Authentication, AuthenticatorConfig, AuthenticatorHooks } from './auth.js';
import { type ChapAnswer, ChapExchange } from './chap-exchange.js';
import { AUTH_UNANSWERED } from './ending.js';
import type { AuthResult } from './events.js';
import { AUTH_RETRY_MS, AUTH_TRANSMISSIONS } from './limits.js';

type Phase = 'challenged' | 'deciding' | 'retry' | 'change' | 'granted' | 'denied';

const WAITING: Partial<Record<Phase, string>> = {
  deciding: 'the user store never answered',
  retry: 'the client never tried again after a wrong password',
  change: 'the client never set a new password',
};

export class ChapAuthenticator implements Authentication {
  readonly protocol = PROTOCOL.chap;
  readonly #exchange: ChapExchange;
  readonly #hooks: AuthenticatorHooks;
  #phase: Phase = 'challenged';
  #id: number;
  #transmissions = 0;
  #timeoutAt: Instant | undefined;
  /** The last answer of the peer, as octets. */
  #answer: Uint8Array = new Uint8Array(0);
  /** Success or Failure for #answer, to be sent again when that comes again. */
  #reply: Uint8Array = new Uint8Array(0);

  constructor(method: 'mschapv2' | 'chap-md5', config: AuthenticatorConfig, hooks: AuthenticatorHooks) {
    this.#exchange = new ChapExchange(method, config, hooks.tries);
    this.#hooks = hooks;
    this.#id = config.random(1).at(0)!;
  }

  start(now: Instant): void {
    this.#sendChallenge(now);
  }

  waitingFor(): string {
    return WAITING[this.#phase] ?? 'the client never answered the CHAP Challenge';
  }

  nextTimeout(): Instant | undefined {
    return this.#timeoutAt;
  }

  /** RFC 1994 §4.1: the Challenge MUST be sent again until a Response comes; unchanged, so that a late one counts. */
  handleTimeout(now: Instant): void {
    if (this.#timeoutAt === undefined || now < this.#timeoutAt) return;
    this.#timeoutAt = undefined;
    if (this.#transmissions < AUTH_TRANSMISSIONS) {
      this.#sendChallenge(now);
      return;
    }
    this.#phase = 'denied';
    this.#hooks.failed(now, {
      by: 'timeout',
      reason: AUTH_UNANSWERED,
      hint: 'the client never answered the CHAP Challenge',
    });
  }

  receive(_now: Instant, information: Uint8Array): void {
    const packet = decodeChap(information);
    if (!packet.ok) {
      this.#hooks.note('chap.malformed', { at: packet.at, ref: packet.ref, why: packet.why });
      return;
    }
    const { value } = packet;
    if (value.code === 'Response' || value.code === 'Change-Password') this.#receiveAnswer(value);
  }

  /** While the store decides, and after a refusal, nothing is said. */
  #receiveAnswer(answer: ChapAnswer): void {
    const changes = answer.code === 'Change-Password';
    switch (this.#phase) {
      case 'challenged':
        if (!changes && answer.id === this.#id) this.#evaluate(answer);
        return;
      case 'retry':
      case 'change':
        // Our Failure may be lost: the same answer again is answered with it again.
        if (sameBytes(encodeChap(answer), this.#answer)) this.#send(this.#reply);
        // RFC 2759 §6 does not say which Identifier the new Response has: take the Failure's, or one more (§7).
        else if (changes === (this.#phase === 'change') && this.#follows(answer.id)) this.#evaluate(answer);
        return;
      case 'granted':
        // RFC 1994 §4.1: the current Identifier MUST get the same reply code again; §4.2: our Success may be lost.
        if (answer.id === this.#id) this.#send(this.#reply);
    }
  }

  #follows(id: number): boolean {
    return id === this.#id || id === ((this.#id + 1) & 0xff);
  }

  #evaluate(answer: ChapAnswer): void {
    const request = this.#exchange.request(answer);
    if (!request.ok) {
      this.#hooks.note('chap.malformed', { at: request.at, ref: request.ref, why: request.why });
      return;
    }
    this.#phase = 'deciding';
    this.#timeoutAt = undefined;
    this.#answer = encodeChap(answer);
    this.#id = answer.id;
    this.#hooks.authenticate(request.value);
  }

  result(now: Instant, result: AuthResult): void {
    if (this.#phase !== 'deciding') return;
    const { reply, next, granted, why, note } = this.#exchange.outcome(this.#id, result);
    if (note !== undefined && result.ok) this.#hooks.note(note, { user: result.user });
    this.#phase = next;
    this.#reply = encodeChap(reply);
    this.#send(this.#reply);
    if (granted !== undefined) this.#hooks.granted(now, granted);
    else if (next === 'denied') this.#hooks.failed(now, why);
  }

  #sendChallenge(now: Instant): void {
    this.#transmissions += 1;
    this.#timeoutAt = after(now, AUTH_RETRY_MS);
    this.#send(encodeChap(this.#exchange.challenge(this.#id)));
  }

  #send(packet: Uint8Array): void {
    this.#hooks.send(this.protocol, packet);
  }
}
