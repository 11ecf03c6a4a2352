/** Why a link ended, in words a person understands. RFC 1661 §5.5 leaves the data of a Terminate-Request open. */
import { decodeTerminateReason } from '../../wire/ppp/control.js';
import type { LinkOut } from './events.js';

export type Ending = Omit<Extract<LinkOut, { type: 'down' }>, 'type'>;

const MPPE_HINT = 'set "Data encryption" to optional in the client\'s profile: IPsec encrypts already';

/** RAS error numbers that Windows puts into its Terminate-Request. */
const WINDOWS_ERRORS = new Map<number, Omit<Ending, 'by'>>([
  [0, { reason: 'the client disconnected' }],
  [720, { reason: 'no control protocols in common (error 720)' }],
  [732, { reason: 'PPP did not converge (error 732)' }],
  [734, { reason: 'the client terminated the link (error 734)' }],
  [738, { reason: 'the client got no address (error 738)', hint: 'is the address pool exhausted?' }],
  [741, { reason: 'the client insists on another encryption (error 741)', hint: MPPE_HINT }],
  [742, { reason: 'the client insists on MPPE encryption (error 742)', hint: MPPE_HINT }],
]);

/** A Terminate-Request of the peer. */
export function endedByPeer(data: Uint8Array): Ending {
  const { text, windowsError } = decodeTerminateReason(data);
  if (windowsError !== undefined) {
    return {
      by: 'peer',
      ...(WINDOWS_ERRORS.get(windowsError) ?? { reason: `the client reports error ${windowsError}` }),
    };
  }
  if (text === undefined) return { by: 'peer', reason: 'the peer hung up' };
  return { by: 'peer', reason: `the peer hung up: ${text}`, ...(text.includes(MPPE) && { hint: MPPE_HINT }) };
}

/** In every sentence with which pppd leaves because of `require-mppe`. */
export const MPPE = 'MPPE';

export const SILENT: Ending = {
  by: 'timeout',
  reason: 'the peer never answered LCP',
  hint: 'peer never answered LCP: check the ESP/UDP 4500 path or MTU',
};

export const NOT_CONVERGED: Ending = {
  by: 'timeout',
  reason: 'LCP did not converge',
  hint: 'the client answers LCP but never agrees: packets lost one way, or options it insists on',
};

export const NO_ADDRESS: Ending = {
  by: 'timeout',
  reason: 'IPCP did not open',
  hint: 'the client never agreed on an IP address (Windows shows error 720)',
};

export const VANISHED: Ending = {
  by: 'timeout',
  reason: 'the peer no longer answers LCP Echo-Requests',
  hint: 'the client vanished without a goodbye: network change, sleep, or a NAT mapping that expired',
};

export const AUTH_LATE = 'authentication was not finished in time';
export const authTimedOut = (hint: string): Ending => ({ by: 'timeout', reason: AUTH_LATE, hint });

/** One packet of it was sent as often as it may be. */
export const AUTH_UNANSWERED = 'authentication timed out';

/** The peer negotiates LCP anew when it has used up its passwords. */
export const NO_TRIES = {
  by: 'auth',
  reason: 'no tries left',
  hint: 'the client used up its tries and began LCP anew: it must dial again',
} as const satisfies Ending;

/** RFC 2759 §5: the peer ends the session when our proof is wrong; only in EAP does it say so first. */
export const UNPROVEN = {
  by: 'protocol',
  reason: 'the client does not accept our proof that we know the password',
  hint: 'client and gateway have different passwords, or hash different spellings of the name',
} as const satisfies Ending;

/** Text as it may stand in a Terminate-Request: printable ASCII, short. */
export const terminateData = (reason: string): Uint8Array =>
  Buffer.from(reason.replace(/[^\x20-\x7e]/g, '?').slice(0, 64), 'latin1');
