/** What the ends of a control connection tell and prove each other: SCCRQ, SCCRP, SCCCN. RFC 2661 §5.1, §4.4.3, §6.1-6.4. */
import { ErrorCode, type ResultCode, StopResult } from '../../wire/l2tp/codes.js';
import type { AvpsOf, MessageOf } from '../../wire/l2tp/message.js';
import type { EndpointConfig } from './config.js';
import type { LocalTunnelId, Path, PeerTunnelId, TunnelPeer } from './events.js';
import { DEFAULT_WINDOW } from './reliable.js';
import { optional, printable } from './support.js';
import { CHALLENGE_OCTETS, challengeResponse, responseIsValid } from './tunnel-auth.js';

/** The AVPs an SCCRQ and an SCCRP introduce their sender with. */
export type Introduction = AvpsOf<'SCCRQ'> | AvpsOf<'SCCRP'>;

/* Specification: RFC 2661 §4.4.3 */
const VERSION = { version: 1, revision: 0 };
/** §4.4.2, StopCCN 5: the highest version supported goes into the Error Code. */
const HIGHEST_VERSION = 0x0100;
const SYNC_FRAMING = 1;
const ASYNC_FRAMING = 2;

/** Why an SCCRQ or SCCRP cannot be accepted, as far as its AVPs say; undefined when it can. */
export function unacceptable(avps: Introduction, secret: Uint8Array | undefined): ResultCode | undefined {
  if (avps.protocolVersion.version !== VERSION.version) {
    return { result: StopResult.versionNotSupported, error: HIGHEST_VERSION };
  }
  // §5.1.1: a Challenge MUST be answered, which takes a secret.
  if (avps.challenge && !secret) return { result: StopResult.notAuthorized, message: 'no tunnel secret configured' };
  return undefined;
}

/** A StopCCN; an Error Code always: some peers insist on a Result Code AVP of 10 octets. */
export const stopCcn = (assignedTunnelId: number, result: ResultCode): MessageOf<'StopCCN'> => ({
  type: 'StopCCN',
  avps: { assignedTunnelId, resultCode: { error: ErrorCode.none, ...result } },
});

/** Who the peer says it is, fit for a log. */
export const peerOf = (avps: Introduction, path: Path): TunnelPeer => ({
  peerTunnelId: avps.assignedTunnelId as PeerTunnelId,
  hostName: printable(avps.hostName),
  ...optional('nulName', avps.hostName.endsWith('\0') ? true : undefined),
  ...optional('vendorName', avps.vendorName === undefined ? undefined : printable(avps.vendorName)),
  ...optional('firmware', avps.firmwareRevision),
  receiveWindow: avps.receiveWindowSize ?? DEFAULT_WINDOW,
  path,
});

/** §4.4.3 MUST: a call asks for a Framing Type the peer announced; synchronous when it has the choice. */
export const framingFor = (capabilities: number): number =>
  (capabilities & (SYNC_FRAMING | ASYNC_FRAMING)) === ASYNC_FRAMING ? ASYNC_FRAMING : SYNC_FRAMING;

/** Our side of one handshake; a Challenge is sent only with a secret: Apple and Android cannot answer one. */
export class Handshake {
  readonly #config: EndpointConfig;
  readonly #secret: Uint8Array | undefined;
  readonly #challenge: Uint8Array | undefined;

  constructor(config: EndpointConfig, secret: Uint8Array | undefined) {
    this.#config = config;
    this.#secret = secret;
    this.#challenge = secret && config.random(CHALLENGE_OCTETS);
  }

  introduction(id: LocalTunnelId): AvpsOf<'SCCRQ'> & AvpsOf<'SCCRP'> {
    const { hostName, vendorName, receiveWindow } = this.#config;
    return {
      protocolVersion: VERSION,
      framingCapabilities: SYNC_FRAMING | ASYNC_FRAMING,
      hostName,
      ...optional('vendorName', vendorName),
      assignedTunnelId: id,
      receiveWindowSize: receiveWindow,
      ...optional('challenge', this.#challenge),
    };
  }

  /** The Challenge Response for `message`, when the peer's last message had a Challenge. */
  response(message: 'SCCRP' | 'SCCCN', challenge: Uint8Array | undefined): { challengeResponse?: Uint8Array } {
    if (!challenge || !this.#secret) return {};
    return { challengeResponse: challengeResponse(message, this.#secret, challenge) };
  }

  /** §5.1.1 MUST: without the expected response the tunnel is disallowed. */
  impostor(message: 'SCCRP' | 'SCCCN', response: Uint8Array | undefined): ResultCode | undefined {
    if (!this.#challenge || !this.#secret) return undefined;
    if (responseIsValid(message, this.#secret, this.#challenge, response)) return undefined;
    return {
      result: StopResult.notAuthorized,
      message: response ? 'wrong Challenge Response' : 'Challenge Response missing',
    };
  }
}
