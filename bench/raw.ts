// Traffic through L2TP without IPsec: what the packet thread costs, next to l2tpns, kernel forwarding and a naive forwarder in Node.
// CPU-seconds of the LNS process are the robust figure: client, LNS and server share the machine, and so do other tenants.
import { cpus } from 'node:os';
import type { Loaded } from './lac.js';
import { type Bench, type Row, ratio, show, spread } from './measure.js';
import { cpuSeconds, deviceCount, idleSeconds, Net, pause } from './net.js';
import { ground, type Kind, open, packets, prepare, type Target, TUNNELS } from './targets.js';

const ROUNDS = 5;
const SECONDS = 2;
const FLOWS = 64;

type Direction = 'up' | 'down';
const DIRECTIONS: readonly Direction[] = ['up', 'down'];

/** A bench among targets that all stand at once, each with one session. */
async function among(
  kinds: readonly Kind[],
  tunnels: number,
  act: (net: Net, targets: readonly Target[]) => Promise<Row[]>,
): Promise<readonly Row[]> {
  const net = new Net();
  try {
    prepare(net);
    ground(net);
    const targets: Target[] = [];
    for (const [i, kind] of kinds.entries()) {
      const target = await open(net, kind, i + 1, tunnels);
      if (kind !== 'kernel') await target.setUp(ONE);
      targets.push(target);
    }
    return await act(net, targets);
  } finally {
    net.close();
  }
}
const ONE = { tunnels: 1, sessions: 1, parallel: 1, auth: 'pap' } as const;

// ------------------------------------------------------------------------------------------------------------- raw-tcp

interface Stream {
  readonly gbit: number;
  /** Of the LNS; NaN where there is no process. */
  readonly cpuPerGb: number;
}

/** The LAC has one address: its packet thread looks at every listener in each turn, and the machine has no CPU to spare. */
export const rawTcp: Bench = () =>
  among(['lockstep', 'l2tpns', 'kernel', 'node'], 1, async (net, targets) => {
    net.start('server', 'iperf3', '-s');
    const [ours, theirs, kernel, node] = targets as [Target, Target, Target, Target];
    const rows: Row[] = [];
    for (const direction of DIRECTIONS) {
      const [mine, others, , naive] = await streams(net, direction, [ours, theirs, kernel, node]);
      const cpu = (s: readonly Stream[]) => s.map((r) => r.cpuPerGb);
      for (const [limit, s, target] of [
        ['l2tpns', others!, direction === 'up' ? '; target: at most 0.10' : '; target: at most 0.14'],
        ['naive Node', naive!, ''],
      ] as const) {
        rows.push({
          what: `one TCP stream ${direction}, CPU-s of the LNS per GB`,
          figure: `${show(spread(cpu(mine!)), 2)} at ${show(spread(gbits(mine!)), 2)} Gbit/s`,
          limit: `${limit} ${show(spread(cpu(s)), 2)} at ${show(spread(gbits(s)), 2)} Gbit/s`,
          ratio: `${ratio(cpu(mine!), cpu(s)).toFixed(3)}${target}`,
        });
      }
    }
    for (const target of [ours, kernel]) net.wire(true, target.ends);
    for (const direction of DIRECTIONS) {
      const [mine, forwarding] = await streams(net, direction, [ours, kernel]);
      rows.push({
        what: `one TCP stream ${direction}, links carry MTU-size packets`,
        figure: `${show(spread(gbits(mine!)), 2)} Gbit/s, ${show(spread(mine!.map((r) => r.cpuPerGb)), 2)} CPU-s per GB`,
        limit: `kernel forwarding ${show(spread(gbits(forwarding!)), 2)} Gbit/s`,
        ratio: `${ratio(gbits(mine!), gbits(forwarding!)).toFixed(2)}; target: at least 0.9`,
      });
    }
    return rows;
  });

const gbits = (s: readonly Stream[]) => s.map((r) => r.gbit);

/** Rounds in which the targets take turns; one list for each. */
async function streams(net: Net, direction: Direction, targets: readonly Target[]): Promise<Stream[][]> {
  const rounds: Stream[][] = targets.map(() => []);
  for (let n = 0; n < ROUNDS; n++) {
    for (const [i, target] of targets.entries()) rounds[i]!.push(await stream(net, target, direction));
  }
  return rounds;
}

interface Report {
  readonly error?: string;
  readonly end: { readonly sum_received?: { readonly bits_per_second: number; readonly bytes: number } };
}

