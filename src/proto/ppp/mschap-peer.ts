/** The peer's half of MS-CHAP-V2, whatever carries it: CHAP, or EAP. RFC 2759 §4 to §7. */
import { timingSafeEqual } from 'node:crypto';
import {
  type ChapPacket,
  decodeMsChapV2Failure,
  decodeMsChapV2Success,
  encodeMsChapV2Value,
  type MsChapV2Failure,
} from '../../wire/ppp/chap.js';
import type { Random } from '../machine.js';
import { CHALLENGE_LENGTH } from './limits.js';
import { generateAuthenticatorResponse, generateNtResponse, ntPasswordHash } from './mschap.js';
import { hashUnderHash, passwordUnderHash } from './password-change.js';

export interface Credentials {
  readonly user: string;
  /** Tried in order: the next one when the authenticator allows a retry (RFC 2759 §6). Never empty. */
  readonly passwords: readonly string[];
  /** Set when the server says that the password has expired (RFC 2759 §7). */
  readonly newPassword?: string;
  readonly random: Random;
}

const EXPIRED = 648;

export class MsChapV2Peer {
  readonly #config: Credentials;
  #passwords: readonly string[];
  #expected: Uint8Array = new Uint8Array(0);

  constructor(config: Credentials) {
    this.#config = config;
    this.#passwords = config.passwords;
  }

  respond(id: number, challenge: Uint8Array): ChapPacket {
    const value = encodeMsChapV2Value(this.#prove(challenge));
    return { code: 'Response', id, value, name: Buffer.from(this.#config.user, 'utf8') };
  }

  /** RFC 2759 §5: does the Success prove that the server knows the password? */
  proves(message: Uint8Array): boolean {
    const success = decodeMsChapV2Success(message);
    return success.ok && timingSafeEqual(success.value.authenticatorResponse, this.#expected);
  }

  /** What comes after the Failure with Identifier `id`; words when nothing does. */
  next(id: number, message: Uint8Array): ChapPacket | string {
    const failure = decodeMsChapV2Failure(message);
    if (!failure.ok) return 'the server refused name or password';
    const { value } = failure;
    const answer = value.error === EXPIRED ? this.#change(id, value) : this.#retry(id, value);
    return answer ?? `the server refused name or password (${value.error})`;
  }

  #retry(id: number, { retry, challenge }: MsChapV2Failure): ChapPacket | undefined {
    if (!retry || this.#passwords.length === 1) return undefined;
    this.#passwords = this.#passwords.slice(1);
    return this.respond((id + 1) & 0xff, challenge);
  }

  #change(id: number, { challenge }: MsChapV2Failure): ChapPacket | undefined {
    const { newPassword, random } = this.#config;
    if (newPassword === undefined) return undefined;
    const [oldHash, newHash] = [this.#password, newPassword].map(ntPasswordHash) as [Uint8Array, Uint8Array];
    this.#passwords = [newPassword];
    return {
      code: 'Change-Password',
      id: (id + 1) & 0xff,
      encryptedPassword: passwordUnderHash(newPassword, oldHash, random),
      encryptedHash: hashUnderHash(oldHash, newHash),
      ...this.#prove(challenge),
    };
  }

  get #password(): string {
    return this.#passwords[0]!;
  }

  #prove(challenge: Uint8Array): { peerChallenge: Uint8Array; ntResponse: Uint8Array } {
    const { user, random } = this.#config;
    const ntHash = ntPasswordHash(this.#password);
    const peerChallenge = random(CHALLENGE_LENGTH);
    const ntResponse = generateNtResponse(challenge, peerChallenge, user, ntHash);
    this.#expected = generateAuthenticatorResponse(ntHash, ntResponse, peerChallenge, challenge, user);
    return { peerChallenge, ntResponse };
  }
}
