/** The peer's half of EAP: Identity, MD5-Challenge, EAP-MSCHAPv2, and Nak. RFC 3748 §4, draft-kamath-pppext-eap-mschapv2. */
import { CHAP_CODE, type ChapPacket, decodeChap, encodeChap } from '../../wire/ppp/chap.js';
import { decodeEap, decodeMd5Value, EAP_TYPE, type EapPacket, encodeEap, encodeMd5Value } from '../../wire/ppp/eap.js';
import { PROTOCOL } from '../../wire/ppp/frame.js';
import type { Instant } from '../machine.js';
import type { Authentication } from './auth.js';
import type { PeerAuthConfig, PeerAuthHooks } from './auth-peer.js';
import type { EapMethod } from './events.js';
import { chapMd5Response } from './mschap.js';
import { MsChapV2Peer } from './mschap-peer.js';

const TYPE: Readonly<Record<EapMethod, number>> = { mschapv2: EAP_TYPE.MSCHAPv2, md5: EAP_TYPE.MD5 };

type Request = Extract<EapPacket, { type: number }>;

export class EapPeer implements Authentication {
  readonly protocol = PROTOCOL.eap;
  readonly #config: PeerAuthConfig;
  readonly #hooks: PeerAuthHooks;
  readonly #mschap: MsChapV2Peer;
  /** Identifier of the last Request, and what we said. */
  #last: { id: number; response: Uint8Array } | undefined;
  /** The method has done its part: Success may be believed (RFC 3748 §4.2). */
  #complete = false;
  #done = false;
  #refused = 'the server refused name or password';

  constructor(config: PeerAuthConfig, hooks: PeerAuthHooks) {
    this.#config = config;
    this.#hooks = hooks;
    this.#mschap = new MsChapV2Peer(config);
  }

  /** RFC 3748 §2: the authenticator speaks first, and sends again. */
  start(_now: Instant): void {}
  nextTimeout(): undefined {}
  handleTimeout(_now: Instant): void {}

  /** A peer asks nobody. */
  result(): void {}

  waitingFor(): string {
    return 'the server never answered the authentication';
  }

  /** RFC 3748 §4.2: Success may be lost; a packet of an NCP says the same. */
  ncpHeard(now: Instant): void {
    this.#succeed(now);
  }

  receive(now: Instant, information: Uint8Array): void {
    const packet = decodeEap(information);
    if (!packet.ok || this.#done) return;
    const { value } = packet;
    if (value.code === 'Success') this.#succeed(now);
    else if (value.code === 'Failure') this.#fail(now, this.#refused);
    else if (value.code === 'Request') this.#requested(now, value as Request);
  }

  /** RFC 3748 §4.1: the same Identifier again is the same Request again, and gets the same Response. */
  #requested(now: Instant, request: Request): void {
    if (request.id === this.#last?.id) {
      this.#hooks.send(this.protocol, this.#last.response);
      return;
    }
    const type = this.#allowed.includes(request.type) ? request.type : COMMON[request.type];
    switch (type) {
      case EAP_TYPE.Identity:
        this.#respond(request, Buffer.from(this.#config.user, 'utf8'));
        return;
      case EAP_TYPE.Notification:
        this.#respond(request, new Uint8Array(0));
        return;
      case EAP_TYPE.MD5:
        this.#md5(request);
        return;
      case EAP_TYPE.MSCHAPv2:
        this.#msChapV2(now, request);
        return;
      default:
        this.#respond({ ...request, type: EAP_TYPE.Nak }, Uint8Array.from(this.#allowed));
    }
  }

  get #allowed(): readonly number[] {
    return (this.#config.eap ?? ['mschapv2', 'md5']).map((m) => TYPE[m]);
  }

  #md5(request: Request): void {
    const challenge = decodeMd5Value(request.data);
    if (!challenge.ok) return;
    const { user, passwords } = this.#config;
    const value = chapMd5Response(request.id, Buffer.from(passwords[0]!, 'utf8'), challenge.value.value);
    this.#complete = true;
    this.#respond(request, encodeMd5Value({ value, name: Buffer.from(user, 'utf8') }));
  }

  #msChapV2(now: Instant, request: Request): void {
    const packet = decodeChap(request.data);
    if (!packet.ok) return;
    const { value } = packet;
    if (value.code === 'Challenge') this.#answer(request, this.#mschap.respond(value.id, value.value));
    else if (value.code === 'Failure') this.#failed(request, this.#mschap.next(value.id, value.message));
    else if (value.code === 'Success') this.#succeeded(now, request, value.message);
  }

  #failed(request: Request, next: ChapPacket | string): void {
    if (typeof next !== 'string') {
      this.#answer(request, next);
      return;
    }
    this.#refused = next;
    this.#respond(request, Uint8Array.of(CHAP_CODE.Failure));
  }

  #succeeded(now: Instant, request: Request, message: Uint8Array): void {
    this.#complete = this.#mschap.proves(message);
    this.#respond(request, Uint8Array.of(this.#complete ? CHAP_CODE.Success : CHAP_CODE.Failure));
    if (!this.#complete) this.#fail(now, 'the server does not know our password: its authenticator response is wrong');
  }

  #answer(request: Request, packet: ChapPacket): void {
    this.#respond(request, encodeChap(packet));
  }

  #respond({ id, type }: Request, data: Uint8Array): void {
    const response = encodeEap({ code: 'Response', id, type, data });
    this.#last = { id, response };
    this.#hooks.send(this.protocol, response);
  }

  #succeed(now: Instant): void {
    if (!this.#complete || this.#done) return;
    this.#done = true;
    this.#hooks.succeeded(now);
  }

  #fail(now: Instant, reason: string): void {
    this.#done = true;
    this.#hooks.failed(now, { by: 'auth', reason });
  }
}

/** Types that need no permission. */
const COMMON: Readonly<Record<number, number>> = {
  [EAP_TYPE.Identity]: EAP_TYPE.Identity,
  [EAP_TYPE.Notification]: EAP_TYPE.Notification,
};