async function stream(net: Net, target: Target, direction: Direction): Promise<Stream> {
  const before = target.pid === undefined ? 0 : cpuSeconds(target.pid);
  const reverse = direction === 'down' ? ['-R'] : [];
  // The same segments for everybody, with a tunnel or without.
  const command = [
    'iperf3',
    '-c',
    `10.201.${target.n}.2`,
    '-B',
    target.address,
    '-M',
    '1360',
    '-t',
    String(SECONDS),
    '-J',
    ...reverse,
  ];
  let said = JSON.parse(net.run('client', ...command)) as Report;
  // The server may not be done with the one before.
  for (let tries = 0; said.error?.includes('busy') && tries < 20; tries++) {
    await pause(200);
    said = JSON.parse(net.run('client', ...command)) as Report;
  }
  const { end, error } = said;
  if (end.sum_received === undefined) throw new Error(`${target.kind} ${direction}: iperf3: ${error}`);
  const cpu = target.pid === undefined ? Number.NaN : cpuSeconds(target.pid) - before;
  return { gbit: end.sum_received.bits_per_second / 1e9, cpuPerGb: (cpu * 1e9) / end.sum_received.bytes };
}

// ----------------------------------------------------------------------------------------------------------- raw-small

/** Packets that went through, and what the LNS needed for a million of them. */
interface Flood {
  readonly kpps: number;
  readonly cpuPerMpkt: number;
}

export const rawSmall: Bench = () =>
  among(['lockstep', 'l2tpns'], TUNNELS, async (net, [ours, theirs]) => {
    const rows: Row[] = [];
    for (const links of LINKS) {
      for (const { ends } of [ours!, theirs!]) net.wire(links === MTU_SIZE, ends);
      for (const [direction, packet] of SMALL) {
        const session = new Map<Target, Loaded['sessions']>();
        for (const target of [ours!, theirs!]) {
          await target.tearDown();
          session.set(target, (await target.setUp(ONE)).sessions);
        }
        const mine: Flood[] = [];
        const others: Flood[] = [];
        for (let n = 0; n < ROUNDS; n++) {
          mine.push(await flood(net, ours!, direction, links, session.get(ours!)!, packet));
          others.push(await flood(net, theirs!, direction, links, session.get(theirs!)!, packet));
        }
        rows.push({
          what: `64-byte packets ${direction}, ${packet}, ${FLOWS} flows of one session, ${links}, CPU-s per million`,
          figure: `${show(spread(perMpkt(mine)), 2)} at ${show(spread(mine.map((f) => f.kpps)))} kpps`,
          limit: `l2tpns ${show(spread(perMpkt(others)), 2)} at ${show(spread(others.map((f) => f.kpps)))} kpps`,
          ratio: `${ratio(perMpkt(others), perMpkt(mine)).toFixed(2)}x the packets per CPU-s; target: at least ${direction === 'up' ? 1.2 : 1.7}x`,
        });
      }
    }
    return rows;
  });

/** As Linux sends UDP, with DF and without an Identification (RFC 6864 §4.1); and such as nobody may merge: all have the same, and no DF. */
const LINUX = 'as Linux sends UDP';
const LONERS = 'such as nobody may merge';
const SMALL = [
  ['up', LINUX],
  ['up', LONERS],
  ['down', LONERS],
] as const;

/** A device that has every packet cut before it gets it, or that takes merged ones. In this order: the first tells their size. */
const MTU_SIZE = 'links carry MTU-size packets';
const LINKS = [MTU_SIZE, 'links segment'] as const;
/** Ethernet, IPv4 and UDP: of a merged packet there is one of each. */
const HEADERS = 14 + 20 + 8;
/** Octets behind these headers, by target and direction. */
const payload = new Map<string, number>();

const perMpkt = (floods: readonly Flood[]) => floods.map((f) => f.cpuPerMpkt);

/** As many packets as the generator makes, over all these sessions in turns; a session alone has 64 flows. */
async function flood(
  net: Net,
  target: Target,
  direction: Direction,
  links: string,
  sessions: Loaded['sessions'],
  packet: typeof LINUX | typeof LONERS = LONERS,
): Promise<Flood> {
  const count = Math.max(FLOWS, sessions.length);
  // Those of a tunnel one after the other: a LAC has a socket for each, and sends what is for one with one call.
  const ordered = [...sessions].sort((a, b) => (a.local < b.local ? -1 : a.local > b.local ? 1 : 0));
  const flows = Array.from({ length: count }, (_, i) =>
    flow(target, direction, ordered[i % ordered.length]!, i, packet === LINUX),
  ).join('');
  const space = direction === 'up' ? 'client' : 'server';
  // Towards the server every packet that went through is at the server's device; towards the client, at the LNS's.
  const [at, device, side] =
    direction === 'up' ? (['server', `s${target.n}`, 'rx'] as const) : ([`n${target.n}`, 'out', 'tx'] as const);
  const before = deviceCount(net, at, device, side);
  const cpuBefore = cpuSeconds(target.pid!);
  const generator = net.start(space, packets(net), direction === 'up' ? 'trains' : 'flood', String(SECONDS));
  generator.stdin!.end(flows);
  await new Promise((resolve) => generator.once('exit', resolve));
  const cpu = cpuSeconds(target.pid!) - cpuBefore;
  const after = deviceCount(net, at, device, side);
  const seen = after.packets - before.packets;
  const octets = after.octets - before.octets;
  const key = `${target.n} ${direction}`;
  if (links === MTU_SIZE) payload.set(key, octets / seen - HEADERS);
  const passed = (octets - HEADERS * seen) / payload.get(key)!;
  return { kpps: passed / SECONDS / 1_000, cpuPerMpkt: (cpu * 1e6) / passed };
}

