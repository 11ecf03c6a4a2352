/**
 * The interface of the data plane, obeyed by the native addon (`index.ts`) and by its in-memory twin (`memory.ts`).
 * The same contract tests run against both. A faster packet thread must not need a different interface.
 */

/** Where a datagram came from or goes to. IPv6 addresses in the RFC 5952 form, without a zone. */
export interface Path {
  /** The CHILD_SA's mark (SO_RCVMARK in, SO_MARK out). 0 = no SA; never sent, never accepted (except raw listeners). */
  readonly mark: number;
  /** Our address the datagram was sent to, and is answered from (IP_PKTINFO). */
  readonly local: string;
  readonly remote: string;
  readonly remotePort: number;
}

/** A socket bound to `address`:`port`; the inbound IP_XFRM_POLICY (ESP transport required) is set before bind. */
export interface Listener {
  readonly address: string;
  /** 1701; another port only in tests. */
  readonly port?: number;
  /**
   * Raw mode (design: "listen.raw"): no policy, no mark, datagrams accepted with mark 0 from these peers only.
   * Absent by default: then mark 0 is dropped in the thread.
   */
  readonly raw?: { readonly interface: string; readonly peers: readonly string[] };
}

/** `a.b.c.d/n` or `h:h::/n`. */
export type Prefix = string;

export interface SessionSpec {
  /** Our ids: what the peer writes in the header. 1..65535 */
  readonly tunnelId: number;
  readonly sessionId: number;
  /** The peer's ids: what we write. */
  readonly peerTunnelId: number;
  readonly peerSessionId: number;
  /** Every data packet must come from here (RFC 3193 §3.3); packets of the session are sent here. */
  readonly path: Path;
}

/** What may change while a session lives. */
export interface SessionState {
  /**
   * Whether IP passes. Closed (the default): PPP control frames pass up, IP is counted and dropped. Opened *before*
   * the IPCP Configure-Ack that may open the peer is sent.
   */
  readonly open?: boolean;
  /** Source addresses accepted from the peer and destinations routed to it (longest match). Replaces the former list. */
  readonly prefixes?: readonly Prefix[];
  /** Largest inner packet sent to the peer, octets. Larger ones get ICMP frag-needed / packet-too-big. For IPv6 at least 1280. */
  readonly mtu?: number;
  /** Clamp TCP MSS of SYNs both ways to mtu - 40 (IPv4) / - 60 (IPv6). Default true. */
  readonly clampMss?: boolean;
  /**
   * Bits per second of inner IP packets, from the peer (up) and to it (down); 0 = no limit, the default. What exceeds it is
   * dropped; a tenth of a second's worth passes at once, at least 131 070 octets. PPP frames do not count. Setting it
   * fills the bucket.
   */
  readonly limit?: { readonly up: number; readonly down: number };
  /** Peer accepts frames without ff03 (ACFC negotiated); the protocol field is never compressed on send. */
  readonly acfc?: boolean;
  /**
   * Write sequence numbers (S bit) in every data message, and drop those of the peer that come late or twice (RFC 2661
   * §5.4); nothing is held back to be put in order. Default false: the peer's numbers are not looked at.
   */
  readonly sequencing?: boolean;
  /**
   * DSCP of the outer packets: that of the packet inside (`copy`), or one for all, 0 to 63. ECN is always Not-ECT. PPP frames
   * have 0 with `copy`. Default 0.
   */
  readonly dscp?: 'copy' | number;
  /**
   * While packets to the peer wait for room in the send buffer: those of at most 256 octets that are no data of a TCP
   * connection before the others. Default false.
   */
  readonly smallFirst?: boolean;
  /**
   * With `sequencing`: so many messages of the peer, 0 to 64, that came before their time are held until what is missing has
   * come, for 100 ms at most; default 0. Nothing is lost but what comes later than that, or twice.
   */
  readonly reorder?: number;
  /** Write the L bit (Length) in data headers; default true. O and P are never written. */
  readonly lengthBit?: boolean;
}

/** 64-bit counters as bigint. "In" is from the peer, "out" towards it; octets are of inner IP packets. */
export interface SessionCounters {
  readonly packetsIn: bigint;
  readonly octetsIn: bigint;
  readonly packetsOut: bigint;
  readonly octetsOut: bigint;
  readonly drops: Readonly<Partial<Record<SessionDrop, bigint>>>;
  /** Monotonic clock (CLOCK_MONOTONIC) in ms of the last data packet in either direction; 0 = none yet. */
  readonly lastTraffic: number;
}

export const SESSION_DROPS = [
  'path', // wrong mark, address or port: RFC 3193 §3.3
  'closed', // IP before the session was opened
  'spoof', // inner source outside the session's prefixes
  'malformed', // PPP or IP header that cannot be
  'multicast', // other broadcast/multicast
  'too-big', // larger than mtu, answered with ICMP; punted and larger than 1500 octets; a frame larger than a datagram
  'rate', // PPP control frames and punted packets above their limits
  'send', // sendmmsg refused it (EPERM, ENOBUFS, ...)
  'tun', // the TUN device refused it
  'limit', // above the session's limit
  'sequence', // out of order, with sequencing
  'queue', // there was no room in the send buffer, and this session held most or the packet waited too long
] as const;
export type SessionDrop = (typeof SESSION_DROPS)[number];

