// Runs inside a network namespace of its own (real.test.ts), with stand-ins for TUN devices on descriptors 10 and up and a
// real one, tun0, on 9 (test/native/rig.cc): the native data plane under the contract, and what only it can show.
import { execFileSync, spawnSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync, readSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { DataplaneClosed, openDataplane, type Upcall } from 'l2tp-dataplane';
import t from 'tap';
import { A, A6, B, Bench, contract, LOCAL, LOCAL6, type Rig, type Sent, STRANGER } from './contract.js';
import { headerChecksum, hex, ipv4, l2tp, ppp, sealed, tcp, toHex, transportChecksum, udp, ZLB } from './packets.js';

const TUN = 9;
/** [the data plane's end, ours] */
const PAIR = [10, 11] as const;
const DYING_PAIR = [12, 13] as const;

execFileSync('ip', ['-batch', '-'], {
  input: [
    'link set lo up',
    ...[LOCAL6, A6].map((a) => `addr add ${a}/128 dev lo`),
    'addr add 10.9.0.1/24 dev tun0',
    'link set tun0 up mtu 1500',
  ].join('\n'),
});

const peers = new Map<string, Socket>();
let arrived: Sent[] = [];
for (const address of [A, B, STRANGER, A6]) {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (data, { address: from }) => arrived.push({ from, to: address, data }));
  socket.bind(1701, address);
  await once(socket, 'listening');
  socket.setRecvBufferSize(4 << 20);
  peers.set(address, socket);
}
t.teardown(() => {
  for (const socket of peers.values()) socket.close();
});

/** Everything that waits on a non-blocking descriptor. */
function readAll(fd: number): Uint8Array[] {
  const packets: Uint8Array[] = [];
  const buffer = new Uint8Array(65_536);
  for (;;) {
    try {
      packets.push(buffer.slice(0, readSync(fd, buffer)));
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code === 'EAGAIN') return packets;
      throw e;
    }
  }
}

const rigOver = (fd: number, end: number | undefined, vnetHeader = false): Rig => ({
  open: (options) =>
    openDataplane({ tunFds: [fd], vnetHeader, onError: (e) => t.fail(`fatal: ${e.message}`), ...options }),
  datagram: (from, to, data) => peers.get(from)!.send(data, 1701, to),
  takeSent: () => arrived.splice(0),
  tunPacket: (data) => end !== undefined && writeSync(end, data),
  takeTun: () => (end === undefined ? [] : readAll(end)),
});

function rig(): Rig {
  arrived = [];
  readAll(PAIR[0]);
  readAll(PAIR[1]);
  return rigOver(...PAIR);
}

t.test('contract', async (t) => contract(t, rig));

t.test('listen is all or none', async (t) => {
  const b = new Bench(rig());
  t.teardown(() => b.dataplane.close());
  const raw = { interface: 'lo', peers: [A] };
  const both = [
    { address: LOCAL, raw },
    { address: A, raw },
  ]; // A's port is the peer's
  t.throws(() => b.dataplane.listen(both), { code: 'EADDRINUSE', syscall: 'bind' });
  t.equal(b.dataplane.listening, false);
  t.throws(() => b.dataplane.listen([{ address: '192.0.2.1', raw }]), { code: 'EADDRNOTAVAIL', syscall: 'bind' });
  const absent = { interface: 'absent0', peers: [A] };
  t.throws(() => b.dataplane.listen([{ address: LOCAL, raw: absent }]), { code: 'ENODEV' });
  b.listen();
});

t.test('without IPsec a listener that is not raw hears nothing', async (t) => {
  const b = new Bench(rig());
  t.teardown(() => b.dataplane.close());
  try {
    b.dataplane.listen([{ address: LOCAL }, { address: LOCAL6 }]);
  } catch (e) {
    // A kernel without XFRM: fail closed.
    t.match(e, { name: 'DataplaneError', syscall: /XFRM_POLICY/, code: /^(ENOPROTOOPT|EOPNOTSUPP)$/ });
    t.equal(b.dataplane.listening, false);
    return;
  }
  const mismatches = () =>
    /XfrmInTmplMismatch\s+(\d+)/.exec(execFileSync('cat', ['/proc/net/xfrm_stat'], { encoding: 'utf8' }))?.[1];
  const before = Number(mismatches());
  b.rig.datagram(A, LOCAL, ZLB);
  b.rig.datagram(A6, LOCAL6, ZLB);
  await b.until('the kernel refuses both', () => Number(mismatches()) === before + 2);
  t.strictSame([b.upcalls, { ...b.dataplane.globalCounters() }], [[], {}]);
});

