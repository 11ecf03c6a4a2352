// The in-memory twin: the decisions of the packet thread (src/forward.cc) without sockets, threads or a TUN device, for
// tests. Datagrams and TUN packets are put in by hand; what leaves is collected. RFC 2661 §3.1, §5.3; RFC 3193 §3.3.
import { contains, type PrefixBytes, parseAddress, parsePrefix, samePrefix } from './address.js';
import * as check from './check.js';
import { DataplaneClosed, failure } from './errors.js';
import * as packet from './packet.js';
import { key, Limit, Peer, Rate, Session, samePath, UpcallQueue } from './twin.js';
import type {
  ControlPacket,
  Dataplane,
  DataplaneOptions,
  FrameOptions,
  GlobalDrop,
  Listener,
  Path,
  SessionCounters,
  SessionSpec,
  SessionState,
  Upcall,
} from './types.js';

export { DataplaneClosed, DataplaneError } from './errors.js';

export type SentPacket = ControlPacket &
  FrameOptions & { /** Of the outer packet; absent = 0. */ readonly dscp?: number };

export interface MemoryOptions extends DataplaneOptions {
  /** Monotonic clock in ms; default performance.now. */
  readonly now?: () => number;
  /** Sees each datagram as it leaves; false = sendmmsg refused it. Then it is not in takeSent() either. */
  readonly onSend?: (datagram: SentPacket) => boolean;
}

/** `vnetHeader` is accepted and means nothing here: packets are put in and taken out bare. */
export function openMemoryDataplane(options: MemoryOptions): MemoryDataplane {
  return new MemoryDataplane(options);
}

export class MemoryDataplane implements Dataplane {
  readonly #options: MemoryOptions;
  readonly #maxSessions: number;
  readonly #gateway: readonly Uint8Array[];
  readonly #now: () => number;
  #closed = false;
  #listeners: readonly check.CheckedListener[] = [];
  /** Those confirmed. */
  readonly #marks = new Map<number, Peer>();
  readonly #sessions = new Map<number, Session>();
  /** Who holds which prefix, oldest first: of the same prefix the last holder has the route. */
  #routes: { readonly prefix: PrefixBytes; readonly session: Session }[] = [];
  readonly #drops: Partial<Record<GlobalDrop, bigint>> = {};
  readonly #errors = new Limit(1000, 200);
  readonly #upcalls = new UpcallQueue();
  #sent: SentPacket[] = [];
  #tun: Uint8Array[] = [];

  constructor(options: MemoryOptions) {
    const { maxSessions, gateway } = check.checkOptions(options);
    this.#maxSessions = maxSessions;
    this.#gateway = gateway.map((a) => parseAddress(a)!);
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  // ---- the test's side

  /** A datagram arrives at `path.local`:`port` from `path.remote`. Nothing happens when no listener is there. */
  receive(path: Path, data: Uint8Array, port = 1701): void {
    const from = check.checkPath('receive', path, 0);
    this.#expire();
    const l = this.#listeners.find(
      (x) =>
        x.port === port && (x.address === from.local || x.address === (from.local.includes(':') ? '::' : '0.0.0.0')),
    );
    if (l !== undefined) this.#datagram(l, l.raw === undefined ? from : { ...from, mark: 0 }, data.slice());
  }

