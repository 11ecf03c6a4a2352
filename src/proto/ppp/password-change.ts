/** A new password under the old one: the arithmetic of RFC 2759 §8.9 to §8.13. */
import { Reader, Writer } from '../../wire/reader.js';
import type { Random } from '../machine.js';
import type { AuthRequest } from './events.js';
import { desEncrypt, equal, generateAuthenticatorResponse, generateNtResponse, ntPasswordHash } from './mschap.js';

export type ChangeRequest = Extract<AuthRequest, { method: 'mschapv2-change' }>;

export interface NewPassword {
  readonly password: string;
  /** For the Success packet, which proves the new password (RFC 2759 §9.1.6). */
  readonly authenticatorResponse: Uint8Array;
}

/** 256 characters of two octets. */
const PASSWORD_FIELD = 512;

/**
 * The new password of a Change-Password packet; undefined when it was not made with the old one, or when its three parts
 * do not agree on one new password of 1 to 256 characters.
 */
export function newPassword(request: ChangeRequest, oldHash: Uint8Array): NewPassword | undefined {
  const { authenticatorChallenge, peerChallenge, ntResponse, user } = request;
  const block = new Reader(rc4(oldHash, request.encryptedPassword));
  const field = Buffer.from(block.bytes(PASSWORD_FIELD));
  const size = Buffer.from(block.rest()).readUInt32LE();
  if (size === 0 || size % 2 !== 0 || size > PASSWORD_FIELD) return undefined;
  const password = field.subarray(PASSWORD_FIELD - size).toString('utf16le');
  const hash = ntPasswordHash(password);
  if (!equal(hashUnderHash(oldHash, hash), request.encryptedHash)) return undefined;
  if (!equal(generateNtResponse(authenticatorChallenge, peerChallenge, user, hash), ntResponse)) return undefined;
  const proof = generateAuthenticatorResponse(hash, ntResponse, peerChallenge, authenticatorChallenge, user);
  return { password, authenticatorResponse: proof };
}

/** §8.9, §8.10: 516 octets. */
export function passwordUnderHash(password: string, oldHash: Uint8Array, random: Random): Uint8Array {
  const text = Buffer.from(password, 'utf16le');
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  const clear = new Writer(PASSWORD_FIELD + 4)
    .bytes(random(PASSWORD_FIELD - text.length))
    .bytes(text)
    .bytes(length);
  return rc4(oldHash, clear.done());
}

/** §8.12, §8.13: 16 octets. */
export const hashUnderHash = (oldHash: Uint8Array, newHash: Uint8Array): Uint8Array =>
  Buffer.concat([
    desEncrypt(oldHash.subarray(0, 8), newHash.subarray(0, 7)),
    desEncrypt(oldHash.subarray(8), newHash.subarray(7, 14)),
  ]);

/** §8.11. OpenSSL 3 has RC4 in its legacy provider only, which Node.js does not load. */
export function rc4(key: Uint8Array, octets: Uint8Array): Uint8Array {
  const s = Uint8Array.from({ length: 256 }, (_, i) => i);
  const swap = (i: number, j: number): void => {
    const [a, b] = [s[i]!, s[j]!];
    s[i] = b;
    s[j] = a;
  };
  for (let i = 0, j = 0; i < 256; i++) {
    j = (j + s[i]! + key[i % key.length]!) & 0xff;
    swap(i, j);
  }
  let [i, j] = [0, 0];
  return octets.map((octet) => {
    i = (i + 1) & 0xff;
    j = (j + s[i]!) & 0xff;
    swap(i, j);
    return octet ^ s[(s[i]! + s[j]!) & 0xff]!;
  });
}
