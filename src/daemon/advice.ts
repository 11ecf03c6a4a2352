/**
 * Why a client is not connected, or not any more: what the gateway saw, what the person at the client sees, and what to do.
 * One table for the hints of the log, for `lockstep trace` and for docs/troubleshooting.md (a test compares). Windows error
 * numbers are those of ras and rasdial.
 */
import {
  AUTH_LATE,
  AUTH_UNANSWERED,
  type Ending,
  MPPE,
  NO_ADDRESS,
  NO_TRIES,
  NOT_CONVERGED,
  SILENT,
  UNPROVEN,
  VANISHED,
} from '../proto/ppp/ending.js';
import type { AuthCause } from './aaa.js';

export type IkeCause =
  | 'wrong-psk'
  | 'no-psk'
  | 'no-ike-proposal'
  | 'no-esp-proposal'
  | 'wrong-selectors'
  | 'wrong-auth-method'
  | 'certificate-revoked'
  | 'certificate-status-unknown'
  | 'certificate-expired'
  | 'certificate-untrusted'
  | 'aggressive-mode'
  | 'no-config'
  | 'refused-by-peer'
  | 'renewal-refused'
  | 'peer-silent'
  | 'too-many-half-open'
  | 'kernel-refused';

export type EndCause =
  | AuthCause
  | 'no-l2tp'
  | 'lcp-silent'
  | 'lcp-stuck'
  | 'no-common-auth'
  | 'auth-silent'
  | 'no-ipcp'
  | 'client-got-no-address'
  | 'wants-encryption'
  | 'client-gave-up'
  | 'client-closed'
  | 'vanished'
  | 'tunnel-silent'
  | 'sa-gone'
  | 'charon-gone'
  | 'replaced'
  | 'administrator'
  | 'stopping'
  | 'idle-timeout'
  | 'session-timeout'
  | 'gateway-full'
  | 'users-unavailable'
  | 'protocol-error';

export type Cause = IkeCause | EndCause;

export interface Advice {
  /** What a person at the client reads; empty when it is no failure. */
  readonly shows: readonly string[];
  /** One sentence for the operator. */
  readonly advice: string;
}

const APPLE_SILENT = 'Apple "The L2TP-VPN server did not respond"';
const ANDROID = 'Android "Unsuccessful"';

