/**
 * Every setting there is: documentation, format, default and environment variable. The convict schema made from it is the
 * sole source of defaults, of docs/config.md and of the type `Settings`. Keys are as in lockstep.yaml.
 */
import * as f from './config-format.js';

/** One setting. A null default means "not set" or "derived", as its `doc` says. */
export interface Leaf<T> {
  readonly doc: string;
  readonly format: f.Format<T>;
  readonly default: unknown;
  /** How the docs print a default that is not a plain value. */
  readonly shown?: string;
}

const leaf = <T>(doc: string, format: f.Format<T>, value: unknown, shown?: string): Leaf<T> => ({
  doc,
  format,
  default: value,
  ...(shown === undefined ? {} : { shown }),
});

/** strongSwan's spelling: `aes256-sha256-modp2048`. */
const proposal = f.text('a proposal in strongSwan notation such as aes256-sha1-modp2048', /^[a-z0-9_]+(-[a-z0-9_]+)+$/);

const interfaceName = f.text('an interface name of 1 to 15 characters', /^[A-Za-z0-9_.@-]{1,15}$/);

export const SCHEMA = {
  listen: {
    addresses: leaf(
      'Addresses that serve IKE (UDP 500 and 4500) and L2TP (UDP 1701, always). `auto`: every global address the host has when the daemon starts.',
      f.wordOr('auto', f.list(f.ip('any'), { min: 1, max: 64 })),
      'auto',
    ),
    raw: leaf(
      'L2TP *without IPsec* for named peers on one interface: `{interface: name, peers: [network, ...]}`. For a trusted network only: whoever is on it reads and forges what passes. Peers are networks of /8 (IPv4), /16 (IPv6) or smaller. A warning at each start. Without a section `ike`, nothing of IPsec is started.',
      f.optional(f.record({ interface: interfaceName, peers: f.list(f.cidr, { min: 1, max: 256 }) })),
      null,
      'not set',
    ),
  },
  ike: {
    psk_file: leaf(
      'File with the pre-shared key, nothing else, mode 0600. `none`: only keys of psk_ranges and psk_ids, and certificates, are taken.',
      f.wordOr('none', f.path),
      'psk',
    ),
    psk_ranges: leaf(
      'Other keys for clients that come from certain networks: a list of `{peers: [network, ...], psk_file: path}`; of several networks the smallest counts. IKEv1 chooses the key by address, before it knows who asks.',
      f.list(f.record({ peers: f.list(f.cidr, { min: 1, max: 256 }), psk_file: f.path })),
      [],
    ),
    psk_ids: leaf(
      "Keys of certain clients: a list of `{id: identity, psk_file: path}`. For clients with IKEv2, or with Aggressive Mode if `ike.aggressive` is on: in Main Mode the key is needed before the identity can be read, so those clients use the key of their address. With IKEv2 charon tries every key that fits either end. So a key proves its identity only with `psk_file: none`, without `allow_foreign`, on a listen address that no network of `psk_ranges` contains, and to a client that expects that address, or nothing, as the gateway's identity; with Aggressive Mode, always.",
      f.list(f.record({ id: f.identity, psk_file: f.path }), { max: 256 }),
      [],
    ),
    aggressive: leaf(
      'IKEv1 Aggressive Mode for the clients of `ike.psk_ids`, and for no other key. Weak: whoever knows an identity gets a hash to guess its key from. A warning at each start.',
      f.bool,
      false,
    ),
    certificates: {
      server: leaf(
        'Our own certificates: a list of `{cert: path, key: path}`, PEM. With one or more, clients may authenticate by certificate, beside those with a pre-shared key. IKEv1 clients need one of their own kind (RSA or ECDSA): all of ours have the same subject. A file may hold the chain after the certificate. Keys have mode 0600 and no passphrase.',
        f.list(f.record({ cert: f.path, key: f.path }), { max: 4 }),
        [],
      ),
      ca: leaf('Files with the CA certificates (PEM) whose clients are let in.', f.list(f.path, { max: 64 }), []),
      crl: leaf(
        'Files with the revocation lists (PEM or DER) of these CAs. Lists are read from files only, never fetched.',
        f.list(f.path, { max: 64 }),
        [],
      ),
      crl_policy: leaf(
        '`relaxed`: a certificate is refused when a list names it. `strict`: also when there is no list of its CA, or an outdated one.',
        f.oneOf('relaxed', 'strict'),
        'relaxed',
      ),
    },
    legacy: leaf(
      'Also accept MODP-1024 key exchange, which old Apple, Android, TP-Link and RouterOS clients need. Weak: a warning at each start.',
      f.bool,
      false,
    ),
    proposals: leaf(
      'IKE proposals instead of the built-in list, best first, in strongSwan notation.',
      f.wordOr('auto', f.list(proposal, { min: 1 })),
      'auto',
    ),
    esp_proposals: leaf(
      'ESP proposals instead of the built-in list, best first, in strongSwan notation.',
      f.wordOr('auto', f.list(proposal, { min: 1 })),
      'auto',
    ),
    dpd_delay: leaf(
      'Silence after which IKE asks a peer whether it lives.',
      f.duration('1s', '1h', 'never ask'),
      '30s',
    ),
    ike_lifetime: leaf(
      'After this we renew an IKE SA ourselves. Above every known client, so that the client renews it.',
      f.duration('60s', '7d', 'never'),
      '25h',
    ),
    child_lifetime: leaf(
      'An ESP SA that the client has not renewed ends after this. Above what every known client waits.',
      f.duration('60s', '7d', 'never'),
      '9h',
    ),
    charon: leaf(
      '`spawn`: lockstepd starts and supervises its own charon. `external`: another service does (lockstep-ike.service), with a private charon: all it has loaded is replaced. Sessions do not survive a restart of either.',
      f.oneOf('spawn', 'external'),
      'spawn',
    ),
    allow_foreign: leaf(
      'Start although the kernel holds IPsec SAs or policies of others. They are never touched either way.',
      f.bool,
      false,
    ),
    vici: leaf("charon's VICI socket.", f.optional(f.socketPath), null, '`<run_dir>/charon.vici`'),
  },
  pool: {
    ipv4: leaf(
      'Addresses for clients: ranges or networks. Of a network, the first, the last and the gateway are not handed out.',
      f.list(f.poolRange, { min: 1, max: 64 }),
      ['10.99.0.0/24'],
    ),
    gateway: leaf(
      "The gateway's address inside the tunnels. `auto`: the first address of the pool's network, or the one before the pool's first range.",
      f.wordOr('auto', f.ip(4)),
      'auto',
    ),
  },
  dns: leaf('DNS servers told to clients (the protocol has room for two).', f.list(f.ip(4), { max: 2 }), []),
  nbns: leaf('NetBIOS name servers told to clients (two at most).', f.list(f.ip(4), { max: 2 }), []),
  routes: leaf(
    'IPv4 networks behind the gateway that clients may reach. Empty: any.',
    f.list(f.network4, { max: 256 }),
    [],
  ),
  dhcp: {
    routes: leaf(
      'Networks that clients with a split tunnel are told (options 121 and 249 in the answer to a DHCPINFORM). `auto`: those of `routes`. Empty: none. Users may have others (`routes` in the users file). `0.0.0.0/0` is a full tunnel, for it alone. Read again on SIGHUP.',
      f.wordOr('auto', f.list(f.network4, { max: 64 })),
      'auto',
    ),
    domain: leaf(
      'DNS suffix told to clients that ask with a DHCPINFORM. Read again on SIGHUP.',
      f.optional(f.domain),
      null,
      'none',
    ),
  },
  ipv6: {
    prefix: leaf(
      "IPv6 inside the tunnels: the clients' network, routed to this gateway. Of one shorter than /64 each session gets a /64; a /64 is shared by all, and then each client has the one address of its interface identifier. Without it clients have IPv4 only, and those with IPv6 at home send that traffic past the tunnel.",
      f.optional(f.network6(32, 64)),
      null,
      'off',
    ),
    delegate: leaf(
      'Network out of which routers that dial in get a prefix for what is behind them (DHCPv6-PD).',
      f.optional(f.network6(24, 64)),
      null,
      'none',
    ),
    delegate_length: leaf('Length of a delegated prefix.', f.int(40, 64), 56),
    dns: leaf('IPv6 addresses of DNS servers told to clients (three at most).', f.list(f.ip(6), { max: 3 }), []),
    routes: leaf(
      'IPv6 networks behind the gateway that clients may reach. Empty: any.',
      f.list(f.network6(0, 128), { max: 256 }),
      [],
    ),
  },
  ppp: {
    auth: leaf(
      'Authentication methods, preferred first: the client is asked for the first, and gets another one of these if it says that it would rather. `chap-md5` and `pap` need cleartext passwords in the users file.',
      f.list(f.oneOf('mschapv2', 'eap', 'chap-md5', 'pap'), { min: 1, max: 4 }),
      ['mschapv2', 'eap'],
    ),
    eap: leaf(
      'Methods within EAP, preferred first: EAP-MSCHAPv2 and EAP-MD5. `md5` needs cleartext passwords in the users file.',
      f.list(f.oneOf('mschapv2', 'md5'), { min: 1, max: 2 }),
      ['mschapv2'],
    ),
    realms: leaf(
      'What is taken off a name that is not in the users file as the client spells it, so that `CORP\\alice` and `alice@example.com` mean `alice`: `any` domain before a backslash (Windows sends its machine name) and realm behind the last `@`; or only those of a list, in upper or lower case, and whoever names another is nobody; `[]`: none.',
      f.wordOr('any', f.list(f.text('a domain or realm without `\\` and `@`', /^[^\\@\p{Cc}]{1,253}$/u), { max: 256 })),
      'any',
    ),
    password_change: leaf(
      'Clients may set a new password in place of one marked `expired` in the users file, with MS-CHAPv2 (RFC 2759 §7), within EAP too. The daemon then writes the users file, so that must lie where it may: `users_file: /var/lib/lockstep/users.yaml`.',
      f.bool,
      false,
    ),
    mtu: leaf(
      'Largest IP packet inside a tunnel. `auto`: computed per client from its ESP cipher and NAT traversal.',
      f.wordOr('auto', f.int(576, 1_500)),
      'auto',
    ),
    echo_interval: leaf('Silence after which an LCP Echo-Request is sent.', f.duration('1s', '1h', 'none'), '30s'),
    echo_failures: leaf('Unanswered echoes after which a session is over.', f.int(1, 100), 4),
    mtu_probe_interval: leaf(
      'Pause between two looks at what the path to a client carries: an LCP Echo-Request of full size that may not be fragmented. When it no longer passes, the MTU of the session goes down to what does.',
      f.duration('1s', '1h', 'none'),
      '60s',
    ),
    setup_timeout: leaf('Time a client has from the first LCP packet to an address.', f.duration('5s', '10m'), '60s'),
    auth_tries: leaf('Passwords a client may try on one connection until one is right.', f.int(1, 10), 3),
  },
  l2tp: {
    host_name: leaf(
      'Host Name AVP and the name in CHAP challenges.',
      f.text('1 to 64 letters, digits, dots, hyphens', /^[A-Za-z0-9.-]{1,64}$/),
      'lockstep',
    ),
    hello_interval: leaf('Silence after which a HELLO is sent (RFC 2661 §5.5).', f.duration('1s', '1h'), '60s'),
    receive_window: leaf('Receive Window Size we announce (RFC 2661 §4.4.3).', f.int(1, 1_024), 16),
    retransmissions: leaf(
      'How often a control message is sent again, after 1, 2, 4, 8, 8 ... seconds, before its tunnel is given up (RFC 2661 §5.8).',
      f.int(1, 10),
      5,
    ),
    close_timeout: leaf(
      'Longest wait for the acknowledgement of our StopCCN. RFC 2661 §5.8 asks for all retransmissions (31s); meanwhile the SA of a client that is gone would stay.',
      f.duration('1s', '31s'),
      '5s',
    ),
    secret_file: leaf(
      'File with a tunnel secret (RFC 2661 §5.1.1), mode 0600. Native clients have none: leave unset for them.',
      f.optional(f.path),
      null,
      'not set',
    ),
    dscp: leaf(
      'DSCP of the outer packets to clients: `copy` takes that of the packet inside, so that voice is voice on the way too (RFC 2983, the uniform model), and shows its class to that way; `none` is 0; a number from 0 to 63 is for all, PPP included. L2TP messages have 0. ECN is always Not-ECT (RFC 6040). Where the way reorders classes by more than the replay window of a client, it drops packets: then `none`.',
      f.wordOr('copy', f.wordOr('none', f.int(0, 63))),
      'copy',
    ),
    small_first: leaf(
      'While the line to the clients is full: small packets of a session (at most 256 octets, and no data of a TCP connection) before its others. Each session has the same share either way.',
      f.bool,
      false,
    ),
    reorder: leaf(
      'Where a peer asks for numbered data messages (Sequencing Required): so many of them that came before their time are held until what is missing has come, for 100 ms at most. 0 holds none: what comes late is lost (RFC 2661 §5.4).',
      f.int(0, 64),
      0,
    ),
    redirect: leaf(
      'Address of another gateway, told to peers when limits.tunnels or limits.sessions is reached and while we stop (RFC 3193 §4). LACs follow it; clients of operating systems do not.',
      f.optional(f.ip('any')),
      null,
      'not set',
    ),
  },
  limits: {
    // Tunnel ids have 16 bits, and some must be free for refusals.
    tunnels: leaf('Tunnels at one time.', f.int(1, 65_000), 10_000),
    sessions: leaf('Sessions at one time. More than 65 000 need several in a tunnel.', f.int(1, 100_000), 10_000),
    half_open: leaf('Tunnels that have not finished their set-up.', f.int(1, 65_535), 1_024),
    half_open_per_address: leaf(
      'The same from one public address, which may hide a whole office; and as many of its sessions that have not authenticated.',
      f.int(1, 65_535),
      64,
    ),
    sessions_per_user: leaf('Sessions one user may have at one time.', f.int(1, 65_535), 4),
    idle_timeout: leaf('A session without traffic ends after this.', f.duration('10s', '7d', 'never'), 0),
    session_timeout: leaf('Any session ends after this.', f.duration('10s', '365d', 'never'), 0),
  },
  reachability: {
    nat: leaf(
      '`auto`: clients reach networks that do not know the pool through the address of the outgoing interface. `off`: routing is your work.',
      f.oneOf('auto', 'off'),
      'auto',
    ),
    proxy_arp: leaf('Answer ARP for clients, when the pool lies inside the network behind the gateway.', f.bool, false),
    ip_forward: leaf('Switch IPv4 forwarding on while running.', f.bool, true),
    accept: leaf(
      'Install accept rules for UDP 500 and 4500, ESP and IPsec-protected UDP 1701 in our own table.',
      f.bool,
      true,
    ),
    interface: leaf(
      'The interface behind which the inside lies: proxy ARP and NAT are limited to it.',
      f.optional(interfaceName),
      null,
      'any',
    ),
  },
  identity: leaf(
    'Binds users to machines: `{alice: "*.example.com", bob: ["C=DE, O=Example, CN=laptop-7", bob@example.com]}`. Such a user may log in only over an IKE SA whose peer identity matches one of the patterns; anyone else may from anywhere. The identity is the text charon prints as `remote-id` (`lockstep session <id>`, `lockstep sessions --json` and `ike.child-up` show it): the ID the client sent, which is an address, a host name, an e-mail address or a distinguished name such as `C=DE, O=Example, CN=laptop-7`; with a certificate, the certificate must contain it. A pattern must match all of it; `*` stands for any characters or none, commas and dots too, every other character for itself, and upper and lower case of A to Z are the same. The identity must be proven, by a certificate or by a key of `ike.psk_ids` (which says when it proves): with another pre-shared key it is only what the client says, and a bound user is refused. The client sees a wrong password. Read again on SIGHUP; sessions that are up stay.',
    f.mapping('user names', f.oneOrMore(f.text('a pattern of 1 to 1024 characters', /^[^\p{Cc}]{1,1024}$/u))),
    {},
    'none',
  ),
  users_file: leaf('The local users, mode 0600.', f.path, 'users.yaml'),
  run_dir: leaf('Sockets and the private charon configuration; gone after a reboot.', f.path, '/run/lockstep'),
  state_dir: leaf('What must survive a restart.', f.path, '/var/lib/lockstep'),
  control: {
    socket: leaf(
      'The socket the `lockstep` command talks to.',
      f.optional(f.socketPath),
      null,
      '`<run_dir>/control.sock`',
    ),
  },
  metrics: {
    listen: leaf(
      "Serves Prometheus' metrics (`/metrics`) and a health check (`/health`: 200 while clients are let in, else 503). Whoever reaches it may read it, so only loopback or a socket.",
      f.optional(f.localListen),
      null,
      'not served',
    ),
  },
  status_page: {
    listen: leaf(
      'Serves a page for a browser on this host: live sessions with search and disconnect, plots of the last six hours, failed attempts. Whoever reaches it sees users and addresses and may disconnect them: on loopback that is everybody with an account here, on a socket the group of lockstepd (`ssh -L 9180:/run/lockstep/page.sock gateway`, then http://localhost:9180).',
      f.optional(f.localListen),
      null,
      'not served',
    ),
  },
  log: {
    level: leaf('The least important events to log.', f.oneOf('error', 'warn', 'info', 'debug'), 'info'),
    format: leaf(
      '`pretty` for people, `json` for machines: one line per event either way.',
      f.oneOf('pretty', 'json'),
      'pretty',
    ),
  },
} as const;

