/**
 * What charon is told: only peers protected by ESP in transport mode may speak L2TP, and each of them under a mark of
 * its own. Pure. Read RFC 3193 §2-§4 and strongSwan's swanctl.conf(5) first; the names below are VICI's.
 */
import { BlockList, isIP } from 'node:net';
import type { IkeCertificate, IkePolicy, IkeSa, IkeSecret, IkeShunt, Revealable, ViciSection } from '../io/ports.js';
import type { Certificates } from './certificates.js';

export interface PskSetting {
  readonly secret: Revealable;
  /**
   * Addresses or prefixes of the peers that use it. Not identities: IKEv1 Main Mode must choose the key before the identity
   * is readable (RFC 2409 §5.4).
   */
  readonly peers?: readonly string[];
  /** The identity of the one peer that uses it; IKEv2, or Aggressive Mode. Without peers and id: everyone's. */
  readonly id?: string;
}

export interface IpsecSettings {
  /** Our addresses; IPv4 and IPv6, at least one. No wildcards: a shunt for 0.0.0.0/0 would also block forwarded L2TP. */
  readonly listen: readonly string[];
  readonly secrets: readonly PskSetting[];
  /** Aggressive Mode for the secrets with an id, and for no other. */
  readonly aggressive?: boolean;
  /** Nobody knows a key that charon would take from everyone: an identity's key can prove the identity in IKEv2, too. */
  readonly keysProve?: boolean;
  readonly certificates?: Certificates | null;
  /** Also accept what only old clients need: MODP 1024 and 3DES without a stronger group, 3DES ESP. */
  readonly legacy?: boolean;
  /** Instead of the built-in lists, best first. */
  readonly proposals?: readonly string[];
  readonly espProposals?: readonly string[];
  /**
   * Seconds; above every client's own (IKE: RouterOS 86400, ESP: Android 28800), so that the client rekeys and never
   * collides with us. After ikeLifetime we reauthenticate; an ESP SA older than espLifetime ends. 0 = never.
   */
  readonly ikeLifetime?: number;
  readonly espLifetime?: number;
  /** Liveness probes (RFC 3706) to peers that announced them, seconds; 0 = none. */
  readonly dpdDelay?: number;
  readonly dpdTimeout?: number;
}

/** Name of the connection and of every child. */
export const CONNECTION = 'l2tp';
export const CERTIFICATE_CONNECTION = 'l2tp-certificate';
export const SHUNT_PREFIX = 'l2tp-cleartext-';
const IDENTITY_PREFIX = 'l2tp-id-';
const AGGRESSIVE_PREFIX = 'l2tp-aggressive-';

/** Windows, Apple, Android >= 12, ChromeOS, NetworkManager and routers: what each offers first or second. */
const IKE_PROPOSALS = [
  'aes256gcm16-prfsha384-ecp384',
  'aes256-sha384-ecp384',
  'aes256-sha256-ecp256',
  'aes256-sha256-modp2048',
  'aes128-sha256-modp2048',
  'aes256-sha1-modp2048',
  'aes256-sha1-ecp384',
  'aes128-sha1-ecp256',
  'aes128-sha1-modp2048',
  'aes256-sha1-modp1536',
  '3des-sha1-modp2048',
];
/** Android <= 11, old Apple, TP-Link, RouterOS. */
const IKE_LEGACY = ['aes256-sha1-modp1024', 'aes128-sha1-modp1024', '3des-sha1-modp1024', '3des-md5-modp1024'];

/** SHA-2 after SHA-1: old peers truncate HMAC-SHA-256 to 96 bits and then no packet verifies. */
const ESP_SUITES = ['aes256gcm16', 'aes128gcm16', 'aes256-sha1', 'aes128-sha1', 'aes256-sha256', 'aes128-sha256'];
const ESP_LEGACY = ['3des-sha1'];
/** MODP 1024 is RouterOS' default, and takes nothing from the key of the first phase that it is mixed into (RFC 2409 §5.5). */
const PFS_GROUPS = 'ecp384-ecp256-modp2048-modp1536-modp1024';

const DEFAULTS = { ikeLifetime: 90_000, espLifetime: 32_400, dpdDelay: 30, dpdTimeout: 150 };

/** Replays are looked for in this many packets: a multi-queue path reorders more than the default of 32. */
const REPLAY_WINDOW = 1024;

/** Throws on our own bug (no address, a wildcard); configuration has been checked before. */
export function ipsecPolicy(settings: IpsecSettings): IkePolicy {
  const { listen } = settings;
  if (listen.length === 0) throw new Error('ipsecPolicy: no listen address');
  for (const a of listen) {
    if (isIP(a) === 0 || a === '0.0.0.0' || a === '::') throw new Error(`ipsecPolicy: ${a} is not one address`);
  }
  const shunts = [...new Set(listen)].map((address): IkeShunt => ({ name: `${SHUNT_PREFIX}${address}`, address }));
  const { certificates } = settings;
  return {
    secrets: secrets(settings.secrets),
    certificates: certificates ? certificatesOf(certificates) : [],
    keys: certificates ? certificates.server.map((s) => s.key) : [],
    connections: {
      ...Object.fromEntries(shunts.map((s) => [s.name, shuntConnection(s)])),
      ...transportConnections({ ...DEFAULTS, ...settings }),
    },
    shunts,
  };
}

