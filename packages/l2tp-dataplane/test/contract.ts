// What every data plane does, native or in memory: one suite, run against both. RFC 2661 §3.1, §5.3; RFC 3193 §3.3.

import type { Dataplane, DataplaneOptions, Path, SessionSpec, SessionState, Upcall } from 'l2tp-dataplane';
import type { Test } from 'tap';
import {
  headerChecksum,
  hex,
  ip,
  ipv4,
  ipv6,
  l2tp,
  ppp,
  tcp,
  toHex,
  transportChecksum,
  u16,
  udp,
  ZLB,
} from './packets.js';

export interface Sent {
  readonly from: string;
  readonly to: string;
  readonly data: Uint8Array;
}

/** The world around a data plane: peers on the outside, a TUN device's other end on the inside. */
export interface Rig {
  open(options: Partial<DataplaneOptions> & Pick<DataplaneOptions, 'onUpcalls'>): Dataplane;
  /** LOCAL listens, raw, and may hear A and B (A6 and B6 for LOCAL6), not STRANGER. */
  datagram(from: string, to: string, data: Uint8Array): void;
  /** Datagrams that reached a peer, in order. */
  takeSent(): Sent[];
  tunPacket(data: Uint8Array): void;
  takeTun(): Uint8Array[];
}

export const LOCAL = '127.0.0.1';
export const A = '127.0.0.2';
export const B = '127.0.0.3';
export const STRANGER = '127.0.0.9';
export const LOCAL6 = 'fd00::1';
export const A6 = 'fd00::a';

const INSIDE = '10.9.0.1';
const CLIENT = '10.9.0.2';
const from = (remote: string, local = LOCAL): Path => ({ mark: 0, local, remote, remotePort: 1701 });
const SPEC: SessionSpec = { tunnelId: 1, sessionId: 2, peerTunnelId: 0x3333, peerSessionId: 0x4444, path: from(A) };
const OPEN: SessionState = { open: true, prefixes: [`${CLIENT}/32`] };

/** A data plane that listens, with what came out of it. */
export class Bench {
  readonly upcalls: Upcall[] = [];
  readonly dataplane: Dataplane;
  readonly sent: Sent[] = [];
  readonly tun: Uint8Array[] = [];

  constructor(
    readonly rig: Rig,
    options: Partial<DataplaneOptions> = {},
  ) {
    this.dataplane = rig.open({ ...options, onUpcalls: (batch) => this.upcalls.push(...batch) });
  }

  listen(): this {
    const raw = { interface: 'lo', peers: [A, `${B}/32`, 'fd00::/64'] };
    this.dataplane.listen([
      { address: LOCAL, raw },
      { address: LOCAL6, raw },
    ]);
    return this;
  }

  session(state: SessionState = OPEN, spec: Partial<SessionSpec> = {}): this {
    this.dataplane.addSession({ ...SPEC, ...spec }, state);
    return this;
  }

  /** Waits for a condition: for the kernel and the packet thread, not for time. */
  async until(what: string, condition: () => boolean): Promise<void> {
    const end = performance.now() + 10_000;
    while (!condition()) {
      if (performance.now() > end) throw new Error(`never came: ${what}`);
      await new Promise((resolve) => setImmediate(resolve));
      this.collect();
    }
  }

  collect(): void {
    this.sent.push(...this.rig.takeSent());
    this.tun.push(...this.rig.takeTun());
  }

  drops(sessionId = 2): Record<string, bigint> {
    return { ...this.dataplane.sessionCounters(1, sessionId)?.drops };
  }

  /** Sends data messages of session 1/2 from A. */
  data(...payloads: readonly Iterable<number>[]): void {
    for (const p of payloads) this.rig.datagram(A, LOCAL, l2tp(1, 2, p));
  }

  /** Everything sent so far by a peer was handled: marker frames on a session of its own came up, from each of the two queues. */
  async handled(): Promise<void> {
    const n = this.upcalls.filter(isMarker).length;
    this.dataplane.addSession({ ...SPEC, tunnelId: 0xffff, sessionId: 0xffff });
    this.rig.datagram(A, LOCAL, hex('0802 ffff ffff 0000 0000 ff03 c0ff'));
    this.rig.datagram(A, LOCAL, l2tp(0xffff, 0xffff, ppp(0xc0ff)));
    await this.until('the markers', () => this.upcalls.filter(isMarker).length > n + 1);
    this.dataplane.removeSession(0xffff, 0xffff);
    this.collect();
  }

  frames(): string[] {
    return this.upcalls
      .filter((u) => u.kind === 'frame' && !isMarker(u))
      .map((u) => toHex((u as { data: Uint8Array }).data));
  }
}

const isMarker = (u: Upcall): boolean => u.kind === 'frame' && u.tunnelId === 0xffff;
const count = (drops: object, why: string): bigint => (drops as Record<string, bigint>)[why] ?? 0n;
const inside = (payload: number[] = udp(5000, 6000)) => ipv4({ from: INSIDE, to: CLIENT, payload });
const outside = (payload: number[] = udp(6000, 5000)) => ipv4({ from: CLIENT, to: INSIDE, payload });

export function contract(t: Test, rig: () => Rig): void {
  const test = (name: string, run: (t: Test, b: Bench) => Promise<void>, options?: Partial<DataplaneOptions>) =>
    t.test(name, async (t) => {
      const b = new Bench(rig(), options);
      t.teardown(() => b.dataplane.close());
      await run(t, b.listen());
    });
  outerHeader(test);
  frames(test);
  transit(test);
  wayBack(test);
  tooBig(test);
  punts(test);
  sending(test);
  lifecycle(test);
}

type Define = (
  name: string,
  run: (t: Test, b: Bench) => Promise<void>,
  options?: Partial<DataplaneOptions>,
) => Promise<unknown>;