  /** The TUN device hands over a packet. */
  receiveTun(data: Uint8Array): void {
    if (!this.#closed) this.#fromTun(data.slice());
  }

  /** What left since the last call, oldest first. */
  takeSent(): SentPacket[] {
    return this.#sent.splice(0);
  }

  /** What was written to the TUN device since the last call. */
  takeTun(): Uint8Array[] {
    return this.#tun.splice(0);
  }

  // ---- Dataplane

  #open(): void {
    if (this.#closed) throw new DataplaneClosed();
  }

  listen(listeners: readonly Listener[]): void {
    this.#open();
    const checked = check.checkListeners(listeners);
    if (this.listening) throw failure('EALREADY', 'listen', 'sockets are open');
    const names = checked.map((l) => `${l.address} port ${l.port}`);
    if (new Set(names).size < names.length) throw failure('EADDRINUSE', 'bind', names.join(', '));
    this.#listeners = checked;
  }

  unlisten(): void {
    this.#open();
    this.#listeners = [];
  }

  get listening(): boolean {
    this.#open();
    return this.#listeners.length > 0;
  }

  confirmMark(mark: number): void {
    this.#open();
    if (this.#marks.has(check.checkMark('confirmMark', mark))) return;
    this.#marks.set(mark, new Peer());
  }

  forgetMark(mark: number): void {
    this.#open();
    this.#marks.delete(check.checkMark('forgetMark', mark));
  }

  addSession(spec: SessionSpec, state: SessionState = {}): void {
    this.#open();
    const s = new Session(check.checkSpec(spec));
    const checked = check.checkState('addSession', state);
    const at = key(spec.tunnelId, spec.sessionId);
    const name = `session ${spec.tunnelId}/${spec.sessionId}`;
    if (this.#sessions.has(at)) throw failure('EEXIST', 'addSession', name);
    if (this.#sessions.size >= this.#maxSessions)
      throw failure('ENOSPC', 'addSession', `${this.#maxSessions} sessions`);
    this.#sessions.set(at, s);
    this.#apply(s, checked);
  }

  updateSession(tunnelId: number, sessionId: number, state: SessionState): void {
    this.#open();
    check.checkIds('updateSession', tunnelId, sessionId);
    const checked = check.checkState('updateSession', state);
    const s = this.#sessions.get(key(tunnelId, sessionId));
    if (s === undefined) throw failure('ENOENT', 'updateSession', `session ${tunnelId}/${sessionId}`);
    this.#apply(s, checked);
  }

  #apply(s: Session, state: SessionState): void {
    if (state.prefixes !== undefined)
      this.#replacePrefixes(
        s,
        state.prefixes.map((p) => parsePrefix(p)!),
      );
    s.mtu = state.mtu ?? s.mtu;
    s.clampMss = state.clampMss ?? s.clampMss;
    s.dscp = state.dscp ?? s.dscp;
    if (state.reorder !== undefined) {
      this.#release(s, () => true);
      s.reorder = state.reorder;
    }
    if (state.limit !== undefined) [s.up, s.down] = [new Rate(state.limit.up), new Rate(state.limit.down)];
    s.acfc = state.acfc ?? s.acfc;
    s.lengthBit = state.lengthBit ?? s.lengthBit;
    s.sequence.on = state.sequencing ?? s.sequence.on;
    s.open = state.open ?? s.open;
  }

  /** What stays keeps its place among the holders. */
  #replacePrefixes(s: Session, next: readonly PrefixBytes[]): void {
    const among = (list: readonly PrefixBytes[], p: PrefixBytes) => list.some((q) => samePrefix(p, q));
    const fresh = next.filter((p) => !among(s.prefixes, p));
    this.#routes = this.#routes.filter((r) => r.session !== s || among(next, r.prefix));
    this.#routes.push(...fresh.map((prefix) => ({ prefix, session: s })));
    s.prefixes = next;
  }

  movePath(tunnelId: number, path: Path): void {
    this.#open();
    check.checkId('movePath', 'tunnelId', tunnelId);
    const to = check.checkPath('movePath', path);
    for (const s of this.#sessions.values()) if (s.spec.tunnelId === tunnelId) s.path = to;
  }

  removeSession(tunnelId: number, sessionId: number): SessionCounters | undefined {
    this.#open();
    check.checkIds('removeSession', tunnelId, sessionId);
    const s = this.#sessions.get(key(tunnelId, sessionId));
    if (s === undefined) return undefined;
    this.#replacePrefixes(s, []);
    this.#sessions.delete(key(tunnelId, sessionId));
    return s.counters();
  }

  sessionCounters(tunnelId: number, sessionId: number): SessionCounters | undefined {
    this.#open();
    check.checkIds('sessionCounters', tunnelId, sessionId);
    return this.#sessions.get(key(tunnelId, sessionId))?.counters();
  }

  violations(mark: number): bigint {
    this.#open();
    return this.#marks.get(check.checkMark('violations', mark))?.violations ?? 0n;
  }

  globalCounters(): Readonly<Partial<Record<GlobalDrop, bigint>>> {
    this.#open();
    return { ...this.#drops };
  }

  sendControl(packets: readonly ControlPacket[]): void {
    this.#open();
    for (const { path, data } of check.checkDatagrams(packets)) {
      const usable = this.#usable(path);
      if (usable === 'no' || (usable === 'yes' && !this.#transmit(path, data.slice()))) this.#drop('send');
    }
  }

  sendFrame(tunnelId: number, sessionId: number, frame: Uint8Array, { dontFragment = false }: FrameOptions = {}): void {
    this.#open();
    check.checkIds('sendFrame', tunnelId, sessionId);
    check.checkFrame(frame);
    const s = this.#sessions.get(key(tunnelId, sessionId));
    if (s === undefined) return this.#drop('no-session');
    if (frame.length > check.MAX_FRAME) return s.drop('too-big');
    this.#toPeer(s, (frame[0]! << 8) | frame[1]!, frame.subarray(2), 0, dontFragment);
  }

  async flush(): Promise<void> {
    this.#open();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#listeners = [];
  }

  // ---- decisions, as src/forward.cc

  #drop(why: GlobalDrop): void {
    this.#drops[why] = (this.#drops[why] ?? 0n) + 1n;
  }

  #up(u: Upcall): void {
    if (!this.#upcalls.push(u)) return this.#drop('queue-full');
    if (this.#upcalls.size > 1) return;
    queueMicrotask(() => {
      const batch = this.#upcalls.take();
      if (!this.#closed) this.#options.onUpcalls(batch);
    });
  }

  #datagram(listener: Listener, from: Path, data: Uint8Array): void {
    if (listener.raw !== undefined) {
      if (!named(listener, from.remote)) return this.#drop('raw-peer');
    } else if (from.mark === 0) {
      return this.#drop('mark-zero');
    }
    if (from.remotePort === 0) return this.#drop('port-zero');
    const l2tp = packet.parseL2tp(data);
    if (l2tp.kind === 'short' || l2tp.kind === 'version') return this.#drop(l2tp.kind);
    const confirmed = listener.raw !== undefined || this.#marks.has(from.mark);
    if (l2tp.kind === 'control') {
      if (this.#marks.get(from.mark)?.control.take(this.#now(), 1 + (data.length >> 10)) === false)
        return this.#drop('control-rate');
      return this.#up({ kind: 'control', path: from, confirmed, data });
    }
    if (!confirmed) return this.#drop('mark-unknown');
    const s = this.#sessions.get(key(l2tp.tunnelId, l2tp.sessionId));
    if (s === undefined) return this.#drop('no-session');
    if (!samePath(s.path, from)) return this.#violation(s, from);
    if (s.sequence.on && l2tp.ns !== undefined) {
      if (s.reorder > 0) return this.#numbered(s, l2tp.ns, l2tp.payload);
      if (!s.sequence.take(l2tp.ns)) return s.drop('sequence');
    }
    this.#message(s, l2tp.payload);
  }

  #numbered(s: Session, ns: number, payload: Uint8Array): void {
    const full = () =>
      s.held.length >= s.reorder || s.held.reduce((n, m) => n + m.payload.length, payload.length) > REORDER_OCTETS;
    while (s.sequence.ahead(ns) > 0 && full()) this.#release(s, (first) => first);
    if (s.sequence.ahead(ns) > 0) {
      if (s.held.some((m) => m.ns === ns)) return s.drop('sequence');
      if (s.held.length === 0) s.heldSince = this.#now();
      s.held.push({ ns, payload: payload.slice() });
      s.held.sort((a, b) => s.sequence.ahead(a.ns) - s.sequence.ahead(b.ns));
      return;
    }
    const next = s.sequence.isNext(ns);
    if (!s.sequence.take(ns)) return s.drop('sequence');
    this.#message(s, payload);
    if (!next) for (const _ of s.held.splice(0)) s.drop('sequence');
    this.#release(s, () => false);
  }

  /** What is held goes on as long as nothing is missing, and beyond that as long as `give` says so. */
  #release(s: Session, give: (first: boolean) => boolean): void {
    for (let first = true; s.held.length > 0; first = false) {
      const { ns, payload } = s.held[0]!;
      if (!s.sequence.isNext(ns) && !give(first)) return;
      s.held.shift();
      s.sequence.take(ns);
      this.#message(s, payload);
    }
  }

  /** The thread does that by itself when it is time; here it is done before anything else arrives. */
  #expire(): void {
    for (const s of this.#sessions.values()) {
      if (s.held.length > 0 && this.#now() > s.heldSince + REORDER_FOR_MS) this.#release(s, () => true);
    }
  }

  #message(s: Session, payload: Uint8Array): void {
    const ppp = packet.parsePpp(payload);
    if (ppp === undefined) return s.drop('malformed');
    if (ppp.protocol === packet.PPP_IPV4) return this.#ipFromPeer(s, 4, ppp.information);
    if (ppp.protocol === packet.PPP_IPV6) return this.#ipFromPeer(s, 6, ppp.information);
    const now = this.#now();
    if (!s.frames.take(now) || this.#marks.get(s.path.mark)?.frames.take(now) === false) return s.drop('rate');
    const { tunnelId, sessionId } = s.spec;
    const frame = Uint8Array.of(ppp.protocol >> 8, ppp.protocol, ...ppp.information);
    this.#up({ kind: 'frame', tunnelId, sessionId, data: frame });
  }

  #violation(s: Session, path: Path): void {
    s.drop('path');
    const peer = this.#marks.get(path.mark);
    if (peer !== undefined) peer.violations++;
    const reported = peer ?? s;
    if (this.#now() < reported.reportedUntil) return;
    reported.reportedUntil = this.#now() + 10_000;
    this.#up({ kind: 'violation', tunnelId: s.spec.tunnelId, sessionId: s.spec.sessionId, path });
  }

  #ipFromPeer(s: Session, version: 4 | 6, information: Uint8Array): void {
    if (!s.open) return s.drop('closed');
    const ip = packet.parseIp(information);
    if (ip === undefined || ip.version !== version) return s.drop('malformed');
    const punt = packet.puntKind(ip, this.#gateway);
    const unspecified = punt !== undefined && punt !== 'dhcpv6' && ip.source.every((octet) => octet === 0);
    if (!unspecified && !this.#mayUse(ip.source, s)) return s.drop('spoof');
    if (punt !== undefined) {
      if (ip.packet.length > MAX_PUNT) return s.drop('too-big');
      if (!s.punts.take(this.#now())) return s.drop('rate');
      const { tunnelId, sessionId } = s.spec;
      return this.#up({ kind: 'punt', tunnelId, sessionId, data: ip.packet.slice() });
    }
    if (packet.isMulticast(ip.destination)) return s.drop('multicast');
    if (!s.up.take(ip.packet.length, this.#now())) return s.drop('limit');
    if (s.clampMss) packet.clampMss(ip, mssFor(s, version));
    this.#tun.push(ip.packet.slice());
    s.count.packetsIn += 1n;
    s.count.octetsIn += BigInt(ip.packet.length);
    s.count.lastTraffic = this.#now();
  }

  /** The longest prefix that holds the address; of several holders the newest. */
  #match(address: Uint8Array): { readonly prefix: PrefixBytes; readonly session: Session } | undefined {
    let best: { readonly prefix: PrefixBytes; readonly session: Session } | undefined;
    for (const r of this.#routes) {
      if (contains(r.prefix, address) && r.prefix.length >= (best?.prefix.length ?? 0)) best = r;
    }
    return best;
  }

  #mayUse(address: Uint8Array, s: Session): boolean {
    const best = this.#match(address);
    return best !== undefined && s.prefixes.some((p) => samePrefix(p, best.prefix));
  }

  #fromTun(data: Uint8Array): void {
    const ip = packet.parseIp(data);
    const s = ip === undefined ? undefined : this.#match(ip.destination)?.session;
    if (ip === undefined || s === undefined || packet.isMulticast(ip.destination)) return this.#drop('no-route');
    if (!s.open) return s.drop('closed');
    const protocol = ip.version === 4 ? packet.PPP_IPV4 : packet.PPP_IPV6;
    const mtu = ip.version === 4 ? s.mtu : Math.max(s.mtu, LEAST_MTU6);
    if (ip.packet.length > mtu) {
      if (!ip.dontFragment) {
        for (const piece of packet.fragmentIpv4(ip, mtu)) this.#transit(s, protocol, piece);
        return;
      }
      s.drop('too-big');
      if (!packet.mayAnswerWithError(ip) || !s.errors.take(this.#now()) || !this.#errors.take(this.#now())) return;
      this.#tun.push(packet.tooBigError(ip, mtu));
      return;
    }
    if (s.clampMss) packet.clampMss(ip, mssFor(s, ip.version));
    this.#transit(s, protocol, ip.packet);
  }

  #transit(s: Session, protocol: number, data: Uint8Array): void {
    if (!s.down.take(data.length, this.#now())) return s.drop('limit');
    this.#toPeer(s, protocol, data, data.length);
  }

  /** `octets` of an IP packet in transit, 0 for what JS sends. */
  #toPeer(s: Session, protocol: number, information: Uint8Array, octets = 0, whole = false): void {
    const ns = s.sequence.on ? s.sequence.next() : undefined;
    const usable = this.#usable(s.path);
    if (usable === 'refused') return;
    const header = { ...s.spec, lengthBit: s.lengthBit, acfc: s.acfc, ns };
    const data = packet.dataMessage(header, protocol, information);
    const inner = octets === 0 ? 0 : packet.dscp(information);
    if (usable === 'no' || !this.#transmit(s.path, data, whole, s.dscp === 'copy' ? inner : s.dscp)) {
      return s.drop('send');
    }
    if (octets === 0) return;
    s.count.packetsOut += 1n;
    s.count.octetsOut += BigInt(octets);
    s.count.lastTraffic = this.#now();
  }

  /** 'refused' is counted; 'no' = there is no socket. */
  #usable(path: Path): 'yes' | 'no' | 'refused' {
    const any = path.local.includes(':') ? '::' : '0.0.0.0';
    const socket = this.#listeners.find(
      (l) => (l.raw !== undefined) === (path.mark === 0) && (l.address === path.local || l.address === any),
    );
    if (path.mark === 0 ? socket === undefined : !this.#marks.has(path.mark)) {
      this.#drop('unconfirmed-send');
      return 'refused';
    }
    if (socket?.raw !== undefined && !named(socket, path.remote)) {
      this.#drop('raw-peer');
      return 'refused';
    }
    return socket === undefined ? 'no' : 'yes';
  }

  #transmit(path: Path, data: Uint8Array, whole = false, dscp = 0): boolean {
    const datagram = { path, data, ...(whole ? { dontFragment: true } : {}), ...(dscp > 0 ? { dscp } : {}) };
    if (this.#options.onSend?.(datagram) === false) return false;
    this.#sent.push(datagram);
    return true;
  }
}

/** src/punt.h */
const MAX_PUNT = 1500;
/** src/reorder.h */
const REORDER_FOR_MS = 100;
const REORDER_OCTETS = 128 << 10;
/** src/forward.h */
const LEAST_MTU6 = 1280;

const mssFor = (s: Session, version: 4 | 6): number => Math.max(s.mtu - (version === 4 ? 40 : 60), 1);

function named(listener: Listener, remote: string): boolean {
  const address = parseAddress(remote)!;
  return listener.raw?.peers.some((p) => contains(parsePrefix(p)!, address)) ?? false;
}
