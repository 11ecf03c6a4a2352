import t from 'tap';
import { defaultLimits, type EndpointConfig } from '../../../src/proto/l2tp/config.js';
import { Endpoint } from '../../../src/proto/l2tp/endpoint.js';
import type { LocalTunnelId, Path } from '../../../src/proto/l2tp/events.js';
import { decodePacket } from '../../../src/wire/l2tp/header.js';
import { encodeMessage } from '../../../src/wire/l2tp/message.js';
import { fromHex } from '../../../src/wire/reader.js';
import { losing } from '../../lib/pair.js';
import { octets, title, vectors } from '../../lib/vectors.js';
import {
  config,
  connected,
  dial,
  dialogue,
  established,
  find,
  HELLO,
  icrq,
  inSession,
  Peer,
  SCCCN,
  sccrp,
  sccrq,
  toLac,
  toLns,
} from './dialogue.js';

const limited = (limits: Partial<EndpointConfig['limits']>) => ({ limits: { ...defaultLimits, ...limits } });
const id = (peer: Peer) => peer.tunnelId as LocalTunnelId;

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
  for (const side of ['a', 'b'] as const) {
    t.strictSame(
      p.out[side].map((o) => o.type),
      ['tunnel-up', 'session-open', 'session-up'],
    );
  }
  const [a] = find(p.out.a, 'session-up');
  const [b] = find(p.out.b, 'session-up');
  t.strictSame(
    [a?.session.sessionId, a?.session.peerSessionId],
    [b?.session.peerSessionId as number | undefined, b?.session.sessionId as number | undefined],
  );
  t.equal(a?.ref, 'call');
  t.match(b?.call, { callSerial: 1, txConnectSpeed: 100_000_000n, framingType: 1, sequencingRequired: false });
});

t.test(
  'Appendix B.2: a lost ICRP; the ICRQ is repeated, acknowledged by a ZLB, and the ICRP comes again',
  async (t) => {
    const p = established({ link: losing([5]) });
    p.run(1_000);
    t.strictSame(p.trace.slice(4), [
      '100 a> ICRQ Ns=2 Nr=1',
      '110 b> ICRP Ns=1 Nr=3 LOST',
      '1100 a> ICRQ Ns=2 Nr=1',
      '1110 b> ZLB Ns=2 Nr=3',
      '1110 b> ICRP Ns=1 Nr=3',
      '1120 a> ICCN Ns=3 Nr=2',
      '1130 b> ZLB Ns=2 Nr=4',
    ]);
  },
);

t.test('§5.8: a lost ZLB; the SCCCN is repeated and acknowledged again', async (t) => {
  const p = dialogue({ link: losing([3]) });
  dial(p);
  p.run(2_000);
  t.strictSame(p.trace, [
    '0 a> SCCRQ Ns=0 Nr=0',
    '10 b> SCCRP Ns=0 Nr=1',
    '20 a> SCCCN Ns=1 Nr=1',
    '30 b> ZLB Ns=1 Nr=2 LOST',
    '1020 a> SCCCN Ns=1 Nr=1',
    '1030 b> ZLB Ns=1 Nr=2',
  ]);
});

t.test('native clients: the SCCRQ of each is answered', async (t) => {
  for (const v of vectors('l2tp-clients.txt').filter((v) => v.name.includes('SCCRQ'))) {
    const peer = new Peer(v.name.includes('Challenge') ? { secret: () => Buffer.from('s3cret') } : {});
    t.strictSame(peer.datagram(octets(v, 'decode')), ['SCCRP Ns=0 Nr=1'], title(v));
  }
});