function outerHeader(test: Define): void {
  test('a control datagram goes up whole, with its path', async (t, b) => {
    b.rig.datagram(A, LOCAL, ZLB);
    b.rig.datagram(B, LOCAL, ZLB);
    b.rig.datagram(A6, LOCAL6, ZLB);
    await b.until('three control datagrams', () => b.upcalls.length === 3);
    // Over two sockets order is only kept within each.
    const four = b.upcalls.filter((u) => u.kind === 'control' && u.path.local === LOCAL);
    t.strictSame(four, [
      { kind: 'control', path: from(A), confirmed: true, data: ZLB },
      { kind: 'control', path: from(B), confirmed: true, data: ZLB },
    ]);
    const six = b.upcalls.filter((u) => u.kind === 'control' && u.path.local === LOCAL6);
    t.strictSame(six, [{ kind: 'control', path: from(A6, LOCAL6), confirmed: true, data: ZLB }]);
  });

  test('what is no L2TPv2 from a named peer is counted and dropped', async (t, b) => {
    b.rig.datagram(STRANGER, LOCAL, ZLB);
    for (const bytes of [
      '00',
      '0002',
      '0002 0001 00',
      'c802 000c 0001 0000 0000 00',
      '4002 0009 0001 0002',
      '0202 0001 0002 0001',
    ]) {
      b.rig.datagram(A, LOCAL, hex(bytes));
    }
    for (const bytes of ['0001 0001 0002', 'c803 000c 0001 0000 0000 0000']) b.rig.datagram(A, LOCAL, hex(bytes));
    b.data(ppp(0xc021));
    await b.handled();
    t.strictSame({ ...b.dataplane.globalCounters() }, { 'raw-peer': 1n, short: 6n, version: 2n, 'no-session': 1n });
    t.equal(b.upcalls.filter((u) => !isMarker(u)).length, 0);
  });

  test('L, S, O and P bits are understood in data messages (RFC 2661 §3.1)', async (t, b) => {
    b.session();
    const lcp = 'ff03 c021 0101 0004';
    const datagrams = [
      `0002 0001 0002 ${lcp}`,
      `4002 0010 0001 0002 ${lcp}`,
      `4002 0010 0001 0002 ${lcp} 00000000`, // beyond Length: not part of the message
      `0802 0001 0002 1111 2222 ${lcp}`,
      `0202 0001 0002 0000 ${lcp}`,
      `0202 0001 0002 0003 eeeeee ${lcp}`,
      `4b02 0019 0001 0002 1111 2222 0003 eeeeee ${lcp}`,
      `3472 0001 0002 ${lcp}`, // x bits are ignored
    ];
    for (const d of datagrams) b.rig.datagram(A, LOCAL, hex(d));
    await b.handled();
    t.strictSame(b.frames(), new Array(datagrams.length).fill('c02101010004'));
  });

  test('the path is checked on every data message (RFC 3193 §3.3)', async (t, b) => {
    b.session();
    for (let i = 0; i < 5; i++) b.rig.datagram(B, LOCAL, l2tp(1, 2, ppp(0x0021, outside())));
    await b.handled();
    t.strictSame(b.drops(), { path: 5n });
    t.strictSame(
      b.upcalls.filter((u) => u.kind === 'violation'),
      [{ kind: 'violation', tunnelId: 1, sessionId: 2, path: from(B) }],
    );
    t.equal(b.tun.length, 0);
    t.equal(b.sent.length, 0);
  });

  test('a session behind a mark is out of reach of a raw listener, whoever asks', async (t, b) => {
    b.dataplane.confirmMark(7);
    b.session(OPEN, { path: { ...from(A), mark: 7 } });
    for (const data of [outside(), outside(udp(1, 2))]) b.data(ppp(0x0021, data));
    b.data(ppp(0xc021, hex('0501 0004')));
    await b.handled();
    t.strictSame(b.drops(), { path: 3n });
    t.strictSame(b.frames(), []);
    t.equal(b.tun.length, 0);
    b.rig.tunPacket(inside());
    await b.until('the packet', () => count(b.drops(), 'send') === 1n);
    t.equal(b.sent.length, 0, 'and nothing of it leaves there');
  });

  test('a tunnel moves to another path with all its sessions', async (t, b) => {
    b.session()
      .session({ open: true, prefixes: ['10.9.0.3/32'] }, { sessionId: 3 })
      .session({}, { tunnelId: 7 });
    b.dataplane.movePath(1, from(B));
    for (const id of [2, 3]) b.rig.datagram(B, LOCAL, l2tp(1, id, ppp(0xc021)));
    b.rig.datagram(A, LOCAL, l2tp(1, 2, ppp(0xc021)));
    b.rig.datagram(A, LOCAL, l2tp(7, 2, ppp(0xc021)));
    await b.handled();
    await b.until('four outcomes', () => b.frames().length === 3 && count(b.drops(), 'path') === 1n);
    b.rig.tunPacket(inside());
    await b.until('the packet', () => b.sent.length === 1);
    t.equal(b.sent[0]?.to, B);
  });
}

function frames(test: Define): void {
  test('PPP frames other than IP go up with a two-octet protocol, open or closed', async (t, b) => {
    b.session({});
    // RFC 1661 §6.5 and §6.6: with and without address and control field, protocol field in one octet and in two.
    b.data(hex('ff03 c021 01'), hex('c021 01'), hex('ff03 8021 01'), hex('ff03 fd 01'), hex('fd 01'), hex('80fd'));
    await b.handled();
    t.strictSame(b.frames(), ['c02101', 'c02101', '802101', '00fd01', '00fd01', '80fd']);
    t.match(b.upcalls[0], { kind: 'frame', tunnelId: 1, sessionId: 2 });
  });

  test('a frame without a protocol field is malformed', async (t, b) => {
    b.session();
    b.data([], hex('ff'), hex('ff03'), hex('ff03 c0'), hex('c0'), hex('ff04 c021'));
    await b.handled();
    t.strictSame(b.drops(), { malformed: 6n });
    t.strictSame(b.frames(), []);
  });

  test('frames of one session are limited, so that it cannot starve the others', async (t, b) => {
    b.session();
    for (let i = 0; i < 5; i++) {
      b.data(...new Array<number[]>(100).fill(ppp(0xc021, [9, i, 0, 8])));
      await b.handled();
    }
    const dropped = Number(count(b.drops(), 'rate'));
    t.equal(b.frames().length + dropped, 500);
    t.ok(dropped > 0 && b.frames().length >= 200, `${dropped} dropped`);
  });
}

