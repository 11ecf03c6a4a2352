import t from 'tap';
import { disconnectText, resultText } from '../../../src/wire/l2tp/codes.js';

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