t.test('a retransmitted SCCRQ is acknowledged again and opens no second tunnel', async (t) => {
  const peer = new Peer();
  peer.send(sccrq());
  const again = () => {
    peer.tunnelId = 0;
    return peer.at(0, encodeMessage(sccrq()));
  };
  t.strictSame(again(), ['ZLB Ns=1 Nr=1']);
  t.equal(peer.machine.totals.tunnels, 1);
  peer.tunnelId = peer.last('SCCRP').avps.assignedTunnelId;
  peer.send(SCCCN);
  peer.advance(2_900);
  t.strictSame(again(), ['ZLB Ns=1 Nr=2'], 'late: the same');
  t.equal(peer.machine.totals.tunnels, 1);
});

t.test('a peer that dials again with the tunnel id it has: its old tunnel goes with nothing sent', async (t) => {
  const { peer } = inSession();
  peer.advance(3_000);
  const back = new Peer({}, toLac, peer.machine);
  back.now = peer.now;
  t.strictSame(back.send(sccrq()), ['session-down', 'tunnel-down', 'tunnel-gone', 'SCCRP Ns=0 Nr=1']);
  t.match(back.out('tunnel-down'), [{ tunnelId: peer.tunnelId, by: 'abandoned' }]);
  back.send(SCCCN);
  t.strictSame(back.send(icrq(7)), ['session-open', 'ICRP Ns=1 Nr=3']);
  back.zlb();
  // A HELLO or StopCCN of the old tunnel would reach the new one, at a number it waits for.
  t.strictSame(back.advance(30_000), []);
  t.equal(peer.machine.totals.tunnels, 1);
});

t.test('nor does the StopCCN of a tunnel that is being closed follow the peer into its new one', async (t) => {
  const peer = connected();
  t.strictSame(peer.input({ type: 'close-tunnel', tunnelId: id(peer), result: { result: 1 } }), [
    'StopCCN Ns=1 Nr=2',
    'tunnel-down',
  ]);
  const back = new Peer({}, toLac, peer.machine);
  back.now = peer.now;
  t.strictSame(back.send(sccrq()), ['tunnel-gone', 'SCCRP Ns=0 Nr=1']);
  t.equal(peer.machine.totals.tunnels, 1);
});

t.test('an SCCRQ that is still unanswered after a full cycle is a new one', async (t) => {
  const peer = new Peer({ setupTimeoutMs: 60_000 });
  peer.send(sccrq());
  peer.now = 31_000 as typeof peer.now;
  peer.tunnelId = 0;
  t.match(peer.at(0, encodeMessage(sccrq())), ['tunnel-down', 'tunnel-gone', 'SCCRP Ns=0 Nr=1']);
});

t.test('the same peer id from another path, or another id from the same, is another tunnel', async (t) => {
  const machine = new Endpoint(config(1));
  const twin: Path = { ...toLac, mark: 8 };
  for (const path of [toLac, twin]) new Peer({}, path, machine).send(sccrq());
  new Peer({}, toLac, machine).send(sccrq({ assignedTunnelId: 78 }));
  t.equal(machine.totals.tunnels, 3);
});

t.test('an SCCRQ after the StopCCN of its tunnel is a new dial', async (t) => {
  const peer = connected();
  peer.send({ type: 'StopCCN', avps: { assignedTunnelId: 77 } });
  const redial = new Peer({}, toLac, peer.machine);
  t.strictSame(redial.send(sccrq()), ['SCCRP Ns=0 Nr=1']);
  t.equal(peer.machine.totals.tunnels, 2, 'the old one lingers');
});

t.test('an SCCRQ starts at Ns 0 (§5.8)', async (t) => {
  const peer = new Peer();
  peer.Ns = 3;
  t.strictSame(peer.send(sccrq()), ['note l2tp.sequence.invalid']);
  t.equal(peer.machine.totals.tunnels, 0);
});

