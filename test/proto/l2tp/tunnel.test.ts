import t from 'tap';
import type { LocalTunnelId } from '../../../src/proto/l2tp/events.js';
import { challengeResponse } from '../../../src/proto/l2tp/tunnel-auth.js';
import { instant } from '../../../src/proto/machine.js';
import { writeAvpFrame, writeAvps } from '../../../src/wire/l2tp/avp.js';
import { decodePacket, encodeControl } from '../../../src/wire/l2tp/header.js';
import { hide } from '../../../src/wire/l2tp/hiding.js';
import { type ControlMessage, decodeMessage, encodeMessage } from '../../../src/wire/l2tp/message.js';
import { fromHex, toHex, Writer } from '../../../src/wire/reader.js';
import {
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
  tunnelOf,
} from './dialogue.js';

const SECRET = Buffer.from('tunnel secret');
const secret = () => SECRET;
const stop = (assignedTunnelId = 77): ControlMessage => ({
  type: 'StopCCN',
  avps: { assignedTunnelId, resultCode: { result: 1, error: 0 } },
});
const id = (peer: Peer) => peer.tunnelId as LocalTunnelId;

t.test(
  '§7.2.1 recipient: SCCRQ, SCCRP, SCCCN; a ZLB at once when nothing else goes (window-1 clients wait for it)',
  async (t) => {
    const peer = new Peer();
    t.strictSame(peer.send(sccrq({ receiveWindowSize: 1 })), ['SCCRP Ns=0 Nr=1']);
    t.strictSame(peer.send(SCCCN), ['ZLB Ns=1 Nr=2', 'tunnel-up']);
    t.strictSame(peer.send(icrq()), ['session-open', 'ICRP Ns=1 Nr=3']);
  },
);

t.test('SCCRP: what native clients demand of it', async (t) => {
  const peer = new Peer({ hostName: 'lns.example', vendorName: 'Lockstep' });
  peer.send(sccrq());
  const { avps } = peer.last('SCCRP');
  t.strictSame(Object.keys(avps), [
    'protocolVersion',
    'framingCapabilities',
    'hostName',
    'vendorName',
    'assignedTunnelId',
    'receiveWindowSize',
  ]);
  t.match(avps, { framingCapabilities: 3, hostName: 'lns.example', receiveWindowSize: 8 });
  const [sent] = peer.out('send');
  t.match(toHex(sent!.data), /^c802.{20}8008000000000002/, 'flags c802, Message Type first');
});

t.test('who the peer is: NUL and control characters gone, window 4 when it names none (§4.4.3)', async (t) => {
  const peer = connected({}, { hostName: 'Mac.local\0', vendorName: 'x\ny', firmwareRevision: 0x0a00 });
  const [up] = peer.out('tunnel-up');
  t.match(up?.peer, {
    hostName: 'Mac.local',
    nulName: true,
    vendorName: 'x?y',
    firmware: 0x0a00,
    peerTunnelId: 77,
    receiveWindow: 4,
  });
  const kl2tpd = new Peer();
  const { receiveWindowSize: _, ...avps } = (sccrq() as Extract<ControlMessage, { type: 'SCCRQ' }>).avps;
  kl2tpd.send({ type: 'SCCRQ', avps });
  kl2tpd.send(SCCCN);
  t.equal(kl2tpd.out('tunnel-up')[0]?.peer.receiveWindow, 4);
});

t.test('§4.4.2 StopCCN 5: another protocol version is refused with the highest we support', async (t) => {
  const peer = new Peer();
  t.strictSame(peer.send(sccrq({ protocolVersion: { version: 2, revision: 0 } })), [
    'note l2tp.tunnel.refused',
    'StopCCN Ns=0 Nr=1',
  ]);
  t.match(peer.last('StopCCN').avps, { resultCode: { result: 5, error: 0x0100 } });
  t.equal(peer.machine.totals.tunnels, 0, 'nothing is kept');
});

t.test('§7.2.1: messages out of sequence clear the tunnel with Result Code 7', async (t) => {
  const rows: [string, ControlMessage[]][] = [
    ['wait-ctl-conn: SCCRQ', [sccrq({ assignedTunnelId: 78 })]],
    ['wait-ctl-conn: SCCRP', [sccrp()]],
    ['wait-ctl-conn: ICRQ', [icrq()]],
    ['established: SCCRQ', [SCCCN, sccrq()]],
    ['established: SCCRP', [SCCCN, sccrp()]],
    ['established: SCCCN', [SCCCN, SCCCN]],
  ];
  for (const [name, messages] of rows) {
    const peer = new Peer();
    peer.send(sccrq());
    for (const m of messages) peer.send(m);
    t.match(peer.last('StopCCN').avps.resultCode, { result: 7 }, name);
    t.match(peer.out('tunnel-down'), [{ by: 'protocol', result: { result: 7 } }], name);
  }
});

