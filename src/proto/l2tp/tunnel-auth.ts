/** Tunnel authentication: a CHAP-style challenge with the tunnel's shared secret. RFC 2661 §5.1.1, §4.4.3; RFC 1994 §4.1. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { MESSAGE } from '../../wire/l2tp/message.js';

/* Implementation */
export const CHALLENGE_OCTETS = 16;

/** The CHAP ID is the Message Type of the message that carries the response, so one cannot be replayed as the other. */
export const challengeResponse = (message: 'SCCRP' | 'SCCCN', secret: Uint8Array, challenge: Uint8Array): Uint8Array =>
  new Uint8Array(
    createHash('md5').update(Uint8Array.of(MESSAGE[message].type)).update(secret).update(challenge).digest(),
  );

export const responseIsValid = (
  message: 'SCCRP' | 'SCCCN',
  secret: Uint8Array,
  challenge: Uint8Array,
  response: Uint8Array | undefined,
): boolean => response !== undefined && timingSafeEqual(challengeResponse(message, secret, challenge), response);
