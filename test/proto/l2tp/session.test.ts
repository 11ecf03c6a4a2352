import t from 'tap';
import { defaultLimits as limits } from '../../../src/proto/l2tp/config.js';
import type { LocalSessionId, LocalTunnelId } from '../../../src/proto/l2tp/events.js';
import type { ControlMessage } from '../../../src/wire/l2tp/message.js';
import { fromHex } from '../../../src/wire/reader.js';
import {
  connected,
  dial,
  dialogue,
  established,
  find,
  ICCN,
  icrq,
  inSession,
  Peer,
  sccrp,
  sccrq,
  toLns,
  tunnelOf,
} from './dialogue.js';

const cdn = (assignedSessionId = 5): ControlMessage => ({
  type: 'CDN',
  avps: { resultCode: { result: 3, error: 0 }, assignedSessionId },
});
const tunnelId = (peer: Peer) => peer.tunnelId as LocalTunnelId;
const ocrq: ControlMessage = {
  type: 'OCRQ',
  avps: {
    assignedSessionId: 9,
    callSerialNumber: 1,
    minimumBps: 0,
    maximumBps: 0,
    bearerType: 1,
    framingType: 1,
    calledNumber: '1',
  },
};

/** A LAC of ours whose LNS is the test. */
function lac(): Peer {
  const peer = new Peer({}, toLns);
  peer.input({ type: 'open-tunnel', path: toLns, ref: 'tunnel' });
  peer.send(sccrp());
  return peer;
}
const call = (peer: Peer) => {
  const lines = peer.input({ type: 'open-session', tunnelId: tunnelId(peer), ref: 'call' });
  return { lines, id: peer.last('ICRQ').avps.assignedSessionId };
};

t.test('§7.4.2 LNS: the session is opened below before the ICRP, up with the ICCN', async (t) => {
  const peer = connected();
  t.strictSame(peer.send(icrq()), ['session-open', 'ICRP Ns=1 Nr=3']);
  const sessionId = peer.last('ICRP').avps.assignedSessionId;
  t.match(peer.out('session-open'), [{ session: { sessionId, peerSessionId: 5, peerTunnelId: 77 }, path: peer.path }]);
  t.strictSame(peer.send(ICCN, sessionId), ['ZLB Ns=2 Nr=4', 'session-up']);
});

t.test('the call as both messages tell it; a missing (Tx) Connect Speed is 0 (Huawei)', async (t) => {
  const peer = connected();
  peer.send({
    type: 'ICRQ',
    avps: { assignedSessionId: 5, callSerialNumber: 42, calledNumber: '55\n5', callingNumber: '666' },
  });
  const sessionId = peer.last('ICRP').avps.assignedSessionId;
  const avps = { framingType: 2, rxConnectSpeed: 64_000, sequencingRequired: true } as const;
  peer.send({ type: 'ICCN', avps }, sessionId);
  t.strictSame(peer.out('session-up')[0]?.call, {
    callSerial: 42,
    calledNumber: '55?5',
    callingNumber: '666',
    txConnectSpeed: 0n,
    rxConnectSpeed: 64_000n,
    framingType: 2,
    sequencingRequired: true,
  });
});

t.test('§4.4.5, §9.5: proxy LCP and proxy authentication of an ICCN are understood and used for nothing', async (t) => {
  const proxy = {
    proxyAuthenType: 2,
    proxyAuthenName: 'alice',
    proxyAuthenChallenge: fromHex('00112233445566778899aabbccddeeff'),
    proxyAuthenId: 7,
    proxyAuthenResponse: fromHex('ffeeddccbbaa99887766554433221100'),
    initialReceivedConfReq: fromHex('0104 0578'),
    lastSentConfReq: fromHex('0104 0578'),
    lastReceivedConfReq: fromHex('0104 0578'),
  };
  const ups = [{}, proxy].map((more) => {
    const peer = connected();
    peer.send(icrq());
    const sessionId = peer.last('ICRP').avps.assignedSessionId;
    const avps = { txConnectSpeed: 100_000_000, framingType: 1, ...more };
    t.strictSame(peer.send({ type: 'ICCN', avps } as ControlMessage, sessionId), ['ZLB Ns=2 Nr=4', 'session-up']);
    return peer.out('session-up')[0]?.call;
  });
  t.strictSame(ups[1], ups[0], 'the call is the same with and without');
});