t.test('§6.5: HELLO is acknowledged, during set-up too; at tunnel 0 it is not worth a word (Apple)', async (t) => {
  const peer = new Peer();
  peer.send(sccrq());
  t.strictSame(peer.send(HELLO), ['ZLB Ns=1 Nr=2']);
  t.strictSame(peer.send(SCCCN), ['ZLB Ns=1 Nr=3', 'tunnel-up']);
  const apple = new Peer();
  t.strictSame(apple.datagram(fromHex('c8020014 00000000 00000000 8008 0000 0000 0006')), []);
});

t.test('§4.1 MUST: an unknown mandatory AVP clears the tunnel, an unknown optional one is ignored', async (t) => {
  const strange = (M: boolean) => {
    const w = new Writer();
    writeAvps(w, { messageType: 6 });
    writeAvpFrame(w, { M, H: false, reserved: 0, vendor: 9, type: 1, value: new Uint8Array(0) });
    return w.done();
  };
  const optional = connected();
  t.strictSame(optional.raw(strange(false)), ['note l2tp.avp.ignored', 'ZLB Ns=1 Nr=3']);
  const mandatory = connected();
  t.strictSame(mandatory.raw(strange(true)), ['note l2tp.message.malformed', 'StopCCN Ns=1 Nr=3', 'tunnel-down']);
  t.match(mandatory.last('StopCCN').avps.resultCode, {
    result: 2,
    error: 8,
    message: 'HELLO: AVP 1 of vendor 9: unknown',
  });
});

t.test('§4.4.1: an unknown Message Type clears the tunnel only with its M bit', async (t) => {
  const soft = connected();
  t.strictSame(soft.raw(fromHex('0008 0000 0000 0063')), ['note l2tp.message.malformed', 'ZLB Ns=1 Nr=3']);
  const hard = connected();
  t.strictSame(hard.raw(fromHex('8008 0000 0000 0063')), [
    'note l2tp.message.malformed',
    'StopCCN Ns=1 Nr=3',
    'tunnel-down',
  ]);
});

t.test('§5.7 MUST: the ZLB for a StopCCN, then down; its repeats are acknowledged for 31 s, then gone', async (t) => {
  const { peer } = inSession();
  const Ns = peer.Ns;
  t.strictSame(peer.send(stop()), ['session-down', 'ZLB Ns=2 Nr=5', 'tunnel-down']);
  t.match(peer.out('tunnel-down'), [{ by: 'peer', result: { result: 1, error: 0 } }]);
  t.match(peer.out('session-down'), [{ by: 'peer' }], '§6.4: sessions go without a CDN');
  peer.advance(20_000);
  t.strictSame(peer.at(Ns, encodeMessage(stop())), ['ZLB Ns=2 Nr=5']);
  t.strictSame(peer.send(HELLO), ['ZLB Ns=2 Nr=6'], 'and nothing else happens');
  t.strictSame(peer.advance(10_999), []);
  t.strictSame(peer.advance(1), ['tunnel-gone']);
  t.strictSame(peer.at(Ns, encodeMessage(stop())), ['note l2tp.tunnel.unknown']);
  t.match(peer.machine.totals, { tunnels: 0, sessions: 0 });
});

t.test('§5.3: a StopCCN before our id is known names its tunnel by its AVP', async (t) => {
  const peer = new Peer();
  peer.send(sccrq());
  peer.tunnelId = 0;
  t.strictSame(peer.send(stop()), ['ZLB Ns=1 Nr=2', 'tunnel-down']);
  const stranger = new Peer();
  t.strictSame(stranger.send(stop()), [], 'of no tunnel: nothing');
  t.strictSame(stranger.raw(fromHex('8008 0000 0000 0004')), [], 'naming none: nothing');
});

