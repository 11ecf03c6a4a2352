import t from 'tap';
import { disconnectText, redirectOf, resultText, tryAnother } from '../../../src/wire/l2tp/codes.js';

t.test('Result Codes in words, per message (RFC 2661 §4.4.2)', async (t) => {
  const rows: [ReturnType<typeof resultText>, string][] = [
    [resultText('StopCCN', { result: 1 }), '1 general request to clear the control connection'],
    [resultText('CDN', { result: 1, error: 0 }), '1 loss of carrier'],
    [
      resultText('StopCCN', { result: 2, error: 4, message: 'too many tunnels' }),
      '2 general error (4 insufficient resources now): "too many tunnels"',
    ],
    [resultText('CDN', { result: 2, error: 99 }), '2 general error (99 unassigned)'],
    // Result Code 5 of a StopCCN: the Error Code is a version.
    [resultText('StopCCN', { result: 5, error: 256 }), '5 protocol version not supported (256)'],
    [resultText('CDN', { result: 77 }), '77 unassigned'],
  ];
  for (const [got, want] of rows) t.equal(got, want);
});

t.test('PPP Disconnect Cause Codes in words (RFC 3145 §2.1)', async (t) => {
  t.equal(disconnectText({ code: 16, protocol: 0xc223, direction: 2 }), '16 authentication failed');
  t.equal(disconnectText({ code: 500, protocol: 0, direction: 0 }), '500 unassigned');
});

t.test('RFC 3193 §4 MUST: StopCCN 2/7, the message is the address and nothing else', async (t) => {
  t.strictSame(tryAnother('192.0.2.9'), { result: 2, error: 7, message: '192.0.2.9' });
  for (const address of ['192.0.2.9', '255.249.199.10', '2001:db8::1', '::1', '2001:db8::', '1:2:3:4:5:6:7:aBcD']) {
    t.equal(redirectOf(tryAnother(address)), address);
  }
  const none = ['', ' 192.0.2.9', '192.0.2.9.', '192.0.2', '1.2.3.4.5', '256.0.2.9', '192.0.02.9', 'lns.example'];
  const ipv6 = [
    ':',
    '::',
    ':::1',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2:3:4:5:6:7:8',
    '12345::',
    'g::',
    '::1%eth0',
  ];
  for (const text of [...none, ...ipv6]) t.equal(redirectOf(tryAnother(text)), undefined, JSON.stringify(text));
  t.equal(redirectOf({ result: 2, error: 7 }), undefined, 'no message');
  t.equal(redirectOf({ result: 2, error: 4, message: '192.0.2.9' }), undefined, 'another error');
  t.equal(
    redirectOf({ result: 5, error: 7, message: '192.0.2.9' }),
    undefined,
    'another result: the error is a version',
  );
});