/** hello_interval -> helloInterval, in types and at run time. */
type Camel<S extends string> = S extends `${infer A}_${infer B}` ? `${A}${Capitalize<Camel<B>>}` : S;
export const camel = (s: string): string => s.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());

type Values<S> = {
  readonly [K in keyof S as Camel<K & string>]: S[K] extends Leaf<infer T> ? T : Values<S[K]>;
};

/** All settings as parsed, before paths are resolved and secrets read. Durations are in milliseconds. */
export type Settings = Values<typeof SCHEMA>;

export const isLeaf = (node: object): node is Leaf<unknown> => 'format' in node && typeof node.format === 'function';

/** Mappings have no spelling in the environment. */
export const ENV_LESS: ReadonlySet<string> = new Set([
  'identity',
  'listen.raw',
  'ike.psk_ranges',
  'ike.psk_ids',
  'ike.certificates.server',
]);

/** The environment variable of a setting: `ppp.mtu` is LOCKSTEP_PPP_MTU. */
export const envName = (key: string): string => `LOCKSTEP_${key.replaceAll('.', '_').toUpperCase()}`;

/** Every setting with its dotted key, in the order of the schema. */
export function leaves(node: object = SCHEMA, prefix = ''): [key: string, leaf: Leaf<unknown>][] {
  return Object.entries(node).flatMap(([name, child]: [string, object]): [string, Leaf<unknown>][] =>
    isLeaf(child) ? [[`${prefix}${name}`, child]] : leaves(child, `${prefix}${name}.`),
  );
}