t.test(
  'RFC 3193 §3.3 MUST: every field of the path is checked, mismatches are counted and never answered',
  async (t) => {
    const { peer } = inSession();
    const strangers: Path[] = [
      { ...toLac, mark: 8 },
      { ...toLac, local: '192.0.2.2' },
      { ...toLac, remote: '198.51.100.8' },
      { ...toLac, remotePort: 1702 },
    ];
    const stop = encodeMessage({ type: 'StopCCN', avps: { assignedTunnelId: 77, resultCode: { result: 1 } } });
    const noted = (n: number) => new Array(n).fill('note l2tp.path.mismatch');
    for (const [i, path] of strangers.entries()) {
      const spoof = new Peer({}, path, peer.machine);
      spoof.tunnelId = peer.tunnelId;
      t.strictSame(spoof.at(peer.Ns, stop), noted(i < 2 ? 1 : 0), 'of each peer the first');
    }
    const { machine } = peer;
    t.equal(machine.counters.pathMismatch, 4);
    t.strictSame([machine.violations(8), machine.violations(toLac.mark), machine.violations(9)], [1, 3, 0]);
    const raw = new Peer({}, { ...toLac, mark: 0 }, machine);
    raw.tunnelId = peer.tunnelId;
    for (let i = 0; i < 2; i++)
      t.strictSame(raw.at(peer.Ns, stop), noted(1), 'without a mark there is no peer but in name');
    t.equal(machine.totals.sessions, 1);
    peer.input({ type: 'abandon-mark', mark: 8 });
    t.equal(machine.violations(8), 0);
    peer.input({ type: 'abandon-marked' });
    t.equal(machine.violations(toLac.mark), 0);
  },
);

t.test('move-path: NAT rebinding moves the tunnel, the old path is nobody then', async (t) => {
  const { peer } = inSession();
  const moved: Path = { ...toLac, remote: '198.51.100.99', remotePort: 61_000 };
  t.strictSame(peer.input({ type: 'move-path', tunnelId: id(peer), path: moved }), []);
  t.strictSame(peer.send(HELLO), ['note l2tp.path.mismatch']);
  const after = new Peer({}, moved, peer.machine);
  Object.assign(after, { tunnelId: peer.tunnelId, Ns: 4, Nr: 2 });
  t.strictSame(after.send(HELLO), ['ZLB Ns=2 Nr=5']);
  t.strictSame(after.out('send').at(-1)?.path, moved);
});

t.test('half-open tunnels are counted by address: one behind a NAT has as many SAs as it likes', async (t) => {
  const machine = new Endpoint(config(1, limited({ maxHalfOpenPerAddress: 2 })));
  const dialled = [1, 2, 3].map((mark) => new Peer({}, { ...toLac, mark }, machine).send(sccrq()).at(-1));
  t.strictSame(dialled, ['SCCRP Ns=0 Nr=1', 'SCCRP Ns=0 Nr=1', 'StopCCN Ns=0 Nr=1']);
  const elsewhere = new Peer({}, { ...toLac, mark: 4, remote: '203.0.113.5' }, machine);
  t.strictSame(elsewhere.send(sccrq()), ['SCCRP Ns=0 Nr=1']);
});

t.test('move-path while half-open keeps the books', async (t) => {
  const machine = new Endpoint(config(1, limited({ maxHalfOpenPerAddress: 1 })));
  const peer = new Peer({}, toLac, machine);
  peer.send(sccrq());
  const elsewhere = { ...toLac, mark: 9, remote: '198.51.100.8' };
  machine.handle(peer.now, { type: 'move-path', tunnelId: id(peer), path: elsewhere });
  t.strictSame(new Peer({}, toLac, machine).send(sccrq({ assignedTunnelId: 5 })), ['SCCRP Ns=0 Nr=1'], 'left');
  const there = new Peer({}, elsewhere, machine);
  t.match(there.send(sccrq({ assignedTunnelId: 5 })), ['note l2tp.tunnel.refused', /StopCCN/], 'arrived');
  const dialled = new Peer({}, toLns);
  dialled.input({ type: 'open-tunnel', path: toLns, ref: 'x' });
  t.strictSame(dialled.input({ type: 'move-path', tunnelId: id(dialled), path: { ...toLns, mark: 3 } }), []);
});

