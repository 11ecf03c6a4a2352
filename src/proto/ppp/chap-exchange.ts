/**
 * What is asked and answered in CHAP-MD5 and MS-CHAP-V2, whatever carries it: CHAP, or EAP. RFC 1994 §4, RFC 2759 §4 to §7.
 * It knows challenges, tries and texts; sending, and sending again, is the carrier's.
 */
import {
  type ChapPacket,
  decodeMsChapV2Value,
  encodeMsChapV2Failure,
  encodeMsChapV2Success,
} from '../../wire/ppp/chap.js';
import { type Decoded, malformed, ok } from '../../wire/result.js';
import { type AuthenticatorConfig, ascii, type Denied, denial, type Granted, type Tries, text } from './auth.js';
import { UNPROVEN } from './ending.js';
import type { AuthRequest, AuthResult } from './events.js';
import { CHALLENGE_LENGTH, MAX_NAME } from './limits.js';
import type { GiveUp } from './negotiation.js';

/** What a peer answers with. */
export type ChapAnswer = Extract<ChapPacket, { value: Uint8Array } | { encryptedPassword: Uint8Array }>;

/** Success or Failure, and what may come after it. */
export interface ChapOutcome {
  readonly reply: Extract<ChapPacket, { message: Uint8Array }>;
  readonly next: 'granted' | 'retry' | 'change' | 'denied';
  /** Only with 'granted'. */
  readonly granted?: Granted;
  /** Why the link goes down if nothing comes after it. */
  readonly why: GiveUp;
  /** For the log: our own mistake. */
  readonly note?: string;
}

export class ChapExchange {
  readonly #method: 'mschapv2' | 'chap-md5';
  readonly #config: AuthenticatorConfig;
  readonly #tries: Tries;
  #challenge: Uint8Array;
  #user = '';

  constructor(method: 'mschapv2' | 'chap-md5', config: AuthenticatorConfig, tries: Tries) {
    this.#method = method;
    this.#config = config;
    this.#tries = tries;
    this.#challenge = config.random(CHALLENGE_LENGTH);
  }

  challenge(id: number): ChapPacket {
    return { code: 'Challenge', id, value: this.#challenge, name: Buffer.from(this.#config.name, 'utf8') };
  }

  /** The question for the user store; a Change-Password is about the user of the Response before it (RFC 2759 §7). */
  request(answer: ChapAnswer): Decoded<AuthRequest> {
    const request = answer.code === 'Change-Password' ? ok(this.#change(answer)) : this.#response(answer);
    if (request.ok) this.#tries.passwords += 1;
    return request;
  }

  #change(answer: Extract<ChapAnswer, { code: 'Change-Password' }>): AuthRequest {
    const { code: _, ...parts } = answer;
    // RFC 2759 §9.1: response retry is never allowed after Change Password.
    this.#tries.passwords = this.#config.authTries;
    return { method: 'mschapv2-change', user: this.#user, authenticatorChallenge: this.#challenge, ...copied(parts) };
  }

  #response({ id, value, name }: Extract<ChapAnswer, { value: Uint8Array }>): Decoded<AuthRequest> {
    if (name.length > MAX_NAME) return malformed(0, 'RFC 2759 §4', 'Name is too long');
    const user = text(name);
    if (this.#method === 'chap-md5') {
      if (value.length !== 16) return malformed(0, 'RFC 1994 §4.1', 'MD5 Value-Size');
      return ok({ method: 'chap-md5', user, id, challenge: this.#challenge, response: value.slice() });
    }
    const parts = decodeMsChapV2Value(value);
    if (!parts.ok) return parts;
    this.#user = user;
    return ok({ method: 'mschapv2', user, id, authenticatorChallenge: this.#challenge, ...copied(parts.value) });
  }

  /** The reply to the answer with Identifier `id`. */
  outcome(id: number, result: AuthResult): ChapOutcome {
    if (!result.ok) return this.#denied(id, result);
    const message = this.#successMessage(result);
    if (message !== undefined)
      return { reply: { code: 'Success', id, message }, next: 'granted', granted: result, why: UNPROVEN };
    const mistake = this.#denied(id, { ok: false, code: 691, retry: false, message: '' });
    return { ...mistake, note: 'chap.no-authenticator-response' };
  }

  #successMessage({ authenticatorResponse }: Granted): Uint8Array | undefined {
    if (this.#method === 'chap-md5') return new Uint8Array(0);
    if (authenticatorResponse === undefined) return undefined;
    return encodeMsChapV2Success({ authenticatorResponse, message: 'Access granted' });
  }

  #denied(id: number, denied: Denied): ChapOutcome {
    const mschap = this.#method === 'mschapv2';
    const retry = mschap && denied.retry && this.#tries.passwords < this.#config.authTries;
    // RFC 2759 §6: C= is the challenge for the next try, and MUST be there in any case.
    this.#challenge = this.#config.random(CHALLENGE_LENGTH);
    const reply = { code: 'Failure', id, message: this.#failureMessage(denied, retry) } as const;
    const next = retry ? 'retry' : mschap && denied.change === true ? 'change' : 'denied';
    return { reply, next, why: denial(denied) };
  }

  #failureMessage(denied: Denied, retry: boolean): Uint8Array {
    const message = ascii(denied.message);
    if (this.#method === 'chap-md5') return Buffer.from(message, 'latin1');
    return encodeMsChapV2Failure({ error: denied.code, retry, challenge: this.#challenge, version: 3, message });
  }
}

/** What the datagram held, kept beyond it. */
const copied = <T extends object>(parts: T): T =>
  Object.fromEntries(Object.entries(parts).map(([k, v]) => [k, v instanceof Uint8Array ? v.slice() : v])) as T;
