// The in-memory twin under the contract, and what only it can show without IPsec: marks.

import type { ControlPacket, Path, Upcall } from 'l2tp-dataplane';
import { type MemoryDataplane, openMemoryDataplane } from 'l2tp-dataplane/memory';
import t from 'tap';
import { A, contract, LOCAL, type Rig } from './contract.js';
import { hex, ipv4, l2tp, ppp, ZLB } from './packets.js';

function rig(): Rig {
  let dataplane!: MemoryDataplane;
  return {
    open(options) {
      dataplane = openMemoryDataplane({ tunFds: [], vnetHeader: false, onError: (e) => t.fail(e.message), ...options });
      return dataplane;
    },
    datagram: (from, to, data) => dataplane.receive({ mark: 0, local: to, remote: from, remotePort: 1701 }, data),
    takeSent: () => dataplane.takeSent().map(({ path, data }) => ({ from: path.local, to: path.remote, data })),
    tunPacket: (data) => dataplane.receiveTun(data),
    takeTun: () => dataplane.takeTun(),
  };
}

t.test('contract', async (t) => contract(t, rig));

const GATEWAY = '198.51.100.1';
// Two Windows clients behind one NAT: the same addresses and ports, told apart by mark only (RFC 3193 §3.3).
const twin = (mark: number): Path => ({ mark, local: GATEWAY, remote: '198.51.100.2', remotePort: 1701 });

t.test('a limit forgets no idle time, however slow', async (t) => {
  let clock = 0;
  const d = openMemoryDataplane({
    tunFds: [],
    vnetHeader: false,
    onUpcalls: () => {},
    onError: (e) => t.fail(e.message),
    now: () => clock,
  });
  d.listen([{ address: '0.0.0.0' }]);
  d.confirmMark(1);
  const ids = { tunnelId: 1, sessionId: 1, peerTunnelId: 9, peerSessionId: 9 };
  d.addSession({ ...ids, path: twin(1) }, { open: true, prefixes: ['10.0.0.1/32'], limit: { up: 0, down: 1 } });
  const packet = ipv4({ from: '10.0.0.9', to: '10.0.0.1', payload: new Array<number>(980).fill(0) });
  const taken = (now: number) => {
    clock = now;
    for (let i = 0; i < 140; i++) d.receiveTun(packet);
    return d.takeSent().length;
  };
  t.strictSame([taken(3_000_000), taken(603_000_000), taken(Number.MAX_SAFE_INTEGER)], [131, 75, 131]);
});

