/**
 * The side that is authenticated: a dial-in client's half of PAP, CHAP-MD5, MS-CHAP-V2 and EAP, so that links can be tested
 * and emulated without a foreign peer. RFC 1334 §2, RFC 1994 §4, RFC 2759 §4 to §7; EAP: `auth-peer-eap.ts`.
 */
import { type ChapPacket, decodeChap, encodeChap } from '../../wire/ppp/chap.js';
import { PROTOCOL } from '../../wire/ppp/frame.js';
import { decodePap, encodePap } from '../../wire/ppp/pap.js';
import { sameBytes } from '../../wire/reader.js';
import { after, type Instant } from '../machine.js';
import type { Authentication } from './auth.js';
import { EapPeer } from './auth-peer-eap.js';
import type { AuthMethod, EapMethod } from './events.js';
import { AUTH_RETRY_MS, AUTH_TRANSMISSIONS } from './limits.js';
import { chapMd5Response } from './mschap.js';
import { type Credentials, MsChapV2Peer } from './mschap-peer.js';
import type { GiveUp } from './negotiation.js';

export interface PeerAuthConfig extends Credentials {
  /** Within EAP; what it Naks other types with, in this order. Absent: MS-CHAP-V2, then MD5. */
  readonly eap?: readonly EapMethod[];
}

export interface PeerAuthHooks {
  send(protocol: number, packet: Uint8Array): void;
  succeeded(now: Instant): void;
  failed(now: Instant, why: GiveUp): void;
}

export function peerAuthentication(method: AuthMethod, config: PeerAuthConfig, hooks: PeerAuthHooks): Authentication {
  switch (method) {
    case 'pap':
      return new PapPeer(config, hooks);
    case 'eap':
      return new EapPeer(config, hooks);
    default:
      return new ChapPeer(method, config, hooks);
  }
}

/** Sends the last packet again until an answer comes; PAP and CHAP need it. */
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
  readonly #mschap: MsChapV2Peer | undefined;
  /** The one we answered last. */
  #challenge: { id: number; value: Uint8Array } | undefined;

  constructor(method: 'mschapv2' | 'chap-md5', config: PeerAuthConfig, hooks: PeerAuthHooks) {
    super(config, hooks);
    this.#mschap = method === 'mschapv2' ? new MsChapV2Peer(config) : undefined;
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
    this.transmit(now, encodeChap(this.#mschap?.respond(id, value) ?? this.#md5(id, value)));
  }

  #md5(id: number, challenge: Uint8Array): ChapPacket {
    const value = chapMd5Response(id, Buffer.from(this.config.passwords[0]!, 'utf8'), challenge);
    return { code: 'Response', id, value, name: Buffer.from(this.config.user, 'utf8') };
  }

  #answered(now: Instant, reply: Extract<ChapPacket, { message: Uint8Array }>): void {
    if (this.done || reply.id !== this.#challenge?.id) return;
    if (reply.code === 'Failure') this.#failed(now, reply.id, reply.message);
    else if (this.#mschap?.proves(reply.message) ?? true) this.succeed(now);
    // RFC 2759 §5: a missing or wrong authenticator response MUST end the session.
    else this.fail(now, 'auth', 'the server does not know our password: its authenticator response is wrong');
  }

  #failed(now: Instant, id: number, message: Uint8Array): void {
    const next = this.#mschap?.next(id, message) ?? 'the server refused name or password';
    if (typeof next === 'string') {
      this.fail(now, 'auth', next);
      return;
    }
    this.#challenge = { id: next.id, value: message.slice() };
    this.transmit(now, encodeChap(next));
  }
}