/** A line for `packets flood`: 64 octets of IP, up inside L2TP (RFC 2661 §3.1), down as they are. */
export function flow(
  target: Target,
  direction: Direction,
  session: Loaded['sessions'][number],
  i: number,
  dontFragment = false,
): string {
  // A packet ends at the server's device, in a black hole: nobody answers.
  const server = `10.199.${target.n}.1`;
  const ports = [5_000 + (i % FLOWS), 9] as const;
  if (direction === 'down')
    return `10.201.${target.n}.2 ${session.address} ${udp(`10.201.${target.n}.2`, session.address, ports, Buffer.alloc(36)).toString('hex')}\n`;
  const ip = ipv4(session.address, server, udp(session.address, server, ports, Buffer.alloc(36)), dontFragment);
  const head = Buffer.from([0, 2, 0, 0, 0, 0, 0xff, 0x03, 0x00, 0x21]);
  head.writeUInt16BE(session.peerTunnelId, 2);
  head.writeUInt16BE(session.peerSessionId, 4);
  const lns = `10.200.${target.n}.1`;
  return `${session.local} ${lns} ${udp(session.local, lns, [1701, 1701], Buffer.concat([head, ip])).toString('hex')}\n`;
}

const octets = (address: string): Buffer => Buffer.from(address.split('.').map(Number));

/** RFC 768, with its checksum: without, nobody merges packets of one flow. */
function udp(from: string, to: string, [source, destination]: readonly [number, number], payload: Buffer): Buffer {
  const head = Buffer.alloc(8);
  const length = 8 + payload.length;
  head.writeUInt16BE(source, 0);
  head.writeUInt16BE(destination, 2);
  head.writeUInt16BE(length, 4);
  const pseudo = Buffer.concat([octets(from), octets(to), Buffer.from([0, 17, length >> 8, length & 0xff])]);
  head.writeUInt16BE(checksum(Buffer.concat([pseudo, head, payload])) || 0xffff, 6);
  return Buffer.concat([head, payload]);
}

function ipv4(from: string, to: string, payload: Buffer, dontFragment: boolean): Buffer {
  const head = Buffer.alloc(20);
  head[0] = 0x45;
  head.writeUInt16BE(20 + payload.length, 2);
  head.writeUInt16BE(dontFragment ? 0x4000 : 0, 6);
  head[8] = 64;
  head[9] = 17;
  octets(from).copy(head, 12);
  octets(to).copy(head, 16);
  head.writeUInt16BE(checksum(head), 10);
  return Buffer.concat([head, payload]);
}

