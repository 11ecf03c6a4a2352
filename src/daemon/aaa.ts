/**
 * The AAA port - who may connect, and with which address - and its local implementation over the users file.
 * The port is asynchronous and RADIUS-shaped: another implementation needs no change above it.
 */
import type { AddressPool } from '../proto/aaa/pool.js';
import type { AuthRequest, AuthResult, EapChallenge } from '../proto/ppp/events.js';
import { ntPasswordHash, verifyChapMd5, verify as verifyMsChapV2, verifyPap } from '../proto/ppp/mschap.js';
import { newPassword } from '../proto/ppp/password-change.js';
import { brokenBinding, type IdentityBindings } from './identity.js';
import { isPassword, type Limit, type Realms, type User, type UserStore } from './users.js';

export interface AuthContext {
  /** The client's outer address: NAS accounting, and the rule for reconnects. */
  readonly remote: string;
  /** What the client's machine proved to IKE to be, as charon prints it. */
  readonly identity: string | undefined;
  /** What it says it is; undefined when its SA is gone. */
  readonly claimedIdentity: string | undefined;
  readonly sessionId: number;
  readonly tunnelId: number;
  /** Called with the name once the user has proven who he is, before an address is leased: leftovers go first. */
  readonly claim: (user: string) => void;
}

/** What the log says of a refusal; the client only ever sees the RFC 2759 code. */
export interface AuthVerdict {
  readonly result: AuthResult;
  /** Never with a verdict. */
  readonly challenge?: never;
  readonly cause?: AuthCause;
  /** More for the log. */
  readonly facts?: Readonly<Record<string, unknown>>;
  /** Of an accepted user; absent = none. */
  readonly limit?: Limit;
  /** Networks of an accepted user's split tunnel; absent = everyone's. */
  readonly routes?: readonly string[];
}

/** Only in answer to a request with method `eap`: not decided yet, the client is asked more. */
export interface AuthChallenge {
  readonly challenge: EapChallenge;
}

export type AuthCause =
  | 'unknown-user'
  | 'wrong-password'
  | 'wrong-identity'
  | 'disabled'
  | 'expired'
  | 'change-failed'
  | 'needs-cleartext'
  | 'no-address'
  | 'too-many';

export interface Aaa {
  /**
   * It decides the methods of EAP itself, and is asked with method `eap`, a Response of the client each time, until it gives
   * a verdict (RFC 3579 §2). Absent or false: EAP ends here, and it is asked with what is inside.
   */
  readonly decidesEap?: boolean;
  authenticate(request: AuthRequest, context: AuthContext): Promise<AuthVerdict | AuthChallenge>;
  /** The session is over: its address is free again. */
  release(address: string): void;
}

export interface LocalAaaOptions {
  readonly users: () => UserStore;
  readonly realms: Realms;
  /** Stores the new password of a user whose old one expired; absent: nobody may. @throws Error when it cannot */
  readonly changePassword?: (user: User, password: string) => void;
  readonly identities: () => IdentityBindings;
  readonly pool: AddressPool;
  readonly dns: readonly string[];
  readonly nbns: readonly string[];
  readonly sessionsPerUser: number;
}

export class LocalAaa implements Aaa {
  readonly #options: LocalAaaOptions;
  /** Leases by user: counted from the verdict on, so that two who ask in one moment do not both get the last one. */
  readonly #held = new Map<string, number>();

  constructor(options: LocalAaaOptions) {
    this.#options = options;
  }