function transit(test: Define): void {
  test('IP passes once the session is open', async (t, b) => {
    b.session({ prefixes: [`${CLIENT}/32`, 'fd00:9::/64'] });
    b.data(ppp(0x0021, outside()), ppp(0x0057, ipv6({ from: 'fd00:9::2', to: 'fd00:1::1' })));
    await b.handled();
    t.strictSame(b.drops(), { closed: 2n });
    b.dataplane.updateSession(1, 2, { open: true });
    await b.dataplane.flush();
    const v6 = ipv6({ from: 'fd00:9::2', to: 'fd00:1::1', payload: udp(1, 2) });
    // Trailing padding is not part of the packet; PFC and ACFC are tolerated.
    b.data(ppp(0x0021, [...outside(), 0, 0]), [0x21, ...outside()], ppp(0x0057, v6));
    await b.handled();
    t.strictSame(b.tun.map(toHex), [outside(), outside(), v6].map(toHex));
    const c = b.dataplane.sessionCounters(1, 2)!;
    t.match(c, { packetsIn: 3n, octetsIn: BigInt(2 * 28 + 48), packetsOut: 0n, drops: { closed: 2n } });
    t.ok(c.lastTraffic > 0);
    b.dataplane.updateSession(1, 2, { open: false });
    await b.dataplane.flush();
    b.data(ppp(0x0021, outside()));
    await b.handled();
    t.strictSame(b.drops(), { closed: 3n });
  });

  test('sources outside the prefixes of the session are dropped', async (t, b) => {
    b.session({ open: true, prefixes: ['10.9.0.0/16', 'fe80::2/128'] });
    b.session({ open: true, prefixes: ['10.9.5.0/24'] }, { sessionId: 3 });
    const spoofed = [
      ipv4({ from: '10.10.0.1', to: INSIDE }),
      ipv4({ from: '10.9.5.1', to: INSIDE }), // a more specific prefix of another session
      ipv4({ from: '0.0.0.0', to: INSIDE }),
    ];
    b.data(...spoofed.map((p) => ppp(0x0021, p)));
    b.data(
      ppp(0x0057, ipv6({ from: 'fe80::3', to: 'fd00::1' })),
      ppp(0x0057, ipv6({ from: 'fd00::3', to: 'fd00::1' })),
    );
    b.data(ppp(0x0057, ipv6({ from: 'fe80::2', to: 'fd00::1' })), ppp(0x0021, ipv4({ from: '10.9.4.1', to: INSIDE })));
    await b.handled();
    t.strictSame(b.drops(), { spoof: 5n });
    t.equal(b.tun.length, 2);
  });

  test('multicast and broadcast stay outside', async (t, b) => {
    b.session({ open: true, prefixes: [`${CLIENT}/32`, 'fe80::2/128'] });
    b.data(
      ...['224.0.0.1', '239.255.255.250', '255.255.255.255'].map((to) => ppp(0x0021, ipv4({ from: CLIENT, to }))),
      ppp(0x0057, ipv6({ from: 'fe80::2', to: 'ff02::fb' })),
    );
    await b.handled();
    t.strictSame(b.drops(), { multicast: 4n });
    t.equal(b.tun.length, 0);
  });

  test('what cannot be an IP packet is malformed', async (t, b) => {
    b.session();
    const cut = outside();
    const v4 = (edit: (p: Uint8Array) => void) => {
      const p = outside().slice();
      edit(p);
      return p;
    };
    const bad = [
      [],
      [0x45],
      cut.subarray(0, 19),
      cut.subarray(0, 27), // shorter than its total length
      v4((p) => p.set([0x44])), // header length 16
      v4((p) => p.set([0x4f])), // header longer than the packet
      v4((p) => p.set([0, 19], 2)),
      v4((p) => p.set([0x65])), // IPv6 under 0021
    ];
    b.data(...bad.map((p) => ppp(0x0021, p)), ppp(0x0057, ipv6({ from: '::1', to: '::2' }).subarray(0, 39)));
    b.data(ppp(0x0057, ipv6({ from: '::1', to: '::2', payload: [1] }).subarray(0, 40)));
    await b.handled();
    t.strictSame(b.drops(), { malformed: 10n });
  });

  test('the MSS of SYNs is clamped both ways and checksums stay right', async (t, b) => {
    b.session({ open: true, mtu: 1300, prefixes: [`${CLIENT}/32`, 'fd00:9::2/128'] });
    const mss = [2, 4, ...u16(1460)];
    // At an even and at an odd offset, after options, and twice.
    const lists = [mss, [1, ...mss, 1, 1, 1], [4, 2, 1, ...mss, 0], [8, 10, 1, 2, 3, 4, 5, 6, 7, 8, ...mss, 1, 1]];
    for (const options of lists) {
      const up = ipv4({ from: CLIENT, to: INSIDE, protocol: 6, payload: tcp(CLIENT, INSIDE, 2, options) });
      b.data(ppp(0x0021, up));
      b.rig.tunPacket(ipv4({ from: INSIDE, to: CLIENT, protocol: 6, payload: tcp(INSIDE, CLIENT, 0x12, options) }));
    }
    const six = ['fd00:9::2', 'fd00:1::1'] as const;
    b.data(ppp(0x0057, ipv6({ from: six[0], to: six[1], protocol: 6, payload: tcp(six[0], six[1], 2, mss) })));
    await b.handled();
    await b.until('all packets', () => b.tun.length === 5 && b.sent.length === 4);
    for (const p of [...b.tun, ...b.sent.map((s) => s.data.subarray(12))]) {
      t.equal(transportChecksum(p), 0);
      t.notMatch(toHex(p), /020405b4/);
      t.match(toHex(p), p[0]! >> 4 === 4 ? /020404ec/ : /020404d8/);
    }
    b.dataplane.updateSession(1, 2, { clampMss: false });
    await b.dataplane.flush();
    b.data(ppp(0x0021, ipv4({ from: CLIENT, to: INSIDE, protocol: 6, payload: tcp(CLIENT, INSIDE, 2, mss) })));
    await b.until('the packet', () => b.tun.length === 6);
    t.match(toHex(b.tun[5]!), /020405b4/);
  });

  test('an MSS that is small enough, no SYN, or options that lie are left alone', async (t, b) => {
    b.session();
    const payloads = [
      tcp(CLIENT, INSIDE, 2, [2, 4, ...u16(1000)]),
      tcp(CLIENT, INSIDE, 0x10, [2, 4, ...u16(1460)]),
      tcp(CLIENT, INSIDE, 2, [2, 0, ...u16(1460)]),
      tcp(CLIENT, INSIDE, 2, [3, 9, 2, 4]),
      tcp(CLIENT, INSIDE, 2, [1, 1, 2, 4]), // the option begins in the header and ends outside
      tcp(CLIENT, INSIDE, 2, [0, 2, 4, 0xff]),
      tcp(CLIENT, INSIDE, 2, []).slice(0, 19),
    ];
    const packets = payloads.map((payload) => ipv4({ from: CLIENT, to: INSIDE, protocol: 6, payload }));
    b.data(...packets.map((p) => ppp(0x0021, p)));
    await b.until('all packets', () => b.tun.length === packets.length);
    t.strictSame(b.tun.map(toHex), packets.map(toHex));
  });
}

