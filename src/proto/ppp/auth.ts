/**
 * The authenticator: asks the peer who it is, lets the user store decide, tells the peer. RFC 1994 §4, RFC 1334 §2,
 * RFC 2759 §4 to §6. It holds no secret; it holds the last verdict, because replies get lost and are asked for again.
 */
import {
  decodeChap,
  decodeMsChapV2Value,
  encodeChap,
  encodeMsChapV2Failure,
  encodeMsChapV2Success,
} from '../../wire/ppp/chap.js';
import { PROTOCOL, protocolName } from '../../wire/ppp/frame.js';
import { decodePap, encodePap } from '../../wire/ppp/pap.js';
import { sameBytes } from '../../wire/reader.js';
import { type Decoded, malformed, ok } from '../../wire/result.js';
import { after, type Instant, type Random } from '../machine.js';
import type { AuthMethod, AuthRequest, AuthResult } from './events.js';
import { AUTH_RETRY_MS, AUTH_TRANSMISSIONS, CHALLENGE_LENGTH, MAX_NAME } from './limits.js';
import type { GiveUp } from './negotiation.js';

export type Granted = Extract<AuthResult, { ok: true }>;
export type Denied = Extract<AuthResult, { ok: false }>;

/** Either end of the authentication phase, as the link sees it. */
export interface Authentication {
  readonly protocol: number;
  start(now: Instant): void;
  receive(now: Instant, information: Uint8Array): void;
  nextTimeout(): Instant | undefined;
  handleTimeout(now: Instant): void;
  /** Verdict of the user store; only the authenticator waits for one. */
  result(now: Instant, result: AuthResult): void;
  /** Where it stands, for the hint of a setup that timed out. */
  waitingFor(): string;
}

export interface AuthenticatorHooks {
  send(protocol: number, packet: Uint8Array): void;
  note(event: string, fields: Record<string, unknown>): void;
  authenticate(request: AuthRequest): void;
  granted(now: Instant, result: Granted): void;
  failed(now: Instant, why: GiveUp): void;
}

export interface AuthenticatorConfig {
  /** Our name in Challenges. */
  readonly name: string;
  readonly authTries: number;
  readonly random: Random;
}

export function authenticator(
  method: AuthMethod,
  config: AuthenticatorConfig,
  hooks: AuthenticatorHooks,
): Authentication {
  return method === 'pap' ? new PapAuthenticator(hooks) : new ChapAuthenticator(method, config, hooks);
}

const denial = ({ code, message }: Denied): GiveUp => ({
  by: 'auth',
  reason: message === '' ? `authentication failed (${code})` : `authentication failed (${code}): ${message}`,
});

/** Names and messages as text; the peer's octets are not trusted to be printable. */
const text = (octets: Uint8Array): string => Buffer.from(octets).toString('utf8');
const ascii = (s: string): string => s.replace(/[^\x20-\x7e]/g, '?').slice(0, 128);

type ChapPhase = 'challenged' | 'deciding' | 'retry' | 'granted' | 'denied';
type ChapResponse = { readonly id: number; readonly value: Uint8Array; readonly name: Uint8Array };

class ChapAuthenticator implements Authentication {
  readonly protocol = PROTOCOL.chap;
  readonly #method: 'mschapv2' | 'chap-md5';
  readonly #config: AuthenticatorConfig;
  readonly #hooks: AuthenticatorHooks;
  #phase: ChapPhase = 'challenged';
  #id = 0;
  #challenge: Uint8Array = new Uint8Array(0);
  #transmissions = 0;
  #tries = 0;
  #timeoutAt: Instant | undefined;
  #response: ChapResponse | undefined;
  /** Success or Failure for #response, to be sent again when that comes again. */
  #reply: Uint8Array = new Uint8Array(0);

  constructor(method: 'mschapv2' | 'chap-md5', config: AuthenticatorConfig, hooks: AuthenticatorHooks) {
    this.#method = method;
    this.#config = config;
    this.#hooks = hooks;
  }