t.test('a real TUN device with vnet header: the kernel takes and gives packets with right checksums', async (t) => {
  const b = new Bench(rigOver(TUN, undefined, true)).listen();
  t.teardown(() => b.dataplane.close());
  arrived = [];
  b.session({ open: true, mtu: 1400, prefixes: ['10.9.0.2/32'] });
  const host = createSocket('udp4');
  t.teardown(() => host.close());
  const heard: { data: Uint8Array; address: string }[] = [];
  host.on('message', (data, from) => heard.push({ data, address: from.address }));
  host.bind(7000, '10.9.0.1');
  await once(host, 'listening');

  host.send('to the client', 7001, '10.9.0.2');
  await b.until('the packet', () => b.sent.length === 1);
  const packet = b.sent[0]!.data.subarray(12);
  t.match(Buffer.from(packet).toString('latin1'), /to the client$/);
  t.strictSame([headerChecksum(packet), transportChecksum(packet)], [0, 0]);

  const back = ipv4({ from: '10.9.0.2', to: '10.9.0.1', payload: udp(7001, 7000, [...Buffer.from('to the host')]) });
  b.data(ppp(0x0021, back));
  await b.until('the datagram', () => heard.length === 1);
  t.match(heard, [{ address: '10.9.0.2', data: Buffer.from('to the host') }]);
  t.match(b.dataplane.sessionCounters(1, 2), { packetsIn: 1n, packetsOut: 1n, drops: {} });

  // Larger than the session's MTU: the kernel believes our ICMP and refuses the next one itself (RFC 1191 §6).
  // Node's sockets discover the path MTU, so DF is set.
  host.send(Buffer.alloc(1450), 7001, '10.9.0.2');
  await b.until('the drop', () => b.drops()['too-big'] === 1n);
  const mtu = () => /mtu (\d+)/.exec(execFileSync('ip', ['route', 'get', '10.9.0.2'], { encoding: 'utf8' }))?.[1];
  await b.until('the path MTU', () => mtu() === '1400');
});

t.test('a real TUN device takes what was merged', async (t) => {
  const b = new Bench(rigOver(TUN, undefined, true)).listen();
  t.teardown(() => b.dataplane.close());
  arrived = [];
  const client = '10.9.0.2';
  const [h, n] = ['10.9.0.1', 20];
  b.session({ open: true, mtu: 1400, prefixes: [`${client}/32`] });
  const host = createSocket('udp4');
  t.teardown(() => host.close());
  const heard: string[] = [];
  host.on('message', (data) => heard.push(data.toString()));
  host.bind(7000, h);
  await once(host, 'listening');
  // Numbered datagrams of one size, then segments of a connection that the host knows nothing of: what it accepts, merged or
  // not, it answers with a reset (RFC 9293 §3.10.7.1).
  const text = (i: number) => `datagram ${String(i).padStart(4, '0')}`;
  const sized = (i: number) => sealed(client, h, udp(7001, 7000, [...Buffer.from(text(i))]));
  b.data(...Array.from({ length: n }, (_, i) => ppp(0x0021, ipv4({ from: client, to: h, payload: sized(i), id: i }))));
  await b.until('the datagrams', () => heard.length === n);
  t.strictSame(
    heard,
    Array.from({ length: n }, (_, i) => text(i)),
  );

  const segment = (i: number) => tcp(client, h, 0x10, [], 1000 * i, new Array<number>(1000).fill(i));
  const run = Array.from({ length: n }, (_, i) =>
    ppp(0x0021, ipv4({ from: client, to: h, protocol: 6, payload: segment(i), id: i })),
  );
  // The device counts what is written to it: as soon as one turn of the thread has had several, fewer than there were packets.
  const written = () => Number(/tun0: +\d+ +(\d+)/.exec(readFileSync('/proc/self/net/dev', 'utf8'))![1]);
  let rounds = 0;
  for (let writes = n; writes >= n && rounds < 500; rounds++) {
    const before = written();
    b.data(...run);
    await b.handled();
    writes = written() - before;
  }
  t.ok(rounds < 500, `several packets in one write within ${rounds} rounds`);
  await b.until('a reset', () => b.sent.some((s) => s.data[21] === 6 && (s.data[45]! & 4) !== 0));
  await b.handled();
  t.match(b.dataplane.sessionCounters(1, 2), { packetsIn: BigInt(n + rounds * n), drops: {} });
});

t.test('a stand-in for the device that goes away is fatal, once', async (t) => {
  const errors: Error[] = [];
  const d = openDataplane({
    tunFds: [DYING_PAIR[0]],
    vnetHeader: false,
    onUpcalls: () => {},
    onError: (e) => errors.push(e),
  });
  const { closeSync } = await import('node:fs');
  closeSync(DYING_PAIR[1]);
  while (errors.length === 0) await new Promise((resolve) => setImmediate(resolve));
  t.match(errors, [{ name: 'DataplaneError', code: 'ENODEV', syscall: 'read(tun)' }]);
  t.throws(() => d.confirmMark(1), DataplaneClosed);
  await d.close();
  t.equal(errors.length, 1);
});

