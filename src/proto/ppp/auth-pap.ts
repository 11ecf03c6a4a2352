/** The authenticator of PAP. RFC 1334 §2. */
import { PROTOCOL, protocolName } from '../../wire/ppp/frame.js';
import { decodePap, encodePap } from '../../wire/ppp/pap.js';
import type { Instant } from '../machine.js';
import { type Authentication, type AuthenticatorHooks, ascii, denial, text } from './auth.js';
import type { AuthResult } from './events.js';

export class PapAuthenticator implements Authentication {
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
    this.#hooks.tries.passwords += 1;
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