t.test('a mark is being dialled under from SCCRQ to SCCCN', async (t) => {
  const peer = new Peer();
  const { mark } = peer.path;
  t.equal(peer.machine.isDialling(mark), false);
  peer.send(sccrq());
  t.equal(peer.machine.isDialling(mark), true);
  t.equal(peer.machine.isDialling(mark + 1), false);
  peer.send(SCCCN);
  t.equal(peer.machine.isDialling(mark), false);
});

t.test('admission: what is too many is refused politely, without keeping state', async (t) => {
  const rows: [string, Partial<EndpointConfig['limits']>, string][] = [
    ['tunnels', { maxTunnels: 2 }, 'too many tunnels'],
    ['tunnels of a peer', { maxTunnelsPerPeer: 2 }, 'too many tunnels of this peer'],
    ['half-open', { maxHalfOpen: 2 }, 'too many tunnels being set up'],
    ['half-open of an address', { maxHalfOpenPerAddress: 2 }, 'too many tunnels being set up from this address'],
  ];
  for (const [name, limits, message] of rows) {
    const machine = new Endpoint(config(1, limited(limits)));
    for (const n of [1, 2]) new Peer({}, toLac, machine).send(sccrq({ assignedTunnelId: n }));
    const third = new Peer({}, toLac, machine);
    t.strictSame(third.send(sccrq({ assignedTunnelId: 3 })), ['note l2tp.tunnel.refused', 'StopCCN Ns=0 Nr=1'], name);
    t.match(third.last('StopCCN').avps, { resultCode: { result: 2, error: 4, message } }, name);
    const packet = decodePacket(third.out('send')[0]!.data);
    t.match(packet, { value: { header: { tunnelId: 3 } } }, `${name}: addressed to the peer's tunnel`);
    t.strictSame(machine.totals, { tunnels: 2, halfOpen: 2, sessions: 0 }, name);
    third.zlb();
    t.equal(machine.totals.tunnels, 2);
  }
});

t.test(
  'RFC 3193 §4: beyond maxTunnels an SCCRQ is sent to another address; the originator is told where',
  async (t) => {
    const p = dialogue({ lns: { ...limited({ maxTunnels: 0 }), redirect: '203.0.113.9' } });
    dial(p);
    p.run(1_000);
    t.match(find(p.out.a, 'tunnel-down'), [
      { by: 'peer', ref: 'dial', redirect: '203.0.113.9', result: { result: 2, error: 7, message: '203.0.113.9' } },
    ]);
    const peer = new Peer({ ...limited({ maxHalfOpen: 0 }), redirect: '203.0.113.9' });
    peer.send(sccrq());
    t.match(peer.last('StopCCN').avps.resultCode, { error: 4 }, 'a passing shortage is no reason to leave');
  },
);

t.test('a half-open place is free again when the tunnel is established or over', async (t) => {
  const machine = new Endpoint(config(1, limited({ maxHalfOpen: 1, maxHalfOpenPerAddress: 1 })));
  const first = new Peer({}, toLac, machine);
  first.send(sccrq({ assignedTunnelId: 1 }));
  first.send(SCCCN);
  const second = new Peer({}, toLac, machine);
  t.strictSame(second.send(sccrq({ assignedTunnelId: 2 })), ['SCCRP Ns=0 Nr=1']);
  second.advance(31_000);
  t.equal(machine.totals.halfOpen, 0);
  const third = new Peer({}, toLac, machine);
  third.now = second.now;
  t.strictSame(third.send(sccrq({ assignedTunnelId: 3 })), ['SCCRP Ns=0 Nr=1']);
});

