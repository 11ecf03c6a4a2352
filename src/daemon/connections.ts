/**
 * The lifecycle of a client connection: mark (CHILD_SA), tunnel, session, PPP link, user, lease and route live and die
 * together (RFC 3193 §3.1). One teardown, reached from any layer:
 *
 *   withdraw IP -> LCP Terminate -> CDN -> StopCCN -> acknowledged or timed out -> flush barrier -> IKE SA deleted
 *
 * and from below (the mark is gone): straight up, with nothing sent. Here are marks and tunnels; sessions.ts has the rest.
 */
import { isIP } from 'node:net';
import type { Dataplane, Upcall } from '../io/dataplane.js';
import { LAST_MARK } from '../io/fwmarks.js';
import type { ChildSa } from '../io/ports.js';
import type { Endpoint } from '../proto/l2tp/endpoint.js';
import type { EndpointIn, EndpointOut, Path } from '../proto/l2tp/events.js';
import type { Instant } from '../proto/machine.js';
import { Multimap } from '../proto/multimap.js';
import { type ResultCode, tryAnother } from '../wire/l2tp/codes.js';
import { never } from '../wire/result.js';
import { adviceFor, type EndCause } from './advice.js';
import type { Drive, Driven } from './drive.js';
import { ikeFields, peerFields } from './facts.js';
import { HoldQueue } from './hold.js';
import type { Proof } from './ipsec-policy.js';
import { innerMtu, type Outer, probeSizes } from './mtu.js';
import { Registry, type Session, type Tunnel } from './registry.js';
import type { IkeInfo, MarkDown, MarkInfo, RegistryOut } from './sa-registry.js';
import { Sessions, type SessionsOptions } from './sessions.js';

/* Implementation */
/** An IKE SA under which no tunnel appears for so long is worth a hint (Windows error 809). */
const NO_L2TP_HINT_MS = 15_000;

/**
 * After the peer's StopCCN its SA stays this long: to acknowledge it again should our ZLB be lost (RFC 2661 §5.7, RFC 3193
 * §3.1), and because a client that ended L2TP before PPP goes on with LCP Terminate-Requests, at 3 s and then no more
 * (RFC 1661 §4.6), which without an SA would leave it in clear (measured with xl2tpd and pppd). The full cycle of 31 s
 * would keep a dead client's SA half a minute.
 */
const SA_LINGER_MS = 7_000;

/**
 * How often a tunnel's data is looked for, at least: well within the 31 s in which an unanswered HELLO ends it. And more
 * often than HELLOs go out, so that data from before one is not taken for an answer to it.
 */
const TRAFFIC_CHECK_MS = 10_000;

/** An SA under which nobody has dialled for so long goes: a client that knows no DPD would leave it for hours. */
const UNUSED_MS = 600_000;

/** Who has a new IKE SA dials L2TP within this, or does not mean to: `ike.no-l2tp` says so then. */
const FRESH_MS = NO_L2TP_HINT_MS;

/** A tunnel that is being set up is up or given up by then (40 s). */
const REDIAL_MS = 45_000;

const MARKS_HINT = `charon counts on: rules of others that use marks above ${LAST_MARK} may meet a client's now; where there are any, restart lockstepd in a quiet hour`;

/** RFC 2661 §4.4.2, StopCCN. */
const CLEAR: ResultCode = { result: 1 };
const SHUTTING_DOWN: ResultCode = { result: 6 };

export interface ConnectionsOptions
  extends Omit<SessionsOptions, 'registry' | 'mtuOf' | 'probeSizes' | 'call' | 'onEnd'> {
  readonly endpoint: Endpoint;
  /** Upper bound of the inner MTU; the SA's own may be smaller. */
  readonly maxMtu: number;
  /** The endpoint's: silence before a HELLO. */
  readonly helloIntervalMs: number;
  /** What is known of a mark now. */
  readonly sa: (mark: number) => MarkInfo | undefined;
  /** The marks that hang on an IKE SA. */
  readonly marksOf: (ikeId: string) => readonly number[];
  /** By what an IKE_SA's peer proved to be `remoteId`, if it did. */
  readonly identityProof: (ike: IkeInfo) => Proof | undefined;
  /** Another gateway's address: peers are sent there while we drain (RFC 3193 §4), unless the drain names one. */
  readonly redirect?: string;
  /** Deletes an IKE SA (RFC 3193 §3.1: with its last tunnel). */
  readonly terminateIke: (ikeUniqueId: string) => Promise<void>;
}

