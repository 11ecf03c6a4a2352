/**
 * What a native client is, as data: what it offers in IKE, which octets its L2TP messages have, which options its PPP lists in
 * which order, when it sends what. One file for each client; emulator.ts makes it speak. Facts and their sources:
 * the sections named in each file are those of the project's notes on native clients (vendors' sources, specifications, logs).
 */
import type { AuthMethod } from '../../src/proto/ppp/events.js';
import type { IpcpOption } from '../../src/wire/ppp/ipcp.js';
import type { LcpOption } from '../../src/wire/ppp/lcp.js';

/** Control messages whose octets a client fixes; a HELLO is nothing but its type. */
export type Image = 'SCCRQ' | 'SCCCN' | 'ICRQ' | 'ICCN' | 'CDN' | 'StopCCN';

export interface L2tp {
  /** UDP source port; 0 is one of its own for each dial. */
  readonly port: 1701 | 0;
  /**
   * The AVPs of each message in hex, one after the other as they go out; spaces help the eye. `<tunnel>` and `<session>` are the
   * ids the client assigns. The header before them is the same with all clients: flags c802.
   */
  readonly images: Readonly<Record<Image, string>>;
  /** The ids it assigns first. */
  readonly tunnelId: number;
  readonly sessionId: number;
  /** Its receive window, as in its SCCRQ (absent there: 4). */
  readonly window: number;
  /** Each message goes out when the one before it is acknowledged, and PPP starts after that of the ICCN. */
  readonly stopAndWait: boolean;
  /** First interval, longest interval, repeats; and how long it waits for SCCRP or ICRP. */
  readonly retransmit: { readonly initialMs: number; readonly capMs: number; readonly tries: number };
  readonly setupTimeoutMs: number;
  /** How long it keeps back an acknowledgement that no message of its own carries. */
  readonly ackDelayMs: number;
  /** 0: it sends none. */
  readonly helloIntervalMs: number;
  /** Packets of the gateway start the silence before a HELLO anew. */
  readonly trafficDelaysHello: boolean;
  /** HELLOs to tunnel 0 before the SCCRQ. */
  readonly hellosToTunnelZero: number;
  /** Octets of the header of its data messages: with or without Length. */
  readonly dataLength: boolean;
  /** What its user's "disconnect" sends, in order; LCP is a Terminate-Request. */
  readonly goodbye: readonly ('LCP' | 'CDN' | 'StopCCN')[];
  /** Control messages it throws away, by the rules of its own parser. */
  readonly dropsUnless?: (datagram: Uint8Array) => boolean;
  /** A HELLO before the session is up kills its dial. */
  readonly helloKillsDial?: true;
  /** It looks over a Challenge and sends no response. */
  readonly ignoresChallenge?: true;
}

export interface Ppp {
  /** 1500: no MRU option. */
  readonly mru: number;
  /** Options of its first LCP Configure-Request besides MRU and Magic-Number. */
  readonly lcp: readonly LcpOption[];
  /** Options of its first IPCP Configure-Request. */
  readonly ipcp: readonly IpcpOption[];
  readonly firstId: number;
  /** One counter for LCP and all NCPs. */
  readonly sharedIds: boolean;
  /** Control packets of other protocols, before its IPCP and after, from their protocol number on; `<id>` is an Identifier. */
  readonly ncpsBefore: readonly string[];
  readonly ncpsAfter: readonly string[];
  /** LCP Identification (code 12), sent when LCP opens: hex or text. */
  readonly identifications: readonly string[];
  /** Configure-Requests of ours that it leaves unanswered. */
  readonly deafFor: number;
  /** Says nothing before it has heard of us, for so long. */
  readonly connectDelayMs: number;
  /** Methods it lets itself be authenticated by. */
  readonly auth: readonly AuthMethod[];
  /** LCP Echo-Requests: 0 none. `atOnce`: the first when LCP opens. */
  readonly echo: { readonly intervalMs: number; readonly failures: number; readonly atOnce?: true };
  /** Leaves out ff03 and the first octet of the protocol, but for LCP: never, or always. */
  readonly compresses: boolean;
  /** Windows: signature and error number as the data of its Terminate-Request. */
  readonly terminateData?: string;
  /** DHCPINFORM once IPCP is open: the DHCP message in hex, `<address>` is its own. */
  readonly dhcpInform?: { readonly message: string; readonly times: number; readonly everyMs: number };
}

/** `aes256-sha1-modp2048`; ESP `aes256-sha1`: charon's words. */
export type Suite = string;

export interface Ike {
  readonly mode: 'main' | 'aggressive';
  /** One proposal; its transforms in order. */
  readonly offers: readonly Suite[];
  readonly lifetime: number;
  /** How a transform's attributes are written: see main-mode.ts. */
  readonly encoding: 'microsoft' | 'racoon';
  readonly vendorIds: readonly string[];
  readonly nonce: number;
  /** Identity of the first phase: its private address, or a KEY_ID. */
  readonly identity: 'address' | { readonly keyId: string };
  readonly initialContact: 'none' | 'with identity' | 'informational';
  /** Whether it answers DPD, and whether it asks. */
  readonly dpd: 'none' | 'announces' | 'probes';
}

export interface Esp {
  /** Proposals of one transform each, or one proposal with all. */
  readonly shape: 'proposals' | 'transforms';
  readonly offers: readonly Suite[];
  readonly lifetime: number;
  readonly kilobytes?: number;
  /** Its KE group in Quick Mode. */
  readonly pfs?: string;
  readonly natOa: boolean;
  /** The port in its own traffic selector. */
  readonly source: '1701' | 'ephemeral' | 'any';
  /** When it rekeys, in parts of the lifetime; nothing: when its own software does. */
  readonly rekeysAt?: number;
}

export interface NativeClient {
  readonly name: string;
  readonly title: string;
  readonly ike: Ike;
  readonly esp: Esp;
  readonly l2tp: L2tp;
  readonly ppp: Ppp;
  /** Facts that are inferred or in conflict, and the client with each of them the other way round. */
  readonly otherwise: Readonly<Record<string, NativeClient>>;
  /** The transform our charon takes of its offers; with `legacy`, one it takes only with `ike.legacy`. */
  readonly chosen: { readonly suite: Suite; readonly legacy?: true };
}

/** A client that differs from another in some of its parts. */
export type Changes = {
  readonly [K in 'ike' | 'esp' | 'l2tp' | 'ppp']?: Partial<NativeClient[K]>;
} & Partial<Pick<NativeClient, 'name' | 'title' | 'chosen'>>;

export const variant = (base: NativeClient, changes: Changes): NativeClient => ({
  ...base,
  ...changes,
  ike: { ...base.ike, ...changes.ike },
  esp: { ...base.esp, ...changes.esp },
  l2tp: { ...base.l2tp, ...changes.l2tp },
  ppp: { ...base.ppp, ...changes.ppp },
  otherwise: {},
});

/** The client with the other halves of its doubtful facts. */
export const doubting = (base: NativeClient, others: Readonly<Record<string, Changes>>): NativeClient => ({
  ...base,
  otherwise: Object.fromEntries(Object.entries(others).map(([fact, changes]) => [fact, variant(base, changes)])),
});

/** The images of a client with some of another. */
export const images = (base: NativeClient, own: Partial<L2tp['images']>): L2tp['images'] => ({
  ...base.l2tp.images,
  ...own,
});

export const ascii = (text: string): string => Buffer.from(text, 'latin1').toString('hex');
