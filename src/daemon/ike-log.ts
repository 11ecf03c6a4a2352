/**
 * Why a client got no further than IKE, from charon's own words: its SA events say nothing about a wrong key or a
 * proposal refused, its log does. Pure; messages of strongSwan 5.9.8 at level 1. RFC 2409 §5, RFC 7296 §2.21.
 */
import type { IkeLogEvent } from '../io/ports.js';
import type { Instant } from '../proto/machine.js';
import { adviceFor, type IkeCause } from './advice.js';

export interface IkeFailure {
  readonly cause: IkeCause;
  /** charon's id of the attempt; absent when it refused before there was one. */
  readonly ikeUniqueId?: string;
  /** Address of the client. */
  readonly peer?: string;
  /** What the client offered and what we take, for the proposal and selector causes, in charon's words. */
  readonly offered?: string;
  readonly configured?: string;
  /** charon's line that gave it away. */
  readonly message: string;
  /** One sentence for the operator. */
  readonly advice: string;
}

interface Sign {
  readonly cause: IkeCause;
  readonly pattern: RegExp;
  /** Only before the peer is authenticated: later the same words are about one packet or one CHILD_SA, not about who it is. */
  readonly early?: true;
  /** Why it came to this stands before it; should charon's threads deliver that after it, that is told as well. */
  readonly last?: true;
}

const REFUSAL = /^received (PAYLOAD_MALFORMED|INVALID_\w+|NO_PROPOSAL_CHOSEN) /;