  start(now: Instant): void {
    this.#id = this.#config.random(1).at(0)!;
    this.#challenge = this.#config.random(CHALLENGE_LENGTH);
    this.#sendChallenge(now);
  }

  waitingFor(): string {
    if (this.#phase === 'deciding') return 'the user store never answered';
    return this.#phase === 'retry'
      ? 'the client never tried again after a wrong password'
      : 'the client never answered the CHAP Challenge';
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
      reason: 'authentication timed out',
      hint: 'the client never answered the CHAP Challenge',
    });
  }

  receive(_now: Instant, information: Uint8Array): void {
    const packet = decodeChap(information);
    if (!packet.ok) {
      this.#hooks.note('chap.malformed', { at: packet.at, ref: packet.ref, why: packet.why });
      return;
    }
    if (packet.value.code !== 'Response') return;
    this.#receiveResponse(packet.value);
  }

  /** While the store decides, and after a refusal, nothing is said. */
  #receiveResponse(response: ChapResponse): void {
    if (this.#phase === 'challenged') {
      if (response.id === this.#id) this.#evaluate(response);
    } else if (this.#phase === 'retry') {
      // Our Failure may be lost: the same Response again is answered with it again.
      if (sameResponse(response, this.#response!)) this.#send(this.#reply);
      // RFC 2759 §6 does not say which Identifier the new Response has: take the Failure's, or one more.
      else if (response.id === this.#id || response.id === ((this.#id + 1) & 0xff)) this.#evaluate(response);
    } else if (this.#phase === 'granted' && response.id === this.#response!.id) {
      // RFC 1994 §4.1: the current Identifier MUST get the same reply code again; §4.2: our Success may be lost.
      this.#send(this.#reply);
    }
  }

  #evaluate(response: ChapResponse): void {
    const request = this.#request(response);
    if (!request.ok) {
      this.#hooks.note('chap.malformed', { at: request.at, ref: request.ref, why: request.why });
      return;
    }
    this.#phase = 'deciding';
    this.#tries += 1;
    this.#timeoutAt = undefined;
    this.#response = { ...response, value: response.value.slice(), name: response.name.slice() };
    this.#hooks.authenticate(request.value);
  }

  #request(response: ChapResponse): Decoded<AuthRequest> {
    const { id, value } = response;
    if (response.name.length > MAX_NAME) return malformed(0, 'RFC 2759 §4', 'Name is too long');
    const user = text(response.name);
    if (this.#method === 'chap-md5') {
      if (value.length !== 16) return malformed(0, 'RFC 1994 §4.1', 'MD5 Value-Size');
      return ok({ method: 'chap-md5', user, id, challenge: this.#challenge, response: value.slice() });
    }
    const parts = decodeMsChapV2Value(value);
    if (!parts.ok) return parts;
    return ok({
      method: 'mschapv2',
      user,
      id,
      authenticatorChallenge: this.#challenge,
      peerChallenge: parts.value.peerChallenge.slice(),
      ntResponse: parts.value.ntResponse.slice(),
    });
  }

  result(now: Instant, result: AuthResult): void {
    if (this.#phase !== 'deciding') return;
    if (!result.ok) {
      this.#deny(now, result);
      return;
    }
    const message = this.#successMessage(result);
    if (message === undefined) {
      this.#hooks.note('chap.no-authenticator-response', { user: result.user });
      this.#deny(now, { ok: false, code: 691, retry: false, message: '' });
      return;
    }
    this.#phase = 'granted';
    this.#sendReply({ code: 'Success', message });
    this.#hooks.granted(now, result);
  }

  #successMessage({ authenticatorResponse }: Granted): Uint8Array | undefined {
    if (this.#method === 'chap-md5') return new Uint8Array(0);
    if (authenticatorResponse === undefined) return undefined;
    return encodeMsChapV2Success({ authenticatorResponse, message: 'Access granted' });
  }

  #deny(now: Instant, denied: Denied): void {
    const retry = this.#method === 'mschapv2' && denied.retry && this.#tries < this.#config.authTries;
    // RFC 2759 §6: C= is the challenge for the next try, and MUST be there in any case.
    this.#challenge = this.#config.random(CHALLENGE_LENGTH);
    this.#id = this.#response!.id;
    this.#phase = retry ? 'retry' : 'denied';
    this.#sendReply({ code: 'Failure', message: this.#failureMessage(denied, retry) });
    if (!retry) this.#hooks.failed(now, denial(denied));
  }

  #failureMessage(denied: Denied, retry: boolean): Uint8Array {
    const message = ascii(denied.message);
    if (this.#method === 'chap-md5') return Buffer.from(message, 'latin1');
    return encodeMsChapV2Failure({ error: denied.code, retry, challenge: this.#challenge, version: 3, message });
  }

  #sendChallenge(now: Instant): void {
    this.#transmissions += 1;
    this.#timeoutAt = after(now, AUTH_RETRY_MS);
    const name = Buffer.from(this.#config.name, 'utf8');
    this.#send(encodeChap({ code: 'Challenge', id: this.#id, value: this.#challenge, name }));
  }

  #sendReply(reply: { code: 'Success' | 'Failure'; message: Uint8Array }): void {
    this.#reply = encodeChap({ ...reply, id: this.#response!.id });
    this.#send(this.#reply);
  }

  #send(packet: Uint8Array): void {
    this.#hooks.send(this.protocol, packet);
  }
}

const sameResponse = (a: ChapResponse, b: ChapResponse): boolean =>
  a.id === b.id && sameBytes(a.value, b.value) && sameBytes(a.name, b.name);

class PapAuthenticator implements Authentication {
  readonly protocol = PROTOCOL.pap;
  readonly #hooks: AuthenticatorHooks;
  #phase: 'waiting' | 'deciding' | 'granted' | 'denied' = 'waiting';
  #id = 0;

  constructor(hooks: AuthenticatorHooks) {
    this.#hooks = hooks;
  }

  /** RFC 1334 §2.2: the peer speaks first. */
  start(_now: Instant): void {}

  waitingFor(): string {
    return this.#phase === 'deciding'
      ? 'the user store never answered'
      : `the client never sent a ${protocolName(this.protocol)} Authenticate-Request`;
  }

  nextTimeout(): undefined {}

  /** RFC 1334 §2.2.1: it is the peer that retransmits; the link's setup timeout bounds the wait. */
  handleTimeout(_now: Instant): void {}

  receive(_now: Instant, information: Uint8Array): void {
    const packet = decodePap(information);
    if (!packet.ok) {
      this.#hooks.note('pap.malformed', { at: packet.at, ref: packet.ref, why: packet.why });
      return;
    }
    if (packet.value.code !== 'Authenticate-Request') return;
    const { id, peerId, password } = packet.value;
    // RFC 1334 §2.2.1: once decided, the same reply code MUST come again for repeated requests.
    if (this.#phase === 'granted') this.#reply(id, 'Authenticate-Ack', '');
    if (this.#phase !== 'waiting') return;
    this.#phase = 'deciding';
    this.#id = id;
    this.#hooks.authenticate({ method: 'pap', user: text(peerId), password: text(password) });
  }

  result(now: Instant, result: AuthResult): void {
    if (this.#phase !== 'deciding') return;
    if (result.ok) {
      this.#phase = 'granted';
      this.#reply(this.#id, 'Authenticate-Ack', '');
      this.#hooks.granted(now, result);
      return;
    }
    this.#phase = 'denied';
    this.#reply(this.#id, 'Authenticate-Nak', ascii(result.message));
    this.#hooks.failed(now, denial(result));
  }

  #reply(id: number, code: 'Authenticate-Ack' | 'Authenticate-Nak', message: string): void {
    this.#hooks.send(this.protocol, encodePap({ code, id, message: Buffer.from(message, 'latin1') }));
  }
}
