/**
 * A session from ICRQ to its last octet: PPP link, user, lease and data path, held together. What it needs of the tunnel
 * below it asks through SessionsOptions.call; src/daemon/connections.ts is above it.
 */
import type { Dataplane, SessionState } from '../io/dataplane.js';
import type { EndpointOut, SessionIds } from '../proto/l2tp/events.js';
import type { LinkConfig, LinkOut } from '../proto/ppp/events.js';
import { Link } from '../proto/ppp/link.js';
import type { ResultCode } from '../wire/l2tp/codes.js';
import { never } from '../wire/result.js';
import type { Aaa, AuthContext } from './aaa.js';
import { adviceFor, type EndCause, linkCause, type Stage } from './advice.js';
import { Answers, type AnswersOptions } from './answers.js';
import type { Drive } from './drive.js';
import { callEnd, endFields, idFields, peerFields } from './facts.js';
import { Ipv6, type Ipv6Options, OUR_INTERFACE_ID, prefixesOf } from './ipv6.js';
import type { Log } from './log.js';
import { type Registry, Session, type Tunnel } from './registry.js';

/** RFC 2661 §4.4.2, CDN. */
const LOST_CARRIER = 1;
const ADMINISTRATIVE = 3;
const NO_FACILITIES_NOW = 4;
/** Of a user without one: whoever was authenticated before on the same link may have had one. */
const NO_LIMIT = { up: 0, down: 0 };

export interface SessionsOptions extends AnswersOptions, Ipv6Options {
  readonly drive: Drive;
  readonly dataplane: Dataplane;
  readonly registry: Registry;
  readonly aaa: Aaa;
  readonly log: Log;
  readonly link: Omit<LinkConfig, 'mru' | 'ipv6'>;
  readonly idleTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  readonly maxSessions: number;
  /** Sessions from one address that have not authenticated yet; those of a LAC without IPsec are not counted. */
  readonly maxStrangers: number;
  /** How every session carries its packets. */
  readonly transit: Pick<SessionState, 'dscp' | 'smallFirst' | 'reorder'>;
  /** Largest inner packet over this tunnel's SA. */
  readonly mtuOf: (tunnel: Tunnel, numbered: boolean) => number;
  /** Sizes to try on the session's path, its MTU first. */
  readonly probeSizes: (session: Session) => number[];
  readonly call: {
    /** CDN; `down()` follows. */
    close(session: Session, result: ResultCode): void;
    /** Ask an older tunnel whether its peer still lives. */
    probe(tunnel: Tunnel): void;
    /** Whether both tunnels are certainly of one machine. */
    samePeer(a: Tunnel, b: Tunnel): boolean;
    /** The IKE identity of the tunnel's peer: as it says, and if it proved it. */
    identityOf(tunnel: Tunnel): Pick<AuthContext, 'identity' | 'claimedIdentity'>;
  };
  /** A session is gone. */
  readonly onEnd: () => void;
}

export class Sessions {
  readonly #o: SessionsOptions;
  readonly #ipv6: Ipv6;
  readonly #answers: Answers;
  /** By MRU: links share theirs. */
  readonly #links = new Map<number, LinkConfig>();

  constructor(options: SessionsOptions) {
    this.#o = options;
    this.#ipv6 = new Ipv6(options);
    this.#answers = new Answers(options, this.#ipv6);
  }

  /** An IP packet for us. */
  packet(session: Session, data: Uint8Array): void {
    this.#answers.packet(session, data);
  }

  /** ICRQ accepted: the data plane learns of the session, closed for IP. With `refuse`, it is answered with a CDN. */
  open(ids: SessionIds, tunnel: Tunnel, refuse?: string): void {
    const { registry, drive, log, mtuOf } = this.#o;
    const session = new Session(ids, tunnel, drive.now(), mtuOf(tunnel, false));
    registry.addSession(session);
    log.debug('session.open', idFields(session));
    const problem = refuse ?? this.#install(session);
    if (problem === undefined) return;
    because(session, 'gateway-full', problem);
    this.#o.call.close(session, { result: NO_FACILITIES_NOW, message: problem });
  }

