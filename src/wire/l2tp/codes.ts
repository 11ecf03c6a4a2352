/** Result, Error and Disconnect codes and their texts. RFC 2661 §4.4.2; RFC 3145 (PPP Disconnect Cause Code AVP). */

export interface ResultCode {
  readonly result: number;
  readonly error?: number;
  readonly message?: string;
}

/** RFC 3145 §2.1. */
export interface CallErrors {
  readonly code: number;
  readonly protocol: number;
  readonly direction: number;
  readonly message?: string;
}

/** Result Codes of a StopCCN. */
export const StopResult = {
  general: 1,
  error: 2,
  channelExists: 3,
  notAuthorized: 4,
  /** Error Code holds the highest version supported. */
  versionNotSupported: 5,
  shuttingDown: 6,
  fsmError: 7,
} as const;

/** Result Codes of a CDN. */
export const CallResult = {
  lostCarrier: 1,
  error: 2,
  administrative: 3,
  noFacilitiesNow: 4,
  noFacilities: 5,
  invalidDestination: 6,
  noCarrier: 7,
  busy: 8,
  noDialTone: 9,
  timeout: 10,
  noFraming: 11,
} as const;

/** General Error Codes, valid with Result Code 2 of either message. */
export const ErrorCode = {
  none: 0,
  noControlConnection: 1,
  length: 2,
  value: 3,
  resources: 4,
  sessionId: 5,
  vendor: 6,
  /** RFC 3193 §4: the Error Message is the address to try. */
  tryAnother: 7,
  unknownAvp: 8,
} as const;

/** StopCCN 2/7 (RFC 3193 §4 MUST): the address to go to is the whole Error Message, in ASCII. */
export const tryAnother = (address: string): ResultCode => ({
  result: StopResult.error,
  error: ErrorCode.tryAnother,
  message: address,
});

/** Where a StopCCN sends us, when that is what it says and the message is an address. */
export function redirectOf({ result, error, message }: ResultCode): string | undefined {
  if (result !== StopResult.error || error !== ErrorCode.tryAnother || message === undefined) return undefined;
  return isIpv4(message) || isIpv6(message) ? message : undefined;
}

const isIpv4 = (text: string): boolean => /^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(?!$)|$)){4}$/.test(text);

function isIpv6(text: string): boolean {
  const halves = text.split('::');
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  const fits =
    halves.length === 1 ? groups.length === 8 : halves.length === 2 && groups.length > 0 && groups.length < 8;
  return fits && groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group));
}

const STOP_TEXT: Readonly<Record<number, string>> = {
  1: 'general request to clear the control connection',
  2: 'general error',
  3: 'control channel already exists',
  4: 'not authorized to establish a control channel',
  5: 'protocol version not supported',
  6: 'requester is being shut down',
  7: 'finite state machine error',
};

const CALL_TEXT: Readonly<Record<number, string>> = {
  1: 'loss of carrier',
  2: 'general error',
  3: 'administrative reasons',
  4: 'no facilities available now',
  5: 'no facilities available',
  6: 'invalid destination',
  7: 'no carrier detected',
  8: 'busy signal',
  9: 'no dial tone',
  10: 'not established within the time allotted',
  11: 'no appropriate framing detected',
};

const ERROR_TEXT: Readonly<Record<number, string>> = {
  0: 'no general error',
  1: 'no control connection exists yet',
  2: 'length is wrong',
  3: 'a field value is out of range or a reserved field is not zero',
  4: 'insufficient resources now',
  5: 'the Session ID is invalid here',
  6: 'vendor-specific error in the LAC',
  7: 'try another LNS',
  8: 'unknown AVP with the M bit set',
};

const DISCONNECT_TEXT: Readonly<Record<number, string>> = {
  0: 'no information available',
  1: 'administrative disconnect',
  2: 'LCP renegotiation disabled at the LNS, no proxy LCP information received',
  3: 'normal disconnection, LCP Terminate-Request sent',
  4: 'compulsory encryption refused',
  5: 'LCP timeout',
  6: 'no recognizable LCP packets received',
  7: 'LCP Magic-Number error, link may be looped back',
  8: 'LCP Echo-Request timeout',
  9: 'unexpected Endpoint-Discriminator for the bundle',
  10: 'unexpected MRRU for the bundle',
  11: 'unexpected Short-Sequence-Number for the bundle',
  12: 'compulsory call-back refused',
  13: 'authentication timeout',
  14: 'unexpected authenticated name for the bundle',
  15: 'authentication protocol unacceptable',
  16: 'authentication failed',
  17: 'NCP timeout',
  18: 'no NCP available',
  19: 'NCP failed to agree on addresses',
  20: 'user not permitted to use any address',
};

/** A Result Code for the log, e.g. `2 general error (4 insufficient resources now): "too many tunnels"`. */
export function resultText(message: 'StopCCN' | 'CDN', code: ResultCode): string {
  const result = (message === 'StopCCN' ? STOP_TEXT : CALL_TEXT)[code.result] ?? 'unassigned';
  // Only Result Code 2 makes the Error Code a General Error Code; with StopCCN 5 it is a version (§4.4.2).
  const error = !code.error
    ? ''
    : ` (${code.error}${code.result === StopResult.error ? ` ${ERROR_TEXT[code.error] ?? 'unassigned'}` : ''})`;
  return `${code.result} ${result}${error}${code.message ? `: ${JSON.stringify(code.message)}` : ''}`;
}

/** A PPP Disconnect Cause Code for the log. */
export const disconnectText = (cause: CallErrors): string =>
  `${cause.code} ${DISCONNECT_TEXT[cause.code] ?? 'unassigned'}`;