t.test('§7.4.2 LNS: messages out of sequence end the session with a CDN 2/5', async (t) => {
  const icrp: ControlMessage = { type: 'ICRP', avps: { assignedSessionId: 5 } };
  const ocrp: ControlMessage = { type: 'OCRP', avps: { assignedSessionId: 5 } };
  const occn: ControlMessage = { type: 'OCCN', avps: { txConnectSpeed: 0, framingType: 1 } };
  for (const [name, m] of Object.entries({ icrp, ocrp, occn })) {
    const peer = connected();
    peer.send(icrq());
    const sessionId = peer.last('ICRP').avps.assignedSessionId;
    t.match(peer.send(m, sessionId), ['session-down', /CDN/], `wait-connect: ${name}`);
  }
  for (const [name, m] of Object.entries({ icrp, ICCN, ocrp, occn })) {
    const { peer, sessionId } = inSession();
    t.match(peer.send(m, sessionId), ['session-down', /CDN/], `established: ${name}`);
    t.match(peer.last('CDN').avps, { assignedSessionId: sessionId, resultCode: { result: 2, error: 5 } }, name);
    t.match(peer.out('session-down'), [{ by: 'protocol' }], name);
  }
  const { peer } = inSession();
  t.match(peer.send(icrq()), ['session-down', /CDN/], 'an ICRQ with the session id of a live call');
});

t.test('§7.4.2 LNS, idle: ICRP is answered with a CDN; ICCN, OCCN and CDN are not', async (t) => {
  const peer = connected();
  t.match(peer.send({ type: 'ICRP', avps: { assignedSessionId: 9 } }, 99), [/CDN/]);
  t.match(peer.send(ICCN, 99), [/ZLB/]);
  t.match(peer.send({ type: 'OCCN', avps: { txConnectSpeed: 0, framingType: 1 } }, 99), [/ZLB/]);
  t.match(peer.send(cdn(), 99), [/ZLB/]);
  t.strictSame(peer.out('session-down'), []);
});

t.test('§7.5.1: outgoing calls are refused with CDN 5, for good', async (t) => {
  const peer = connected();
  t.match(peer.send(ocrq), [/CDN/]);
  t.match(peer.last('CDN').avps, { resultCode: { result: 5, error: 0 } });
  t.match(peer.send({ type: 'OCRP', avps: { assignedSessionId: 9 } }, 99), [/ZLB|CDN/]);
});

t.test('§6.13, §6.14: WEN and SLI change nothing', async (t) => {
  const { peer, sessionId } = inSession();
  const counters = {
    crcErrors: 7,
    framingErrors: 0,
    hardwareOverruns: 0,
    bufferOverruns: 0,
    timeouts: 0,
    alignmentErrors: 0,
  };
  t.match(peer.send({ type: 'WEN', avps: { callErrors: counters } }, sessionId), [
    'note l2tp.session.wan-error',
    /ZLB/,
  ]);
  t.match(peer.out('note'), [{ fields: { crcErrors: 7 } }]);
  t.match(peer.send({ type: 'SLI', avps: { accm: { send: 0, receive: 0 } } }, sessionId), [/ZLB/]);
  t.strictSame(peer.out('session-down'), []);
});

t.test('CDN: by our id, or by its AVP while the header has none (§5.3); with the cause of RFC 3145', async (t) => {
  const { peer, sessionId } = inSession();
  const cause = { code: 16, protocol: 0xc223, direction: 2 };
  const avps = { resultCode: { result: 1 }, pppDisconnectCause: cause };
  t.match(peer.send({ type: 'CDN', avps }, sessionId), ['session-down', /ZLB/]);
  t.match(peer.out('session-down'), [{ by: 'peer', result: { result: 1 }, cause }]);

  const early = connected();
  early.send(icrq());
  t.match(early.send(cdn()), ['session-down', /ZLB/]);
  t.match(early.send({ type: 'CDN', avps: {} }), [/ZLB/], 'naming none');
});