t.test('marks', async (t) => {
  const upcalls: Upcall[] = [];
  const refused = new Set<number>();
  const d = openMemoryDataplane({
    tunFds: [],
    vnetHeader: false,
    onUpcalls: (batch) => upcalls.push(...batch),
    onError: (e) => t.fail(e.message),
    now: () => 1,
    onSend: (datagram: ControlPacket) => !refused.has(datagram.path.mark),
  });
  d.listen([{ address: '0.0.0.0' }]);
  d.confirmMark(1);
  d.confirmMark(2);
  for (const mark of [1, 2]) {
    const ids = { tunnelId: mark, sessionId: 1, peerTunnelId: 9, peerSessionId: 9 };
    d.addSession({ ...ids, path: twin(mark) }, { open: true, prefixes: [`10.0.0.${mark}/32`] });
  }

  await t.test('mark 0 is dropped, an unknown one only lets control up', async (t) => {
    d.receive(twin(0), ZLB);
    d.receive({ ...twin(1), remotePort: 0 }, ZLB);
    d.receive(twin(3), ZLB);
    d.receive(twin(3), l2tp(1, 1, ppp(0xc021)));
    d.receive(twin(1), ZLB);
    await d.flush();
    t.match(upcalls, [
      { kind: 'control', path: twin(3), confirmed: false },
      { kind: 'control', path: twin(1), confirmed: true },
    ]);
    t.strictSame({ ...d.globalCounters() }, { 'mark-zero': 1n, 'port-zero': 1n, 'mark-unknown': 1n });
  });

  await t.test('a session belongs to its mark', async (t) => {
    d.receive(twin(2), l2tp(1, 1, ppp(0x0021, ipv4({ from: '10.0.0.1', to: '10.0.0.9' }))));
    d.receive(twin(1), l2tp(1, 1, ppp(0x0021, ipv4({ from: '10.0.0.1', to: '10.0.0.9' }))));
    await d.flush();
    t.match(d.sessionCounters(1, 1), { packetsIn: 1n, drops: { path: 1n } });
    t.match(upcalls.at(-1), { kind: 'violation', tunnelId: 1, path: twin(2) });
    t.strictSame([d.violations(1), d.violations(2), d.violations(9)], [0n, 1n, 0n]);
    d.receiveTun(ipv4({ from: '10.0.0.9', to: '10.0.0.2' }));
    t.match(d.takeSent(), [{ path: twin(2) }]);
  });

  await t.test('one client cannot crowd out the control messages of another', async (t) => {
    upcalls.length = 0;
    for (let i = 0; i < 5_000; i++) d.receive(twin(1), ZLB);
    d.receive(twin(2), ZLB);
    await d.flush();
    const of = (mark: number) => upcalls.filter((u) => u.kind === 'control' && u.path.mark === mark).length;
    t.ok(of(1) < 2_000, `${of(1)} of 5000`);
    t.equal(of(2), 1);
    t.equal(Number(d.globalCounters()['control-rate']), 5_000 - of(1));
    t.equal(d.globalCounters()['queue-full'], undefined);
  });

  await t.test('one client cannot crowd out the PPP frames of another, however many sessions it opens', async (t) => {
    upcalls.length = 0;
    for (let id = 100; id < 120; id++) {
      d.addSession({ tunnelId: 1, sessionId: id, peerTunnelId: 9, peerSessionId: 9, path: twin(1) });
      for (let i = 0; i < 100; i++) d.receive(twin(1), l2tp(1, id, ppp(0xc021)));
    }
    d.receive(twin(2), l2tp(2, 1, ppp(0xc021)));
    await d.flush();
    const of = (tunnelId: number) => upcalls.filter((u) => u.kind === 'frame' && u.tunnelId === tunnelId).length;
    t.strictSame([of(1), of(2)], [1_000, 1]);
    let dropped = 0n;
    for (let id = 100; id < 120; id++) dropped += d.removeSession(1, id)?.drops.rate ?? 0n;
    t.equal(dropped, 1_000n);
  });

  await t.test('what is large counts more: the room of the queue is octets too', async (t) => {
    upcalls.length = 0;
    const large = new Uint8Array(65_507);
    large.set([0xc8, 2, 0xff, 0xe3]);
    d.confirmMark(4);
    for (let i = 0; i < 100; i++) d.receive(twin(4), large);
    d.receive(twin(2), ZLB);
    await d.flush();
    const marks = upcalls.map((u) => u.kind === 'control' && u.path.mark);
    t.equal(marks.filter((mark) => mark === 4).length, 8);
    t.equal(marks.at(-1), 2);
  });

  await t.test('raw peers cannot crowd out the control messages of IPsec peers', async (t) => {
    upcalls.length = 0;
    d.unlisten();
    d.listen([{ address: GATEWAY }, { address: LOCAL, raw: { interface: 'lo', peers: [A] } }]);
    const raw: Path = { mark: 0, local: LOCAL, remote: A, remotePort: 1701 };
    for (let i = 0; i < 5_000; i++) d.receive(raw, ZLB);
    d.receive(twin(2), ZLB);
    await d.flush();
    t.match(upcalls.at(-1), { kind: 'control', path: twin(2) });
    t.equal(upcalls.length, 4_097);
    t.match(d.globalCounters(), { 'queue-full': 904n });
    d.unlisten();
    d.listen([{ address: '0.0.0.0' }]);
  });

  await t.test('the DSCP of the outer packet: none, that of the inner one, or one for all (RFC 2983 §3)', async (t) => {
    const v4 = ipv4({ from: '10.0.0.9', to: '10.0.0.1' });
    v4[1] = 0xbb;
    const sent = () => {
      d.receiveTun(v4);
      d.sendFrame(1, 1, hex('c0210901'));
      return d.takeSent().map((s) => s.dscp);
    };
    t.strictSame(sent(), [undefined, undefined]);
    d.updateSession(1, 1, { dscp: 'copy' });
    t.strictSame(sent(), [46, undefined]);
    d.updateSession(1, 1, { dscp: 10 });
    t.strictSame(sent(), [10, 10]);
    t.throws(() => d.updateSession(1, 1, { dscp: 64 }), { code: 'EINVAL', message: /dscp is 64, allowed: "copy" or/ });
    d.updateSession(1, 1, { dscp: 0, smallFirst: true });
    t.strictSame(sent(), [undefined, undefined]);
  });

  await t.test('a refused send is counted', async (t) => {
    refused.add(2);
    d.receiveTun(ipv4({ from: '10.0.0.9', to: '10.0.0.2' }));
    d.sendControl([{ path: twin(2), data: ZLB }]);
    t.strictSame(d.sessionCounters(2, 1)?.drops, { send: 1n });
    t.match(d.globalCounters(), { send: 1n });
  });

  await t.test('a forgotten mark is unknown again', async (t) => {
    d.forgetMark(1);
    d.receive(twin(1), l2tp(1, 1, hex('ff03c021')));
    d.receiveTun(ipv4({ from: '10.0.0.9', to: '10.0.0.1' }));
    t.match(d.globalCounters(), { 'mark-unknown': 2n, 'unconfirmed-send': 1n });
    t.equal(d.takeSent().length, 0);
  });
});
