/**
 * Everything that can go wrong, as types. No error carries a value of a request (load-shared holds the PSK) but what
 * charon quotes in its errmsg. Read the strongSwan VICI README first ("Packet layer", "Client-initiated commands").
 */
import type { Section } from './message.js';

export type ViciErrorCode =
  | 'protocol'
  | 'invalid-message'
  | 'command-unknown'
  | 'event-unknown'
  | 'command-failed'
  | 'command-timeout'
  | 'command-aborted'
  | 'connect-failed'
  | 'connection-lost'
  | 'not-connected'
  | 'closed';

/** Base of all errors of this package; `code` tells them apart without `instanceof`. */
export abstract class ViciError extends Error {
  abstract readonly code: ViciErrorCode;
  override get name(): string {
    return this.constructor.name;
  }
}

/** The peer sent bytes that are not VICI, or a packet where none of that type may come. Ends the connection. */
export class ProtocolError extends ViciError {
  readonly code = 'protocol';
}

/** A message of ours that VICI cannot carry: a name over 255 octets, a value over 65 535, a segment over 512 KiB. */
export class InvalidMessage extends ViciError {
  readonly code = 'invalid-message';
}

/** CMD_UNKNOWN: charon has no such command (a plugin is missing, or this version is too old). */
export class CommandUnknown extends ViciError {
  readonly code = 'command-unknown';
  constructor(readonly command: string) {
    super(`vici: charon does not know the command ${command}`);
  }
}

/** EVENT_UNKNOWN: charon has no such event to register for, or we were not registered for it. */
export class EventUnknown extends ViciError {
  readonly code = 'event-unknown';
  constructor(readonly event: string) {
    super(`vici: charon does not know the event ${event}`);
  }
}

/** A response with `success=no`. */
export class CommandFailed extends ViciError {
  readonly code = 'command-failed';
  readonly #response: Section;
  constructor(
    readonly command: string,
    /** charon's reason; empty when it gave none. */
    readonly errmsg: string,
    response: Section,
  ) {
    super(`vici: ${command} failed: ${errmsg === '' ? 'charon gave no reason' : errmsg}`);
    this.#response = response;
  }
  /** The whole response, e.g. `matches` and `terminated` of terminate. Not shown when the error is printed. */
  get response(): Section {
    return this.#response;
  }
}

/** No response within the limit, which counts from when it was sent. charon may still do it, or may have done it. */
export class CommandTimeout extends ViciError {
  readonly code = 'command-timeout';
  constructor(
    readonly command: string,
    readonly timeoutMs: number,
  ) {
    super(`vici: ${command} got no response within ${timeoutMs} ms`);
  }
}

/** The caller's AbortSignal fired; its reason is the `cause`. When `sent`, charon still runs the command. */
export class CommandAborted extends ViciError {
  readonly code = 'command-aborted';
  constructor(
    readonly command: string,
    readonly sent: boolean,
    cause: unknown,
  ) {
    super(`vici: ${command} was aborted ${sent ? 'while charon worked on it' : 'before it was sent'}`, { cause });
  }
}

/** The socket could not be opened; the system's error is the `cause`. */
export class ConnectFailed extends ViciError {
  readonly code = 'connect-failed';
}

/** The connection ended while in use: charon stopped, or the socket failed (`cause`). */
export class ConnectionLost extends ViciError {
  readonly code = 'connection-lost';
}

/** The reconnecting client has no synchronised session right now. */
export class NotConnected extends ViciError {
  readonly code = 'not-connected';
}

/** close() was called. */
export class Closed extends ViciError {
  readonly code = 'closed';
}

/** What the pure layers return: malformed input is a value. `at` is the octet offset, `why` one phrase without values. */
export type Malformed = { readonly ok: false; readonly at: number; readonly why: string };
export type Decoded<T> = { readonly ok: true; readonly value: T } | Malformed;