/** By what a peer proved its identity. A group may share a key; a certificate is one machine's. */
export type Proof = 'certificate' | 'key';

/**
 * Whether an IKE_SA of this connection and peer identity came up only because the peer has the key of that identity: its
 * certificate's, or its own of `psk_ids`. Elsewhere the identity is what the peer says (RFC 4945 §3.1). A name with a wildcard
 * fits connections of others, and so may find another key than theirs.
 */
export function identityProof(
  policy: IkePolicy,
  { name, remoteId }: Pick<IkeSa, 'name' | 'remoteId'>,
): Proof | undefined {
  if (!Object.hasOwn(policy.connections, name)) return undefined;
  if (name === CERTIFICATE_CONNECTION) return 'certificate';
  const own = [IDENTITY_PREFIX, AGGRESSIVE_PREFIX].some((prefix) => name.startsWith(prefix));
  return own && !/[*%]/.test(remoteId) ? 'key' : undefined;
}

export function ikeProposals(legacy: boolean): string[] {
  return legacy ? [...IKE_PROPOSALS, ...IKE_LEGACY] : [...IKE_PROPOSALS];
}

/** Each suite without and with a Diffie-Hellman group: charon takes "PFS or not" as part of the proposal. */
export function espProposals(legacy: boolean): string[] {
  const suites = legacy ? [...ESP_SUITES, ...ESP_LEGACY] : ESP_SUITES;
  return [...suites, ...suites.map((s) => `${s}-${PFS_GROUPS}`)];
}

/** Of the secrets that fit a peer equally well charon takes the first: the smaller network comes before the larger. */
function secrets(settings: readonly PskSetting[]): IkeSecret[] {
  const ranges = settings.flatMap(({ secret, peers = [] }) => peers.map((peer) => ({ secret, peer })));
  const all = settings.filter((s) => s.peers === undefined && s.id === undefined);
  return [
    ...all.map(({ secret }) => ({ id: 'psk', owners: [], secret })),
    ...ranges
      .sort((a, b) => prefixLength(b.peer) - prefixLength(a.peer))
      .map(({ secret, peer }) => ({ id: `psk-peers-${peer}`, owners: [peer], secret })),
    ...settings.flatMap(({ secret, id }) => (id === undefined ? [] : [{ id: `psk-id-${id}`, owners: [id], secret }])),
  ];
}

const prefixLength = (peer: string): number => Number(peer.split('/')[1] ?? 128);

function certificatesOf({ server, ca, crl }: Certificates): IkeCertificate[] {
  return [
    ...ca.map((data) => ({ type: 'X509', flag: 'CA', data }) as const),
    ...server.flatMap(({ cert, chain }) =>
      [cert, ...chain].map((data) => ({ type: 'X509', flag: 'NONE', data }) as const),
    ),
    ...crl.map((data) => ({ type: 'X509_CRL', flag: 'NONE', data }) as const),
  ];
}

type Complete = IpsecSettings & typeof DEFAULTS;

function transportConnections(s: Complete): Record<string, ViciSection> {
  const base = transportConnection(s);
  const connections: Record<string, ViciSection> = { [CONNECTION]: base };
  for (const [name, section] of rangeConnections(s, base)) connections[name] = section;
  for (const [name, section] of identityConnections(s, base)) connections[name] = section;
  if (s.certificates) connections[CERTIFICATE_CONNECTION] = certificateConnection(s.certificates, base);
  if (s.aggressive)
    for (const { id } of s.secrets)
      if (id !== undefined)
        connections[`${AGGRESSIVE_PREFIX}${id}`] = {
          ...base,
          version: '1',
          aggressive: 'yes',
          remote: { auth: 'psk', id },
        };
  return connections;
}

/**
 * In Main Mode charon looks for the key by the identities of each connection that fits the addresses, the closest first, and
 * by the addresses themselves only after all of these. The certificates' connection has an identity, with which only
 * everyone's key is found. These come before it, and find their own.
 */
function* rangeConnections(s: Complete, base: ViciSection): Generator<[string, ViciSection]> {
  for (const peer of s.secrets.flatMap(({ peers = [] }) => peers))
    for (const address of s.listen)
      if (peer.includes(':') === address.includes(':'))
        yield [
          `l2tp-peers-${peer}-${address}`,
          {
            ...base,
            version: '1',
            local_addrs: [address],
            remote_addrs: [peer],
            local: { auth: 'psk', id: address },
            remote: { auth: 'psk', id: peer },
          },
        ];
}

