import t from 'tap';
import {
  challengeHash,
  challengeResponse,
  chapMd5Response,
  desKey,
  generateAuthenticatorResponse,
  generateNtResponse,
  ntPasswordHash,
  verify,
  verifyChapMd5,
  verifyPap,
  withoutDomain,
} from '../../../src/proto/ppp/mschap.js';
import { fromHex, toHex } from '../../../src/wire/reader.js';

// printf '\x01secret\x00...\x0f' | md5sum
const MD5_EXAMPLE = '740e86463bda3a4d7017d6e0fba0699d';

// RFC 2759 §9.2: user "User", password "clientPass".
const AUTHENTICATOR = fromHex('5B5D7C7D7B3F2F3E3C2C602132262628');
const PEER = fromHex('21402324255E262A28295F2B3A337C7E');
const NT_RESPONSE = fromHex('82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF');
const NT_HASH = fromHex('44EBBA8D5312B8D611474411F56989AE');

t.test('RFC 2759 §9.2: every intermediate value of the example', async (t) => {
  t.equal(toHex(ntPasswordHash('clientPass')), toHex(NT_HASH));
  t.equal(toHex(challengeHash(PEER, AUTHENTICATOR, 'User')), 'd02e4386bce91226');
  t.equal(toHex(challengeResponse(fromHex('d02e4386bce91226'), NT_HASH)), toHex(NT_RESPONSE));
  t.equal(toHex(generateNtResponse(AUTHENTICATOR, PEER, 'User', NT_HASH)), toHex(NT_RESPONSE));
  t.equal(
    toHex(generateAuthenticatorResponse(NT_HASH, NT_RESPONSE, PEER, AUTHENTICATOR, 'User')).toUpperCase(),
    '407A5589115FD0D6209F510FE9C04566932CDA56',
  );
});

t.test('RFC 2759 §9.3: DES keys with parity, from the hash of "MyPw"', async (t) => {
  // The example hashes the ASCII octets, so the hash is taken as printed.
  t.equal(toHex(desKey(fromHex('FC156AF7EDCD6C'))), 'fd0b5b5e7f6e34d9');
  t.equal(toHex(desKey(fromHex('0EDDE3337D427F'))), '0e6e796737ea08fe');
});

const request = {
  method: 'mschapv2',
  user: 'User',
  id: 7,
  authenticatorChallenge: AUTHENTICATOR,
  peerChallenge: PEER,
  ntResponse: NT_RESPONSE,
} as const;

t.test('verify: the authenticator response for a right answer, undefined for a wrong one', async (t) => {
  t.equal(toHex(verify(request, NT_HASH)!), '407a5589115fd0d6209f510fe9c04566932cda56');
  t.equal(verify({ ...request, user: 'user' }, NT_HASH), undefined, 'the name is case-sensitive');
  t.equal(verify(request, ntPasswordHash('clientpass')), undefined);
  t.equal(verify({ ...request, ntResponse: NT_RESPONSE.subarray(1) }, NT_HASH), undefined);
});

t.test('RFC 2759 §4: the domain in the Name field is not hashed', async (t) => {
  t.equal(withoutDomain('BIGCO\\johndoe'), 'johndoe');
  t.equal(withoutDomain('johndoe'), 'johndoe');
  t.ok(verify({ ...request, user: 'BIGCO\\User' }, NT_HASH));
});

t.test('RFC 1994 §4.1: MD5 over Identifier, secret, Challenge', async (t) => {
  // Worked out apart from the code: md5(01 "secret" 000102...0f).
  const challenge = fromHex('000102030405060708090a0b0c0d0e0f');
  const response = fromHex(MD5_EXAMPLE);
  t.equal(toHex(chapMd5Response(1, Buffer.from('secret'), challenge)), MD5_EXAMPLE);
  const md5 = { method: 'chap-md5', user: 'u', id: 1, challenge, response } as const;
  t.ok(verifyChapMd5(md5, 'secret'));
  t.notOk(verifyChapMd5(md5, 'Secret'));
  t.notOk(verifyChapMd5({ ...md5, id: 2 }, 'secret'));
});

t.test('PAP: the password, whole', async (t) => {
  t.ok(verifyPap({ method: 'pap', user: 'u', password: 'pässword' }, 'pässword'));
  t.notOk(verifyPap({ method: 'pap', user: 'u', password: 'pässwor' }, 'pässword'));
  t.notOk(verifyPap({ method: 'pap', user: 'u', password: '' }, 'pässword'));
});