t.test('close-tunnel: sessions down, StopCCN, down at once; gone when acknowledged', async (t) => {
  const { peer } = inSession();
  const result = { result: 6, message: 'maintenance' };
  t.strictSame(peer.input({ type: 'close-tunnel', tunnelId: id(peer), result }), [
    'session-down',
    'StopCCN Ns=2 Nr=4',
    'tunnel-down',
  ]);
  t.match(peer.last('StopCCN').avps, {
    assignedTunnelId: peer.tunnelId,
    resultCode: { result: 6, error: 0, message: 'maintenance' },
  });
  t.strictSame(peer.input({ type: 'close-tunnel', tunnelId: id(peer), result }), [], 'twice is once');
  t.strictSame(peer.zlb(), ['tunnel-gone']);
});

t.test('a StopCCN that is not acknowledged is retransmitted, and given up after closeTimeoutMs', async (t) => {
  const { peer } = inSession();
  peer.input({ type: 'close-tunnel', tunnelId: id(peer), result: { result: 1 } });
  t.strictSame(peer.advance(4_999), ['StopCCN Ns=2 Nr=4', 'StopCCN Ns=2 Nr=4']);
  t.strictSame(peer.advance(1), ['tunnel-gone']);
});

t.test('both ends stop at once: each acknowledges the other', async (t) => {
  const { peer } = inSession();
  peer.input({ type: 'close-tunnel', tunnelId: id(peer), result: { result: 1 } });
  peer.Nr = 2;
  t.strictSame(peer.send(stop()), ['ZLB Ns=3 Nr=5']);
  peer.Nr = 3;
  t.strictSame(peer.zlb(), ['tunnel-gone']);
});

t.test('abandon-tunnel: the SA is gone, nothing is sent', async (t) => {
  const { peer } = inSession();
  const abandon = { type: 'abandon-tunnel', tunnelId: id(peer) } as const;
  t.strictSame(peer.input(abandon), ['session-down', 'tunnel-down', 'tunnel-gone']);
  t.match(peer.out('session-down'), [{ by: 'abandoned' }]);
  t.strictSame(peer.input(abandon), []);
  t.strictSame(peer.advance(100_000), []);

  const closing = inSession().peer;
  closing.input({ type: 'close-tunnel', tunnelId: id(closing), result: { result: 1 } });
  t.strictSame(closing.input({ type: 'abandon-tunnel', tunnelId: id(closing) }), ['tunnel-gone'], 'down came before');
});

t.test(
  'abandon-mark: its tunnels in every state, nobody else’s; abandon-marked: all but those without IPsec',
  async (t) => {
    const { peer } = inSession();
    const { machine } = peer;
    const closing = new Peer({}, toLac, machine);
    closing.send(sccrq({ assignedTunnelId: 78 }));
    closing.send(SCCCN);
    peer.input({ type: 'close-tunnel', tunnelId: id(closing), result: { result: 1 } });
    const halfOpen = new Peer({}, toLac, machine);
    halfOpen.send(sccrq({ assignedTunnelId: 79 }));
    const other = new Peer({}, { ...toLac, mark: 8 }, machine);
    other.send(sccrq());
    peer.input({ type: 'move-path', tunnelId: id(other), path: { ...toLac, mark: 8, remote: '198.51.100.8' } });
    t.strictSame(peer.input({ type: 'abandon-mark', mark: 9 }), []);
    t.strictSame(peer.input({ type: 'abandon-mark', mark: 7 }), [
      ...['session-down', 'tunnel-down', 'tunnel-gone'],
      'tunnel-gone',
      ...['tunnel-down', 'tunnel-gone'],
    ]);
    t.match(machine.totals, { tunnels: 1, halfOpen: 1 });
    const raw = new Peer({}, { ...toLac, mark: 0 }, machine);
    raw.send(sccrq());
    t.strictSame(peer.input({ type: 'abandon-marked' }), ['tunnel-down', 'tunnel-gone']);
    t.match(machine.totals, { tunnels: 1, halfOpen: 1 });
    peer.input({ type: 'abandon-mark', mark: 0 });
    t.equal(machine.nextTimeout(), undefined);
  },
);

t.test('§5.5: HELLO after 60 s of silence; control, data and ZLB start it anew', async (t) => {
  const { peer } = inSession();
  t.strictSame(peer.advance(59_999), []);
  t.strictSame(peer.advance(1), ['HELLO Ns=2 Nr=4']);
  t.strictSame(peer.zlb(), []);
  peer.advance(30_000);
  t.strictSame(peer.input({ type: 'traffic', tunnelId: id(peer) }), []);
  t.strictSame(peer.advance(59_999), []);
  t.strictSame(peer.advance(1), ['HELLO Ns=3 Nr=4']);
  peer.zlb();
  peer.advance(20_000);
  peer.send(HELLO);
  t.strictSame(peer.advance(59_999), []);
  t.strictSame(peer.advance(1), ['HELLO Ns=4 Nr=5']);
});

