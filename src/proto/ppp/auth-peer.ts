/**
 * The side that is authenticated: a dial-in client's half of PAP, CHAP-MD5 and MS-CHAP-V2, so that links can be tested
 * and emulated without a foreign peer. RFC 1334 §2, RFC 1994 §4, RFC 2759 §4 to §6.
 */
import { timingSafeEqual } from 'node:crypto';
import {
  type ChapPacket,
  decodeChap,
  decodeMsChapV2Failure,
  decodeMsChapV2Success,
  encodeChap,
  encodeMsChapV2Value,
} from '../../wire/ppp/chap.js';
import { PROTOCOL } from '../../wire/ppp/frame.js';
import { decodePap, encodePap } from '../../wire/ppp/pap.js';
import { sameBytes } from '../../wire/reader.js';
import { after, type Instant, type Random } from '../machine.js';
import type { Authentication } from './auth.js';
import type { AuthMethod } from './events.js';
import { AUTH_RETRY_MS, AUTH_TRANSMISSIONS, CHALLENGE_LENGTH } from './limits.js';
import { chapMd5Response, generateAuthenticatorResponse, generateNtResponse, ntPasswordHash } from './mschap.js';
import type { GiveUp } from './negotiation.js';

export interface PeerAuthConfig {
  readonly user: string;
  /** Tried in order: the next one when the authenticator allows a retry (RFC 2759 §6). Never empty. */
  readonly passwords: readonly string[];
  readonly random: Random;
}

export interface PeerAuthHooks {
  send(protocol: number, packet: Uint8Array): void;
  succeeded(now: Instant): void;
  failed(now: Instant, why: GiveUp): void;
}

export const peerAuthentication = (method: AuthMethod, config: PeerAuthConfig, hooks: PeerAuthHooks): Authentication =>
  method === 'pap' ? new PapPeer(config, hooks) : new ChapPeer(method, config, hooks);

/** Sends the last packet again until an answer comes; both methods need it. */
abstract class Retransmitting implements Authentication {
  abstract readonly protocol: number;
  protected readonly config: PeerAuthConfig;
  protected readonly hooks: PeerAuthHooks;
  #packet: Uint8Array = new Uint8Array(0);
  #left = 0;
  #timeoutAt: Instant | undefined;
  protected done = false;

  constructor(config: PeerAuthConfig, hooks: PeerAuthHooks) {
    this.config = config;
    this.hooks = hooks;
  }

  abstract start(now: Instant): void;
  abstract receive(now: Instant, information: Uint8Array): void;

  /** A peer asks nobody. */
  result(): void {}

  waitingFor(): string {
    return 'the server never answered the authentication';
  }

  nextTimeout(): Instant | undefined {
    return this.#timeoutAt;
  }

  handleTimeout(now: Instant): void {
    if (this.#timeoutAt === undefined || now < this.#timeoutAt) return;
    if (this.#left === 0) {
      this.fail(now, 'timeout', 'authentication timed out');
      return;
    }
    this.#transmit(now);
  }

  protected transmit(now: Instant, packet: Uint8Array): void {
    this.#packet = packet;
    this.#left = AUTH_TRANSMISSIONS;
    this.#transmit(now);
  }

  #transmit(now: Instant): void {
    this.#left -= 1;
    this.#timeoutAt = after(now, AUTH_RETRY_MS);
    this.hooks.send(this.protocol, this.#packet);
  }

  protected succeed(now: Instant): void {
    this.done = true;
    this.#timeoutAt = undefined;
    this.hooks.succeeded(now);
  }

  protected fail(now: Instant, by: 'auth' | 'timeout', reason: string): void {
    this.done = true;
    this.#timeoutAt = undefined;
    this.hooks.failed(now, { by, reason });
  }
}

class PapPeer extends Retransmitting {
  readonly protocol = PROTOCOL.pap;

  start(now: Instant): void {
    const peerId = Buffer.from(this.config.user, 'utf8');
    const password = Buffer.from(this.config.passwords[0]!, 'utf8');
    this.transmit(now, encodePap({ code: 'Authenticate-Request', id: 1, peerId, password }));
  }