export class Connections {
  readonly registry = new Registry();
  readonly #o: ConnectionsOptions;
  readonly #drive: Drive;
  readonly #dataplane: Dataplane;
  readonly #endpoint: Driven<EndpointIn>;
  readonly #sessions: Sessions;
  readonly #hold = new HoldQueue();
  /** mark -> cancels what happens when no tunnel comes up: the hint of why, or the end of an SA that had one. */
  readonly #hints = new Map<number, () => void>();
  /** Tunnels that are down but whose StopCCN is not acknowledged yet, by id and by mark. */
  readonly #leaving = new Map<number, Leaving>();
  readonly #leavingOf = new Multimap<number, Leaving>();
  /** mark -> the IKEv1 SA that took the place of another, and when: a renewal, or a client that crashed and is back. */
  readonly #renewed = new Map<number, { readonly ike: string; readonly at: Instant }>();
  /** Marks under which something came for others. */
  readonly #offenders = new Set<number>();
  /** Deletions of IKE SAs that charon has not answered. */
  readonly #terminating = new Set<Promise<void>>();
  #whenIdle: (() => void)[] = [];
  /** Marks are beyond what was looked at when we started. */
  #beyond = false;
  /** Why nobody new is let in, and where to send them. */
  #draining: { readonly reason: string; readonly redirect: string | undefined } | undefined;

