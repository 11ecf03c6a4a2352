/**
 * What the daemon sees of the IKE daemon and of the clock: small ports, each with an in-memory twin. Read RFC 3193 §3
 * (what L2TP must learn from IKE) and the VICI README of strongSwan first.
 */

/** Monotonic time in milliseconds with one alarm. */
export interface Clock {
  now(): number;
  /** Calls `ring` once at `at` (or soon after); replaces the former alarm. undefined = none. */
  arm(at: number | undefined, ring: () => void): void;
}

/** Something whose text is shown only on purpose: a pre-shared key. */
export interface Revealable {
  reveal(): string;
}

/** A VICI message as plain values. */
export interface ViciSection {
  readonly [key: string]: ViciValue;
}
export type ViciValue = string | readonly string[] | ViciSection;

/** One CHILD_SA. `mark` values are what the kernel puts on received datagrams and wants on sent ones. */
export interface ChildSa {
  readonly uniqueId: string;
  readonly name: string;
  readonly reqid: number;
  /** charon's name: INSTALLED, REKEYING, REKEYED, DELETED, ... */
  readonly state: string;
  /** TRANSPORT or TUNNEL. */
  readonly mode: string;
  /** ESP in UDP 4500 (NAT traversal). */
  readonly encap: boolean;
  /** 8 hex digits, as charon and `ip xfrm` print them. */
  readonly spiIn: string;
  readonly spiOut: string;
  readonly markIn: number;
  readonly markOut: number;
  /** AES_CBC, AES_GCM_16, 3DES_CBC, ... */
  readonly encrAlg: string;
  readonly encrKeysize?: number;
  /** HMAC_SHA1_96, ...; absent with an AEAD cipher. */
  readonly integAlg?: string;
  /** When charon deletes it, ms of Date.now(). */
  readonly expiresAt?: number;
  /** Counters as of the event: a session's own are those that go on. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
  /** `198.51.100.1/32[udp/l2f]`: charon prints port 1701 as l2f. */
  readonly localTs: readonly string[];
  readonly remoteTs: readonly string[];
}

/** One IKE_SA. Its `uniqueId` changes at reauthentication and reconnect: key sessions by the children's mark. */
export interface IkeSa {
  readonly uniqueId: string;
  /** The connection's name; `(unnamed)` until the peer is known. */
  readonly name: string;
  readonly version: number;
  /** Of initiator and responder; IKEv1 calls them cookies. Random, so no two SAs have the same. */
  readonly spis: string;
  /** CONNECTING, ESTABLISHED, DELETING, ... */
  readonly state: string;
  readonly localHost: string;
  readonly localPort: number;
  readonly remoteHost: string;
  readonly remotePort: number;
  readonly localId: string;
  /** Of a PSK client behind a NAT: its private address. */
  readonly remoteId: string;
  readonly natLocal?: boolean;
  readonly natRemote?: boolean;
  /** For people: `AES_CBC-256/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_2048`; empty until negotiated. */
  readonly cipher: string;
  readonly establishedSeconds?: number;
  /** When charon renews it, by rekeying or reauthentication, should the peer not do so before; ms of Date.now(). */
  readonly renewsAt?: number;
  readonly children: readonly ChildSa[];
}

export type IkeEvent =
  | { readonly type: 'connected' }
  | { readonly type: 'lost' }
  /** All that exists; follows every (re)connect. */
  | { readonly type: 'snapshot'; readonly sas: readonly IkeSa[] }
  | { readonly type: 'ike-updown'; readonly up: boolean; readonly sa: IkeSa }
  /** `sa.children` holds the one child this is about. */
  | { readonly type: 'child-updown'; readonly up: boolean; readonly sa: IkeSa }
  /** `sa.children` holds `old` and `new`. A client that crashed and returns from the same endpoint arrives like this. */
  | { readonly type: 'child-rekey'; readonly sa: IkeSa; readonly old: ChildSa; readonly new: ChildSa }
  | { readonly type: 'ike-rekey'; readonly old: IkeSa; readonly new: IkeSa }
  /** Endpoints moved (NAT rebinding, float to 4500): `sa` carries the new ones. */
  | { readonly type: 'ike-update'; readonly sa: IkeSa }
  | IkeLogEvent;

export interface IkeLogEvent {
  readonly type: 'log';
  /** ENC, IKE, CFG, NET, KNL, ... */
  readonly group: string;
  readonly level: number;
  readonly ikeName?: string;
  readonly ikeUniqueId?: string;
  readonly message: string;
}

/** A pre-shared key; `owners` are addresses, CIDR prefixes or identities, none = anyone. */
export interface IkeSecret {
  readonly id: string;
  readonly owners: readonly string[];
  readonly secret: Revealable;
}

/** What charon is handed of certificates. */
export interface IkeCertificate {
  readonly type: 'X509' | 'X509_CRL';
  /** CA: a trust anchor. A connection names those it takes. */
  readonly flag: 'NONE' | 'CA';
  /** PEM, or DER. */
  readonly data: string | Uint8Array;
}

/** A drop policy that must stand before UDP 1701 opens. */
export interface IkeShunt {
  /** Name of connection and child. */
  readonly name: string;
  /** Our address, `a.b.c.d` or `h:h::`. */
  readonly address: string;
}

/** All that charon is told. Whatever else it has loaded is unloaded: it is our private one. */
export interface IkePolicy {
  readonly secrets: readonly IkeSecret[];
  readonly certificates: readonly IkeCertificate[];
  /** Private keys, PEM. */
  readonly keys: readonly Revealable[];
  /** Connection name -> what `load-conn` takes; the shunts included. */
  readonly connections: Readonly<Record<string, ViciSection>>;
  readonly shunts: readonly IkeShunt[];
}

export interface IkeMonitor {
  /** One listener; events in the order charon raised them. */
  onEvent(listener: (event: IkeEvent) => void): void;
  /** Connects and reconnects on its own until close(). After each connect: subscribes, then `snapshot`. */
  start(): void;
  /** Rejects with a sentence that names what charon refused; the text never holds a secret. */
  loadPolicy(policy: IkePolicy): Promise<void>;
  /**
   * The same while clients are connected: SAs live on under what they were made with, and what is as it was in the policy
   * loaded before (the drop shunts above all) is not touched.
   */
  changePolicy(policy: IkePolicy): Promise<void>;
  /** Whether `list-policies` shows the drop shunt of every listen address of the policy last loaded. */
  policiesConfirmed(): Promise<boolean>;
  /** Deletes the IKE_SA and its children, telling the peer; resolves when charon has queued it. An id that is gone is fine. */
  terminate(ikeUniqueId: string): Promise<void>;
  listSas(): Promise<readonly IkeSa[]>;
  close(): Promise<void>;
}
