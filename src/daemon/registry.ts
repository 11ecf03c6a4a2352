/** Who is connected: mark <-> tunnel <-> session <-> user <-> address. Tables only; src/daemon/connections.ts decides. */

import type { RouterIn } from '../proto/inside/router.js';
import type { LocalSessionId, LocalTunnelId, Path, SessionIds, TunnelPeer } from '../proto/l2tp/events.js';
import { Multimap } from '../proto/multimap.js';
import type { LinkIn } from '../proto/ppp/events.js';
import type { Prefix6 } from '../wire/ip/address6.js';
import type { AuthCause } from './aaa.js';
import type { EndCause, Stage } from './advice.js';
import type { Driven } from './drive.js';

export interface Tunnel {
  readonly id: LocalTunnelId;
  readonly peer: TunnelPeer;
  path: Path;
  readonly sessions: Map<LocalSessionId, Session>;
  readonly since: number;
  /** StopCCN is on its way in one direction or the other. */
  closing: boolean;
}

/** A class with all its fields from the start: as an object that grows and shrinks it would take four times the memory. */
export class Session {
  readonly ids: SessionIds;
  readonly tunnel: Tunnel;
  /** The peer's address at the ICRQ. */
  readonly from: string;
  /** Monotonic ms of the ICRQ. */
  readonly since: number;
  /** Absent until ICCN. */
  link: Driven<LinkIn> | undefined = undefined;
  /** One frame that came before ICCN (design: "an early LCP frame is held"). */
  early: Uint8Array | undefined = undefined;
  mtu: number;
  /** Data messages have Ns and Nr. */
  numbered = false;
  /** The path is probed, since LCP came up. */
  probed = false;
  user: string | undefined = undefined;
  /** The user's own split-tunnel networks. */
  routes: readonly string[] | undefined = undefined;
  address: string | undefined = undefined;
  /** While IPV6CP allows it. */
  ipv6: SessionIpv6 | undefined = undefined;
  /** It is being closed: nothing of it is let in any more. */
  withdrawn = false;
  /** Counts `authenticate`s: a verdict of an older one is void. */
  authAttempt = 0;
  /** Monotonic ms of IPCP up. */
  upAt: number | undefined = undefined;
  /** Wall clock of IPCP up, ms since 1970, for people. */
  upSince: number | undefined = undefined;
  /** How far it has come. */
  stage: Stage = 'l2tp';
  /** Why the last password was refused. */
  refused: AuthCause | undefined = undefined;
  /** Why it ends, first cause wins. */
  endCause: EndCause | undefined = undefined;
  endReason: string | undefined = undefined;
  endHint: string | undefined = undefined;
  cancelTimers: readonly (() => void)[] = NONE;

  constructor(ids: SessionIds, tunnel: Tunnel, since: number, mtu: number) {
    this.ids = ids;
    this.tunnel = tunnel;
    this.from = tunnel.path.remote;
    this.since = since;
    this.mtu = mtu;
  }
}

const NONE: readonly never[] = [];

export interface SessionIpv6 {
  /** The peer's, 8 octets. */
  readonly interfaceId: Uint8Array;
  /** What is advertised, and what of it is this session's. */
  readonly prefix: Prefix6;
  readonly own: Prefix6;
  delegated: readonly Prefix6[];
  router?: Driven<RouterIn>;
}

const key = (tunnelId: number, sessionId: number): number => tunnelId * 0x10000 + sessionId;

export class Registry {
  readonly #tunnels = new Map<LocalTunnelId, Tunnel>();
  readonly #byMark = new Multimap<number, Tunnel>();
  readonly #sessions = new Map<number, Session>();
  readonly #byUser = new Multimap<string, Session>();
  readonly #byAddress = new Map<string, Session>();
  /** Sessions of nobody yet. */
  readonly #strangers = new Multimap<string, Session>();

  addTunnel(tunnel: Tunnel): void {
    this.#tunnels.set(tunnel.id, tunnel);
    this.#byMark.add(tunnel.path.mark, tunnel);
  }

  /** The tunnel's sessions must have been removed before. */
  removeTunnel(tunnel: Tunnel): void {
    this.#tunnels.delete(tunnel.id);
    this.#byMark.remove(tunnel.path.mark, tunnel);
  }

  moveTunnel(tunnel: Tunnel, path: Path): void {
    this.#byMark.remove(tunnel.path.mark, tunnel);
    tunnel.path = path;
    this.#byMark.add(path.mark, tunnel);
  }

  tunnel(id: LocalTunnelId): Tunnel | undefined {
    return this.#tunnels.get(id);
  }

  tunnelsOfMark(mark: number): readonly Tunnel[] {
    return this.#byMark.of(mark);
  }

  tunnels(): IterableIterator<Tunnel> {
    return this.#tunnels.values();
  }

  addSession(session: Session): void {
    this.#sessions.set(key(session.ids.tunnelId, session.ids.sessionId), session);
    session.tunnel.sessions.set(session.ids.sessionId, session);
    this.#strangers.add(session.from, session);
  }

  removeSession(session: Session): void {
    this.#sessions.delete(key(session.ids.tunnelId, session.ids.sessionId));
    session.tunnel.sessions.delete(session.ids.sessionId);
    this.#unindex(session);
    this.#strangers.remove(session.from, session);
  }

  session(tunnelId: number, sessionId: number): Session | undefined {
    return this.#sessions.get(key(tunnelId, sessionId));
  }

  sessions(): IterableIterator<Session> {
    return this.#sessions.values();
  }

  get tunnelCount(): number {
    return this.#tunnels.size;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** How many sessions from this address have not authenticated. */
  strangersFrom(address: string): number {
    return this.#strangers.count(address);
  }

  /** The session has authenticated: known by user and address from now on. */
  identify(session: Session, user: string, address: string): void {
    session.user = user;
    session.address = address;
    this.#strangers.remove(session.from, session);
    this.#byUser.add(user, session);
    this.#byAddress.set(address, session);
  }

  /** The peer authenticates anew on the same session. */
  unidentify(session: Session): void {
    this.#unindex(session);
    this.#strangers.add(session.from, session);
    session.user = undefined;
    session.routes = undefined;
    session.address = undefined;
  }

  #unindex(session: Session): void {
    if (session.user !== undefined) this.#byUser.remove(session.user, session);
    if (session.address !== undefined && this.#byAddress.get(session.address) === session) {
      this.#byAddress.delete(session.address);
    }
  }

  sessionsOfUser(user: string): readonly Session[] {
    return this.#byUser.of(user);
  }

  /** By user name, inner address, session id (`tunnel/session` or `session`) or client address. */
  find(target: string): readonly Session[] {
    const byUser = this.#byUser.of(target);
    if (byUser.length > 0) return byUser;
    const byAddress = this.#byAddress.get(target);
    if (byAddress !== undefined) return [byAddress];
    return [...this.#sessions.values()].filter(
      (s) =>
        s.tunnel.path.remote === target ||
        `${s.ids.tunnelId}/${s.ids.sessionId}` === target ||
        String(s.ids.sessionId) === target,
    );
  }
}