function wayBack(test: Define): void {
  test('a packet from the TUN device goes to the session with the longest prefix', async (t, b) => {
    b.session({ open: true, prefixes: ['10.9.0.0/16'] });
    b.session({ open: true, prefixes: ['10.9.5.0/24', 'fd00:9::/48'] }, { sessionId: 3, peerSessionId: 0x5555 });
    const p = [
      ipv4({ from: INSIDE, to: '10.9.4.255' }),
      ipv4({ from: INSIDE, to: '10.9.5.0' }),
      ipv6({ from: 'fd00::1', to: 'fd00:9::1' }),
    ];
    for (const packet of p) b.rig.tunPacket(packet);
    b.rig.tunPacket(ipv4({ from: INSIDE, to: '10.10.0.1' }));
    b.rig.tunPacket(ipv6({ from: 'fd00::1', to: 'ff02::2' }));
    b.rig.tunPacket(hex('00'));
    await b.until('three packets', () => b.sent.length === 3 && count(b.dataplane.globalCounters(), 'no-route') === 3n);
    t.strictSame(
      b.sent.map((s) => toHex(s.data)),
      [
        `4002 0020 3333 4444 ff03 0021 ${toHex(p[0]!)}`,
        `4002 0020 3333 5555 ff03 0021 ${toHex(p[1]!)}`,
        `4002 0034 3333 5555 ff03 0057 ${toHex(p[2]!)}`,
      ].map((s) => s.replaceAll(' ', '')),
    );
    t.match(b.dataplane.sessionCounters(1, 3), { packetsOut: 2n, octetsOut: 60n, packetsIn: 0n });
  });

  test('the L bit and ff03 are written as negotiated; the protocol field never shrinks', async (t, b) => {
    b.session({ ...OPEN, acfc: true, lengthBit: false });
    b.rig.tunPacket(inside());
    b.dataplane.sendFrame(1, 2, hex('c021 0101 0004'));
    await b.until('two datagrams', () => b.sent.length === 2);
    t.strictSame(b.sent.map((s) => toHex(s.data)).sort(), [
      `0002333344440021${toHex(inside())}`,
      '000233334444ff03c02101010004', // LCP always with ff03 (RFC 1661 §6.6)
    ]);
  });

  test('a burst leaves whole and in order', async (t, b) => {
    b.session().session({ open: true, prefixes: ['10.9.0.3/32'] }, { sessionId: 3, peerSessionId: 0x5555 });
    const size = (i: number) => (i % 7 === 0 ? 40 : i % 11 === 0 ? 999 : 1000);
    const packets = Array.from({ length: 120 }, (_, i) =>
      ipv4({
        from: INSIDE,
        to: i % 3 === 0 ? '10.9.0.3' : CLIENT,
        id: i,
        payload: udp(1, 2, new Array<number>(size(i)).fill(i)),
      }),
    );
    for (const p of packets) b.rig.tunPacket(p);
    await b.until('all of it', () => b.sent.length === packets.length);
    for (const [peer, to] of [
      ['4444', 2],
      ['5555', 3],
    ] as const) {
      const mine = packets.filter((p) => p[19] === to);
      const sent = b.sent.map((s) => toHex(s.data)).filter((d) => d.slice(12, 16) === peer);
      t.strictSame(
        sent.map((d) => d.slice(24)),
        mine.map(toHex),
      );
      const octets = BigInt(mine.reduce((n, p) => n + p.length, 0));
      t.match(b.dataplane.sessionCounters(1, to), { packetsOut: BigInt(mine.length), octetsOut: octets, drops: {} });
    }
  });

  test('a session has its limit each way, and PPP frames pass beside it', async (t, b) => {
    b.session({ ...OPEN, limit: { up: 8, down: 8 } });
    const full = udp(1, 2, new Array<number>(1000 - 28).fill(0));
    const [up, down] = [outside(full), inside(full)];
    for (let i = 0; i < 5; i++) {
      b.data(...new Array<number[]>(40).fill(ppp(0x0021, up)));
      await b.handled();
    }
    t.equal(b.tun.length, 131);
    t.strictSame(b.drops(), { limit: 69n });
    for (let i = 0; i < 150; i++) b.rig.tunPacket(down);
    await b.until('the drops', () => count(b.drops(), 'limit') === 69n + 19n);
    b.data(ppp(0xc021));
    await b.until('a frame', () => b.frames().length === 1);
    b.dataplane.sendFrame(1, 2, hex('c021 0101 0004'));
    await b.until('131 packets and the frame', () => b.sent.length === 132);
    t.match(b.dataplane.sessionCounters(1, 2), { packetsIn: 131n, packetsOut: 131n });
    b.dataplane.updateSession(1, 2, { limit: { up: 0, down: 0 } });
    for (let i = 0; i < 20; i++) b.rig.tunPacket(down);
    b.data(...new Array<number[]>(20).fill(ppp(0x0021, up)));
    await b.until('all of it', () => b.sent.length === 152 && b.tun.length === 151);
  });

  test('with sequencing every data message has a number, and what comes late is dropped (RFC 2661 §5.4)', async (t, b) => {
    b.session({ ...OPEN, sequencing: true });
    b.dataplane.sendFrame(1, 2, hex('c021 0101 0004'));
    await b.until('the frame', () => b.sent.length === 1);
    b.rig.tunPacket(inside());
    await b.until('the packet', () => b.sent.length === 2);
    b.dataplane.updateSession(1, 2, { sequencing: true, lengthBit: false, acfc: true });
    await b.dataplane.flush();
    b.rig.tunPacket(inside());
    await b.until('another', () => b.sent.length === 3);
    t.strictSame(
      b.sent.map((s) => toHex(s.data)),
      [
        '4802001433334444 00000000 ff03c02101010004',
        `4802002c33334444 00010000 ff030021${toHex(inside())}`,
        `080233334444 00020000 0021${toHex(inside())}`,
      ].map((s) => s.replaceAll(' ', '')),
    );
    const numbered = (ns: number) => Uint8Array.of(8, 2, 0, 1, 0, 2, ...u16(ns), 0, 0, ...ppp(0xc021, u16(ns)));
    for (const ns of [7, 8, 8, 10, 9, 11]) b.rig.datagram(A, LOCAL, numbered(ns));
    await b.until('those taken', () => b.frames().length === 4);
    b.data(ppp(0xc021, u16(99)));
    await b.handled();
    t.strictSame(
      b.frames().map((f) => Number.parseInt(f.slice(4), 16)),
      [7, 8, 10, 11, 99],
    );
    t.strictSame(b.drops(), { sequence: 2n });
    b.rig.datagram(A, LOCAL, hex('0802 0001 0002 0000 00'));
    await b.handled();
    t.match(b.dataplane.globalCounters(), { short: 1n });
    for (let round = 0; round < 2; round++) for (let ns = 12; ns < 22; ns++) b.rig.datagram(A, LOCAL, numbered(ns));
    await b.handled();
    t.equal(b.frames().length, 15, 'a train that comes twice is taken once');
    t.strictSame(b.drops(), { sequence: 12n });
    b.dataplane.updateSession(1, 2, { sequencing: false });
    await b.dataplane.flush();
    for (const ns of [3, 2]) b.rig.datagram(A, LOCAL, numbered(ns));
    await b.until('both', () => b.frames().length === 17);
  });

  test('with reorder what comes before its time waits for what is missing, for a while (RFC 2661 §5.4)', async (t, b) => {
    b.session({ ...OPEN, sequencing: true, reorder: 4 });
    const numbered = (ns: number) => Uint8Array.of(8, 2, 0, 1, 0, 2, ...u16(ns), 0, 0, ...ppp(0xc021, u16(ns)));
    const line = [7, 9, 8, 8, 12, 11, 10];
    for (const ns of line) b.rig.datagram(A, LOCAL, numbered(ns));
    await b.handled();
    const numbers = () => b.frames().map((f) => Number.parseInt(f.slice(4), 16));
    // On a machine that stands still between two of them something may be given up; what is out of order never comes.
    const settled = () => numbers().length + Number(count(b.drops(), 'sequence')) === line.length;
    while (!settled()) await b.handled();
    t.equal(numbers()[0], 7);
    t.strictSame(
      numbers(),
      [...new Set(numbers())].sort((x, y) => x - y),
    );
    b.rig.datagram(A, LOCAL, numbered(14));
    while (numbers().at(-1) !== 14) await b.handled();
  });

  test('what a session holds to put in order is bounded in octets, too', async (t, b) => {
    b.session({ ...OPEN, sequencing: true, reorder: 64 });
    const message = (ns: number) => [...ppp(0xc021, u16(ns)), ...new Array<number>(50_000).fill(0)];
    const line = [7, 9, 11, 12, 10, 8];
    for (const ns of line) b.rig.datagram(A, LOCAL, Uint8Array.of(8, 2, 0, 1, 0, 2, ...u16(ns), 0, 0, ...message(ns)));
    await b.handled();
    const numbers = () => b.frames().map((f) => Number.parseInt(f.slice(4, 8), 16));
    const settled = () => numbers().length + Number(count(b.drops(), 'sequence')) === line.length;
    while (!settled()) await b.handled();
    // 9 and 11 are held; for 12 there is no room until 8 is given up.
    t.notOk(numbers().includes(8));
    t.strictSame(
      numbers(),
      [...new Set(numbers())].sort((x, y) => x - y),
    );
  });

  test('a closed session gets nothing', async (t, b) => {
    b.session({ prefixes: [`${CLIENT}/32`] });
    b.rig.tunPacket(inside());
    await b.until('the drop', () => count(b.drops(), 'closed') === 1n);
    b.collect();
    t.equal(b.sent.length, 0);
  });

  test('of two sessions with the same prefix the newer has the route, the older has it back', async (t, b) => {
    b.session().session(OPEN, { sessionId: 3, peerSessionId: 0x5555 });
    const owner = async () => {
      b.sent.length = 0;
      b.rig.tunPacket(inside());
      await b.until('the packet', () => b.sent.length === 1);
      return toHex(b.sent[0]!.data.subarray(6, 8));
    };
    t.equal(await owner(), '5555');
    // Both may still use the address as their source.
    b.data(ppp(0x0021, outside()));
    b.rig.datagram(A, LOCAL, l2tp(1, 3, ppp(0x0021, outside())));
    await b.until('both packets', () => b.tun.length === 2);
    b.dataplane.updateSession(1, 2, { prefixes: [`${CLIENT}/32`, '10.1.0.0/16'] });
    t.equal(await owner(), '5555', 'keeping a prefix does not take the route');
    b.dataplane.removeSession(1, 3);
    t.equal(await owner(), '4444');
    b.dataplane.updateSession(1, 2, { prefixes: [] });
    b.rig.tunPacket(inside());
    await b.until('no route', () => count(b.dataplane.globalCounters(), 'no-route') === 1n);
  });
}