t.test('§6.5 MUST: the Session ID of a HELLO is 0, its Tunnel ID the one the peer assigned', async (t) => {
  const { peer } = inSession();
  t.strictSame(peer.advance(60_000), ['HELLO Ns=2 Nr=4']);
  const packet = decodePacket(peer.out('send').at(-1)!.data);
  t.match(packet, { ok: true, value: { header: { kind: 'control', tunnelId: 77, sessionId: 0 } } });
});

t.test('§5.5: a HELLO that is not answered within the full cycle ends the tunnel', async (t) => {
  const { peer } = inSession();
  peer.advance(60_000);
  t.strictSame(peer.advance(30_999), Array(5).fill('HELLO Ns=2 Nr=4'));
  t.strictSame(peer.advance(1), ['session-down', 'tunnel-down', 'tunnel-gone']);
  t.match(peer.out('tunnel-down'), [{ by: 'timeout' }]);
  t.match(peer.out('session-down'), [{ by: 'timeout' }]);
});

t.test('§5.5: a HELLO that is not answered ends nothing while data arrives; silence after that does', async (t) => {
  const { peer } = inSession();
  const tunnelId = id(peer);
  peer.advance(60_000);
  peer.advance(20_000);
  t.strictSame(peer.input({ type: 'traffic', tunnelId }), []);
  t.strictSame(peer.advance(11_000).slice(-1), ['HELLO Ns=2 Nr=4'], 'it is sent for another cycle');
  t.strictSame(peer.advance(30_999), Array(5).fill('HELLO Ns=2 Nr=4'), 'what came before does not count again');
  t.strictSame(peer.advance(1), ['session-down', 'tunnel-down', 'tunnel-gone']);
});

t.test('a HELLO that is not answered does not hold up our StopCCN', async (t) => {
  const { peer } = inSession();
  peer.advance(61_000);
  const close = { type: 'close-tunnel', tunnelId: id(peer), result: { result: 1 } } as const;
  t.strictSame(peer.input(close), ['session-down', 'StopCCN Ns=3 Nr=4', 'tunnel-down']);
  t.strictSame(peer.advance(2_000), ['HELLO Ns=2 Nr=4', 'StopCCN Ns=3 Nr=4'], 'repeated together');
});

t.test('§5.5: data excuses a HELLO only, and only while nothing waits behind it', async (t) => {
  const { peer } = inSession();
  const tunnelId = id(peer);
  peer.advance(60_000);
  peer.send(icrq(6)); // its ICRP waits behind the HELLO, in a window that a retransmission has closed
  peer.input({ type: 'traffic', tunnelId });
  t.strictSame(peer.advance(31_000).slice(-3), ['session-down', 'tunnel-down', 'tunnel-gone']);
});

t.test('helloIntervalMs 0 sends none; probe sends one, but never two, and never while a call is set up', async (t) => {
  const { peer } = inSession({ helloIntervalMs: 0, emptyTunnelTimeoutMs: 0 });
  t.strictSame(peer.advance(1_000_000), []);
  const probe = { type: 'probe', tunnelId: id(peer) } as const;
  t.strictSame(peer.input(probe), ['HELLO Ns=2 Nr=4']);
  t.strictSame(peer.input(probe), [], 'one is under way');
  peer.zlb();
  peer.send(icrq(6));
  peer.zlb();
  t.strictSame(peer.input(probe), [], 'Apple takes it for a protocol error');
  for (const type of ['probe', 'traffic'] as const)
    t.strictSame(new Peer().input({ type, tunnelId: 5 as LocalTunnelId }), [], 'of no tunnel');
});

t.test('the HELLO timer waits for a call that is being set up', async (t) => {
  const peer = connected({ sessionSetupTimeoutMs: 100_000, helloIntervalMs: 1_000, emptyTunnelTimeoutMs: 0 });
  peer.send(icrq());
  peer.zlb();
  t.strictSame(peer.advance(10_000), []);
});

t.test('set-up is bounded even when everything is acknowledged: StopCCN', async (t) => {
  const peer = new Peer();
  peer.send(sccrq());
  peer.zlb();
  t.strictSame(peer.advance(39_999), []);
  t.strictSame(peer.advance(1), ['StopCCN Ns=1 Nr=1', 'tunnel-down']);
  t.match(peer.out('tunnel-down'), [{ by: 'timeout' }]);
});

