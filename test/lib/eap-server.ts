/** Somebody else who decides EAP: what a RADIUS server is behind the AAA port (RFC 3579 §2), in memory. */
import type { Aaa, AuthChallenge, AuthContext, AuthVerdict } from '../../src/daemon/aaa.js';
import { Tries } from '../../src/proto/ppp/auth.js';
import { EapMethods, type EapResponse, type EapStep } from '../../src/proto/ppp/eap-methods.js';
import type { AuthRequest, EapMethod } from '../../src/proto/ppp/events.js';
import { decodeEap } from '../../src/wire/ppp/eap.js';
import { toHex } from '../../src/wire/reader.js';
import { seeded } from './ppp-pair.js';

const DENIED: AuthVerdict = { result: { ok: false, code: 691, retry: false, message: '' }, cause: 'wrong-password' };

export class MemoryEapServer implements Aaa {
  readonly decidesEap = true;
  readonly #users: Aaa;
  readonly #methods: readonly EapMethod[];
  readonly #random = seeded(31);
  /** State -> where that conversation stands; each State is good for one answer. */
  readonly #conversations = new Map<string, EapMethods>();

  /** `users` proves and leases; the methods and their packets are ours. */
  constructor(users: Aaa, methods: readonly EapMethod[]) {
    this.#users = users;
    this.#methods = methods;
  }

  async authenticate(request: AuthRequest, context: AuthContext): Promise<AuthVerdict | AuthChallenge> {
    if (request.method !== 'eap') return this.#users.authenticate(request, context);
    const packet = decodeEap(request.packet);
    if (!packet.ok || packet.value.code !== 'Response') return DENIED;
    const response = packet.value as EapResponse;
    if (request.state === undefined) {
      const methods = new EapMethods(
        this.#methods,
        { name: 'server', authTries: 2, eap: this.#methods, random: this.#random },
        new Tries(),
      );
      return this.#answer(methods, methods.identity(response, request.user), context);
    }
    const state = toHex(request.state);
    const methods = this.#conversations.get(state);
    this.#conversations.delete(state);
    return methods === undefined ? DENIED : this.#answer(methods, methods.respond(response), context);
  }

  async #answer(methods: EapMethods, step: EapStep, context: AuthContext): Promise<AuthVerdict | AuthChallenge> {
    switch (step.next) {
      case 'wait': {
        const verdict = await this.#users.authenticate(step.ask, context);
        return verdict.challenge === undefined
          ? this.#answer(methods, methods.result(verdict.result), context)
          : verdict;
      }
      case 'request': {
        const state = this.#random(16);
        this.#conversations.set(toHex(state), methods);
        return { challenge: { packet: step.packet, state, retransmitMs: 5_000 } };
      }
      case 'granted':
        return { result: step.granted };
      default:
        return DENIED;
    }
  }

  release(address: string): void {
    this.#users.release(address);
  }
}