function tooBig(test: Define): void {
  const big = (n: number) =>
    udp(
      1,
      2,
      Array.from({ length: n - 28 }, (_, i) => i & 0xff),
    );

  test('a packet larger than the MTU with DF is answered with fragmentation needed (RFC 1191 §4)', async (t, b) => {
    b.session({ ...OPEN, mtu: 600 });
    const packet = ipv4({ from: INSIDE, to: CLIENT, payload: big(601), dontFragment: true });
    b.rig.tunPacket(packet);
    b.rig.tunPacket(ipv4({ from: INSIDE, to: CLIENT, payload: big(600), dontFragment: true }));
    await b.until('both', () => b.tun.length === 1 && b.sent.length === 1);
    const error = b.tun[0]!;
    t.equal(error.length, 576);
    t.equal(toHex(error.subarray(12, 20)), `${toHex(packet.subarray(16, 20))}${toHex(packet.subarray(12, 16))}`);
    t.equal(toHex(error.subarray(20, 22)), '0304');
    t.equal(
      toHex(error.subarray(24, 28)),
      `0000${u16(600)
        .map((o) => o.toString(16).padStart(2, '0'))
        .join('')}`,
    );
    t.equal(toHex(error.subarray(28)), toHex(packet.subarray(0, 548)));
    t.equal(headerChecksum(error), 0);
    t.equal(transportChecksum(error), 0);
    t.strictSame(b.drops(), { 'too-big': 1n });
  });

  test('IPv6 is answered with packet too big (RFC 4443 §3.2)', async (t, b) => {
    b.session({ open: true, mtu: 1280, prefixes: ['fd00:9::2/128'] });
    const packet = ipv6({ from: 'fd00:1::1', to: 'fd00:9::2', payload: big(1281 - 12) });
    b.rig.tunPacket(packet);
    await b.until('the error', () => b.tun.length === 1);
    const error = b.tun[0]!;
    t.equal(error.length, 1280);
    t.strictSame([...error.subarray(8, 24)], ip('fd00:9::2'));
    t.strictSame([...error.subarray(24, 40)], ip('fd00:1::1'));
    t.equal(toHex(error.subarray(40, 42)), '0200');
    t.equal(toHex(error.subarray(44, 48)), '00000500');
    t.equal(toHex(error.subarray(48)), toHex(packet.subarray(0, 1232)));
    t.equal(transportChecksum(error), 0);
  });

  test('IPv6 has 1280 octets also where the path has less (RFC 8200 §5, RFC 8201 §4)', async (t, b) => {
    b.session({ open: true, mtu: 1186, prefixes: [`${CLIENT}/32`, 'fd00:9::2/128'] });
    const six = ['fd00:1::1', 'fd00:9::2'] as const;
    const packet = (n: number) => ipv6({ from: six[0], to: six[1], payload: big(n - 20) });
    for (const n of [1187, 1280, 1281]) b.rig.tunPacket(packet(n));
    const syn = tcp(...six, 2, [2, 4, ...u16(1440)]);
    b.rig.tunPacket(ipv6({ from: six[0], to: six[1], protocol: 6, payload: syn }));
    b.rig.tunPacket(ipv4({ from: INSIDE, to: CLIENT, payload: big(1187), dontFragment: true }));
    await b.until('all of them', () => b.sent.length + b.tun.length === 5);
    const sent = b.sent.map((s) => toHex(s.data.subarray(12)));
    t.strictSame(sent.slice(0, 2), [packet(1187), packet(1280)].map(toHex));
    t.match(sent[2], /02040466/, 'TCP avoids the fragments');
    const errors = b.tun.map((error) => toHex(error[0] === 0x60 ? error.subarray(44, 48) : error.subarray(26, 28)));
    t.strictSame(errors, ['00000500', '04a2']);
  });

  test('IPv4 without DF is fragmented (RFC 791 §3.2)', async (t, b) => {
    b.session({ ...OPEN, mtu: 576 });
    // Router alert is copied to every fragment, record route is not.
    const options = [0x94, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0];
    const packet = ipv4({ from: INSIDE, to: CLIENT, payload: big(1428), options, id: 77 });
    b.rig.tunPacket(packet);
    await b.until('three fragments', () => b.sent.length === 3);
    const pieces = b.sent.map((s) => s.data.subarray(12));
    let whole: number[] = [];
    for (const [i, p] of pieces.entries()) {
      t.equal(headerChecksum(p), 0);
      t.ok(p.length <= 576 && p.length === ((p[2]! << 8) | p[3]!));
      t.equal(p[0]! & 15, i === 0 ? 8 : 6);
      t.equal((p[6]! << 8) | p[7]!, (i < 2 ? 0x2000 : 0) | (whole.length / 8));
      whole = [...whole, ...p.subarray((p[0]! & 15) * 4)];
    }
    t.equal(toHex(Uint8Array.from(whole)), toHex(packet.subarray(32)));
    t.match(b.dataplane.sessionCounters(1, 2), {
      packetsOut: 3n,
      octetsOut: BigInt(pieces.reduce((n, p) => n + p.length, 0)),
    });
  });

  test('no error answers an error, a later fragment or a source nobody has (RFC 1122 §3.2.2)', async (t, b) => {
    b.session({ ...OPEN, mtu: 100 });
    const icmp = (type: number) => [type, 0, ...new Array<number>(200).fill(0)];
    const later = ipv4({ from: INSIDE, to: CLIENT, payload: big(200), dontFragment: true });
    later[7] = 1;
    const silent = [
      ipv4({ from: INSIDE, to: CLIENT, protocol: 1, payload: icmp(3), dontFragment: true }),
      later,
      ipv4({ from: '0.0.0.0', to: CLIENT, payload: big(200), dontFragment: true }),
      ipv4({ from: '127.0.0.1', to: CLIENT, payload: big(200), dontFragment: true }),
      ipv4({ from: '224.0.0.1', to: CLIENT, payload: big(200), dontFragment: true }),
    ];
    for (const p of silent) b.rig.tunPacket(p);
    b.rig.tunPacket(ipv4({ from: INSIDE, to: CLIENT, protocol: 1, payload: icmp(8), dontFragment: true }));
    await b.until('the one error', () => b.tun.length > 0);
    t.equal(b.tun.length, 1);
    t.strictSame(b.drops(), { 'too-big': 6n });
  });

  test('no ICMPv6 error answers one behind extension headers (RFC 4443 §2.4)', async (t, b) => {
    b.session({ open: true, mtu: 1280, prefixes: ['fd00:9::2/128'] });
    const from = 'fd00:1::1';
    const rest = new Array<number>(1300).fill(0);
    const option = (next: number, length = 0) => [next, length, 1, 4, 0, 0, 0, 0];
    const fragment = (next: number, offset: number) => [next, 0, ...u16(offset * 8), 0, 0, 0, 1];
    const silent: readonly [number, readonly number[]][] = [
      [58, [1]],
      [0, [...option(60), ...option(58), 1]],
      [43, [...option(58), 127]],
      [44, [...fragment(58, 0), 3]],
      [44, fragment(6, 1)],
      [60, option(6, 255)],
      [60, new Array<readonly number[]>(8).fill(option(60)).flat()],
    ];
    const answered: readonly [number, readonly number[]][] = [
      [58, [128]],
      [0, [...option(60), ...option(58), 129]],
      [60, [...option(6, 1), ...new Array<number>(8).fill(0)]],
      [44, fragment(17, 0)],
      [50, []],
    ];
    for (const [protocol, start] of [...silent, ...answered]) {
      b.rig.tunPacket(ipv6({ from, to: 'fd00:9::2', protocol, payload: [...start, ...rest] }));
    }
    await b.until('the errors', () => b.tun.length >= answered.length);
    t.strictSame(
      b.tun.map((error) => error[48 + 6]),
      answered.map(([protocol]) => protocol),
    );
    t.strictSame(b.drops(), { 'too-big': BigInt(silent.length + answered.length) });
  });

  test('a fragment beyond 65535 octets is nothing (RFC 791 §3.1)', async (t, b) => {
    b.session({ ...OPEN, mtu: 100 });
    const at = (offset: number, from: string, to: string) => {
      const packet = ipv4({ from, to, payload: big(108) });
      packet.set(u16(offset), 6);
      return packet;
    };
    const last = (65_535 - 108 - 7) >> 3;
    b.rig.tunPacket(at(last + 2, INSIDE, CLIENT));
    b.rig.tunPacket(at(last, INSIDE, CLIENT));
    await b.until('the fragments of one', () => b.sent.length === 2);
    t.strictSame({ ...b.dataplane.globalCounters() }, { 'no-route': 1n });
    b.data(ppp(0x0021, at(0x1fff, CLIENT, INSIDE)));
    b.data(ppp(0x0021, at(last, CLIENT, INSIDE)));
    await b.until('one packet', () => b.tun.length === 1);
    t.strictSame(b.drops(), { malformed: 1n });
  });

  test('errors are limited', async (t, b) => {
    b.session({ ...OPEN, mtu: 100 });
    for (let i = 0; i < 60; i++)
      b.rig.tunPacket(ipv4({ from: INSIDE, to: CLIENT, payload: big(200), dontFragment: true }));
    await b.until('all', () => count(b.drops(), 'too-big') === 60n);
    b.collect();
    t.ok(b.tun.length >= 20 && b.tun.length < 60, `${b.tun.length} errors`);
  });
}