t.test('close-session: CDN with the result given; unknown ids are nobody', async (t) => {
  const { peer, sessionId } = inSession();
  const close = (s: number) =>
    ({
      type: 'close-session',
      tunnelId: tunnelId(peer),
      sessionId: s as LocalSessionId,
      result: { result: 3, message: 'kicked' },
    }) as const;
  t.strictSame(peer.input(close(sessionId)), ['session-down', 'CDN Ns=2 Nr=4']);
  t.match(peer.last('CDN').avps, {
    assignedSessionId: sessionId,
    resultCode: { result: 3, error: 0, message: 'kicked' },
  });
  t.strictSame(peer.input(close(sessionId)), []);
  t.match(peer.send(ICCN, sessionId), [/ZLB/], 'what was under way meets the idle state');
});

t.test('a session that is not connected in time gets CDN 10', async (t) => {
  const peer = connected({ sessionSetupTimeoutMs: 5_000 });
  peer.send(icrq(5));
  peer.zlb();
  peer.advance(1_000);
  peer.send(icrq(6));
  peer.zlb();
  t.strictSame(peer.advance(3_999), []);
  t.strictSame(peer.advance(1), ['session-down', 'CDN Ns=3 Nr=4']);
  t.match(peer.last('CDN').avps.resultCode, { result: 10 });
  t.match(peer.out('session-down'), [{ by: 'timeout', session: { peerSessionId: 5 } }]);
});

t.test('§4.1: a malformed call message clears its session, and only that', async (t) => {
  const { peer, sessionId } = inSession();
  // ICCN with an unknown mandatory AVP.
  t.match(peer.raw(fromHex('800800000000000c 800a000000130000 0001 800600000063'), sessionId), [
    'note l2tp.message.malformed',
    'session-down',
    /CDN/,
  ]);
  t.match(peer.last('CDN').avps.resultCode, { result: 2, error: 8, message: 'ICCN: AVP 99: unknown' });
  // ICRQ without Call Serial Number: answered at the id it assigned.
  t.match(peer.raw(fromHex('800800000000000a 80080000000e0042')), ['note l2tp.message.malformed', /CDN/]);
  // The same without an id: nobody to answer.
  t.match(peer.raw(fromHex('800800000000000a 800a0000000f00000001')), ['note l2tp.message.malformed', /ZLB/]);
  t.strictSame(peer.out('tunnel-down'), []);
});

t.test('§4.1: before the tunnel is established a malformed call message clears it', async (t) => {
  const peer = new Peer();
  peer.send(sccrq());
  t.match(peer.raw(fromHex('800800000000000a')), ['note l2tp.message.malformed', /StopCCN/, 'tunnel-down']);
});

t.test('sessions per tunnel are bounded: CDN 4 for what is too many', async (t) => {
  const peer = connected({ limits: { ...limits, maxSessionsPerTunnel: 2 } });
  peer.send(icrq(5));
  peer.send(icrq(6));
  t.match(peer.send(icrq(7)), ['note l2tp.session.refused', /CDN/]);
  t.match(peer.last('CDN').avps.resultCode, { result: 4, error: 0 });
  t.equal(peer.machine.totals.sessions, 2);
});

t.test('session ids rest before they are given out again', async (t) => {
  const ids = new Set<number>();
  const peer = connected({ random: (n) => new Uint8Array(n).fill(1) });
  for (let n = 1; n <= 70; n++) {
    peer.send(icrq(n));
    const id = peer.last('ICRP').avps.assignedSessionId;
    if (n <= 64) t.notOk(ids.has(id), `call ${n}`);
    ids.add(id);
    peer.send(cdn(n), id);
  }
  t.equal(ids.size, 65, 'and then they are');
});