  /** What stands in the way, if anything. */
  #install(session: Session): string | undefined {
    const { registry, dataplane, maxSessions, maxStrangers, transit, log } = this.#o;
    if (registry.sessionCount > maxSessions) return 'limits.sessions is reached';
    if (session.tunnel.path.mark !== 0 && registry.strangersFrom(session.from) > maxStrangers)
      return 'limits.half_open_per_address is reached';
    try {
      dataplane.addSession({ ...session.ids, path: session.tunnel.path }, { ...transit, mtu: session.mtu });
      return undefined;
    } catch (error) {
      log.error('session.not-installed', { ...idFields(session), error });
      return 'the data plane has no room';
    }
  }

  /** ICCN: PPP starts. Without the Sequencing Required AVP it is for us to choose, and we send no numbers (RFC 2661 §5.4). */
  up(ids: SessionIds, sequencing: boolean): void {
    const { dataplane, registry, drive, ipv6, mtuOf } = this.#o;
    const session = registry.session(ids.tunnelId, ids.sessionId);
    if (session === undefined) return;
    this.#reach(session, 'lcp');
    if (sequencing) {
      session.numbered = true;
      session.mtu = mtuOf(session.tunnel, true);
      dataplane.updateSession(ids.tunnelId, ids.sessionId, { sequencing, mtu: session.mtu });
    }
    const taken = ipv6 === undefined ? undefined : (id: Uint8Array) => this.#ipv6.taken(session, id);
    const machine = new Link(this.#linkConfig(session.mtu), taken);
    session.link = drive.add(machine, (out) => this.#onLink(session, out));
    session.link.input({ type: 'lower-up' });
    if (session.early !== undefined) session.link.input({ type: 'frame', data: session.early });
    session.early = undefined;
  }

  #linkConfig(mru: number): LinkConfig {
    const { link, ipv6, aaa } = this.#o;
    const config = this.#links.get(mru) ?? {
      ...link,
      mru,
      ...(ipv6 !== undefined && { ipv6: OUR_INTERFACE_ID }),
      ...(aaa.decidesEap === true && { eap: 'pass-through' }),
    };
    this.#links.set(mru, config);
    return config;
  }

  /** A PPP frame that is not transit. One that comes before ICCN is kept. */
  frame(session: Session, data: Uint8Array): void {
    if (session.link !== undefined) session.link.input({ type: 'frame', data });
    else session.early ??= new Uint8Array(data); // a view would keep its whole batch
  }

  /** The call is over on the L2TP side: whatever is above it goes, with nothing sent. */
  down(out: EndpointOut & { type: 'session-down' }): void {
    const session = this.#o.registry.session(out.session.tunnelId, out.session.sessionId);
    if (session === undefined) return;
    // What a Terminate-Request said (Windows: its error number) says more than the CDN right behind it.
    session.link?.input({ type: 'lower-down' });
    because(session, ...callEnd(session, out));
    this.#end(session);
  }

  /** Our wish: IP is withdrawn at once, then the peer is told from the top down (LCP, then `call.close`). */
  close(session: Session, cause: EndCause, reason: string): void {
    const { dataplane } = this.#o;
    if (!this.#lives(session)) return;
    because(session, cause, reason);
    session.withdrawn = true;
    dataplane.updateSession(session.ids.tunnelId, session.ids.sessionId, { open: false, prefixes: [] });
    if (session.link !== undefined) session.link.input({ type: 'close', reason });
    else this.#hangUp(session, ADMINISTRATIVE);
  }

  /** From below: the SA is gone, nothing can be sent. */
  abandon(session: Session, cause: EndCause, reason: string): void {
    because(session, cause, reason);
    this.#end(session);
  }

  #onLink(session: Session, out: LinkOut): void {
    const { dataplane, log, mtuOf } = this.#o;
    const { tunnelId, sessionId } = session.ids;
    switch (out.type) {
      case 'frame':
        return dataplane.sendFrame(tunnelId, sessionId, out.data, { dontFragment: out.whole === true });
      case 'lcp-up':
        this.#reach(session, 'auth');
        session.mtu = Math.min(mtuOf(session.tunnel, session.numbered), out.mru);
        session.probed = false;
        return dataplane.updateSession(tunnelId, sessionId, { mtu: session.mtu, acfc: out.acfc });
      case 'path-mtu':
        return this.#pathMtu(session, out.mtu);
      case 'authenticate':
        return this.#authenticate(session, out);
      case 'ip-open':
        return dataplane.updateSession(tunnelId, sessionId, { open: true, prefixes: prefixesOf(session) });
      case 'ip-close':
        return dataplane.updateSession(tunnelId, sessionId, { open: false });
      case 'ipv6-open':
        return this.#ipv6.open(session, out.interfaceId);
      case 'ipv6-up':
        return this.#ipv6.up(session);
      case 'ipv6-close':
        return this.#ipv6.close(session);
      case 'up':
        return this.#linkUp(session, out.user, out.address);
      case 'down':
        if (out.by === 'lower') return;
        because(session, linkCause(out, session.stage, session.refused), out.reason);
        if (out.hint !== undefined) session.endHint ??= out.hint;
        return this.#hangUp(session, out.by === 'timeout' ? LOST_CARRIER : ADMINISTRATIVE);
      case 'note':
        log.info(out.event, { ...idFields(session), ...out.fields });
        return;
      default:
        return never(out);
    }
  }

  #authenticate(session: Session, { request, eap }: LinkOut & { type: 'authenticate' }): void {
    const { aaa, call, dataplane, log, registry } = this.#o;
    const { tunnelId, sessionId } = session.ids;
    // LCP was negotiated anew (RFC 1661 §4.3): who the peer was counts no more, and neither does a verdict still on its way.
    const attempt = session.authAttempt + 1;
    session.authAttempt = attempt;
    this.#forgetUser(session);
    const context = {
      remote: session.tunnel.path.remote,
      ...call.identityOf(session.tunnel),
      tunnelId,
      sessionId,
      claim: (user: string) => this.#replaceStale(session, user),
    };
    const decided = aaa.authenticate(request, context).then((answer) => {
      const current = this.#lives(session) && session.authAttempt === attempt;
      if (answer.challenge !== undefined) {
        if (current) session.link?.input({ type: 'eap-request', challenge: answer.challenge });
        return;
      }
      const { result, cause, facts, limit = NO_LIMIT, routes } = answer;
      if (!current) {
        if (result.ok) aaa.release(result.address);
        return;
      }
      if (result.ok) {
        registry.identify(session, result.user, result.address);
        session.routes = routes;
        if (limit !== NO_LIMIT || attempt > 1) dataplane.updateSession(tunnelId, sessionId, { limit });
        session.refused = undefined;
        session.stage = 'ipcp';
        log.info('auth.ok', { ...idFields(session), method: request.method, eap });
      } else {
        if (cause !== undefined) session.refused = cause;
        const { user, method } = request;
        const { path } = session.tunnel;
        log.warn('auth.failed', {
          ...idFields(session),
          user,
          method,
          eap,
          cause,
          code: result.code,
          hint: cause === undefined ? undefined : adviceFor(cause),
          ...peerFields(path),
          ...facts,
        });
      }
      session.link?.input({ type: 'auth-result', result });
    });
    decided.catch((error: unknown) => {
      log.error('auth.error', { ...idFields(session), user: request.user, error });
      this.close(session, 'users-unavailable', 'authentication is not available');
    });
  }

  /**
   * The same user from the same peer on an older session: the leftover of a crash, ended at once. Any other may be a second
   * machine, or the first one's session before it changed its network: it is only asked whether it lives.
   */
  #replaceStale(session: Session, user: string): void {
    const { registry, call } = this.#o;
    for (const old of registry.sessionsOfUser(user)) {
      if (old === session) continue;
      if (call.samePeer(old.tunnel, session.tunnel)) {
        because(old, 'replaced', 'replaced by a new connection of the same client');
        this.#hangUp(old, ADMINISTRATIVE);
      } else if (old.tunnel !== session.tunnel && (old.tunnel.path.mark !== 0 || sameAddress(old, session))) {
        call.probe(old.tunnel);
      }
    }
  }

  #linkUp(session: Session, user: string, address: string): void {
    const { drive, log } = this.#o;
    const now = drive.now();
    session.stage = 'up';
    // A session that comes up again, after LCP or IPCP was negotiated anew, has no more time than it had.
    if (session.upAt === undefined) this.#startTimers(session, now);
    this.#watchPath(session);
    log.info('session.up', {
      ...idFields(session),
      user,
      address,
      mtu: session.mtu,
      setupMs: Math.round(now - session.since),
      hostName: session.tunnel.peer.hostName,
      ...peerFields(session.tunnel.path),
    });
  }

  /** Once for each LCP: begun anew after IPCP alone, it would take a size that the path lowered for the most there is. */
  #watchPath(session: Session): void {
    if (session.probed) return;
    session.probed = true;
    session.link?.input({ type: 'probe-mtu', sizes: this.#o.probeSizes(session) });
  }

  /** RFC 3193 §3.2: what the path carries reaches IP (ICMP, MSS), by the packet thread. */
  #pathMtu(session: Session, mtu: number): void {
    const { dataplane, log } = this.#o;
    log.info('session.mtu', { ...idFields(session), mtu, was: session.mtu, ...peerFields(session.tunnel.path) });
    session.mtu = mtu;
    dataplane.updateSession(session.ids.tunnelId, session.ids.sessionId, { mtu });
  }

  #startTimers(session: Session, now: number): void {
    const { drive, idleTimeoutMs, sessionTimeoutMs } = this.#o;
    session.upAt = now;
    session.upSince = Date.now();
    if (sessionTimeoutMs > 0) {
      const cancel = drive.after(sessionTimeoutMs, () => this.close(session, 'session-timeout', 'session timeout'));
      session.cancelTimers = [...session.cancelTimers, cancel];
    }
    if (idleTimeoutMs > 0) this.#watchIdle(session);
  }

  #watchIdle(session: Session): void {
    const { drive, dataplane, idleTimeoutMs } = this.#o;
    const { tunnelId, sessionId } = session.ids;
    const rest = () => {
      const last = dataplane.sessionCounters(tunnelId, sessionId)?.lastTraffic ?? 0;
      return Math.max(last, session.upAt ?? 0) + idleTimeoutMs - drive.now();
    };
    let cancel = () => {};
    const check = () => {
      const ms = rest();
      if (ms <= 0) this.close(session, 'idle-timeout', 'idle timeout');
      else cancel = drive.after(ms, check);
    };
    session.cancelTimers = [...session.cancelTimers, () => cancel()];
    check();
  }

  /** The next stage of the set-up, or an earlier one when LCP is negotiated anew. */
  #reach(session: Session, stage: Stage): void {
    session.stage = stage;
    this.#o.log.debug(`session.${stage}`, idFields(session));
  }

  #lives(session: Session): boolean {
    return this.#o.registry.session(session.ids.tunnelId, session.ids.sessionId) === session;
  }

  #hangUp(session: Session, result: number): void {
    if (!this.#lives(session)) return;
    this.#o.call.close(session, session.endReason === undefined ? { result } : { result, message: session.endReason });
  }

  #forgetUser(session: Session): void {
    const { dataplane, aaa, registry } = this.#o;
    const { ids, address } = session;
    if (address === undefined) return;
    dataplane.updateSession(ids.tunnelId, ids.sessionId, { open: false, prefixes: [] });
    registry.unidentify(session);
    aaa.release(address);
  }

  /** The one place where a session's things are given back. */
  #end(session: Session): void {
    const { registry, dataplane, aaa, log, drive, onEnd } = this.#o;
    session.withdrawn = true;
    this.#ipv6.close(session);
    registry.removeSession(session);
    session.link?.remove();
    for (const cancel of session.cancelTimers) cancel();
    const counters = dataplane.removeSession(session.ids.tunnelId, session.ids.sessionId);
    if (session.address !== undefined) aaa.release(session.address);
    log.info('session.end', endFields(session, counters, drive.now()));
    onEnd();
  }
}

/** A LAC without IPsec carries users of many places: only those of one are asked. */
const sameAddress = (a: Session, b: Session): boolean => a.tunnel.path.remote === b.tunnel.path.remote;

/** The first cause is the one that counts. */
const because = (session: Session, cause: EndCause, reason: string): void => {
  if (session.endReason !== undefined) return;
  session.endCause = cause;
  session.endReason = reason;
};