export const ADVICE: Readonly<Record<Cause, Advice>> = {
  'wrong-psk': {
    shows: ['Windows 789', APPLE_SILENT, ANDROID],
    advice: 'the pre-shared key on the client is not the one configured here for its address: type it in again',
  },
  'no-psk': {
    shows: ['Windows 789'],
    advice: 'there is no pre-shared key for this client: check `ike.psk_file`, `ike.psk_ranges` and `ike.psk_ids`',
  },
  'no-ike-proposal': {
    shows: ['Windows 789', ANDROID],
    advice: 'client and gateway have no IKE encryption in common: update the client, or set `ike.legacy`',
  },
  'no-esp-proposal': {
    shows: ['Windows 789', ANDROID],
    advice: 'client and gateway have no ESP encryption in common: update the client, or set `ike.legacy`',
  },
  'wrong-selectors': {
    shows: ['Windows 789'],
    advice: 'the client did not ask for transport mode to UDP port 1701: choose L2TP/IPsec, not plain IPsec or IKEv2',
  },
  'wrong-auth-method': {
    shows: ['Windows 766', 'Windows 786', 'Windows 787', 'Windows 791', 'Windows 835'],
    advice:
      'the client wants an authentication that is not set up here: choose a pre-shared key there, or see `ike.certificates`',
  },
  'certificate-revoked': {
    shows: ['Windows 789'],
    advice: "the client's certificate, or a CA between it and its root, is on a list of `ike.certificates.crl`",
  },
  'certificate-status-unknown': {
    shows: ['Windows 789'],
    advice:
      "`ike.certificates.crl_policy` is strict, and no current list covers the client's certificate: renew the lists and reload",
  },
  'certificate-expired': {
    shows: ['Windows 789'],
    advice: 'a certificate of the client or of its CAs has expired, or is not good yet: issue a new one',
  },
  'certificate-untrusted': {
    shows: ['Windows 789'],
    advice: "the client's certificate does not lead to a root of `ike.certificates.ca`",
  },
  'aggressive-mode': {
    shows: [APPLE_SILENT],
    advice:
      'the client uses Aggressive Mode, which exposes the key to offline guessing: clear its group name field, or see `ike.aggressive`',
  },
  'no-config': {
    shows: ['Windows 789', 'Windows 809'],
    advice:
      'the client asked at an address we do not listen on, or for something other than L2TP/IPsec with a pre-shared key',
  },
  'refused-by-peer': {
    shows: ['Windows 789'],
    advice: 'the client refused our answer: most often its pre-shared key is another',
  },
  'renewal-refused': {
    shows: [],
    advice:
      'the client refused a new SA on an established connection: ordinary when both sides renew at once; if its session ends, compare its ESP settings',
  },
  'peer-silent': {
    shows: ['Windows 792', 'Windows 809', APPLE_SILENT],
    advice: 'the client stopped answering: something drops UDP 4500 or ESP on the way, or it gave up over a wrong key',
  },
  'too-many-half-open': {
    shows: ['Windows 809', APPLE_SILENT],
    advice: 'too many unfinished attempts, from this address or in all: an attack, or very many clients behind one NAT',
  },
  'kernel-refused': {
    shows: ['Windows 789'],
    advice: 'the kernel refused the SA: are the modules esp4, esp6, xfrm_user and the cipher loaded?',
  },
  'no-l2tp': {
    shows: ['Windows 809', APPLE_SILENT, ANDROID],
    advice:
      'IKE is fine but no L2TP arrived: ESP or UDP 4500 is filtered on the way, or a Windows client lacks `AssumeUDPEncapsulationContextOnSendRule`',
  },
  'lcp-silent': {
    shows: ['Windows 718'],
    advice: 'the client never answered LCP: check the ESP and UDP 4500 path and the MTU',
  },
  'lcp-stuck': {
    shows: ['Windows 734'],
    advice: 'the client answers LCP but never agrees: packets are lost one way, or it insists on an option',
  },
  'no-common-auth': {
    shows: ['Windows 628', 'Windows 629', 'Windows 691', 'Windows 734'],
    advice:
      "the client's profile allows none of the methods in `ppp.auth` (within EAP: `ppp.eap`): tick MS-CHAPv2 there, or EAP-MSCHAPv2, not only CHAP, PAP or another EAP",
  },
  'auth-silent': {
    shows: ['Windows 718'],
    advice: 'the client did not finish authenticating: it waits for a person to type, or packets are lost one way',
  },
  'unknown-user': {
    shows: ['Windows 691', 'Apple "Authentication failed"'],
    advice: 'no such name in the users file: compare the spelling (`lockstep user list`)',
  },
  'wrong-password': {
    shows: ['Windows 691', 'Apple "Authentication failed"'],
    advice: 'the password is not the one in the users file; an `nt_hash` must be of exactly this password',
  },
  'wrong-identity': {
    shows: ['Windows 691', 'Apple "Authentication failed"'],
    advice:
      "the password was right, but `identity` binds this user to other machines: somebody else has the password, or the client's IKE identity is new, or nothing proved it (`proven: false`)",
  },
  disabled: {
    shows: ['Windows 647', 'Windows 691'],
    advice: 'the user is disabled in the users file: `lockstep user enable <name>`',
  },
  expired: {
    shows: ['Windows 648', 'Windows 691'],
    advice:
      'the password is marked `expired` in the users file: `lockstep user passwd <name>`, or `ppp.password_change` and a client with MS-CHAPv2, which then asks for a new one',
  },
  'change-failed': {
    shows: ['Windows 709', 'Windows 691'],
    advice:
      'the client set a new password and it could not be kept: `error` says why; may the daemon write `users_file`?',
  },
  'needs-cleartext': {
    shows: ['Windows 691'],
    advice:
      'the client used CHAP-MD5, EAP-MD5 or PAP and the users file has only `nt_hash`: store `password`, or let the client use MS-CHAPv2',
  },
  'too-many': {
    shows: ['Windows 649', 'Windows 691'],
    advice:
      "`limits.sessions_per_user`, or the user's own `sessions`, is reached: `lockstep disconnect <user>` ends leftovers",
  },
  'no-address': {
    shows: ['Windows 649', 'Windows 691'],
    advice: "the pool is used up, or the user's fixed address is in use: `lockstep pool`",
  },
  'no-ipcp': {
    shows: ['Windows 720'],
    advice: 'the client never agreed on an IP address: is IPv4 enabled for the connection?',
  },
  'client-got-no-address': {
    shows: ['Windows 732', 'Windows 738'],
    advice: 'the client says it got no address: is the pool exhausted (`lockstep pool`)?',
  },
  'wants-encryption': {
    shows: ['Windows 741', 'Windows 742'],
    advice: 'the client insists on MPPE: set "Data encryption" to optional in its profile, IPsec encrypts already',
  },
  'client-gave-up': {
    shows: ['Android "Unsuccessful"', APPLE_SILENT],
    advice: 'the client ended the attempt before it was connected: the last step before tells how far it came',
  },
  'client-closed': { shows: [], advice: 'the client disconnected' },
  vanished: {
    shows: [],
    advice: 'the client vanished without a goodbye: network change, sleep, or a NAT mapping that expired',
  },
  'tunnel-silent': {
    shows: ['Windows 809', APPLE_SILENT],
    advice: 'the client no longer answers L2TP: network change, sleep, or a NAT mapping that expired',
  },
  'sa-gone': {
    shows: [],
    advice: 'the client, or its silence, ended the IPsec SA below the session',
  },
  'charon-gone': { shows: [], advice: 'charon ended or its policies were lost: the log says why, near `port.shut`' },
  replaced: { shows: [], advice: 'the same client came back on a new connection' },
  administrator: { shows: [], advice: 'somebody ended it with `lockstep disconnect`' },
  stopping: { shows: [], advice: 'the gateway was drained or stopped' },
  'idle-timeout': { shows: [], advice: '`limits.idle_timeout` was reached' },
  'session-timeout': { shows: [], advice: '`limits.session_timeout` was reached' },
  'gateway-full': {
    shows: ['Windows 809'],
    advice: 'a limit is reached (`limits.sessions`, `limits.tunnels`), or the gateway is draining',
  },
  'users-unavailable': { shows: ['Windows 691'], advice: 'the user store failed, not the user: see `auth.error`' },
  'protocol-error': {
    shows: ['Windows 628'],
    advice: 'client and gateway disagree about L2TP or PPP: a log with `log.level: debug` shows where',
  },
};