t.test('§7.4.1 LAC: ICRQ, ICRP, ICCN', async (t) => {
  const peer = lac();
  const { lines, id } = call(peer);
  t.strictSame(lines, ['ICRQ Ns=2 Nr=1']);
  t.strictSame(peer.send({ type: 'ICRP', avps: { assignedSessionId: 3 } }, id), [
    'session-open',
    'ICCN Ns=3 Nr=2',
    'session-up',
  ]);
  t.match(peer.out('session-up'), [{ ref: 'call', session: { peerSessionId: 3 }, call: { callSerial: 1 } }]);
  const second = call(peer);
  t.equal(peer.last('ICRQ').avps.callSerialNumber, 2, '§4.4.4: progressively increasing');
  t.match(peer.send({ type: 'ICRP', avps: { assignedSessionId: 3 } }, second.id), ['session-down', /CDN/]);
  t.match(peer.out('session-down'), [{ by: 'protocol', ref: 'call' }], 'a peer id in use is not acceptable');
});

t.test('§7.4.1 LAC: waiting for the tunnel', async (t) => {
  const p = dialogue();
  dial(p);
  const open = [...find(p.out.a, 'tunnel-up')];
  t.strictSame(open, []);
  // The id is known from the SCCRQ only; the daemon learns it with tunnel-up, this test from the machine's peer.
  const peer = new Peer({}, toLns);
  peer.input({ type: 'open-tunnel', path: toLns, ref: 'tunnel' });
  const early = peer.input({ type: 'open-session', tunnelId: tunnelId(peer), ref: 'early' });
  t.strictSame(early, []);
  t.strictSame(peer.send(sccrp()), ['SCCCN Ns=1 Nr=1', 'tunnel-up', 'ICRQ Ns=2 Nr=1']);
});

t.test('§7.4.1 LAC: refused, closed and out of sequence', async (t) => {
  const refused = lac();
  const a = call(refused);
  t.match(refused.send(cdn(0x99), a.id), ['session-down', /ZLB/]);
  t.match(refused.out('session-down'), [{ by: 'peer', ref: 'call', result: { result: 3 } }]);
  t.match(refused.send({ type: 'ICRP', avps: { assignedSessionId: 3 } }, a.id), [/ZLB/], 'idle: clean up');

  const closed = lac();
  const b = call(closed);
  closed.zlb();
  const close = { type: 'close-session', tunnelId: tunnelId(closed), result: { result: 3 } } as const;
  t.match(closed.input({ ...close, sessionId: b.id as LocalSessionId }), ['session-down', /CDN/]);
  t.match(closed.last('CDN').avps, { assignedSessionId: b.id }, '§5.3: the AVP names the session');

  const confused = lac();
  const c = call(confused);
  t.match(confused.send(ICCN, c.id), ['session-down', /ZLB/], 'wait-reply: ICCN cleans up');
  t.match(confused.send(icrq()), [/CDN/], 'a tunnel we dialled takes no incoming calls');
  t.equal(confused.machine.totals.sessions, 0);
});

t.test('open-session that leads nowhere is answered', async (t) => {
  const down = { by: 'local', ref: 'r', session: { sessionId: 0 } };
  const nowhere = new Peer();
  nowhere.input({ type: 'open-session', tunnelId: 5 as LocalTunnelId, ref: 'r' });
  t.match(nowhere.out('session-down'), [{ ...down, result: { result: 2, error: 1 } }], 'no tunnel');

  const lns = connected();
  lns.input({ type: 'open-session', tunnelId: tunnelId(lns), ref: 'r' });
  t.match(lns.out('session-down'), [{ ...down, result: { result: 4 } }], 'as LNS we place no calls');

  const closing = lac();
  closing.input({ type: 'close-tunnel', tunnelId: tunnelId(closing), result: { result: 1 } });
  closing.input({ type: 'open-session', tunnelId: tunnelId(closing), ref: 'r' });
  t.match(closing.out('session-down'), [{ ...down, result: { result: 4 } }], 'the tunnel is closing');
});

t.test('two calls in a tunnel live and die alone', async (t) => {
  const p = established();
  p.input('a', { type: 'open-session', tunnelId: tunnelOf(p, 'a'), ref: 'second' });
  p.run(100);
  const [first] = find(p.out.a, 'session-up');
  p.input('a', {
    type: 'close-session',
    tunnelId: tunnelOf(p, 'a'),
    sessionId: first!.session.sessionId,
    result: { result: 3 },
  });
  p.run(100);
  t.strictSame([p.lac.totals, p.lns.totals], Array(2).fill({ tunnels: 1, halfOpen: 0, sessions: 1 }));
});
