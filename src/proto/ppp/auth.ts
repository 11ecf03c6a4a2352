/** What either end of the authentication phase has in common, whichever method is agreed on. RFC 1661 §3.5. */
import type { Instant, Random } from '../machine.js';
import type { AuthRequest, AuthResult, EapChallenge, EapMethod } from './events.js';
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
  /** What the outside party that decides EAP wants to ask the peer. */
  eapRequest?(now: Instant, challenge: EapChallenge): void;
  /** The other end is in the network phase already. */
  ncpHeard?(now: Instant): void;
  /** Where it stands, for the hint of a setup that timed out. */
  waitingFor(): string;
}

/** What a peer has used up of one link. Authenticators come and go with LCP; this stays until one lets the peer in. */
export class Tries {
  /** About which the user store was asked, whether or not its verdict came in time. */
  passwords = 0;
  /** EAP Requests. */
  rounds = 0;
}

export interface AuthenticatorHooks {
  readonly tries: Tries;
  send(protocol: number, packet: Uint8Array): void;
  note(event: string, fields: Record<string, unknown>): void;
  authenticate(request: AuthRequest, eap?: true): void;
  granted(now: Instant, result: Granted): void;
  failed(now: Instant, why: GiveUp): void;
}

export interface AuthenticatorConfig {
  /** Our name in Challenges. */
  readonly name: string;
  readonly authTries: number;
  readonly eap: readonly EapMethod[] | 'pass-through';
  readonly random: Random;
}

export const denial = ({ code, message }: Denied): GiveUp => ({
  by: 'auth',
  reason: message === '' ? `authentication failed (${code})` : `authentication failed (${code}): ${message}`,
});

/** Names and messages as text; the peer's octets are not trusted to be printable. */
export const text = (octets: Uint8Array): string => Buffer.from(octets).toString('utf8');
export const ascii = (s: string): string => s.replace(/[^\x20-\x7e]/g, '?').slice(0, 128);
