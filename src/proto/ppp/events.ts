/** What goes into and comes out of a PPP link machine. RFC 1661 §3.2 (phases). */
import type { Random } from '../machine.js';

/** Frames start at the 2-octet protocol field; ff03 and PFC are the data plane's business. */
export type LinkIn =
  | { readonly type: 'lower-up' }
  /** The layer below is gone: no frame can be sent any more. */
  | { readonly type: 'lower-down' }
  | { readonly type: 'frame'; readonly data: Uint8Array }
  /** Answer to `authenticate`. */
  | { readonly type: 'auth-result'; readonly result: AuthResult }
  /** The other answer to `authenticate`, when its method is `eap`: whoever decides wants to ask the peer more. */
  | { readonly type: 'eap-request'; readonly challenge: EapChallenge }
  /** Administrative close: LCP Terminate-Request, then `down`. */
  | { readonly type: 'close'; readonly reason: string }
  /** Watch which of these sizes (octets of an IP packet, largest first; the first is in use) pass the path. */
  | { readonly type: 'probe-mtu'; readonly sizes: readonly number[] };

export type LinkOut =
  /** `whole`: no router may fragment it (outer DF). */
  | { readonly type: 'frame'; readonly data: Uint8Array; readonly whole?: true }
  /** What the path carries has changed. */
  | { readonly type: 'path-mtu'; readonly mtu: number }
  /** LCP opened with these; `mru` is what the peer accepts to receive (our limit when sending to it). */
  | { readonly type: 'lcp-up'; readonly mru: number; readonly acfc: boolean; readonly pfc: boolean }
  /** `eap`: the method runs within EAP. */
  | { readonly type: 'authenticate'; readonly request: AuthRequest; readonly eap?: true }
  /** Open the data plane for IP now: comes *before* the frame with the IPCP Configure-Ack that may open the peer. */
  | { readonly type: 'ip-open'; readonly address: string }
  /** Network phase reached: IPCP is open both ways. */
  | { readonly type: 'up'; readonly user: string; readonly address: string }
  /** IPCP closed again while LCP lives. */
  | { readonly type: 'ip-close' }
  /** Let the peer's IPv6 in now: comes *before* the IPV6CP Configure-Ack. `interfaceId`: of its link-local address, 8 octets. */
  | { readonly type: 'ipv6-open'; readonly interfaceId: Uint8Array }
  /** IPV6CP is open both ways: it can be told its prefix. */
  | { readonly type: 'ipv6-up' }
  | { readonly type: 'ipv6-close' }
  /** The link is over. `hint` is advice for a person at 2 a.m. */
  | {
      readonly type: 'down';
      readonly by: 'local' | 'peer' | 'lower' | 'timeout' | 'auth' | 'protocol';
      readonly reason: string;
      readonly hint?: string;
    }
  | { readonly type: 'note'; readonly event: string; readonly fields: Record<string, unknown> };

export type AuthMethod = 'mschapv2' | 'chap-md5' | 'pap' | 'eap';

/** The methods we have within EAP: RFC 3748 §5.4, draft-kamath-pppext-eap-mschapv2. */
export type EapMethod = 'mschapv2' | 'md5';

/** Everything the user store (or, later, RADIUS) needs to decide. Nothing here may be logged but `user` and `method`. */
export type AuthRequest =
  | { readonly method: 'pap'; readonly user: string; readonly password: string }
  | {
      readonly method: 'chap-md5';
      readonly user: string;
      readonly id: number;
      readonly challenge: Uint8Array;
      readonly response: Uint8Array;
    }
  | {
      readonly method: 'mschapv2';
      readonly user: string;
      readonly id: number;
      readonly authenticatorChallenge: Uint8Array;
      readonly peerChallenge: Uint8Array;
      readonly ntResponse: Uint8Array;
    }
  /** RFC 2759 §7, after a refusal with `change`: the response is that of the new password. */
  | {
      readonly method: 'mschapv2-change';
      readonly user: string;
      readonly id: number;
      readonly authenticatorChallenge: Uint8Array;
      readonly peerChallenge: Uint8Array;
      readonly ntResponse: Uint8Array;
      readonly encryptedPassword: Uint8Array;
      readonly encryptedHash: Uint8Array;
    }
  /** A Response for whoever decides the EAP methods (RFC 3748 §2.3); only with `LinkConfig.eap` 'pass-through'. */
  | {
      readonly method: 'eap';
      /** Of the Identity Response, in every round (RFC 3579 §2.1: User-Name). */
      readonly user: string;
      /** The whole EAP packet (EAP-Message). */
      readonly packet: Uint8Array;
      /** Of the last EapChallenge; absent in the first round (State). */
      readonly state?: Uint8Array;
      /** Longest EAP packet that the peer takes (Framed-MTU). */
      readonly mtu: number;
    };

/** RFC 3579 §2.1: a Request for the peer, as in an Access-Challenge. */
export interface EapChallenge {
  /** The whole EAP packet. */
  readonly packet: Uint8Array;
  /** Comes back with the Response to it. */
  readonly state?: Uint8Array;
  /** Wait before the Request is sent again (RFC 3579 §3.2: Session-Timeout). */
  readonly retransmitMs?: number;
}

export type AuthResult =
  | {
      readonly ok: true;
      readonly user: string;
      /** MS-CHAPv2: `S=<40 hex>` is built from these 20 octets (RFC 2759 §5). */
      readonly authenticatorResponse?: Uint8Array;
      readonly address: string;
      readonly dns: readonly string[];
      readonly nbns: readonly string[];
    }
  | {
      readonly ok: false;
      /** RFC 2759 §6: 646 hours, 647 disabled, 648 expired, 649 no dial-in, 691 authentication failure, 709 change failed. */
      readonly code: 646 | 647 | 648 | 649 | 691 | 709;
      /** The peer may try again on this link (MS-CHAPv2 R=1). */
      readonly retry: boolean;
      /** With 648: the peer may set a new password now, if its method can (RFC 2759 §7). */
      readonly change?: true;
      readonly message: string;
    };

/** Whether another peer on the same IPv6 prefix has this interface identifier. */
export type InterfaceIdTaken = (interfaceId: Uint8Array) => boolean;

export interface LinkConfig {
  /** Our interface identifier, 8 octets; absent: no IPv6, IPV6CP is rejected. */
  readonly ipv6?: Uint8Array;
  /** Our end's address in IPCP. */
  readonly localAddress: string;
  /** MRU we announce: what we accept to receive. */
  readonly mru: number;
  /** In order of preference; never empty. */
  readonly auth: readonly AuthMethod[];
  /** What EAP offers, in order of preference, never empty; or somebody else decides. */
  readonly eap: readonly EapMethod[] | 'pass-through';
  /** Name sent in CHAP Challenges. */
  readonly name: string;
  readonly echoIntervalMs: number;
  readonly echoFailures: number;
  /** Between two probes of the path MTU; 0: none. */
  readonly mtuProbeIntervalMs: number;
  /** Whole time allowed from lower-up to up. */
  readonly setupTimeoutMs: number;
  /** Passwords the peer may try on one link. */
  readonly authTries: number;
  readonly random: Random;
}
