/** The arithmetic of authentication: MS-CHAP-V2 (RFC 2759 §8), CHAP with MD5 (RFC 1994 §4.1), PAP (RFC 1334 §2.2). */
import { createCipheriv, createHash, timingSafeEqual } from 'node:crypto';
import md4 from 'js-md4';
import { Reader, Writer } from '../../wire/reader.js';
import type { AuthRequest } from './events.js';

export type MsChapV2Request = Extract<AuthRequest, { method: 'mschapv2' }>;
export type ChapMd5Request = Extract<AuthRequest, { method: 'chap-md5' }>;
export type PapRequest = Extract<AuthRequest, { method: 'pap' }>;

/**
 * Checks an MS-CHAP-V2 response against the user's NT password hash (16 octets).
 * Gives the 20 octets of the authenticator response for the Success packet, or undefined when the response is wrong.
 */
export function verify(request: MsChapV2Request, ntHash: Uint8Array): Uint8Array | undefined {
  const { authenticatorChallenge, peerChallenge, ntResponse, user } = request;
  const challenge = challengeHash(peerChallenge, authenticatorChallenge, user);
  if (!equal(challengeResponse(challenge, ntHash), ntResponse)) return undefined;
  return authenticatorResponse(ntHash, ntResponse, challenge);
}

/** Checks a CHAP-MD5 response against the clear-text secret. */
export const verifyChapMd5 = (request: ChapMd5Request, secret: string): boolean =>
  equal(chapMd5Response(request.id, Buffer.from(secret, 'utf8'), request.challenge), request.response);

/** Checks a PAP password; the time it takes does not depend on where the two differ. */
export const verifyPap = (request: PapRequest, secret: string): boolean =>
  equal(sha256(request.password), sha256(secret));

/** RFC 1994 §4.1: MD5 over Identifier, secret, Challenge Value. */
export const chapMd5Response = (id: number, secret: Uint8Array, challenge: Uint8Array): Uint8Array =>
  createHash('md5').update(Uint8Array.of(id)).update(secret).update(challenge).digest();

/** RFC 2759 §8.1, from the hash of the password: 24 octets. */
export const generateNtResponse = (
  authenticatorChallenge: Uint8Array,
  peerChallenge: Uint8Array,
  user: string,
  ntHash: Uint8Array,
): Uint8Array => challengeResponse(challengeHash(peerChallenge, authenticatorChallenge, user), ntHash);

/** RFC 2759 §8.7, from the hash of the password: the 20 octets behind `S=`. */
export const generateAuthenticatorResponse = (
  ntHash: Uint8Array,
  ntResponse: Uint8Array,
  peerChallenge: Uint8Array,
  authenticatorChallenge: Uint8Array,
  user: string,
): Uint8Array => authenticatorResponse(ntHash, ntResponse, challengeHash(peerChallenge, authenticatorChallenge, user));

/** RFC 2759 §8.3: MD4 over the password in UTF-16LE. */
export const ntPasswordHash = (password: string): Uint8Array => md4Of(Buffer.from(password, 'utf16le'));

/** RFC 2759 §8.2: 8 octets. §4: the user name without the domain in front of it, whatever the Name field holds. */
export const challengeHash = (
  peerChallenge: Uint8Array,
  authenticatorChallenge: Uint8Array,
  user: string,
): Uint8Array =>
  createHash('sha1')
    .update(peerChallenge)
    .update(authenticatorChallenge)
    .update(withoutDomain(user), 'utf8')
    .digest()
    .subarray(0, 8);

/** `DOMAIN\user` becomes `user`. */
export const withoutDomain = (user: string): string => user.slice(user.indexOf('\\') + 1);

/** RFC 2759 §8.5: the challenge under three DES keys made of the hash padded to 21 octets. */
export function challengeResponse(challenge: Uint8Array, ntHash: Uint8Array): Uint8Array {
  const key = new Uint8Array(21);
  key.set(ntHash);
  return Buffer.concat([0, 7, 14].map((at) => desEncrypt(challenge, key.subarray(at, at + 7))));
}

/** RFC 2759 §8.6. DES alone is gone from OpenSSL 3's default provider; triple DES with one key thrice is DES. */
export function desEncrypt(clear: Uint8Array, key7: Uint8Array): Uint8Array {
  const key = desKey(key7);
  const cipher = createCipheriv('des-ede3', Buffer.concat([key, key, key]), null).setAutoPadding(false);
  return Buffer.concat([cipher.update(clear), cipher.final()]);
}

/** RFC 2759 §9.3: 56 bits spread over eight octets, odd parity in the least significant bit of each. */
export function desKey(key7: Uint8Array): Uint8Array {
  const r = new Reader(key7);
  let bits = 0n;
  while (r.left > 0) bits = (bits << 8n) | BigInt(r.u8());
  const w = new Writer(8);
  for (let shift = 49n; shift >= 0n; shift -= 7n) {
    const seven = Number((bits >> shift) & 0x7fn);
    w.u8((seven << 1) | (parity(seven) ^ 1));
  }
  return w.done();
}

function parity(octet: number): number {
  let ones = 0;
  for (let rest = octet; rest > 0; rest >>= 1) ones ^= rest & 1;
  return ones;
}

const MAGIC1 = 'Magic server to client signing constant';
const MAGIC2 = 'Pad to make it do more than one iteration';

function authenticatorResponse(ntHash: Uint8Array, ntResponse: Uint8Array, challenge: Uint8Array): Uint8Array {
  const digest = createHash('sha1').update(md4Of(ntHash)).update(ntResponse).update(MAGIC1).digest();
  return createHash('sha1').update(digest).update(challenge).update(MAGIC2).digest();
}

const md4Of = (octets: Uint8Array): Uint8Array => new Uint8Array(md4.create().update(octets).arrayBuffer());
const sha256 = (text: string): Uint8Array => createHash('sha256').update(text, 'utf8').digest();
export const equal = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);
