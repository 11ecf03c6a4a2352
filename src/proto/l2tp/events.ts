/** What goes into and comes out of the L2TP endpoint. RFC 2661 §5, §7; RFC 3193 §3.3. */
import type { CallErrors, ResultCode } from '../../wire/l2tp/codes.js';

/** Local and peer ids are different types: what we assigned, and what we must write in a header. */
export type LocalTunnelId = number & { readonly __side: 'local-tunnel' };
export type PeerTunnelId = number & { readonly __side: 'peer-tunnel' };
export type LocalSessionId = number & { readonly __side: 'local-session' };
export type PeerSessionId = number & { readonly __side: 'peer-session' };

/** The way a tunnel's packets travel; every packet of a tunnel must match it in all fields (RFC 3193 §3.3). */
export interface Path {
  readonly mark: number;
  readonly local: string;
  readonly remote: string;
  readonly remotePort: number;
}

export type EndpointIn =
  | { readonly type: 'datagram'; readonly path: Path; readonly data: Uint8Array }
  /** LAC role: dial. `id` comes back in tunnel-up / tunnel-down. */
  | { readonly type: 'open-tunnel'; readonly path: Path; readonly ref: string }
  /** LAC role: place an incoming call on an established tunnel. */
  | { readonly type: 'open-session'; readonly tunnelId: LocalTunnelId; readonly ref: string }
  | { readonly type: 'close-tunnel'; readonly tunnelId: LocalTunnelId; readonly result: ResultCode }
  | {
      readonly type: 'close-session';
      readonly tunnelId: LocalTunnelId;
      readonly sessionId: LocalSessionId;
      readonly result: ResultCode;
    }
  /** The SA below is gone: forget the tunnel and its sessions at once, with nothing sent. */
  | { readonly type: 'abandon-tunnel'; readonly tunnelId: LocalTunnelId }
  /** The same for every tunnel under this mark, those being set up, closing or lingering included. */
  | { readonly type: 'abandon-mark'; readonly mark: number }
  /** The same for all tunnels but those without IPsec (mark 0): every SA is void. */
  | { readonly type: 'abandon-marked' }
  /** NAT rebinding: same mark, new remote port/address. */
  | { readonly type: 'move-path'; readonly tunnelId: LocalTunnelId; readonly path: Path }
  /** Data arrived on the tunnel: silence for HELLO starts anew (RFC 2661 §5.5). */
  | { readonly type: 'traffic'; readonly tunnelId: LocalTunnelId }
  /** Send a HELLO now (reconnect check of an older tunnel). */
  | { readonly type: 'probe'; readonly tunnelId: LocalTunnelId };

export type EndpointOut =
  | { readonly type: 'send'; readonly path: Path; readonly data: Uint8Array }
  | { readonly type: 'tunnel-up'; readonly tunnelId: LocalTunnelId; readonly peer: TunnelPeer; readonly ref?: string }
  /**
   * The tunnel is over. `local`/`peer`/`timeout`... says who ended it. Its sessions' session-down came before.
   * With `by: 'peer'` the ZLB for the StopCCN is among the sends before it, and its state lingers inside the endpoint
   * to re-acknowledge retransmissions (RFC 2661 §5.7); `tunnel-gone` follows when even that is over.
   */
  | {
      readonly type: 'tunnel-down';
      readonly tunnelId: LocalTunnelId;
      readonly by: EndedBy;
      readonly result?: ResultCode;
      /** The peer's StopCCN names another address to dial (RFC 3193 §4): whoever dialled may follow it. */
      readonly redirect?: string;
      readonly ref?: string;
    }
  /** Nothing of the tunnel is left: our StopCCN was acknowledged or timed out, or the linger time is over. */
  | { readonly type: 'tunnel-gone'; readonly tunnelId: LocalTunnelId }
  /** ICRQ accepted (LNS) or ICRP received (LAC): install the session in the data plane now, closed for IP. */
  | { readonly type: 'session-open'; readonly session: SessionIds; readonly path: Path }
  /** ICCN done: start PPP. */
  | { readonly type: 'session-up'; readonly session: SessionIds; readonly call: CallInfo; readonly ref?: string }
  | {
      readonly type: 'session-down';
      readonly session: SessionIds;
      readonly by: EndedBy;
      readonly result?: ResultCode;
      readonly cause?: CallErrors;
      readonly ref?: string;
    }
  /** A fact worth a log line: malformed packets, wrong path, refused SCCRQ... Never answered unless the RFC says so. */
  | { readonly type: 'note'; readonly event: string; readonly path?: Path; readonly fields: Record<string, unknown> };

export type EndedBy = 'local' | 'peer' | 'timeout' | 'abandoned' | 'protocol';

export interface SessionIds {
  readonly tunnelId: LocalTunnelId;
  readonly sessionId: LocalSessionId;
  readonly peerTunnelId: PeerTunnelId;
  readonly peerSessionId: PeerSessionId;
}

export interface TunnelPeer {
  readonly peerTunnelId: PeerTunnelId;
  readonly hostName: string;
  /** The Host Name AVP ended with a NUL, which is not in `hostName`: Apple. */
  readonly nulName?: boolean;
  readonly vendorName?: string;
  readonly firmware?: number;
  readonly receiveWindow: number;
  readonly path: Path;
}

export interface CallInfo {
  readonly callSerial: number;
  readonly txConnectSpeed?: bigint;
  readonly rxConnectSpeed?: bigint;
  readonly framingType?: number;
  readonly calledNumber?: string;
  readonly callingNumber?: string;
  readonly sequencingRequired: boolean;
}