t.test('a descriptor that is none is refused', async (t) => {
  const options = { vnetHeader: false, onUpcalls: () => {}, onError: () => {} };
  t.throws(() => openDataplane({ ...options, tunFds: [999] }), { code: 'EBADF' });
  t.throws(() => openDataplane({ ...options, tunFds: [-1] }), { code: 'EINVAL' });
});

t.test('closing while packets flow is safe', async (t) => {
  const closing = async (round: number) => {
    const seen: Upcall[] = [];
    const b = new Bench(rig()).listen().session();
    const burst = () => {
      for (let i = 0; i < 40; i++) {
        b.data(ppp(0x0021, ipv4({ from: '10.9.0.2', to: '10.9.0.1', payload: udp(1, 2) })), ppp(0xc021));
        b.rig.datagram(A, LOCAL, ZLB);
        b.rig.tunPacket(ipv4({ from: '10.9.0.1', to: '10.9.0.2', payload: udp(1, 2) }));
        b.dataplane.sendFrame(1, 2, hex('c021 0901 0008 00000000'));
      }
    };
    burst();
    if (round % 2 === 0) await b.dataplane.flush();
    if (round % 3 === 0) b.dataplane.removeSession(1, 2);
    const flushed = b.dataplane.flush();
    const closed = b.dataplane.close();
    await Promise.all([flushed, closed]);
    seen.push(...b.upcalls);
    b.rig.datagram(A, LOCAL, l2tp(1, 2, ppp(0xc021)));
    await new Promise((resolve) => setImmediate(resolve));
    return b.upcalls.length === seen.length;
  };
  let quiet = 0;
  for (let round = 0; round < 100; round++) if (await closing(round)) quiet++;
  t.equal(quiet, 100, 'no upcall after close');
});

const OPEN = `const { openDataplane } = await import('l2tp-dataplane');
const d = openDataplane({ tunFds: [], vnetHeader: false, onUpcalls() {}, onError(e) { throw e } });
d.listen([{ address: '127.0.0.4', raw: { interface: 'lo', peers: ['127.0.0.2'] } }]);`;

t.test('a process exits by itself after close, and may exit without', async (t) => {
  const run = (script: string) =>
    spawnSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 30_000, encoding: 'utf8' });
  for (const end of [
    'await d.close();',
    'process.exit(0);',
    "process.kill(process.pid, 'SIGTERM'); await new Promise(() => {});",
  ]) {
    const child = run(`${OPEN}\n${end}`);
    t.strictSame(
      [child.status, child.signal, child.stderr],
      end.includes('kill') ? [null, 'SIGTERM', ''] : [0, null, ''],
      end,
    );
  }
  // An open one keeps the process alive: like a server's socket.
  const child = run(`${OPEN}\nlet fired = false; process.once('beforeExit', () => { fired = true; });
setTimeout(async () => { console.log(fired); await d.close(); }, 50);`);
  t.equal(child.stdout, 'false\n');
});

t.test('a worker that ends takes its packet thread along', async (t) => {
  const worker = new Worker(
    `(async () => { ${OPEN} require('node:worker_threads').parentPort.postMessage('open'); })();`,
    { eval: true },
  );
  await once(worker, 'message');
  await worker.terminate();
  const b = new Bench(rig());
  t.teardown(() => b.dataplane.close());
  b.dataplane.listen([{ address: '127.0.0.4', raw: { interface: 'lo', peers: [A] } }]); // the socket is free again
});

t.test('a full table and its end', async (t) => {
  const b = new Bench(rig()).listen();
  t.teardown(() => b.dataplane.close());
  for (let i = 1; i <= 65_535; i++) {
    b.session({ open: true, prefixes: [`10.${100 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}/32`] }, { tunnelId: i });
  }
  b.session({}, { tunnelId: 1, sessionId: 3 });
  t.throws(() => b.session({}, { tunnelId: 1, sessionId: 4 }), { code: 'ENOSPC' });
  b.rig.tunPacket(ipv4({ from: '10.9.0.1', to: '10.100.255.255' }));
  await b.until('the packet', () => b.sent.length === 1);
  t.equal(toHex(b.sent[0]!.data.subarray(0, 4)), '40020020');
  for (let i = 1; i <= 65_535; i++) b.dataplane.removeSession(i, 2);
  t.equal(b.dataplane.sessionCounters(65_535, 2), undefined);
});
