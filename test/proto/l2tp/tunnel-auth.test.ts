import t from 'tap';
import { challengeResponse, responseIsValid } from '../../../src/proto/l2tp/tunnel-auth.js';
import { fromHex, toHex } from '../../../src/wire/reader.js';

const secret = Buffer.from('s3cret');

t.test('§5.1.1: the responses xl2tpd 1.3.18 and we exchanged', async (t) => {
  const theirs = fromHex('2ceb5198e5df286f824326354777c558');
  t.equal(toHex(challengeResponse('SCCRP', secret, theirs)), 'a08f2c13135d0ba64ce2907a6238319e');
  const ours = fromHex('7ee95339565292a669302c6c82e0b754');
  t.equal(toHex(challengeResponse('SCCCN', secret, ours)), 'c150f9e07db910b6ffa434685e96399f');
});

t.test('§4.4.3: the Message Type is the CHAP ID, so a response is good for its message only', async (t) => {
  const challenge = fromHex('01');
  const response = challengeResponse('SCCRP', secret, challenge);
  t.ok(responseIsValid('SCCRP', secret, challenge, response));
  t.notOk(responseIsValid('SCCCN', secret, challenge, response));
  t.notOk(responseIsValid('SCCRP', Buffer.from('other'), challenge, response));
  t.notOk(responseIsValid('SCCRP', secret, challenge, undefined));
});
