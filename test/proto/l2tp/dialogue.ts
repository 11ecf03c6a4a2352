/** Helpers of the L2TP dialogue tests: two endpoints on a Pair, packets as readable lines, a scripted peer. */

import { type EndpointConfig, endpointConfig } from '../../../src/proto/l2tp/config.js';
import { Endpoint } from '../../../src/proto/l2tp/endpoint.js';
import type { EndpointIn, EndpointOut, LocalTunnelId, Path } from '../../../src/proto/l2tp/events.js';
import { type Instant, instant } from '../../../src/proto/machine.js';
import { decodePacket, encodeControl } from '../../../src/wire/l2tp/header.js';
import { type AvpsOf, type ControlMessage, decodeMessage, encodeMessage } from '../../../src/wire/l2tp/message.js';
import { type LinkScript, Pair, perfect, type Side, seededRandom } from '../../lib/pair.js';

export const LNS_ADDRESS = '192.0.2.1';
export const LAC_ADDRESS = '198.51.100.7';
/** As the LNS sees the LAC, and the other way round. */
export const toLac: Path = { mark: 7, local: LNS_ADDRESS, remote: LAC_ADDRESS, remotePort: 1701 };
export const toLns: Path = { mark: 7, local: LAC_ADDRESS, remote: LNS_ADDRESS, remotePort: 1701 };

export const config = (seed: number, own: Partial<EndpointConfig> = {}): EndpointConfig =>
  endpointConfig({ hostName: `host${seed}`, random: seededRandom(seed), ...own });

/** `SCCRQ Ns=0 Nr=0`, `ZLB Nr=2`, with `/session` when the header has one. */
export function line(data: Uint8Array): string {
  const packet = decodePacket(data);
  if (!packet.ok) return `malformed: ${packet.why}`;
  const { header, payload } = packet.value;
  if (header.kind === 'data') return 'data';
  const { Ns, Nr } = header;
  if (payload.length === 0) return `ZLB Ns=${Ns} Nr=${Nr}`;
  const m = decodeMessage(payload);
  return `${m.ok ? m.value.type : (m.type ?? 'bad')} Ns=${Ns} Nr=${Nr}`;
}

export function messageOf(data: Uint8Array): ControlMessage | undefined {
  const packet = decodePacket(data);
  if (!packet.ok || packet.value.payload.length === 0) return undefined;
  const m = decodeMessage(packet.value.payload);
  return m.ok ? m.value : undefined;
}

const side = (machine: Endpoint, path: Path): Side<EndpointIn, EndpointOut> => ({
  machine,
  packet: (out) => (out.type === 'send' ? out.data : undefined),
  arrive: (data) => ({ type: 'datagram', path, data }),
});

export interface Dialogue extends Pair<EndpointIn, EndpointOut> {
  readonly lac: Endpoint;
  readonly lns: Endpoint;
}

/** `a` is the LAC, `b` the LNS. */
export function dialogue(
  own: { lac?: Partial<EndpointConfig>; lns?: Partial<EndpointConfig>; link?: LinkScript; seed?: number } = {},
): Dialogue {
  const seed = own.seed ?? 1;
  const lac = new Endpoint(config(seed * 2, { hostName: 'lac', ...own.lac }));
  const lns = new Endpoint(config(seed * 2 + 1, { hostName: 'lns', ...own.lns }));
  const pair = new Pair(side(lac, toLns), side(lns, toLac), own.link ?? perfect(), line);
  return Object.assign(pair, { lac, lns });
}

/** Dials and, when the tunnel is up, places a call. */
export function dial(p: Dialogue): void {
  p.input('a', { type: 'open-tunnel', path: toLns, ref: 'dial' });
}

export const find = <T extends EndpointOut['type']>(outs: readonly EndpointOut[], type: T) =>
  outs.filter((o): o is Extract<EndpointOut, { type: T }> => o.type === type);

/** Tunnel id `side` assigned, from its tunnel-up. */
export const tunnelOf = (p: Dialogue, which: 'a' | 'b'): LocalTunnelId => find(p.out[which], 'tunnel-up')[0]!.tunnelId;

/** Tunnel and session established over a perfect link. */
export function established(own: Parameters<typeof dialogue>[0] = {}): Dialogue {
  const p = dialogue(own);
  dial(p);
  p.run(100);
  p.input('a', { type: 'open-session', tunnelId: tunnelOf(p, 'a'), ref: 'call' });
  p.run(100);
  return p;
}

/** One endpoint driven by hand-made packets: the peer is the test. */
export class Peer {
  readonly machine: Endpoint;
  readonly path: Path;
  now: Instant = instant(0);
  Ns = 0;
  Nr = 0;
  /** The tunnel id the endpoint assigned; 0 until known. */
  tunnelId = 0;
  readonly outs: EndpointOut[] = [];