  receive(now: Instant, information: Uint8Array): void {
    const packet = decodePap(information);
    if (this.done || !packet.ok) return;
    if (packet.value.code === 'Authenticate-Ack') this.succeed(now);
    if (packet.value.code === 'Authenticate-Nak') this.fail(now, 'auth', 'the server refused name or password');
  }
}

class ChapPeer extends Retransmitting {
  readonly protocol = PROTOCOL.chap;
  readonly #method: 'mschapv2' | 'chap-md5';
  #tries = 0;
  #challenge: { id: number; value: Uint8Array } | undefined;
  #expected: Uint8Array = new Uint8Array(0);

  constructor(method: 'mschapv2' | 'chap-md5', config: PeerAuthConfig, hooks: PeerAuthHooks) {
    super(config, hooks);
    this.#method = method;
  }

  /** RFC 1994 §4.1: the authenticator speaks first. */
  start(_now: Instant): void {}

  receive(now: Instant, information: Uint8Array): void {
    const packet = decodeChap(information);
    if (!packet.ok) return;
    const { value } = packet;
    if (value.code === 'Challenge') this.#challenged(now, value.id, value.value);
    else if ('message' in value) this.#answered(now, value);
  }

  #challenged(now: Instant, id: number, value: Uint8Array): void {
    const last = this.#challenge;
    // The same Challenge again: our Response is under way, and the timer sends it again.
    if (last !== undefined && last.id === id && sameBytes(last.value, value)) return;
    this.#challenge = { id, value: value.slice() };
    this.done = false;
    this.#respond(now, id, value);
  }

  #respond(now: Instant, id: number, challenge: Uint8Array): void {
    const password = this.config.passwords[this.#tries]!;
    const value =
      this.#method === 'chap-md5'
        ? chapMd5Response(id, Buffer.from(password, 'utf8'), challenge)
        : this.#msChapV2(password, challenge);
    const name = Buffer.from(this.config.user, 'utf8');
    this.transmit(now, encodeChap({ code: 'Response', id, value, name }));
  }

  #msChapV2(password: string, challenge: Uint8Array): Uint8Array {
    const { user, random } = this.config;
    const ntHash = ntPasswordHash(password);
    const peerChallenge = random(CHALLENGE_LENGTH);
    const ntResponse = generateNtResponse(challenge, peerChallenge, user, ntHash);
    this.#expected = generateAuthenticatorResponse(ntHash, ntResponse, peerChallenge, challenge, user);
    return encodeMsChapV2Value({ peerChallenge, ntResponse });
  }

  #answered(now: Instant, reply: Extract<ChapPacket, { message: Uint8Array }>): void {
    if (this.done || reply.id !== this.#challenge?.id) return;
    if (reply.code === 'Failure') {
      this.#failed(now, reply.id, reply.message);
      return;
    }
    if (this.#method === 'mschapv2' && !this.#provesItself(reply.message)) {
      // RFC 2759 §5: a missing or wrong authenticator response MUST end the session.
      this.fail(now, 'auth', 'the server does not know our password: its authenticator response is wrong');
      return;
    }
    this.succeed(now);
  }

  #provesItself(message: Uint8Array): boolean {
    const success = decodeMsChapV2Success(message);
    return success.ok && timingSafeEqual(success.value.authenticatorResponse, this.#expected);
  }

  #failed(now: Instant, id: number, message: Uint8Array): void {
    const failure = this.#method === 'mschapv2' ? decodeMsChapV2Failure(message) : undefined;
    if (failure?.ok === true && failure.value.retry && this.#tries + 1 < this.config.passwords.length) {
      this.#tries += 1;
      this.#challenge = { id: (id + 1) & 0xff, value: failure.value.challenge };
      this.#respond(now, this.#challenge.id, failure.value.challenge);
      return;
    }
    const code = failure?.ok === true ? ` (${failure.value.error})` : '';
    this.fail(now, 'auth', `the server refused name or password${code}`);
  }
}