t.test('§5.8: an SCCRP nobody acknowledges: gone after 31 s, nothing sent', async (t) => {
  const peer = new Peer();
  peer.send(sccrq());
  t.strictSame(peer.advance(30_999), Array(5).fill('SCCRP Ns=0 Nr=1'));
  t.strictSame(peer.advance(1), ['tunnel-down', 'tunnel-gone']);
});

t.test('§7.6: an established tunnel without sessions does not stay', async (t) => {
  const peer = connected({ helloIntervalMs: 0 });
  peer.zlb();
  t.strictSame(peer.advance(59_999), []);
  t.strictSame(peer.advance(1), ['StopCCN Ns=1 Nr=2', 'tunnel-down']);

  const { peer: used, sessionId } = inSession({ helloIntervalMs: 0 });
  t.strictSame(used.advance(100_000), [], 'a session keeps it');
  used.send({ type: 'CDN', avps: { resultCode: { result: 3 }, assignedSessionId: 5 } }, sessionId);
  t.strictSame(used.advance(59_999), []);
  t.strictSame(used.advance(1), ['StopCCN Ns=2 Nr=5', 'tunnel-down']);
});

t.test(
  'woken late, with several timers due: the first decides, the rest of a state that is over do nothing',
  async (t) => {
    const peer = connected({ helloIntervalMs: 70_000, emptyTunnelTimeoutMs: 60_000 });
    peer.zlb();
    peer.now = instant(80_000);
    peer.machine.handleTimeout(peer.now);
    t.strictSame(peer.drain(), ['StopCCN Ns=1 Nr=2', 'tunnel-down']);
  },
);

t.test('a peer that makes us answer and acknowledges nothing is stopped', async (t) => {
  const { peer } = inSession({ receiveWindow: 1_000 });
  let lines: string[] = [];
  for (let n = 0; n < 400 && !lines.includes('tunnel-down'); n++) {
    // An OCRQ each time: every one is answered with a CDN.
    peer.Nr = 2;
    const call = { assignedSessionId: n + 100, callSerialNumber: n, minimumBps: 0, maximumBps: 0, bearerType: 1 };
    lines = peer.send({ type: 'OCRQ', avps: { ...call, framingType: 1, calledNumber: '1' } });
  }
  t.match(peer.out('tunnel-down'), [{ by: 'protocol', result: { error: 4 } }]);
});

t.test('§5.1.1: challenges both ways, the same secret', async (t) => {
  const p = established({ lac: { secret }, lns: { secret } });
  t.equal(find(p.out.a, 'session-up').length, 1);
  t.equal(find(p.out.b, 'session-up').length, 1);
});

t.test('§5.1.1 MUST: no tunnel without the expected response', async (t) => {
  const wrong = () => Buffer.from('wrong');
  const rows: [string, Parameters<typeof dialogue>[0], string][] = [
    ['recipient lies', { lac: { secret }, lns: { secret: wrong } }, 'wrong Challenge Response'],
    ['recipient has no secret', { lac: { secret } }, 'no tunnel secret configured'],
    ['originator has no secret', { lns: { secret } }, 'no tunnel secret configured'],
  ];
  for (const [name, own, message] of rows) {
    const p = dialogue(own);
    dial(p);
    p.run(60_000);
    t.equal(find(p.out.a, 'tunnel-up').length + find(p.out.b, 'tunnel-up').length, 0, name);
    t.match(find(p.out.a, 'tunnel-down'), [{ result: { result: 4, message } }], name);
    t.match([p.lac.totals.tunnels, p.lns.totals.tunnels], [0, 0], name);
  }
});

t.test('§5.1.1: a wrong or missing response in the SCCCN', async (t) => {
  for (const [response, message] of [
    [undefined, 'Challenge Response missing'],
    [new Uint8Array(16), 'wrong Challenge Response'],
  ] as const) {
    const peer = new Peer({ secret });
    peer.send(sccrq());
    t.equal(peer.last('SCCRP').avps.challenge?.length, 16);
    peer.send({ type: 'SCCCN', avps: response ? { challengeResponse: response } : {} });
    t.match(peer.last('StopCCN').avps.resultCode, { result: 4, error: 0, message });
  }
  const peer = new Peer({ secret });
  const challenge = fromHex('0102030405');
  peer.send(sccrq({ challenge }));
  const { avps } = peer.last('SCCRP');
  t.strictSame(avps.challengeResponse, challengeResponse('SCCRP', SECRET, challenge));
  const challengeResponse2 = challengeResponse('SCCCN', SECRET, avps.challenge!);
  t.match(peer.send({ type: 'SCCCN', avps: { challengeResponse: challengeResponse2 } }), [/ZLB/, 'tunnel-up']);
});