  constructor(options: ConnectionsOptions) {
    this.#o = options;
    this.#drive = options.drive;
    this.#dataplane = options.dataplane;
    this.#endpoint = options.drive.add(options.endpoint, (out) => this.#onEndpoint(out));
    this.#sessions = new Sessions({
      ...options,
      registry: this.registry,
      mtuOf: (tunnel, numbered) => this.#mtuOf(tunnel, numbered),
      probeSizes: (session) => this.#probeSizes(session),
      call: {
        close: ({ ids: { tunnelId, sessionId } }, result) =>
          this.#endpoint.input({ type: 'close-session', tunnelId, sessionId, result }),
        probe: ({ id }) => this.#endpoint.input({ type: 'probe', tunnelId: id }),
        identityOf: ({ path }) => {
          const ike = this.#o.sa(path.mark)?.ike;
          const identity = ike !== undefined && this.#o.identityProof(ike) !== undefined ? ike.remoteId : undefined;
          return { identity, claimedIdentity: ike?.remoteId };
        },
        samePeer: (a, b) => (a.path.mark !== 0 && a.path.mark === b.path.mark) || this.#sameHost(a, b),
      },
      onEnd: () => this.#settle(),
    });
  }

  /** Batches from the packet thread. Should we stumble over one, the others, which are of other peers, are served still. */
  onUpcalls(batch: readonly Upcall[]): void {
    for (const up of batch) this.#serve(up);
  }

  /** What the SA registry concluded of a mark. */
  onMark(out: RegistryOut): void {
    switch (out.type) {
      case 'mark-up':
        return this.#markUp(out.mark, out.sa);
      case 'mark-changed':
        return this.#markChanged(out.mark, out.sa);
      case 'mark-down':
        return this.#markDown(out);
      default:
        return never(out);
    }
  }

  /** Administrative end of every session `target` names; returns how many. */
  disconnect(target: string, reason = 'disconnected by the administrator'): number {
    const sessions = this.registry.find(target);
    for (const session of sessions) this.#sessions.close(session, 'administrator', reason);
    return sessions.length;
  }

  /** Control packets that wait for their SA. */
  get held(): number {
    return this.#hold.size;
  }

  /** Control messages that had no effect, by reason. */
  get controlDrops(): Readonly<Record<string, number>> {
    const { malformedHeader, pathMismatch, unknownTunnel, refusedSilently } = this.#o.endpoint.counters;
    return { malformed: malformedHeader, path: pathMismatch, 'no-tunnel': unknownTunnel, rate: refusedSilently };
  }

  /** Peers that are there and sent what belongs to others (RFC 3193 §3.3): how many packets. */
  get violations(): { readonly mark: number; readonly data: number; readonly control: number }[] {
    const of = (mark: number) => ({
      mark,
      data: Number(this.#dataplane.violations(mark)),
      control: this.#o.endpoint.violations(mark),
    });
    return [...this.#offenders].map(of);
  }

  /** Why nobody new is let in, if so. */
  get draining(): string | undefined {
    return this.#draining?.reason;
  }

  /** From now on nobody new is let in, but sent to another gateway if there is one (RFC 3193 §4). What is up stays. */
  refuse(reason: string, redirect = this.#o.redirect): void {
    this.#draining = { reason, redirect };
  }

  /** The end of refuse(). */
  accept(): void {
    this.#draining = undefined;
  }

  /**
   * Closes everything, in order; resolves when no tunnel is left (each bounded by its own timeouts). Without `redirect`,
   * those whom refuse() sent elsewhere go there still.
   */
  async drain(reason: string, redirect = this.#draining?.redirect): Promise<void> {
    this.refuse(reason, redirect);
    for (const session of [...this.registry.sessions()]) this.#sessions.close(session, 'stopping', reason);
    for (const tunnel of [...this.registry.tunnels()]) {
      if (tunnel.sessions.size === 0) this.#closeTunnel(tunnel, this.#farewell());
    }
    if (!this.#isIdle()) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
    await this.#dataplane.flush();
    await Promise.all(this.#terminating);
  }

  /**
   * The SAs are gone, all of them (charon died, or VICI is lost for good): nothing can be sent. A new charon counts marks
   * from 1 again, so nothing of the old ones' may be left, in no state. Tunnels without IPsec (mark 0) stay.
   */
  abandonMarked(reason: string): void {
    for (const tunnel of [...this.registry.tunnels()]) {
      if (tunnel.path.mark !== 0) this.#endSessions(tunnel, 'charon-gone', reason);
    }
    for (const leaving of [...this.#leaving.values()]) if (leaving.mark !== 0) this.#left(leaving);
    this.#endpoint.input({ type: 'abandon-marked' });
    this.#hold.clear();
    for (const mark of [...this.#hints.keys()]) this.#cancelHint(mark);
    this.#settle();
  }

  // ------------------------------------------------------------------------------------------ from the packet thread

  #serve(up: Upcall): void {
    try {
      this.#onUpcall(up);
    } catch (error) {
      this.#stumbled(up, error);
    }
  }

  #onUpcall(up: Upcall): void {
    switch (up.kind) {
      case 'control':
        if (up.path.mark === 0 || this.#o.sa(up.path.mark) !== undefined) {
          return this.#endpoint.input({ type: 'datagram', path: up.path, data: up.data });
        }
        return this.#hold.hold(this.#drive.now(), up.path, up.data);
      case 'frame': {
        const session = this.registry.session(up.tunnelId, up.sessionId);
        if (session === undefined) return;
        this.#endpoint.input({ type: 'traffic', tunnelId: session.tunnel.id });
        return this.#sessions.frame(session, up.data);
      }
      case 'punt': {
        const session = this.registry.session(up.tunnelId, up.sessionId);
        return session === undefined ? undefined : this.#sessions.packet(session, up.data);
      }
      case 'violation':
        this.#offended(up.path);
        this.#o.log.warn('packet.violation', {
          tunnelId: up.tunnelId,
          sessionId: up.sessionId,
          ...peerFields(up.path),
          ref: 'RFC 3193 §3.3',
          hint: "a packet for this session came through another client's SA; it was dropped",
        });
        return;
      default:
        return never(up);
    }
  }

  #offended({ mark }: Path): void {
    if (this.#o.sa(mark) !== undefined) this.#offenders.add(mark);
  }

  /** A mistake of ours, never the peer's: whatever it sends is answered as the RFC demands. */
  #stumbled(up: Upcall, error: unknown): void {
    const path = 'path' in up ? up.path : this.registry.session(up.tunnelId, up.sessionId)?.tunnel.path;
    this.#o.log.error('packet.failed', {
      kind: up.kind,
      ...(path === undefined ? {} : peerFields(path)),
      error,
      hint: 'a defect of the gateway: what this packet asked for was not done, others were served; please report it',
    });
  }

  // -------------------------------------------------------------------------------------------------------- from IKE

  #markUp(mark: number, sa: MarkInfo): void {
    this.#dataplane.confirmMark(mark);
    this.#renewed.set(mark, { ike: sa.ike.uniqueId, at: Number.NEGATIVE_INFINITY as Instant });
    this.#o.log.info('ike.child-up', { mark, ...ikeFields(sa) });
    for (const { path, data } of this.#hold.release(this.#drive.now(), mark)) {
      this.#serve({ kind: 'control', path, confirmed: true, data });
    }
    this.#follow(sa.ike.uniqueId);
    if (this.registry.tunnelsOfMark(mark).length > 0) return;
    const cancel = this.#drive.after(NO_L2TP_HINT_MS, () => {
      this.#o.log.warn('ike.no-l2tp', {
        mark,
        ...ikeFields(sa),
        hint: adviceFor('no-l2tp'),
      });
      this.#endSaLater(mark, UNUSED_MS);
    });
    this.#hints.set(mark, cancel);
    if (mark > LAST_MARK && !this.#beyond) {
      this.#beyond = true;
      this.#o.log.warn('ike.marks-beyond', { mark, hint: MARKS_HINT });
    }
  }

  /** The mark lives on under another SA or another outer address: only the address concerns us. */
  #markChanged(mark: number, sa: MarkInfo): void {
    this.#o.log.debug('ike.child-changed', { mark, ...ikeFields(sa) });
    if (sa.ike.version === 1 && this.#renewed.get(mark)?.ike !== sa.ike.uniqueId)
      this.#renewed.set(mark, { ike: sa.ike.uniqueId, at: this.#drive.now() });
    for (const tunnel of this.registry.tunnelsOfMark(mark)) {
      if (tunnel.path.remote === sa.ike.remoteHost) continue;
      this.#move(tunnel, { ...tunnel.path, remote: sa.ike.remoteHost });
    }
    this.#follow(sa.ike.uniqueId);
  }

  /**
   * A peer sends through the newest of its SAs. An IKEv1 client that renews IKE SA and CHILD_SA at once may get another mark with
   * them, where charon takes over the older CHILD_SA too late to know it again (docs/adr/0004): its tunnels go along. Not to one
   * that has a tunnel: whoever dials anew is back from a crash.
   */
  #follow(ikeId: string): void {
    const newest = this.#newest(ikeId);
    if (newest === undefined || this.registry.tunnelsOfMark(newest.mark).length > 0) return;
    for (const mark of this.#o.marksOf(ikeId)) {
      if (mark === newest.mark || !sameSelectors(this.#o.sa(mark)?.current, newest.current)) continue;
      for (const tunnel of this.registry.tunnelsOfMark(mark)) this.#move(tunnel, { ...tunnel.path, mark: newest.mark });
    }
  }

  /** What charon made last under this IKE SA: its ids are numbers that rise. */
  #newest(ikeId: string): MarkInfo | undefined {
    let newest: MarkInfo | undefined;
    for (const mark of this.#o.marksOf(ikeId)) {
      const sa = this.#o.sa(mark);
      if (sa !== undefined && Number(sa.current.uniqueId) > Number(newest?.current.uniqueId ?? -1)) newest = sa;
    }
    return newest;
  }

  #move(tunnel: Tunnel, path: Path): void {
    this.#o.log.info('tunnel.moved', {
      tunnelId: tunnel.id,
      from: tunnel.path.remote,
      fromMark: tunnel.path.mark,
      ...peerFields(path),
    });
    this.registry.moveTunnel(tunnel, path);
    this.#endpoint.input({ type: 'move-path', tunnelId: tunnel.id, path });
    this.#dataplane.movePath(tunnel.id, path);
  }

  #markDown({ mark, reason, left }: MarkDown): void {
    this.#cancelHint(mark);
    this.#dataplane.forgetMark(mark);
    this.#offenders.delete(mark);
    this.#renewed.delete(mark);
    this.#o.log.info('ike.child-down', { mark, reason });
    const other = reason === 'child-deleted' && left !== undefined ? this.#newest(left.uniqueId) : undefined;
    if (other !== undefined && this.registry.tunnelsOfMark(other.mark).length === 0)
      for (const tunnel of this.registry.tunnelsOfMark(mark)) this.#move(tunnel, { ...tunnel.path, mark: other.mark });
    for (const tunnel of this.registry.tunnelsOfMark(mark)) this.#endSessions(tunnel, 'sa-gone', reason);
    for (const leaving of this.#leavingOf.of(mark)) this.#left(leaving);
    // Those being set up or closed too: they are in no registry.
    this.#endpoint.input({ type: 'abandon-mark', mark });
    // RFC 3193 §3.1: a peer that deletes its last CHILD_SA alone has left, too.
    if (reason === 'child-deleted' && left !== undefined) this.#endIke(left, mark);
    this.#settle();
  }

  // ------------------------------------------------------------------------------------------------------- from L2TP

  #onEndpoint(out: EndpointOut): void {
    switch (out.type) {
      case 'send':
        return this.#dataplane.sendControl([{ path: out.path, data: out.data }]);
      case 'tunnel-up':
        return this.#tunnelUp(out);
      case 'tunnel-down':
        return this.#tunnelDown(out);
      case 'tunnel-gone':
        return this.#release(this.#leaving.get(out.tunnelId));
      case 'session-open': {
        const tunnel = this.registry.tunnel(out.session.tunnelId);
        return tunnel === undefined ? undefined : this.#sessions.open(out.session, tunnel, this.draining);
      }
      case 'session-up':
        return this.#sessions.up(out.session, out.call.sequencingRequired);
      case 'session-down':
        return this.#sessionDown(out);
      case 'note':
        if (out.event === 'l2tp.path.mismatch' && out.path !== undefined) this.#offended(out.path);
        this.#o.log.warn(out.event, { ...(out.path === undefined ? {} : peerFields(out.path)), ...out.fields });
        return;
      default:
        return never(out);
    }
  }

  #tunnelUp({ peer, tunnelId }: EndpointOut & { type: 'tunnel-up' }): void {
    const { path } = peer;
    this.#cancelHint(path.mark);
    // A new tunnel closes nothing by itself: the older ones of this SA are asked whether they still live. A LAC without
    // IPsec may have hundreds.
    for (const older of path.mark === 0 ? [] : this.registry.tunnelsOfMark(path.mark)) {
      this.#endpoint.input({ type: 'probe', tunnelId: older.id });
    }
    const tunnel: Tunnel = { id: tunnelId, peer, path, sessions: new Map(), since: this.#drive.now(), closing: false };
    this.registry.addTunnel(tunnel);
    this.#watchTraffic(tunnel, 0n);
    this.#o.log.info('tunnel.up', {
      tunnelId,
      peerTunnelId: peer.peerTunnelId,
      hostName: peer.hostName,
      vendor: peer.vendorName,
      ...peerFields(path),
    });
    if (this.#draining !== undefined) this.#closeTunnel(this.registry.tunnel(tunnelId)!, this.#farewell());
  }

  /** The packet thread keeps transit to itself: its counters tell that the peer lives (RFC 2661 §5.5). */
  #watchTraffic(tunnel: Tunnel, before: bigint): void {
    this.#drive.after(Math.min(TRAFFIC_CHECK_MS, this.#o.helloIntervalMs / 2), () => {
      if (this.registry.tunnel(tunnel.id) !== tunnel) return;
      let packets = 0n;
      for (const { ids } of tunnel.sessions.values()) {
        packets += this.#dataplane.sessionCounters(ids.tunnelId, ids.sessionId)?.packetsIn ?? 0n;
      }
      if (packets > before) this.#endpoint.input({ type: 'traffic', tunnelId: tunnel.id });
      this.#watchTraffic(tunnel, packets);
    });
  }

  #sessionDown(out: EndpointOut & { type: 'session-down' }): void {
    this.#sessions.down(out);
    const tunnel = this.registry.tunnel(out.session.tunnelId);
    if (tunnel === undefined || tunnel.closing || tunnel.sessions.size > 0) return;
    // After our CDN the tunnel has no reason left. After the peer's, its StopCCN usually follows, or the endpoint closes
    // a tunnel that stays empty.
    if (out.by !== 'peer') this.#closeTunnel(tunnel, this.#whereTo());
  }

  /** What a tunnel is told whose last session we have ended: full, as the endpoint is with limits.tunnels, or not. */
  #whereTo(): ResultCode {
    const { redirect, maxSessions } = this.#o;
    if (this.#draining !== undefined) return this.#farewell();
    return redirect !== undefined && this.registry.sessionCount >= maxSessions ? tryAnother(redirect) : CLEAR;
  }

  #tunnelDown(out: EndpointOut & { type: 'tunnel-down' }): void {
    const tunnel = this.registry.tunnel(out.tunnelId);
    if (tunnel === undefined) return; // refused or never established: the endpoint's note says why
    tunnel.closing = true;
    this.registry.removeTunnel(tunnel);
    this.#o.log.info('tunnel.down', {
      tunnelId: tunnel.id,
      by: out.by,
      result: out.result?.result,
      error: out.result?.error,
      text: out.result?.message,
      ...peerFields(tunnel.path),
    });
    const { id } = tunnel;
    const { mark } = tunnel.path;
    if (out.by !== 'abandoned') {
      const leaving = { id, mark };
      this.#leaving.set(id, leaving);
      this.#leavingOf.add(mark, leaving);
      if (out.by === 'peer') this.#drive.after(SA_LINGER_MS, () => this.#release(leaving));
    } else if (this.#o.sa(mark) !== undefined) {
      // The tunnel that took its place may never come up.
      this.#endSaLater(mark);
    }
    this.#settle();
  }

  /** The tunnel needs its SA no longer. */
  #release(leaving: Leaving | undefined): void {
    if (leaving === undefined || this.#leaving.get(leaving.id) !== leaving) return;
    // RFC 3193 §3.1: the SA must outlive the StopCCN's acknowledgement; the barrier says it is past sendmsg.
    const barrier = this.#dataplane.flush().then(() => {
      if (!this.#left(leaving)) return;
      this.#endSa(leaving.mark);
      this.#settle();
    });
    barrier.catch(() => {}); // the data plane was closed meanwhile, and everything with it
  }

  /** Whether it was still leaving. */
  #left(leaving: Leaving): boolean {
    if (this.#leaving.get(leaving.id) !== leaving) return false;
    this.#leavingOf.remove(leaving.mark, leaving);
    return this.#leaving.delete(leaving.id);
  }

  /** RFC 3193 §3.1: the IKE SA goes with its last tunnel. */
  #endSa(mark: number): void {
    const sa = this.#o.sa(mark);
    if (sa === undefined || this.registry.tunnelsOfMark(mark).length > 0) return;
    if (this.#leavingOf.count(mark) > 0) return;
    if (this.#isFresh(mark) || this.#o.endpoint.isDialling(mark)) return this.#endSaLater(mark);
    this.#endIke(sa.ike, mark);
  }

  /** Unless a mark on it is in use: then it goes with the last of them. */
  #endIke(ike: IkeInfo, mark: number): void {
    const inUse = (m: number) => this.registry.tunnelsOfMark(m).length > 0 || this.#o.endpoint.isDialling(m);
    if (this.#o.marksOf(ike.uniqueId).some(inUse)) return;
    const fields = { mark, ike: ike.uniqueId, remote: ike.remoteHost };
    const terminated = this.#o.terminateIke(ike.uniqueId).then(
      () => void this.#o.log.info('ike.terminated', fields),
      (error: unknown) => {
        this.#o.log.warn('ike.terminate-failed', { ...fields, error });
        if (this.#o.sa(mark) !== undefined) this.#endSaLater(mark);
      },
    );
    this.#terminating.add(terminated);
    void terminated.finally(() => this.#terminating.delete(terminated));
  }

  /** A client that crashed while its tunnel was being closed is back under the same mark: the new IKE SA is not the tunnel's. */
  #isFresh(mark: number): boolean {
    const renewed = this.#renewed.get(mark);
    return renewed !== undefined && this.#drive.now() - renewed.at < FRESH_MS;
  }

  /** A client that dials again at once does so over the SA it has: that is now the new tunnel's, if it comes up. */
  #endSaLater(mark: number, ms = REDIAL_MS): void {
    this.#cancelHint(mark);
    const cancel = this.#drive.after(ms, () => {
      this.#hints.delete(mark);
      this.#endSa(mark);
    });
    this.#hints.set(mark, cancel);
  }

  #farewell(): ResultCode {
    const to = this.#draining?.redirect;
    return to === undefined ? SHUTTING_DOWN : tryAnother(to);
  }

  #closeTunnel(tunnel: Tunnel, result: ResultCode): void {
    tunnel.closing = true;
    this.#endpoint.input({ type: 'close-tunnel', tunnelId: tunnel.id, result });
  }

  /** From below: with nothing sent. */
  #endSessions(tunnel: Tunnel, cause: EndCause, reason: string): void {
    for (const session of [...tunnel.sessions.values()]) this.#sessions.abandon(session, cause, reason);
  }

  // --------------------------------------------------------------------------------------------------------- helpers

  #mtuOf(tunnel: Tunnel, numbered: boolean): number {
    const sa = this.#o.sa(tunnel.path.mark);
    return sa === undefined ? this.#o.maxMtu : innerMtu(sa.current, outerOf(tunnel, numbered), this.#o.maxMtu);
  }

  #probeSizes({ tunnel, numbered, mtu }: Session): number[] {
    const sa = this.#o.sa(tunnel.path.mark);
    return sa === undefined ? [] : probeSizes(sa.current, outerOf(tunnel, numbered), mtu);
  }

  /**
   * One machine that came back: with its certificate; or from another NAT port, the same public address, and as IKE identity the
   * same address of its own, of which there is one behind a NAT. Other identities may be shared by a whole company.
   */
  #sameHost(a: Tunnel, b: Tunnel): boolean {
    const [one, other] = [a, b].map(({ path }) => this.#o.sa(path.mark)?.ike);
    if (one === undefined || other === undefined || one.remoteId !== other.remoteId) return false;
    if ([one, other].every((ike) => this.#o.identityProof(ike) === 'certificate')) return true;
    return isIP(one.remoteId) !== 0 && a.path.remote === b.path.remote;
  }

  #cancelHint(mark: number): void {
    this.#hints.get(mark)?.();
    this.#hints.delete(mark);
  }

  #isIdle(): boolean {
    return this.registry.sessionCount === 0 && this.registry.tunnelCount === 0 && this.#leaving.size === 0;
  }

  #settle(): void {
    if (this.#whenIdle.length === 0 || !this.#isIdle()) return;
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }
}

const sameSelectors = (a: ChildSa | undefined, b: ChildSa): boolean =>
  a?.localTs.join() === b.localTs.join() && a.remoteTs.join() === b.remoteTs.join();

interface Leaving {
  readonly id: number;
  readonly mark: number;
}

const outerOf = (tunnel: Tunnel, numbered: boolean): Outer => ({ ipv6: tunnel.path.remote.includes(':'), numbered });