/** Drops that belong to no session. */
export const GLOBAL_DROPS = [
  'mark-zero', // not from an SA
  'mark-unknown', // data under an unconfirmed mark
  'no-session', // unknown (tunnel id, session id)
  'no-route', // from the TUN: no session has the destination
  'short', // no room for an L2TP header
  'version', // not L2TPv2
  'queue-full', // the upcall queue was full
  'unconfirmed-send', // a send asked for under a mark that is not confirmed
  'send', // a control packet sendmmsg refused
  'raw-peer', // raw listener, peer not in its list
  'control-rate', // control messages of one mark above their limit
  'port-zero', // from UDP port 0, to which nothing can be answered (RFC 768)
] as const;
export type GlobalDrop = (typeof GLOBAL_DROPS)[number];

export type Upcall =
  /** An L2TP control datagram (T bit set). `confirmed` = its mark is confirmed (or its listener is raw). */
  | { readonly kind: 'control'; readonly path: Path; readonly confirmed: boolean; readonly data: Uint8Array }
  /**
   * A PPP frame of a session that is not transit: everything but IP (0021) and IPv6 (0057). `data` starts at the
   * protocol field, always as two octets (ff03 and PFC already undone).
   */
  | { readonly kind: 'frame'; readonly tunnelId: number; readonly sessionId: number; readonly data: Uint8Array }
  /**
   * An IP packet of an open session that JS answers: DHCP to everyone or to `gateway` (UDP/67), DHCPv6 to everyone
   * (UDP/547), a router or neighbour solicitation. Rate-limited.
   */
  | { readonly kind: 'punt'; readonly tunnelId: number; readonly sessionId: number; readonly data: Uint8Array }
  /**
   * First packet in 10 s that this peer sent for a session of another path: mark, address or port (counted, never answered).
   * Of a peer without a mark: the first for this session.
   */
  | { readonly kind: 'violation'; readonly tunnelId: number; readonly sessionId: number; readonly path: Path };

export interface DataplaneOptions {
  /** TUN queues (file descriptors; duplicated, the caller keeps its own). One is enough. */
  readonly tunFds: readonly number[];
  /** The TUN was opened with IFF_VNET_HDR: every read and write carries a 10-octet virtio_net_hdr. */
  readonly vnetHeader: boolean;
  /** UDP receive buffer to force, octets; default 4 MiB. */
  readonly receiveBuffer?: number;
  /** Sessions the table holds; default 65536, at most 2^20. One more is ENOSPC. */
  readonly maxSessions?: number;
  /** Our own addresses inside: DHCP to them is handed up, to any other server it is transit. */
  readonly gateway?: readonly string[];
  /** Called on the JS thread with what the packet thread handed up, in order of arrival. */
  readonly onUpcalls: (batch: readonly Upcall[]) => void;
  /** A fatal error of the thread (never of a packet): the data plane is closed after it. */
  readonly onError: (error: Error) => void;
}

export interface ControlPacket {
  readonly path: Path;
  readonly data: Uint8Array;
}

export interface FrameOptions {
  /** With the DF bit on the outer packet, to learn what the path carries; default false. */
  readonly dontFragment?: boolean;
}

/**
 * Calls may be made from the JS thread at any time; each is applied in order by the packet thread. After close() every
 * method throws DataplaneClosed.
 */
export interface Dataplane {
  /** Opens the sockets; all or none. Throws DataplaneError with errno. */
  listen(listeners: readonly Listener[]): void;
  /** Closes all sockets; sessions stay in the table but nothing is received or sent. Idempotent. */
  unlisten(): void;
  readonly listening: boolean;

  /** Nothing is sent and no data accepted under a non-zero mark until it is confirmed. */
  confirmMark(mark: number): void;
  forgetMark(mark: number): void;
  /** Data packets that came under a confirmed mark for sessions of another path (RFC 3193 §3.3); else 0. */
  violations(mark: number): bigint;

  /** Throws DataplaneError EEXIST / ENOSPC (table full). Closed for IP until updateSession opens it. */
  addSession(spec: SessionSpec, state?: SessionState): void;
  /** Throws DataplaneError ENOENT. */
  updateSession(tunnelId: number, sessionId: number, state: SessionState): void;
  /** Moves every session of the tunnel to a new path (NAT rebinding: new port, same mark). */
  movePath(tunnelId: number, path: Path): void;
  /** Returns what was counted, but for packets being forwarded at this moment; undefined when there was none. */
  removeSession(tunnelId: number, sessionId: number): SessionCounters | undefined;
  sessionCounters(tunnelId: number, sessionId: number): SessionCounters | undefined;
  globalCounters(): Readonly<Partial<Record<GlobalDrop, bigint>>>;

  /** Queues control datagrams; they leave in order. */
  sendControl(packets: readonly ControlPacket[]): void;
  /** Sends a PPP frame on a session, opened for IP or not. `frame` starts at the 2-octet protocol field; one of more than 65 493 octets is dropped. */
  sendFrame(tunnelId: number, sessionId: number, frame: Uint8Array, options?: FrameOptions): void;
  /** Resolves when everything queued before the call is past sendmsg (the barrier of design section 5). */
  flush(): Promise<void>;

  /** Stops the thread, closes sockets and descriptors. Idempotent. */
  close(): Promise<void>;
}