t.test('§4.3: a hidden Assigned Tunnel ID is understood with the secret', async (t) => {
  const rv = fromHex('000102030405060708090a0b0c0d0e0f');
  const w = new Writer();
  writeAvps(w, {
    messageType: 1,
    protocolVersion: { version: 1, revision: 0 },
    hostName: 'shy',
    framingCapabilities: 3,
    randomVector: rv,
  });
  const value = hide(9, fromHex('0123'), SECRET, rv, new Uint8Array(9));
  writeAvpFrame(w, { M: true, H: true, reserved: 0, vendor: 0, type: 9, value });
  const peer = new Peer({ secret });
  t.strictSame(peer.raw(w.done()), ['SCCRP Ns=0 Nr=1']);
  t.match(toHex(peer.out('send')[0]!.data), /^c802....0123/);
  t.strictSame(new Peer().raw(w.done()), ['note l2tp.message.malformed'], 'without: whom to answer is not known');
});

t.test('originator: SCCRP out of sequence, or SCCCN', async (t) => {
  const peer = new Peer({}, toLns);
  t.strictSame(peer.input({ type: 'open-tunnel', path: toLns, ref: 'x' }), ['SCCRQ Ns=0 Nr=0']);
  t.strictSame(peer.send(SCCCN), ['StopCCN Ns=1 Nr=1', 'tunnel-down']);
  t.match(peer.out('tunnel-down'), [{ ref: 'x', by: 'protocol' }]);
});

t.test('originator: an SCCRP of another version is refused (§7.2.1)', async (t) => {
  const peer = new Peer({}, toLns);
  peer.input({ type: 'open-tunnel', path: toLns, ref: 'x' });
  t.strictSame(peer.send(sccrp({ protocolVersion: { version: 9, revision: 0 } })), [
    'StopCCN Ns=1 Nr=1',
    'tunnel-down',
  ]);
  t.match(peer.last('StopCCN').avps.resultCode, { result: 5 });
});

t.test('originator: the recipient may answer from another port, which then stays (§8.1)', async (t) => {
  const peer = new Peer({}, toLns);
  peer.input({ type: 'open-tunnel', path: toLns, ref: 'x' });
  const other = { ...toLns, remotePort: 40_000 };
  const reply = encodeControl({ tunnelId: peer.tunnelId, sessionId: 0, Ns: 0, Nr: 1 }, encodeMessage(sccrp()));
  t.strictSame(peer.datagram(reply, other), ['SCCCN Ns=1 Nr=1', 'tunnel-up']);
  t.equal(peer.out('send').at(-1)?.path.remotePort, 40_000);
  t.strictSame(peer.datagram(reply, toLns), ['note l2tp.path.mismatch']);
});

t.test('§4.4.3: our Framing Type is one the peer announced', async (t) => {
  for (const [framingCapabilities, framingType] of [
    [0, 1],
    [1, 1],
    [2, 2],
    [3, 1],
  ] as const) {
    const peer = new Peer({}, toLns);
    peer.input({ type: 'open-tunnel', path: toLns, ref: 'x' });
    peer.send(sccrp({ framingCapabilities }));
    peer.input({ type: 'open-session', tunnelId: id(peer), ref: 'y' });
    const { assignedSessionId } = peer.last('ICRQ').avps;
    peer.send({ type: 'ICRP', avps: { assignedSessionId: 3 } }, assignedSessionId);
    t.equal(peer.last('ICCN').avps.framingType, framingType);
  }
});

t.test('a dialogue decodes on both sides without one ignored AVP', async (t) => {
  const p = established();
  p.input('a', { type: 'close-tunnel', tunnelId: tunnelOf(p, 'a'), result: { result: 1 } });
  p.run(60_000);
  t.strictSame([...find(p.out.a, 'note'), ...find(p.out.b, 'note')], []);
  t.equal(find(p.out.a, 'tunnel-gone').length, 1);
  t.equal(find(p.out.b, 'tunnel-gone').length, 1);
  t.equal(decodeMessage(encodeMessage(stop())).ok, true);
});