const SIGNS: readonly Sign[] = [
  // IKEv1 Main Mode: the key that decrypts the 5th message depends on the PSK, so a wrong one shows as garbage.
  { cause: 'wrong-psk', pattern: /decryption failed\?$|^could not decrypt payloads$/, early: true },
  { cause: 'wrong-psk', pattern: /HASH does not match|but MAC mismatched$/ },
  // Main Mode tries the identities of connections, '...'[address], before the addresses: only these settle it.
  { cause: 'no-psk', pattern: /^no shared key found for ([0-9a-f]|'.*' - '.*'$)/ },
  { cause: 'certificate-revoked', pattern: /^certificate was revoked on / },
  { cause: 'certificate-status-unknown', pattern: /^constraint check failed: RULE_CRL_VALIDATION is / },
  { cause: 'certificate-expired', pattern: /certificate invalid \(valid from / },
  {
    cause: 'certificate-untrusted',
    pattern:
      /^no issuer certificate found for |self-signed certificate .* is not trusted$|^no trusted \w+ public key found for |^constraint check failed: peer not authenticated by CA /,
  },
  { cause: 'no-ike-proposal', pattern: /^no proposal found$|^received proposals unacceptable$/ },
  {
    cause: 'no-esp-proposal',
    pattern: /^no matching proposal found, sending NO_PROPOSAL_CHOSEN$|^no acceptable proposal found$/,
  },
  { cause: 'wrong-selectors', pattern: /^no matching CHILD_SA config found for |^traffic selectors .* unacceptable$/ },
  { cause: 'wrong-auth-method', pattern: /but none allows .* authentication/ },
  { cause: 'aggressive-mode', pattern: /^Aggressive Mode PSK disabled/ },
  {
    cause: 'no-config',
    pattern: /^no IKE config found for |^no (matching )?peer config found/,
  },
  { cause: 'no-config', pattern: /^no alternative config found/, last: true },
  // IKEv2: the client refuses our AUTH when the IKE SA is established here already (RFC 7296 §2.21.2).
  { cause: 'refused-by-peer', pattern: /^received AUTHENTICATION_FAILED / },
  { cause: 'refused-by-peer', pattern: REFUSAL, early: true },
  // Two Quick Modes that renew at once: the client may refuse ours, and the SA in use stays.
  { cause: 'renewal-refused', pattern: REFUSAL },
  { cause: 'too-many-half-open', pattern: /^ignoring IKE_SA setup from / },
  {
    cause: 'kernel-refused',
    pattern: /^unable to install |^allocating SPI failed/,
  },
  { cause: 'peer-silent', pattern: /^deleting half open IKE_SA .*after timeout$|^giving up after \d+ retransmits$/ },
];

/** The cause a run of log lines of one attempt shows, the first that is conclusive; undefined when none does. */
export function explainIkeLog(events: readonly IkeLogEvent[]): IkeFailure | undefined {
  let peer: string | undefined;
  let offered: string | undefined;
  let configured: string | undefined;
  for (const event of events) {
    const { message, ikeUniqueId } = event;
    peer = RECEIVED.exec(message)?.[1] ?? peer;
    offered = /^received proposals: (.*)$/.exec(message)?.[1] ?? offered;
    configured = /^configured proposals: (.*)$/.exec(message)?.[1] ?? configured;
    const sign = signIn(event);
    if (!sign) continue;
    const named = /(?:from |with |\.\.\.)([0-9a-f:][0-9a-f.:]*[0-9a-f])/.exec(message)?.[1];
    const both = /found for (\S+) === (\S+)$|^traffic selectors (\S+) === (\S+)/.exec(message);
    if (both) offered = `${both[1] ?? both[4]} -> ${both[2] ?? both[3]}`;
    const from = peer ?? named;
    return {
      cause: sign.cause,
      ...(ikeUniqueId === undefined ? {} : { ikeUniqueId }),
      ...(from === undefined ? {} : { peer: from }),
      ...(TELLS_OFFER.has(sign.cause) && offered !== undefined ? { offered } : {}),
      ...(/proposal/.test(sign.cause) && configured !== undefined ? { configured } : {}),
      message,
      advice: adviceFor(sign.cause, offered),
    };
  }
  return undefined;
}

const RECEIVED = /^received packet: from ([0-9a-f.:]+)\[/;
const TELLS_OFFER: ReadonlySet<IkeCause> = new Set(['no-ike-proposal', 'no-esp-proposal', 'wrong-selectors']);

function signIn({ message, ikeName }: IkeLogEvent): Sign | undefined {
  const early = ikeName === undefined || ikeName === '(unnamed)';
  return SIGNS.find((s) => (early || !s.early) && s.pattern.test(message));
}

/* Implementation: bounds, since every line here is caused by whoever sends us a packet. */
const MAX_ATTEMPTS = 1_024;
const MAX_LINES = 8;
const MAX_LINE = 4_096;
/** One report per client and cause in this time; a client that retransmits garbage says nothing new. */
const SAME_MS = 60_000;
/** Reports per second in all. */
const MAX_RATE = 10;

interface Attempt {
  readonly lines: IkeLogEvent[];
  told: Sign | undefined;
}

/** Follows all attempts at once and reports each failure once, at a bounded rate. */
export class IkeLogWatch {
  /** The lines that may matter, by ikeUniqueId; insertion order is age. */
  readonly #attempts = new Map<string, Attempt>();
  readonly #told = new Map<string, Instant>();
  #tokens = MAX_RATE;
  #filled: Instant | undefined;
  #suppressed = 0;
  readonly #onFailure: (failure: IkeFailure) => void;

  /** `onFailure` is told every failure, those not reported included. */
  constructor(onFailure: (failure: IkeFailure) => void = () => {}) {
    this.#onFailure = onFailure;
  }

  /** Failures not reported for the rate. */
  get suppressed(): number {
    return this.#suppressed;
  }

  /** Takes every log event; returns the failure it completes, if any. */
  note(now: Instant, event: IkeLogEvent): IkeFailure | undefined {
    const line = { ...event, message: event.message.slice(0, MAX_LINE) };
    const attempt = this.#attempt(line);
    const sign = signIn(line);
    // What follows in an attempt are consequences.
    if (sign === undefined || (attempt.told && !(attempt.told.last && sign.cause.startsWith('certificate-'))))
      return undefined;
    attempt.told = sign;
    const lines = attempt.lines.splice(0);
    if (sign.last) attempt.lines.push(...lines.filter(({ message }) => RECEIVED.test(message)));
    const failure = explainIkeLog(lines);
    if (failure === undefined) return undefined;
    this.#onFailure(failure);
    return this.#fresh(now, failure) && this.#token(now) ? failure : undefined;
  }

  #attempt(line: IkeLogEvent): Attempt {
    const id = line.ikeUniqueId;
    if (id === undefined) return { lines: [line], told: undefined };
    const attempt = this.#attempts.get(id) ?? { lines: [], told: undefined };
    // From here on it is about the CHILD_SA: the IKE proposals are no news any more, the address still is.
    if (/^IKE_SA .* established between /.test(line.message))
      attempt.lines.splice(0, attempt.lines.length, ...attempt.lines.filter((l) => RECEIVED.test(l.message)).slice(-1));
    const sign = signIn(line);
    if (!sign && !/^(received packet: from|received proposals|configured proposals)/.test(line.message)) return attempt;
    if (attempt.lines.length >= MAX_LINES) attempt.lines.shift();
    if (!attempt.told || (attempt.told.last && !sign?.last)) attempt.lines.push(line);
    this.#attempts.delete(id);
    this.#attempts.set(id, attempt);
    const oldest = this.#attempts.keys().next().value;
    if (this.#attempts.size > MAX_ATTEMPTS && oldest !== undefined) this.#attempts.delete(oldest);
    return attempt;
  }

  #fresh(now: Instant, { cause, peer }: IkeFailure): boolean {
    const key = `${cause} ${peer}`;
    const before = this.#told.get(key);
    if (before !== undefined && now - before < SAME_MS) return false;
    this.#told.delete(key);
    this.#told.set(key, now);
    const oldest = this.#told.keys().next().value;
    if (this.#told.size > MAX_ATTEMPTS && oldest !== undefined) this.#told.delete(oldest);
    return true;
  }

  #token(now: Instant): boolean {
    const since = now - (this.#filled ?? now);
    this.#tokens = Math.min(MAX_RATE, this.#tokens + (since * MAX_RATE) / 1000);
    this.#filled = now;
    if (this.#tokens < 1) {
      this.#suppressed += 1;
      return false;
    }
    this.#tokens -= 1;
    return true;
  }
}
