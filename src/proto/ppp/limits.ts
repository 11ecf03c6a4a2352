/** Timers, counters and bounds of the PPP machines: what the RFCs say, and apart from it what we chose. */

/* Specification */

/** RFC 1661 §4.6: Restart timer, milliseconds. */
export const RESTART_MS = 3_000;
/** RFC 1661 §4.6. */
export const MAX_CONFIGURE = 10;
export const MAX_TERMINATE = 2;
export const MAX_FAILURE = 5;
/** RFC 1661 §6.1: the MRU of a link on which none was negotiated. */
export const DEFAULT_MRU = 1_500;

/* Implementation */

/**
 * First value of the Restart timer; it doubles up to RESTART_MS (RFC 1661 §4.6 allows the backoff). Windows regularly
 * leaves the first Configure-Request unanswered, so each second here is a second of dialling.
 */
export const RESTART_INITIAL_MS = 1_000;
/** CHAP: pause between Challenges (authenticator) or Responses (peer), and how many. */
export const AUTH_RETRY_MS = 3_000;
export const AUTH_TRANSMISSIONS = 10;
/** EAP: how often a Request is sent (RFC 3748 §4.3 suggests 3 to 5 retransmissions); the pause doubles up to this. */
export const EAP_TRANSMISSIONS = 6;
export const EAP_RETRY_CAP_MS = 20_000;
/** EAP Requests on one link, the Identity Request included: what certificates in small fragments need. */
export const MAX_EAP_ROUNDS = 64;
/** CHAP challenges and MS-CHAP-V2 challenges: 16 octets (RFC 2759 §3 demands it, RFC 1994 §4.1 leaves it open). */
export const CHALLENGE_LENGTH = 16;
/** Longest user name taken from the peer (RFC 2759 §4: 256 characters). */
export const MAX_NAME = 256;
/** Smallest MRU a peer may ask for: below it nothing useful fits (pppd's limit as well). */
export const MIN_MRU = 128;
/** Configure-Requests with our own Magic-Number before the link counts as looped back. */
export const MAX_LOOPS = 5;
/** Protocol-Rejects, Code-Rejects and log notes about bad packets: so many in each period. */
export const ANSWERS_PER_PERIOD = 10;
export const PERIOD_MS = 1_000;
