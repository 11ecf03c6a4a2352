/** What a client has to be told, whatever it is; the files beside this one write it down for one kind of client each. */
import { createHash } from 'node:crypto';

export interface Fields {
  /** What the connection is called on the client. */
  readonly name: string;
  /** Host name or address the client dials. */
  readonly server: string;
  readonly user: string;
  /** Absent: the client asks for it. */
  readonly password?: string;
  readonly psk: string;
  /** The identity the key belongs to (IKEv1 Aggressive Mode, a "group name"); absent for everybody's key. */
  readonly group?: string;
  /** Only these networks go through the tunnel; empty: everything. */
  readonly routes: readonly string[];
  /** The server has a private address behind a NAT. */
  readonly behindNat: boolean;
}

export interface Profile {
  /** Of the file: `ps1`. */
  readonly extension: string;
  readonly text: string;
  /** What to do with it, a line each. */
  readonly steps: readonly string[];
}

/** The same for the same connection, so that a new profile takes the place of the old one. RFC 4122 §4.3, with SHA-1. */
export function uuid(fields: Fields, part: string): string {
  const hash = createHash('sha1').update(`lockstep\0${fields.server}\0${fields.user}\0${part}`).digest();
  hash[6] = (hash[6]! & 0x0f) | 0x50;
  hash[8] = (hash[8]! & 0x3f) | 0x80;
  return hash.toString('hex', 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** For text in XML and HTML, and for a value in double quotes there. */
export const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