  async authenticate(request: AuthRequest, context: AuthContext): Promise<AuthVerdict> {
    const { users, realms, changePassword } = this.#options;
    const user = users().find(request.user, realms);
    if (user === undefined) return refuse('unknown-user', 691, 'Authentication failure');
    const proof = prove(request, user);
    if (!proof.ok) return refuse(proof.cause, 691, 'Authentication failure');
    // To the client as a wrong password: whoever has stolen the right one must not learn that it is.
    const pattern = brokenBinding(this.#options.identities(), user.name, context.identity);
    if (pattern !== undefined) {
      const facts = { identity: context.claimedIdentity, proven: context.identity !== undefined, pattern };
      return { ...refuse('wrong-identity', 691, 'Authentication failure'), facts };
    }
    // RFC 2759 §6: the account's state is told only to whoever knows the password.
    if (user.disabled) return refuse('disabled', 647, 'Account disabled');
    if (user.expired && proof.password === undefined) {
      const { result, cause } = refuse('expired', 648, 'Password expired');
      return { cause, result: changePassword === undefined ? result : { ...result, change: true } };
    }
    context.claim(user.name);
    const limit = user.sessions ?? this.#options.sessionsPerUser;
    if (limit > 0 && this.#heldBy(user.name) >= limit) {
      return refuse('too-many', 649, 'Too many sessions of this user');
    }
    const address = this.#options.pool.acquire(user.name);
    if (address === undefined) return refuse('no-address', 649, 'No address free');
    // Last: whoever is refused for another reason still has the password he knows.
    if (proof.password !== undefined) {
      const error = this.#change(user, proof.password);
      if (error !== undefined) {
        this.#options.pool.release(address);
        return { ...refuse('change-failed', 709, 'Password not changed'), facts: { error } };
      }
    }
    this.#held.set(user.name, this.#heldBy(user.name) + 1);
    const { dns, nbns } = this.#options;
    const accepted = { ok: true as const, user: user.name, address, dns, nbns };
    return {
      result:
        proof.authenticatorResponse === undefined
          ? accepted
          : { ...accepted, authenticatorResponse: proof.authenticatorResponse },
      ...(user.limit === undefined ? {} : { limit: user.limit }),
      ...(user.routes === undefined ? {} : { routes: user.routes }),
    };
  }

  /** Why the new password was not taken, if it was not. */
  #change(user: User, password: string): unknown {
    const { changePassword } = this.#options;
    if (!user.expired || changePassword === undefined) return 'nobody asked for a new password';
    if (ntPasswordHash(password).every((octet, i) => octet === user.ntHash.reveal()[i]))
      return 'it is the old password';
    if (!isPassword(password)) return 'it has control characters';
    try {
      changePassword(user, password);
    } catch (error) {
      return error;
    }
    return undefined;
  }

  release(address: string): void {
    const { pool } = this.#options;
    const user = pool.holder(address);
    if (user === undefined || !pool.release(address)) return;
    const left = this.#heldBy(user) - 1;
    if (left > 0) this.#held.set(user, left);
    else this.#held.delete(user);
  }

  #heldBy(user: string): number {
    return this.#held.get(user) ?? 0;
  }
}

type Proof =
  /** `password`: a new one. */
  | { readonly ok: true; readonly authenticatorResponse?: Uint8Array; readonly password?: string }
  | { readonly ok: false; readonly cause: AuthCause };

const prove = (request: AuthRequest, user: User): Proof => {
  switch (request.method) {
    case 'mschapv2': {
      const authenticatorResponse = verifyMsChapV2(request, user.ntHash.reveal());
      return authenticatorResponse === undefined
        ? { ok: false, cause: 'wrong-password' }
        : { ok: true, authenticatorResponse };
    }
    case 'mschapv2-change': {
      const changed = newPassword(request, user.ntHash.reveal());
      return changed === undefined ? { ok: false, cause: 'wrong-password' } : { ok: true, ...changed };
    }
    case 'eap':
      return { ok: false, cause: 'wrong-password' };
    case 'chap-md5':
    case 'pap': {
      if (user.password === undefined) return { ok: false, cause: 'needs-cleartext' };
      const password = user.password.reveal();
      const right = request.method === 'pap' ? verifyPap(request, password) : verifyChapMd5(request, password);
      return right ? { ok: true } : { ok: false, cause: 'wrong-password' };
    }
  }
};

const refuse = (cause: AuthCause, code: 647 | 648 | 649 | 691 | 709, message: string) => ({
  cause,
  // A second try on the same link is allowed where another password may help.
  result: { ok: false as const, code, retry: code === 691, message },
});