function punts(test: Define): void {
  const solicitation = (source: string, hopLimit = 255) =>
    ipv6({ from: source, to: 'ff02::2', protocol: 58, payload: [133, 0, 0, 0, 0, 0, 0, 0], hopLimit });

  const gateway = { gateway: [INSIDE] };

  const answered = async (t: Test, b: Bench) => {
    b.session({ open: true, prefixes: [`${CLIENT}/32`, 'fe80::2/128'] });
    const up = [
      ipv4({ from: CLIENT, to: '255.255.255.255', payload: udp(68, 67) }),
      ipv4({ from: '0.0.0.0', to: '255.255.255.255', payload: udp(68, 67) }),
      ipv4({ from: CLIENT, to: INSIDE, payload: udp(68, 67) }),
      solicitation('fe80::2'),
      solicitation('::'),
      ipv6({ from: 'fe80::2', to: 'fe80::1', protocol: 58, payload: [135, 0, 0, 0, 0, 0, 0, 0], hopLimit: 255 }),
      ipv6({ from: 'fe80::2', to: 'ff02::1:2', payload: udp(546, 547) }),
    ];
    const echo = ipv6({
      from: 'fe80::2',
      to: 'ff02::2',
      protocol: 58,
      payload: [128, 0, 0, 0, 0, 0, 0, 0],
      hopLimit: 255,
    });
    const not = [
      echo,
      solicitation('fe80::2', 64),
      ipv4({ from: CLIENT, to: '255.255.255.255', payload: udp(68, 68) }),
    ];
    const spoofed = [solicitation('fe80::3'), ipv4({ from: '10.9.0.3', to: INSIDE, payload: udp(68, 67) })];
    b.data(...[...up, ...not, ...spoofed].map((p) => ppp(p[0]! >> 4 === 4 ? 0x0021 : 0x0057, p)));
    await b.handled();
    const got = b.upcalls.filter((u) => u.kind === 'punt');
    t.strictSame(
      got,
      up.map((data) => ({ kind: 'punt', tunnelId: 1, sessionId: 2, data })),
    );
    t.strictSame(b.drops(), { multicast: 3n, spoof: 2n });
    t.equal(b.tun.length, 0);
    t.match(b.dataplane.sessionCounters(1, 2), { packetsIn: 0n });
  };
  test('DHCP, DHCPv6 and router solicitations of open sessions go up', answered, gateway);

  const relayed = async (t: Test, b: Bench) => {
    b.session({ open: true, prefixes: [`${CLIENT}/32`, '2001:db8::2/128'] });
    const packets = [
      ipv4({ from: CLIENT, to: '10.8.0.1', payload: udp(67, 67) }),
      ipv6({ from: '2001:db8::2', to: '2001:db8::67', protocol: 17, payload: udp(547, 547) }),
    ];
    b.data(...packets.map((p) => ppp(p[0]! >> 4 === 4 ? 0x0021 : 0x0057, p)));
    await b.handled();
    t.strictSame(b.tun, packets);
    t.notOk(b.upcalls.some((u) => u.kind === 'punt'));
  };
  test('DHCP to another server than the gateway is transit: a relay behind the peer asks it', relayed, gateway);

  test('what is larger than 1500 octets does not go up, and is counted', async (t, b) => {
    b.session();
    const dhcp = (length: number) =>
      ipv4({ from: CLIENT, to: '255.255.255.255', payload: udp(68, 67, new Array<number>(length - 28).fill(0)) });
    for (const length of [1500, 1501, 65_000]) b.data(ppp(0x0021, dhcp(length)));
    await b.handled();
    const up = b.upcalls.filter((u) => u.kind === 'punt').map((u) => u.data.length);
    t.strictSame(up, [1500]);
    t.strictSame(b.drops(), { 'too-big': 2n });
  });

  test('they are limited, and dropped while the session is closed', async (t, b) => {
    b.session();
    const dhcp = ppp(0x0021, ipv4({ from: CLIENT, to: '255.255.255.255', payload: udp(68, 67) }));
    b.data(...new Array<number[]>(60).fill(dhcp));
    await b.handled();
    const up = b.upcalls.filter((u) => u.kind === 'punt').length;
    t.ok(up >= 20 && up < 60, `${up} went up`);
    t.strictSame(b.drops(), { rate: BigInt(60 - up) });
    b.dataplane.updateSession(1, 2, { open: false });
    await b.dataplane.flush();
    b.data(dhcp);
    await b.handled();
    t.match(b.drops(), { closed: 1n });
  });
}