/**
 * In IKEv2 charon takes any key whose owner is either end, and the client says who we are (IDr). With our identity fixed, and
 * no key that has it for an owner, only the key of the client's own identity is left. Who names us differently comes up on the
 * connection for all, where an identity proves nothing.
 */
function* identityConnections(s: Complete, base: ViciSection): Generator<[string, ViciSection]> {
  if (s.keysProve !== true) return;
  const networks = new BlockList();
  for (const peer of s.secrets.flatMap(({ peers = [] }) => peers)) {
    const [network = '', length] = peer.split('/');
    const family = isIP(network) === 6 ? 'ipv6' : 'ipv4';
    if (length === undefined) networks.addAddress(network, family);
    else networks.addSubnet(network, Number(length), family);
  }
  for (const address of s.listen) {
    if (networks.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')) continue;
    for (const { id } of s.secrets)
      if (id !== undefined)
        yield [
          `${IDENTITY_PREFIX}${id}-${address}`,
          {
            ...base,
            version: '2',
            local_addrs: [address],
            local: { auth: 'psk', id: address },
            remote: { auth: 'psk', id },
          },
        ];
  }
}

/** RFC 4945 §3: who signs with the key of a certificate of our CAs. IKEv1 Main Mode, and IKEv2. */
function certificateConnection({ server, ca, strict }: Certificates, base: ViciSection): ViciSection {
  return {
    ...base,
    send_cert: 'always',
    // The identity is their subject.
    local: { auth: 'pubkey', certs: server.map((c) => c.cert) },
    // CAs that come with our own chain are known to charon, too; only these let a client in.
    remote: { auth: 'pubkey', id: '%any', cacerts: ca, revocation: strict ? 'strict' : 'relaxed' },
  };
}

function transportConnection(s: Complete): ViciSection {
  const legacy = s.legacy ?? false;
  return {
    version: '0', // IKEv1 and IKEv2
    local_addrs: s.listen,
    remote_addrs: ['%any'],
    proposals: s.proposals ?? ikeProposals(legacy),
    // Every PSK client's identity is its private address, so thousands share one: RFC 2407 §4.6.2.1.
    unique: 'never',
    fragmentation: 'yes',
    mobike: 'no', // the mark's policies name the endpoint
    aggressive: 'no',
    dpd_delay: `${s.dpdDelay}s`,
    dpd_timeout: `${s.dpdTimeout}s`,
    // Never reached while the client does its part; ends an IKE_SA whose Delete was lost.
    rekey_time: `${s.ikeLifetime}s`,
    reauth_time: '0s',
    rand_time: '0s',
    over_time: '600s',
    // Before it knows who asks, charon goes by the first connection that fits.
    send_certreq: s.certificates ? 'yes' : 'no',
    send_cert: 'never',
    local: { auth: 'psk' },
    remote: { auth: 'psk', id: '%any' },
    children: { [CONNECTION]: transportChild(s.espLifetime, s.espProposals ?? espProposals(legacy)) },
  };
}

/** RFC 3193 §2.1 and §4.2; the marks are design decisions measured on two kernels, do not vary them. */
function transportChild(espLifetime: number, proposals: readonly string[]): ViciSection {
  return {
    mode: 'transport',
    local_ts: ['dynamic[udp/1701]'],
    remote_ts: ['dynamic[udp]'], // RFC 3193 §4: the initiator may use any source port
    mark_in: '%unique',
    mark_out: '%unique',
    set_mark_in: '%same',
    esp_proposals: proposals,
    replay_window: `${REPLAY_WINDOW}`,
    rekey_time: '0s',
    // 0 here too: from a rekey time of 0, charon 5.9.8 subtracts the default jitter and rekeys every second.
    rand_time: '0s',
    life_time: `${espLifetime}s`,
    dpd_action: 'clear',
    close_action: 'none',
    start_action: 'none',
    updown: '',
  };
}

/**
 * Cleartext L2TP to or from one of our addresses is dropped; the SAs' policies win by priority. The loopback endpoints
 * keep IKE from ever taking this connection, with charon's default proposals, for a peer.
 */
function shuntConnection({ name, address }: IkeShunt): ViciSection {
  const v6 = isIP(address) === 6;
  return {
    version: '0',
    local_addrs: [v6 ? '::1' : '127.0.0.1'],
    remote_addrs: [v6 ? '::1' : '127.0.0.1'],
    local: { auth: 'psk' },
    remote: { auth: 'psk' },
    children: {
      [name]: {
        mode: 'drop',
        start_action: 'trap',
        local_ts: [`${address}/${v6 ? 128 : 32}[udp/1701]`],
        remote_ts: [`${v6 ? '::' : '0.0.0.0'}/0[udp]`],
      },
    },
  };
}
