/** Datagram -> tunnel -> session: demultiplexing, path check, admission limits. RFC 2661 §5.3, §7.2; RFC 3193 §3.3. */
import { CallResult, ErrorCode, type ResultCode, StopResult, tryAnother } from '../../wire/l2tp/codes.js';
import { type ControlHeader, decodePacket, encodeControl } from '../../wire/l2tp/header.js';
import { type BadMessage, decodeMessage, encodeMessage, type MessageOf } from '../../wire/l2tp/message.js';
import { sameBytes } from '../../wire/reader.js';
import { never } from '../../wire/result.js';
import { type Instant, type Machine, Outbox } from '../machine.js';
import { Multimap } from '../multimap.js';
import type { EndpointConfig } from './config.js';
import type { EndpointIn, EndpointOut, LocalTunnelId, Path } from './events.js';
import { stopCcn, unacceptable } from './handshake.js';
import { Schedule } from './schedule.js';
import { type Role, sessionNotOpened } from './session.js';
import { optional, pickId, Rate } from './support.js';
import { Tunnel, type TunnelHost } from './tunnel.js';

/* Implementation */
/** Log lines per event and window; what peers can cause without end must not fill a log. */
const NOTES_PER_WINDOW = 20;
const NOTE_WINDOW_MS = 10_000;

/** Totals since start, for metrics. */
export interface EndpointCounters {
  received: number;
  malformedHeader: number;
  pathMismatch: number;
  unknownTunnel: number;
  refused: number;
  /** Refusals not even answered: above refusalsPerSecond. */
  refusedSilently: number;
}

export class Endpoint implements Machine<EndpointIn, EndpointOut> {
  readonly counters: EndpointCounters = {
    received: 0,
    malformedHeader: 0,
    pathMismatch: 0,
    unknownTunnel: 0,
    refused: 0,
    refusedSilently: 0,
  };
  readonly #config: EndpointConfig;
  readonly #out = new Outbox<EndpointOut>();
  readonly #schedule = new Schedule<Tunnel>();
  readonly #tunnels = new Map<LocalTunnelId, Tunnel>();
  readonly #byMark = new Multimap<number, Tunnel>();
  /** The newest tunnel of each (path, peer's tunnel id) that dialled us: finds repeats of its SCCRQ. */
  readonly #dialled = new Map<string, Tunnel>();
  /** Our own SCCRQs that wait for an SCCRP: candidates for a tie. */
  readonly #dialling = new Set<Tunnel>();
  readonly #halfOpen = new Set<Tunnel>();
  readonly #perPeer = new Tally();
  /** By address, whatever the SA: each of a NAT's clients, and each SA of one client, has a mark of its own. */
  readonly #halfOpenFrom = new Tally();
  readonly #refusals: Rate;
  readonly #notes = new Map<string, Rate>();
  /** By mark: who sent what belongs to another's tunnel. */
  readonly #offenders = new Map<number, Offender>();
  readonly #host: TunnelHost;
  #serial = 0;

  constructor(config: EndpointConfig) {
    this.#config = config;
    this.#refusals = new Rate(config.limits.refusalsPerSecond, 1_000);
    this.#host = {
      config,
      emit: (out) => this.#out.push(out),
      note: (now, event, path, fields) => this.#note(now, event, path, fields),
      // §4.4.4: progressively increasing.
      callSerialNumber: () => (this.#serial = (this.#serial + 1) >>> 0),
    };
  }

  /** Whether a tunnel is being set up under this mark. */
  isDialling(mark: number): boolean {
    return this.#byMark.of(mark).some((tunnel) => this.#halfOpen.has(tunnel));
  }