function sending(test: Define): void {
  test('control datagrams leave in order and are gone when flush resolves', async (t, b) => {
    const packets = Array.from({ length: 300 }, (_, i) => ({
      path: from(i % 3 === 0 ? B : A),
      data: Uint8Array.of(...ZLB.subarray(0, 10), ...u16(i)),
    }));
    b.dataplane.sendControl(packets.slice(0, 100));
    for (const p of packets.slice(100)) b.dataplane.sendControl([p]);
    await b.dataplane.flush();
    await b.until('all', () => b.sent.length === 300);
    for (const to of [A, B]) {
      t.strictSame(
        b.sent.filter((s) => s.to === to).map((s) => toHex(s.data)),
        packets.filter((p) => p.path.remote === to).map((p) => toHex(p.data)),
      );
    }
  });

  test('a datagram leaves from the address of its path (RFC 3193 §4)', async (t, b) => {
    b.dataplane.sendControl([
      { path: from(A), data: ZLB },
      { path: from(A6, LOCAL6), data: ZLB },
    ]);
    await b.until('both', () => b.sent.length === 2);
    t.strictSame(
      b.sent.map((s) => [s.from, s.to]).sort(),
      [
        [LOCAL, A],
        [LOCAL6, A6],
      ].sort(),
    );
  });

  test('the largest frame fits behind the longest header', async (t, b) => {
    b.session({ sequencing: true });
    const frame = new Uint8Array(65_493);
    frame.set([0xc0, 0x21]);
    b.dataplane.sendFrame(1, 2, frame);
    await b.until('the frame', () => b.sent.length === 1);
    t.equal(b.sent[0]!.data.length, 65_507);
    t.strictSame(b.drops(), {});
  });

  test('a larger one is dropped and counted: a peer chooses the size of our Echo-Reply (RFC 1661 §5.8)', async (t, b) => {
    b.session();
    for (const length of [65_494, 70_000]) b.dataplane.sendFrame(1, 2, new Uint8Array(length));
    b.dataplane.sendFrame(1, 2, hex('c021 0901 0008 00000000'));
    await b.dataplane.flush();
    await b.until('the frame', () => b.sent.length === 1);
    t.strictSame(b.drops(), { 'too-big': 2n });
    t.strictSame({ ...b.dataplane.globalCounters() }, {});
  });

  test('a message that may not leave has taken its number', async (t, b) => {
    b.session({ ...OPEN, sequencing: true });
    b.dataplane.unlisten();
    b.dataplane.sendFrame(1, 2, hex('c021 0101 0004'));
    await b.until('the refusal', () => count(b.dataplane.globalCounters(), 'unconfirmed-send') === 1n);
    b.listen();
    b.dataplane.sendFrame(1, 2, hex('c021 0101 0004'));
    await b.until('the frame', () => b.sent.length === 1);
    t.equal(toHex(b.sent[0]!.data), '48020014333344440001' + '0000ff03c02101010004');
  });

  test('a frame goes out on a session, open or not', async (t, b) => {
    b.session({});
    b.dataplane.sendFrame(1, 2, hex('c021 0901 0008 00000000'));
    b.dataplane.sendFrame(1, 2, hex('0021'));
    b.dataplane.sendFrame(1, 9, hex('c021 0901 0008 00000000'));
    await b.dataplane.flush();
    await b.until('two frames', () => b.sent.length === 2);
    t.strictSame(
      b.sent.map((s) => toHex(s.data)),
      ['4002001433334444ff03c0210901000800000000', '4002000c33334444ff030021'],
    );
    t.strictSame({ ...b.dataplane.globalCounters() }, { 'no-session': 1n });
    t.match(b.dataplane.sessionCounters(1, 2), { packetsOut: 0n, lastTraffic: 0 });
  });

  test('nothing leaves under an unconfirmed mark, to a stranger, or without a socket', async (t, b) => {
    b.dataplane.sendControl([{ path: { ...from(A), mark: 7 }, data: ZLB }]);
    b.dataplane.sendControl([{ path: from(STRANGER), data: ZLB }]);
    b.session(OPEN, { path: { ...from(A), mark: 7 } });
    b.rig.tunPacket(inside());
    await b.until('three drops', () => count(b.dataplane.globalCounters(), 'unconfirmed-send') === 2n);
    t.strictSame({ ...b.dataplane.globalCounters() }, { 'unconfirmed-send': 2n, 'raw-peer': 1n });
    b.dataplane.confirmMark(7);
    b.dataplane.sendControl([{ path: { ...from(A), mark: 7 }, data: ZLB }]); // confirmed, but the listeners are raw
    b.dataplane.sendFrame(1, 2, hex('c021 0101 0004'));
    await b.dataplane.flush();
    t.equal(count(b.dataplane.globalCounters(), 'send'), 1n);
    t.strictSame(b.drops(), { send: 1n });
    b.dataplane.forgetMark(7);
    b.dataplane.sendFrame(1, 2, hex('c021 0101 0004'));
    await b.dataplane.flush();
    t.equal(count(b.dataplane.globalCounters(), 'unconfirmed-send'), 3n);
    b.collect();
    t.equal(b.sent.length, 0);
  });

  test('unlisten closes the sockets and keeps the sessions', async (t, b) => {
    b.session();
    b.dataplane.unlisten();
    b.dataplane.unlisten();
    t.equal(b.dataplane.listening, false);
    b.rig.tunPacket(inside());
    b.dataplane.sendControl([{ path: from(A), data: ZLB }]);
    await b.until('two refusals', () => count(b.dataplane.globalCounters(), 'unconfirmed-send') === 2n);
    b.listen();
    t.equal(b.dataplane.listening, true);
    b.rig.tunPacket(inside());
    await b.until('the packet', () => b.sent.length === 1);
  });
}

