import t from 'tap';
import { established, find } from './dialogue.js';

t.test('LAC and LNS: tunnel, session, in the order of RFC 2661 §5.1, §5.2.1', async (t) => {
  const p = established();
  t.strictSame(p.trace, [
    '0 a> SCCRQ Ns=0 Nr=0',
    '10 b> SCCRP Ns=0 Nr=1',
    '20 a> SCCCN Ns=1 Nr=1',
    '30 b> ZLB Ns=1 Nr=2',
    '100 a> ICRQ Ns=2 Nr=1',
    '110 b> ICRP Ns=1 Nr=3',
    '120 a> ICCN Ns=3 Nr=2',
    '130 b> ZLB Ns=2 Nr=4',
  ]);
  t.strictSame(
    p.out.a.map((o) => o.type),
    ['tunnel-up', 'session-open', 'session-up'],
  );
  t.strictSame(
    p.out.b.map((o) => o.type),
    ['tunnel-up', 'session-open', 'session-up'],
  );
  const [a] = find(p.out.a, 'session-up');
  const [b] = find(p.out.b, 'session-up');
  t.equal(a?.session.sessionId, b?.session.peerSessionId as number | undefined);
  t.equal(b?.session.sessionId, a?.session.peerSessionId as number | undefined);
  t.equal(a?.ref, 'call');
  t.match(b?.call, { callSerial: 1, txConnectSpeed: 100_000_000n, framingType: 1, sequencingRequired: false });
});