t.test('refusals have a rate: a flood gets no answers to send elsewhere', async (t) => {
  const peer = new Peer(limited({ maxTunnels: 0, refusalsPerSecond: 3 }));
  let stops = 0;
  for (let n = 1; n <= 50; n++) {
    peer.Ns = 0;
    stops += peer.send(sccrq({ assignedTunnelId: n })).filter((l) => l.startsWith('StopCCN')).length;
  }
  t.equal(stops, 3);
  t.match(peer.machine.counters, { refused: 50, refusedSilently: 47, received: 50 });
  t.equal(peer.out('note').length, 20, 'and so has the log');
  peer.now = (peer.now + 10_000) as typeof peer.now;
  peer.Ns = 0;
  peer.send(sccrq());
  t.equal(peer.out('note').at(-1)?.fields.suppressed, 30);
});

t.test('open-tunnel beyond the limits is answered', async (t) => {
  const peer = new Peer(limited({ maxTunnels: 0 }), toLns);
  t.strictSame(peer.input({ type: 'open-tunnel', path: toLns, ref: 'x' }), ['tunnel-down']);
  t.match(peer.out('tunnel-down'), [{ ref: 'x', by: 'local', result: { result: 2, error: 4 } }]);
});

t.test('malformed and stray packets: noted or not, never answered', async (t) => {
  const peer = new Peer();
  t.strictSame(peer.datagram(new Uint8Array(0)), ['note l2tp.header.malformed']);
  t.strictSame(peer.datagram(fromHex('c803000c0000000000000000')), ['note l2tp.header.malformed'], 'L2TPv3');
  t.strictSame(peer.datagram(fromHex('0002 0001 0002 ff03c021')), [], 'data belongs to the data plane');
  t.strictSame(peer.zlb(), [], 'a ZLB of no tunnel');
  t.strictSame(peer.send(icrq()), ['note l2tp.tunnel.unknown'], 'ICRQ at tunnel 0');
  t.strictSame(peer.raw(fromHex('8008000000000063')), ['note l2tp.message.malformed'], 'unknown at tunnel 0');
  peer.tunnelId = 4_242;
  t.strictSame(peer.zlb(), ['note l2tp.tunnel.unknown']);
  t.strictSame(peer.send(HELLO), ['note l2tp.tunnel.unknown']);
  t.strictSame(peer.raw(fromHex('80')), ['note l2tp.tunnel.unknown']);
  t.match(
    peer.out('note').slice(-3),
    ['ZLB', 'HELLO', 'malformed'].map((message) => ({ fields: { message } })),
  );
  t.match(peer.machine.counters, { malformedHeader: 2, unknownTunnel: 3 });
});

t.test('captures of fuzzed packets go through an endpoint', async (t) => {
  const peer = connected();
  for (const v of vectors('l2tp-captures.txt')) peer.datagram(octets(v, 'decode'));
  t.equal(peer.machine.totals.tunnels, 1);
  t.strictSame(peer.out('tunnel-down'), []);
});

t.test('§4.1: an SCCRQ with an unknown mandatory AVP is refused with its name', async (t) => {
  const peer = new Peer();
  const avps = '8008000000000001 8008000000020100 8007000000 0761 800a0000000300000003 8008000000090007 800600090001';
  t.strictSame(peer.raw(fromHex(avps)), ['note l2tp.tunnel.refused', 'StopCCN Ns=0 Nr=1']);
  t.match(peer.last('StopCCN').avps.resultCode, {
    result: 2,
    error: 8,
    message: 'SCCRQ: AVP 1 of vendor 9: unknown',
  });
});

t.test('§7.2.1, idle: an SCCRP for a tunnel we gave up is answered with a StopCCN', async (t) => {
  const peer = new Peer();
  peer.tunnelId = 4_242;
  peer.Nr = 1;
  t.strictSame(peer.send(sccrp()), ['note l2tp.tunnel.refused', 'StopCCN Ns=1 Nr=1']);
});

t.test('numbers outside the windows are noted', async (t) => {
  const peer = connected();
  t.strictSame(peer.at(2_000, encodeMessage(HELLO)), ['note l2tp.sequence.invalid']);
  peer.Nr = 99;
  t.strictSame(peer.send(HELLO), ['note l2tp.sequence.invalid']);
});