  constructor(own: Partial<EndpointConfig> = {}, path: Path = toLac, machine = new Endpoint(config(9, own))) {
    this.machine = machine;
    this.path = path;
  }

  /** Gives an input and returns what came out: lines for packets, types for the rest. */
  input(input: EndpointIn): string[] {
    this.machine.handle(this.now, input);
    return this.drain();
  }

  datagram(data: Uint8Array, path = this.path): string[] {
    return this.input({ type: 'datagram', path, data });
  }

  /** Sends a message with the next Ns. */
  send(message: ControlMessage, sessionId = 0): string[] {
    return this.raw(encodeMessage(message), sessionId);
  }

  raw(body: Uint8Array, sessionId = 0): string[] {
    const Ns = this.Ns;
    this.Ns = (this.Ns + 1) & 0xffff;
    return this.at(Ns, body, sessionId);
  }

  /** Sends a body with this Ns, without counting it. */
  at(Ns: number, body: Uint8Array, sessionId = 0): string[] {
    return this.datagram(encodeControl({ tunnelId: this.tunnelId, sessionId, Ns, Nr: this.Nr }, body));
  }

  zlb(): string[] {
    return this.at(this.Ns, new Uint8Array(0));
  }

  advance(ms: number): string[] {
    const end = instant(this.now + ms);
    const lines: string[] = [];
    for (let at = this.machine.nextTimeout(); at !== undefined && at <= end; at = this.machine.nextTimeout()) {
      this.now = instant(Math.max(at, this.now));
      this.machine.handleTimeout(this.now);
      lines.push(...this.drain());
    }
    this.now = end;
    return lines;
  }

  drain(): string[] {
    const lines: string[] = [];
    for (let out = this.machine.poll(); out; out = this.machine.poll()) {
      this.outs.push(out);
      lines.push(out.type === 'send' ? line(out.data) : out.type === 'note' ? `note ${out.event}` : out.type);
      if (out.type === 'send') this.#learn(out.data);
    }
    return lines;
  }

  /** The last message sent to us of this type. */
  last<T extends ControlMessage['type']>(type: T): Extract<ControlMessage, { type: T }> {
    const found = this.outs
      .filter((o) => o.type === 'send')
      .map((o) => messageOf(o.data))
      .filter((m): m is Extract<ControlMessage, { type: T }> => m?.type === type)
      .at(-1);
    if (!found) throw new Error(`no ${type} was sent`);
    return found;
  }

  out<T extends EndpointOut['type']>(type: T): Extract<EndpointOut, { type: T }>[] {
    return find(this.outs, type);
  }

  #learn(data: Uint8Array): void {
    const packet = decodePacket(data);
    if (!packet.ok || packet.value.header.kind !== 'control' || packet.value.payload.length === 0) return;
    if (packet.value.header.Ns === this.Nr) this.Nr = (this.Nr + 1) & 0xffff;
    const m = messageOf(data);
    if (m?.type === 'SCCRP' || m?.type === 'SCCRQ') this.tunnelId = m.avps.assignedTunnelId;
  }
}

const INTRODUCTION = {
  protocolVersion: { version: 1, revision: 0 },
  framingCapabilities: 3,
  hostName: 'client',
  assignedTunnelId: 77,
  receiveWindowSize: 4,
};

export const sccrq = (own: Partial<AvpsOf<'SCCRQ'>> = {}): ControlMessage => ({
  type: 'SCCRQ',
  avps: { ...INTRODUCTION, ...own },
});

/** An SCCRP of a hand-made LNS. */
export const sccrp = (own: Partial<AvpsOf<'SCCRQ'>> = {}): ControlMessage => ({
  type: 'SCCRP',
  avps: { ...INTRODUCTION, ...own },
});

export const SCCCN: ControlMessage = { type: 'SCCCN', avps: {} };
export const HELLO: ControlMessage = { type: 'HELLO', avps: {} };
export const icrq = (assignedSessionId = 5): ControlMessage => ({
  type: 'ICRQ',
  avps: { assignedSessionId, callSerialNumber: 1 },
});
export const ICCN: ControlMessage = { type: 'ICCN', avps: { txConnectSpeed: 100_000_000, framingType: 1 } };

/** A tunnel established by a hand-made client. */
export function connected(own: Partial<EndpointConfig> = {}, avps: Parameters<typeof sccrq>[0] = {}): Peer {
  const peer = new Peer(own);
  peer.send(sccrq(avps));
  peer.send(SCCCN);
  return peer;
}

/** And a session on it; returns the local session id. */
export function inSession(own: Partial<EndpointConfig> = {}): { peer: Peer; sessionId: number } {
  const peer = connected(own);
  peer.send(icrq());
  const sessionId = peer.last('ICRP').avps.assignedSessionId;
  peer.send(ICCN, sessionId);
  return { peer, sessionId };
}