  /** Tunnels in all states, half-open ones, and sessions. */
  get totals(): { readonly tunnels: number; readonly halfOpen: number; readonly sessions: number } {
    let sessions = 0;
    for (const tunnel of this.#tunnels.values()) sessions += tunnel.sessions.size;
    return { tunnels: this.#tunnels.size, halfOpen: this.#halfOpen.size, sessions };
  }

  /** Messages that came under this mark for tunnels of another path (RFC 3193 §3.3), until it is abandoned. */
  violations(mark: number): number {
    return this.#offenders.get(mark)?.count ?? 0;
  }

  poll(): EndpointOut | undefined {
    return this.#out.poll();
  }

  nextTimeout(): Instant | undefined {
    return this.#schedule.next();
  }

  handleTimeout(now: Instant): void {
    for (let tunnel = this.#schedule.take(now); tunnel; tunnel = this.#schedule.take(now)) {
      tunnel.handleTimeout(now);
      this.#settle(tunnel);
    }
  }

  handle(now: Instant, input: EndpointIn): void {
    switch (input.type) {
      case 'datagram':
        return this.#datagram(now, input.path, input.data);
      case 'open-tunnel':
        return this.#open(now, input.path, input.ref);
      case 'open-session':
        return this.#openSession(now, input.tunnelId, input.ref);
      case 'close-tunnel':
        return this.#with(input.tunnelId, (t) => t.close(now, { by: 'local', result: input.result }));
      case 'close-session':
        return this.#with(input.tunnelId, (t) => t.closeSession(now, input.sessionId, input.result));
      case 'abandon-tunnel':
        return this.#with(input.tunnelId, (t) => t.abandon());
      case 'abandon-mark':
        this.#offenders.delete(input.mark);
        return this.#abandon(this.#byMark.of(input.mark));
      case 'abandon-marked':
        this.#offenders.clear();
        return this.#abandon([...this.#tunnels.values()].filter((t) => t.path.mark !== 0));
      case 'move-path':
        return this.#with(input.tunnelId, (t) => this.#move(t, input.path));
      case 'traffic':
        return this.#tunnels.get(input.tunnelId)?.traffic(now);
      case 'probe':
        return this.#with(input.tunnelId, (t) => t.probe(now));
      // Exhaustive: reached by a bug of ours only.
      /* v8 ignore next 2 */
      default:
        return never(input);
    }
  }

  #datagram(now: Instant, path: Path, data: Uint8Array): void {
    this.counters.received++;
    const packet = decodePacket(data);
    if (!packet.ok) {
      this.counters.malformedHeader++;
      return this.#note(now, 'l2tp.header.malformed', path, { why: packet.why, ref: packet.ref });
    }
    const { header, payload } = packet.value;
    // Data messages are the data plane's; one that strays here belongs to no session.
    if (header.kind === 'data') return;
    if (header.tunnelId === 0) return this.#withoutTunnel(now, path, header, payload);
    const tunnel = this.#tunnels.get(header.tunnelId as LocalTunnelId);
    if (!tunnel) return this.#unknown(now, path, header, payload);
    if (!onPath(tunnel, path)) return this.#mismatch(now, path, tunnel);
    tunnel.receive(now, path, header, payload);
    this.#settle(tunnel);
  }

  /** Tunnel ID 0: the peer does not know our id yet (§5.3). */
  #withoutTunnel(now: Instant, path: Path, header: ControlHeader, payload: Uint8Array): void {
    if (payload.length === 0) return;
    const decoded = decodeMessage(payload, this.#config.secret?.(path));
    if (!decoded.ok) return this.#badRequest(now, path, header, decoded);
    const m = decoded.value;
    if (m.type === 'SCCRQ') return this.#request(now, path, header, payload, m);
    if (m.type === 'StopCCN') {
      // §4.4.3: the Assigned Tunnel ID AVP tells which tunnel while our id is not known to the peer.
      const tunnel = this.#dialled.get(dialKey(path, m.avps.assignedTunnelId ?? 0));
      tunnel?.receive(now, path, header, payload);
      if (tunnel) this.#settle(tunnel);
      return;
    }
    // Apple fires HELLOs at tunnel 0 to wake IPsec: not worth a line.
    if (m.type !== 'HELLO') this.#note(now, 'l2tp.tunnel.unknown', path, { tunnelId: 0, message: m.type });
  }

  #request(now: Instant, path: Path, header: ControlHeader, payload: Uint8Array, m: MessageOf<'SCCRQ'>): void {
    if (header.Ns !== 0) return this.#note(now, 'l2tp.sequence.invalid', path, { why: `SCCRQ with Ns ${header.Ns}` });
    const known = this.#dialled.get(dialKey(path, m.avps.assignedTunnelId));
    // A retransmission is acknowledged again and opens no second tunnel (§5.8).
    if (known?.awaitsRepeats(now)) {
      known.receive(now, path, header, payload);
      return this.#settle(known);
    }
    if (!this.#winsTie(now, path, m.avps.tieBreaker)) return;
    const refusal = unacceptable(m.avps, this.#config.secret?.(path)) ?? this.#full(path);
    if (refusal) return this.#refuse(now, path, header, m.avps.assignedTunnelId, refusal);
    // The peer lost its state and counts from 1 again: what this tunnel says from now on would reach its new one, at the wrong Ns.
    if (known && known.state !== 'lingering') this.#abandon([known]);
    const tunnel = this.#create(now, 'LNS', path);
    tunnel.answer(now, payload, m);
    this.#dialled.set(dialKey(path, m.avps.assignedTunnelId), tunnel);
    this.#settle(tunnel);
  }

  /** §4.4.3: both ends dialled. The lower value wins, one that is present beats none, equal ones lose both. */
  #winsTie(now: Instant, path: Path, theirs: Uint8Array | undefined): boolean {
    let accept = true;
    for (const tunnel of this.#dialling) {
      const ours = tunnel.tieBreaker;
      if (peerKey(tunnel.path) !== peerKey(path) || (!ours && !theirs)) continue;
      const equal = ours && theirs && sameBytes(ours, theirs);
      const lost = !ours || (theirs && Buffer.compare(theirs, ours) < 0);
      if (!lost || equal) accept = false;
      if (!lost && !equal) continue;
      tunnel.loseTie(now);
      this.#settle(tunnel);
    }
    if (!accept) this.#note(now, 'l2tp.tie', path, { outcome: 'the SCCRQ of the peer was discarded' });
    return accept;
  }

  #full(path: Path): ResultCode | undefined {
    const { limits, redirect } = this.#config;
    const peer = peerKey(path);
    if (redirect !== undefined && this.#tunnels.size >= limits.maxTunnels) return tryAnother(redirect);
    const why =
      this.#tunnels.size >= limits.maxTunnels
        ? 'too many tunnels'
        : this.#perPeer.of(peer) >= limits.maxTunnelsPerPeer
          ? 'too many tunnels of this peer'
          : this.#halfOpen.size >= limits.maxHalfOpen
            ? 'too many tunnels being set up'
            : this.#halfOpenFrom.of(path.remote) >= limits.maxHalfOpenPerAddress
              ? 'too many tunnels being set up from this address'
              : undefined;
    return why === undefined ? undefined : { result: StopResult.error, error: ErrorCode.resources, message: why };
  }

  #badRequest(now: Instant, path: Path, header: ControlHeader, bad: BadMessage): void {
    const peerId = bad.avps.assignedTunnelId;
    if (bad.type === 'SCCRQ' && peerId !== undefined) {
      return this.#refuse(now, path, header, peerId, {
        result: StopResult.error,
        error: bad.error,
        message: bad.why,
      });
    }
    this.#note(now, 'l2tp.message.malformed', path, { tunnelId: 0, why: bad.why, ref: bad.ref });
  }

  #unknown(now: Instant, path: Path, header: ControlHeader, payload: Uint8Array): void {
    this.counters.unknownTunnel++;
    const decoded = payload.length > 0 ? decodeMessage(payload, this.#config.secret?.(path)) : undefined;
    const message = decoded?.ok ? decoded.value : undefined;
    // §7.2.1, idle: an SCCRP that comes too late is answered with a StopCCN, so that the peer does not wait.
    if (message?.type === 'SCCRP') {
      return this.#refuse(now, path, header, message.avps.assignedTunnelId, { result: StopResult.general });
    }
    const what = message?.type ?? (payload.length > 0 ? 'malformed' : 'ZLB');
    this.#note(now, 'l2tp.tunnel.unknown', path, { tunnelId: header.tunnelId, message: what });
  }

  /** A StopCCN without keeping state: if it is lost, the peer's retransmission brings the next. */
  #refuse(now: Instant, path: Path, header: ControlHeader, peerId: number, result: ResultCode): void {
    this.counters.refused++;
    this.#note(now, 'l2tp.tunnel.refused', path, { peerTunnelId: peerId, ...result });
    if (!this.#refusals.take(now)) {
      this.counters.refusedSilently++;
      return;
    }
    const body = encodeMessage(stopCcn(this.#newId(), result));
    const numbers = { Ns: header.Nr, Nr: (header.Ns + 1) & 0xffff };
    this.#out.push({
      type: 'send',
      path,
      data: encodeControl({ tunnelId: peerId, sessionId: 0, ...numbers }, body),
    });
  }

  #open(now: Instant, path: Path, ref: string): void {
    const refusal = this.#full(path);
    if (refusal) {
      const tunnelId = 0 as LocalTunnelId;
      return this.#out.push({ type: 'tunnel-down', tunnelId, by: 'local', result: refusal, ref });
    }
    const tunnel = this.#create(now, 'LAC', path, ref);
    tunnel.dial(now);
    this.#settle(tunnel);
  }

  #openSession(now: Instant, tunnelId: LocalTunnelId, ref: string): void {
    if (this.#tunnels.has(tunnelId)) this.#with(tunnelId, (t) => t.openSession(now, ref));
    else this.#out.push(sessionNotOpened(tunnelId, ref, NO_TUNNEL));
  }

  #create(now: Instant, role: Role, path: Path, ref?: string): Tunnel {
    const tunnel = new Tunnel(this.#host, now, this.#newId(), role, path, ref);
    this.#tunnels.set(tunnel.id, tunnel);
    this.#enter(tunnel);
    return tunnel;
  }

  #newId(): LocalTunnelId {
    return pickId(this.#config.random, (id) => this.#tunnels.has(id as LocalTunnelId)) as LocalTunnelId;
  }

  #with(id: LocalTunnelId, act: (tunnel: Tunnel) => void): void {
    const tunnel = this.#tunnels.get(id);
    if (!tunnel) return;
    act(tunnel);
    this.#settle(tunnel);
  }

  #abandon(tunnels: Iterable<Tunnel>): void {
    for (const tunnel of [...tunnels]) {
      tunnel.abandon();
      this.#settle(tunnel);
    }
  }

  #move(tunnel: Tunnel, path: Path): void {
    this.#leave(tunnel);
    tunnel.movePath(path);
    this.#enter(tunnel);
    if (tunnel.halfOpen) this.#halfOpenFrom.add(path.remote);
    if (tunnel.role === 'LNS') this.#dialled.set(dialKey(path, tunnel.peerId), tunnel);
  }

  #enter(tunnel: Tunnel): void {
    this.#perPeer.add(peerKey(tunnel.path));
    this.#byMark.add(tunnel.path.mark, tunnel);
  }

  /** Takes a tunnel out of everything that is keyed by its path. */
  #leave(tunnel: Tunnel): void {
    const peer = peerKey(tunnel.path);
    this.#byMark.remove(tunnel.path.mark, tunnel);
    this.#perPeer.remove(peer);
    if (this.#halfOpen.has(tunnel)) this.#halfOpenFrom.remove(tunnel.path.remote);
    const key = dialKey(tunnel.path, tunnel.peerId);
    if (this.#dialled.get(key) === tunnel) this.#dialled.delete(key);
  }

  /** After every touch of a tunnel: the books follow its state, and it is woken when it wants to be. */
  #settle(tunnel: Tunnel): void {
    const was = this.#halfOpen.has(tunnel);
    if (tunnel.halfOpen && !was) {
      this.#halfOpen.add(tunnel);
      this.#halfOpenFrom.add(tunnel.path.remote);
      if (tunnel.role === 'LAC') this.#dialling.add(tunnel);
    } else if (!tunnel.halfOpen && was) {
      this.#halfOpen.delete(tunnel);
      this.#halfOpenFrom.remove(tunnel.path.remote);
      this.#dialling.delete(tunnel);
    }
    if (tunnel.state !== 'gone') return this.#schedule.arm(tunnel, tunnel.nextTimeout());
    this.#leave(tunnel);
    this.#tunnels.delete(tunnel.id);
    this.#schedule.forget(tunnel);
  }

  /** RFC 3193 §3.3 MUST: nobody speaks for another's tunnel. Counted, noted once per peer and window, never answered. */
  #mismatch(now: Instant, path: Path, tunnel: Tunnel): void {
    this.counters.pathMismatch++;
    const [event, fields] = ['l2tp.path.mismatch', { tunnelId: tunnel.id, expected: tunnel.path }];
    if (path.mark === 0) return this.#note(now, event, path, fields);
    const by = this.#offenders.get(path.mark) ?? { count: 0, noted: new Rate(1, NOTE_WINDOW_MS) };
    by.count++;
    this.#offenders.set(path.mark, by);
    this.#noteAt(by.noted, now, event, path, fields);
  }

  #note(now: Instant, event: string, path: Path, fields: Record<string, unknown>): void {
    let rate = this.#notes.get(event);
    if (!rate) {
      rate = new Rate(NOTES_PER_WINDOW, NOTE_WINDOW_MS);
      this.#notes.set(event, rate);
    }
    this.#noteAt(rate, now, event, path, fields);
  }

  #noteAt(rate: Rate, now: Instant, event: string, path: Path, fields: Record<string, unknown>): void {
    if (!rate.take(now)) return;
    const suppressed = rate.refused();
    this.#out.push({
      type: 'note',
      event,
      path,
      fields: { ...fields, ...optional('suppressed', suppressed > 0 ? suppressed : undefined) },
    });
  }
}

/** Messages of a peer for tunnels of others, and its notes. */
interface Offender {
  count: number;
  readonly noted: Rate;
}

const NO_TUNNEL: ResultCode = { result: CallResult.error, error: ErrorCode.noControlConnection };

/** How many there are of each key; a key without any takes no memory. */
class Tally {
  readonly #counts = new Map<string, number>();

  of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  add(key: string): void {
    this.#counts.set(key, this.of(key) + 1);
  }

  remove(key: string): void {
    const left = this.of(key) - 1;
    if (left > 0) this.#counts.set(key, left);
    else this.#counts.delete(key);
  }
}

/** Who a peer is for limits and ties: its SA and address, not its port. */
const peerKey = (p: Path): string => `${p.mark} ${p.remote}`;
const dialKey = (p: Path, peerId: number): string => `${p.mark} ${p.local} ${p.remote} ${p.remotePort} ${peerId}`;

/** Every field must match; while we wait for an SCCRP the peer may still choose its port (RFC 2661 §8.1). */
const onPath = ({ path, state }: Tunnel, from: Path): boolean =>
  path.mark === from.mark &&
  path.local === from.local &&
  path.remote === from.remote &&
  (path.remotePort === from.remotePort || state === 'wait-ctl-reply');