function lifecycle(test: Define): void {
  const code = (want: string) => ({ name: 'DataplaneError', code: want });

  test(
    'the table of sessions',
    async (t, b) => {
      b.session();
      t.throws(() => b.session(), code('EEXIST'));
      t.throws(() => b.dataplane.updateSession(1, 9, {}), code('ENOENT'));
      t.equal(b.dataplane.sessionCounters(1, 9), undefined);
      t.equal(b.dataplane.removeSession(1, 9), undefined);
      b.session({}, { sessionId: 3 });
      t.throws(() => b.session({}, { sessionId: 4 }), code('ENOSPC'));
      b.data(ppp(0x0021, outside()));
      await b.until('the packet', () => b.tun.length === 1);
      t.match(b.dataplane.removeSession(1, 2), { packetsIn: 1n, octetsIn: 28n });
      t.equal(b.dataplane.sessionCounters(1, 2), undefined);
      b.session();
      t.match(b.dataplane.sessionCounters(1, 2), { packetsIn: 0n, lastTraffic: 0, drops: {} });
    },
    { maxSessions: 2 },
  );

  test('arguments outside their range are EINVAL', async (t, b) => {
    const d = b.dataplane;
    const rows: [string, () => unknown][] = [
      ['tunnelId 0', () => d.addSession({ ...SPEC, tunnelId: 0 })],
      ['sessionId 65536', () => d.addSession({ ...SPEC, sessionId: 65536 })],
      ['peerSessionId 1.5', () => d.addSession({ ...SPEC, peerSessionId: 1.5 })],
      ['an address with a zone', () => d.movePath(1, from('fe80::1%lo', 'fe80::2'))],
      ['two families', () => d.movePath(1, from(A6))],
      ['port 0', () => d.movePath(1, { ...from(A), remotePort: 0 })],
      ['mark -1', () => d.movePath(1, { ...from(A), mark: -1 })],
      ['mark 0', () => d.confirmMark(0)],
      ['mark 0', () => d.violations(0)],
      ['mtu 67', () => d.addSession(SPEC, { mtu: 67 })],
      ['limit -1', () => d.addSession(SPEC, { limit: { up: -1, down: 0 } })],
      ['a prefix of 33 bits', () => d.addSession(SPEC, { prefixes: ['10.0.0.0/33'] })],
      ['no address', () => d.addSession(SPEC, { prefixes: ['10.0.0/8'] })],
      ['a frame of one octet', () => d.sendFrame(1, 2, hex('00'))],
      ['an empty datagram', () => d.sendControl([{ path: from(A), data: hex('') }])],
      ['no listeners', () => d.listen([])],
      ['a raw wildcard', () => d.listen([{ address: '::', raw: { interface: 'lo', peers: [A6] } }])],
      ['no interface', () => d.listen([{ address: A, raw: { interface: '', peers: [A] } }])],
    ];
    for (const [name, call] of rows) t.throws(call, code('EINVAL'), name);
    t.throws(() => b.listen(), code('EALREADY'));
    t.equal(d.sessionCounters(1, 2), undefined);
    // Cut to 16 bits most of these would be session 1/2.
    b.session({});
    const ids: [number, number][] = [
      [65_537, 2],
      [1, 65_538],
      [1.5, 2],
      [-65_535, 2],
      [0, 2],
    ];
    for (const [tunnelId, sessionId] of ids) {
      const name = `session ${tunnelId}/${sessionId}`;
      t.throws(() => d.updateSession(tunnelId, sessionId, OPEN), code('EINVAL'), name);
      t.throws(() => d.removeSession(tunnelId, sessionId), code('EINVAL'), name);
      t.throws(() => d.sessionCounters(tunnelId, sessionId), code('EINVAL'), name);
      t.throws(() => d.sendFrame(tunnelId, sessionId, hex('c021 0101 0004')), code('EINVAL'), name);
    }
    await d.flush();
    b.collect();
    t.equal(b.sent.length, 0);
    t.ok(d.removeSession(1, 2));
  });

  test('after close every method throws', async (t, b) => {
    const d = b.dataplane;
    b.session();
    b.rig.datagram(A, LOCAL, ZLB);
    const flushed = d.flush();
    await Promise.all([d.close(), d.close()]);
    await flushed;
    const seen = b.upcalls.length;
    const rows: (() => unknown)[] = [
      () => d.listen([{ address: LOCAL }]),
      () => d.unlisten(),
      () => d.listening,
      () => d.confirmMark(1),
      () => d.forgetMark(1),
      () => d.violations(1),
      () => d.addSession(SPEC),
      () => d.updateSession(1, 2, {}),
      () => d.movePath(1, from(A)),
      () => d.removeSession(1, 2),
      () => d.sessionCounters(1, 2),
      () => d.globalCounters(),
      () => d.sendControl([]),
      () => d.sendFrame(1, 2, hex('c021')),
    ];
    for (const call of rows) t.throws(call, { name: 'DataplaneClosed' });
    await t.rejects(d.flush(), { name: 'DataplaneClosed' });
    await d.close();
    b.rig.datagram(A, LOCAL, ZLB);
    t.equal(b.upcalls.length, seen);
  });
}