t.test('inputs for tunnels that are gone are harmless', async (t) => {
  const machine = new Endpoint(config(1));
  const peer = new Peer({}, toLac, machine);
  const tunnelId = 5 as LocalTunnelId;
  for (const input of [
    { type: 'close-tunnel', tunnelId, result: { result: 1 } },
    { type: 'close-session', tunnelId, sessionId: 1 as never, result: { result: 1 } },
    { type: 'abandon-tunnel', tunnelId },
    { type: 'move-path', tunnelId, path: toLac },
    { type: 'traffic', tunnelId },
  ] as const) {
    t.strictSame(peer.input(input), []);
  }
  t.equal(machine.nextTimeout(), undefined);
  machine.handleTimeout(peer.now);
});

t.test('§4.4.3 tie breaker: both ends dial at once', async (t) => {
  // The random sources decide: what `a` and `b` draw as Tie Breaker.
  const run = (a: number | undefined, b: number | undefined) => {
    const own = (value: number | undefined, first: number) => {
      let draws = 0;
      // Ids first, then the 8 octets of the Tie Breaker.
      const random = (n: number) => new Uint8Array(n).fill(n === 8 ? (value ?? 0) : first + draws++);
      return { tieBreaker: value !== undefined, random };
    };
    const p = dialogue({ lac: own(a, 0x10), lns: own(b, 0x50) });
    p.input('a', { type: 'open-tunnel', path: toLns, ref: 'a' });
    p.input('b', { type: 'open-tunnel', path: toLac, ref: 'b' });
    p.run(120_000);
    const ups = (side: 'a' | 'b') => find(p.out[side], 'tunnel-up').map((o) => o.ref ?? 'peer');
    const downs = (side: 'a' | 'b') => find(p.out[side], 'tunnel-down').filter((o) => o.by === 'protocol').length;
    return { a: ups('a'), b: ups('b'), lost: [downs('a'), downs('b')] };
  };
  t.strictSame(run(1, 2), { a: ['a'], b: ['peer'], lost: [0, 1] }, 'the lower value wins');
  t.strictSame(run(2, 1), { a: ['peer'], b: ['b'], lost: [1, 0] });
  t.strictSame(run(1, 1), { a: [], b: [], lost: [1, 1] }, 'equal: both discard');
  t.strictSame(run(1, undefined), { a: ['a'], b: ['peer'], lost: [0, 1] }, 'present beats absent');
  t.strictSame(run(undefined, 1), { a: ['peer'], b: ['b'], lost: [1, 0] });
  t.strictSame(run(undefined, undefined), { a: ['a', 'peer'], b: ['b', 'peer'], lost: [0, 0] }, 'neither: two tunnels');
});

t.test('§4.4.3: a tie is between two peers, not with a third', async (t) => {
  const peer = new Peer({ tieBreaker: true });
  peer.input({ type: 'open-tunnel', path: toLac, ref: 'x' });
  const third = new Peer({}, { ...toLac, mark: 99 }, peer.machine);
  t.strictSame(third.send(sccrq({ tieBreaker: new Uint8Array(8) })), ['SCCRP Ns=0 Nr=1']);
});

t.test('many tunnels: each wakes at its own time', async (t) => {
  const machine = new Endpoint(config(1, limited({ maxHalfOpenPerAddress: 1_000 })));
  const peers = Array.from({ length: 200 }, (_, n) => {
    const peer = new Peer({}, toLac, machine);
    peer.now = ((n * 7) % 200) as typeof peer.now;
    peer.send(sccrq({ assignedTunnelId: n + 1 }));
    return peer;
  });
  t.equal(machine.totals.halfOpen, 200);
  const clock = peers[0]!;
  clock.advance(40_000);
  t.strictSame(machine.totals, { tunnels: 0, halfOpen: 0, sessions: 0 });
  t.equal(clock.out('tunnel-gone').length, 200);
  t.equal(machine.nextTimeout(), undefined);
});