/** Somebody is without a connection, or lost it, who should not have. */
export const isFailure = (cause: Cause): boolean => ADVICE[cause].shows.length > 0 || cause === 'vanished';

/** What the proposal of an old client has in common: a group of 1024 bits, or 768. */
const LEGACY = /MODP_(1024|768)/;

/** The sentence for an operator, with what the client offered where that decides. */
export function adviceFor(cause: Cause, offered?: string): string {
  if ((cause === 'no-ike-proposal' || cause === 'no-esp-proposal') && offered !== undefined) {
    const proposals = offered.split(', ').filter((p) => p.startsWith('IKE:'));
    if (proposals.length > 0 && proposals.every((p) => LEGACY.test(p)))
      return `this client offered only ${proposals.slice(0, 2).join(' and ').replaceAll('IKE:', '')}: set \`ike.legacy\`, or update it`;
  }
  return ADVICE[cause].advice;
}

/** How far a session came; the stage names of `lockstep trace`. */
export const STAGES = ['ike', 'esp', 'l2tp', 'lcp', 'auth', 'ipcp', 'up'] as const;
export type Stage = (typeof STAGES)[number];

/** The cause of a PPP link's end. `refused`: why the last password was, if one was. */
export function linkCause(end: Ending, stage: Stage, refused: AuthCause | undefined): EndCause {
  const told = /\berror (\d+)\b/.exec(end.reason)?.[1];
  if (end.by === 'peer' && end.reason.includes(MPPE)) return 'wants-encryption';
  if (end.by === 'peer')
    return told === undefined ? byPeer(stage, refused) : (TOLD.get(Number(told)) ?? byPeer(stage, refused));
  switch (end.reason) {
    case SILENT.reason:
      return 'lcp-silent';
    case NOT_CONVERGED.reason:
      return 'lcp-stuck';
    case NO_ADDRESS.reason:
      return 'no-ipcp';
    case VANISHED.reason:
      return 'vanished';
    // EAP goes on when the store has decided, and so `stage` is beyond it.
    case AUTH_LATE:
    case AUTH_UNANSWERED:
    case NO_TRIES.reason:
      return refused ?? 'auth-silent';
    case UNPROVEN.reason:
      return 'protocol-error';
  }
  if (end.by === 'auth') return refused ?? 'no-common-auth';
  if (end.by === 'timeout') return 'vanished';
  return stage === 'ipcp' ? 'no-ipcp' : 'protocol-error';
}

/** The client hung up. */
export const byPeer = (stage: Stage, refused: AuthCause | undefined): EndCause =>
  stage === 'up' ? 'client-closed' : (refused ?? 'client-gave-up');

/** Windows' own error number in its Terminate-Request. */
const TOLD: ReadonlyMap<number, EndCause> = new Map([
  [720, 'no-ipcp'],
  [732, 'client-got-no-address'],
  [734, 'lcp-stuck'],
  [738, 'client-got-no-address'],
  [741, 'wants-encryption'],
  [742, 'wants-encryption'],
]);

/** The rows of docs/troubleshooting.md. */
export const causesTable = (): string =>
  [
    '| cause | the client shows | what to do |',
    '|---|---|---|',
    ...Object.entries(ADVICE).map(([cause, { shows, advice }]) => `| \`${cause}\` | ${shows.join('; ')} | ${advice} |`),
  ].join('\n');