/** RFC 1071. */
function checksum(data: Buffer): number {
  let sum = 0;
  for (let i = 0; i < data.length; i += 2) sum += (data[i]! << 8) | (data[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

// ------------------------------------------------------------------------------------------------------- many-sessions

const MANY = { tunnels: 10, sessions: 1_000, parallel: 100, auth: 'pap', patienceMs: 60_000 } as const;

/**
 * Two gateways: one with 10 000 sessions, one with a single one; the same packets through both. As Linux sends UDP, those of one
 * session are merged; those of 10 000 sessions in turns have no neighbour to be merged with.
 */
export const manySessions: Bench = () =>
  among(['lockstep', 'lockstep'], TUNNELS, async (net, [many, one]) => {
    await many!.tearDown();
    const all = (await many!.setUp(MANY)).sessions;
    await one!.tearDown();
    const single = (await one!.setUp(ONE)).sessions;
    const rows: Row[] = [];
    for (const links of LINKS) {
      for (const { ends } of [many!, one!]) net.wire(links === MTU_SIZE, ends);
      for (const [direction, packet] of SMALL) {
        const loaded: Flood[] = [];
        const alone: Flood[] = [];
        for (let n = 0; n < ROUNDS; n++) {
          loaded.push(await flood(net, many!, direction, links, all, packet));
          alone.push(await flood(net, one!, direction, links, single, packet));
        }
        rows.push({
          what: `64-byte packets ${direction}, ${packet}, over ${all.length} sessions, ${links}, CPU-s per million`,
          figure: `${show(spread(perMpkt(loaded)), 2)} at ${show(spread(loaded.map((f) => f.kpps)))} kpps`,
          limit: `1 session${packet === LINUX ? ', which merges them,' : ''} ${show(spread(perMpkt(alone)), 2)} at ${show(spread(alone.map((f) => f.kpps)))} kpps`,
          ratio: `${ratio(perMpkt(loaded), perMpkt(alone)).toFixed(2)}; target: at most 1.10`,
        });
      }
    }
    return rows;
  });

// ------------------------------------------------------------------------------------------------------ second-gateway

/** What a second packet thread could bring on this machine at most: two gateways at once, which share nothing, next to one. */
export const secondGateway: Bench = () =>
  among(['lockstep', 'lockstep'], TUNNELS, async (net, [one, other]) => {
    const rows: Row[] = [];
    const sessions = new Map<Target, Loaded['sessions']>();
    for (const target of [one!, other!]) {
      net.wire(true, target.ends);
      await target.tearDown();
      sessions.set(target, (await target.setUp(ONE)).sessions);
    }
    const load = (target: Target, direction: Direction) =>
      flood(net, target, direction, MTU_SIZE, sessions.get(target)!);
    for (const direction of DIRECTIONS) {
      const alone: number[] = [];
      const together: number[] = [];
      const idle: number[] = [];
      for (let n = 0; n < ROUNDS; n++) {
        const before = idleSeconds();
        alone.push((await load(one!, direction)).kpps);
        idle.push(((idleSeconds() - before) / SECONDS / cpus().length) * 100);
        const both = await Promise.all([load(one!, direction), load(other!, direction)]);
        together.push(both[0].kpps + both[1].kpps);
      }
      rows.push({
        what: `64-byte packets ${direction}, two gateways at once, in all`,
        figure: `${show(spread(together))} kpps`,
        limit: `one alone ${show(spread(alone))} kpps, with ${show(spread(idle))} % of the machine idle`,
        ratio: `${ratio(together, alone).toFixed(2)}`,
      });
    }
    return rows;
  });

// ------------------------------------------------------------------------------------------------------------- latency

const PINGS = 300;
const EVERY_US = 2_000;
/** A load that every target can carry, so that what is compared is the queue and not who gives up first. */
const LOAD = '300M';

export const latency: Bench = () =>
  among(['lockstep', 'l2tpns', 'kernel'], TUNNELS, async (net, targets) => {
    net.start('server', 'iperf3', '-s');
    net.start('server', packets(net), 'echo', '7');
    const rows: Row[] = [];
    for (const load of [false, true]) {
      const rounds: { p50: number[]; p99: number[] }[] = targets.map(() => ({ p50: [], p99: [] }));
      for (let n = 0; n < ROUNDS; n++) {
        for (const [i, target] of targets.entries()) {
          const rtts = await pings(net, target, load);
          rounds[i]!.p50.push(rtts[rtts.length >> 1]!);
          rounds[i]!.p99.push(rtts[Math.floor(rtts.length * 0.99)]!);
        }
      }
      const [mine, ...others] = rounds;
      // The kernel's own L2TP is compared in the lab (ipsec-tcp): a host that runs benches need not have it.
      for (const [i, limit] of ['l2tpns', 'kernel forwarding, no tunnel'].entries()) {
        const other = others[i]!;
        rows.push({
          what: load ? `round trip beside a download of ${LOAD}bit/s` : 'round trip, idle',
          figure: `p50 ${show(spread(mine!.p50))} us, p99 ${show(spread(mine!.p99))} us`,
          limit: `${limit}: p50 ${show(spread(other.p50))} us, p99 ${show(spread(other.p99))} us`,
          ratio: `p50 ${ratio(mine!.p50, other.p50).toFixed(2)}, p99 ${ratio(mine!.p99, other.p99).toFixed(2)}${load ? '; target: p99 at most 1' : ''}`,
        });
      }
    }
    return rows;
  });

async function pings(net: Net, target: Target, load: boolean): Promise<number[]> {
  const server = `10.201.${target.n}.2`;
  const seconds = String(Math.ceil((PINGS * (EVERY_US + 500)) / 1e6) + 1);
  const download = ['iperf3', '-c', server, '-B', target.address, '-R', '-M', '1360', '-b', LOAD, '-t', seconds];
  const traffic = load ? net.start('client', ...download) : undefined;
  const done = traffic && new Promise((resolve) => traffic.once('exit', resolve));
  const lines = net.run('client', packets(net), 'ping', target.address, server, '7', String(PINGS), String(EVERY_US));
  await done;
  // One that is lost took longer than any that was not.
  const rtts = lines.trim().split('\n').map(Number);
  return rtts.map((us) => (us < 0 ? 500_000 : us)).sort((a, b) => a - b);
}
