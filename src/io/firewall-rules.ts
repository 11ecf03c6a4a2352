/**
 * The text of our firewall rules, for nft and for iptables-legacy-restore. Pure. RFC 3193 §3.3: what speaks L2TP must
 * have come through IPsec; nft(8) "META EXPRESSIONS" and "ROUTING EXPRESSIONS", iptables-extensions(8) "policy" first.
 */
import { isIP } from 'node:net';
import { prefixes } from './prefixes.js';

/** All of ours is in this nft table, or in chains with this prefix. */
export const TABLE = 'lockstep';
const CHAIN = { in: 'LOCKSTEP-IN', out: 'LOCKSTEP-OUT', forward: 'LOCKSTEP-FWD', nat: 'LOCKSTEP-NAT' } as const;
/** Name of the built-in table and chain each of ours is called from. */
const HOOKS = [
  ['filter', 'INPUT', CHAIN.in],
  ['filter', 'OUTPUT', CHAIN.out],
  ['filter', 'FORWARD', CHAIN.forward],
  ['nat', 'POSTROUTING', CHAIN.nat],
] as const;

/** Of a line of `iptables -S`. */
export const isOurs = (line: string): boolean => Object.values(CHAIN).some((chain) => line.includes(chain));

export interface Reachability {
  /** Our TUN device. */
  readonly tun: string;
  /** Let IKE, ESP, protected L2TP and the clients' traffic pass. */
  readonly accept: boolean;
  /** Nobody speaks IPsec with us: IKE, ESP and protected L2TP need no way in. */
  readonly rawOnly?: boolean;
  /** Client addresses to masquerade on every way out but the TUN and lo: `a.b.c.d/n`, `a.b.c.d-e.f.g.h` or IPv6 prefixes. */
  readonly masquerade: readonly string[];
  /** What clients may reach through us, as prefixes; empty or absent: anything. */
  readonly routes?: readonly string[];
  /** Masquerade only what leaves here; absent: on every way out. */
  readonly inside?: string;
}

/** L2TP in cleartext is a peer's right here, and here alone: the explicit raw listener. */
export interface RawListener {
  readonly interface: string;
  /** Ours on that interface. */
  readonly addresses: readonly string[];
  readonly peers: readonly string[];
}

export interface FirewallRules {
  readonly raw?: readonly RawListener[];
  /** Absent: the guard alone. */
  readonly reachability?: Reachability;
}

/**
 * While nobody listens on 1701 and the SAs live on (lockstepd was killed), the kernel would answer what comes out of ESP with an ICMP
 * error in clear that quotes it: up to 1232 octets of what was protected. RFC 792, RFC 4443 §3.1; the quoted packet begins 8 octets
 * into ICMP. xt_u32 is not on every system: iptables drops all that say "port unreachable".
 */
const NFT_UNREACHABLE = [
  'icmp type destination-unreachable icmp code port-unreachable @th,136,8 17 @th,240,16 1701 counter drop',
  'icmpv6 type destination-unreachable icmpv6 code port-unreachable @th,112,8 17 @th,400,16 1701 counter drop',
];

/** One nft transaction: our table is replaced as a whole, so there is no moment without the guard. */
export function nftRules(rules: FirewallRules): string {
  const { raw = [], reachability: r } = rules;
  const accept = r?.accept === true;
  const acceptIn = accept && r.rawOnly !== true;
  const chain = (name: string, hook: string, lines: readonly string[]) =>
    lines.length === 0 ? [] : [`  chain ${name} {`, `    ${hook}`, ...lines.map((l) => `    ${l}`), '  }'];
  const allowed = (dir: 'in' | 'out') =>
    raw.flatMap((w) =>
      byFamily(w.addresses).flatMap(([ip, ours]) =>
        byFamily(w.peers)
          .filter(([family]) => family === ip)
          .map(([, peers]) =>
            dir === 'in'
              ? `iifname "${name(w.interface)}" ${ip} saddr { ${peers} } ${ip} daddr { ${ours} } udp dport 1701 accept`
              : `oifname "${name(w.interface)}" ${ip} saddr { ${ours} } ${ip} daddr { ${peers} } udp sport 1701 accept`,
          ),
      ),
    );
  const filter = (hook: string, priority: string) => `type filter hook ${hook} priority ${priority}; policy accept;`;
  const tun = r && name(r.tun);
  return [
    `table inet ${TABLE}`, // so that the deletion finds something
    `delete table inet ${TABLE}`,
    `table inet ${TABLE} {`,
    ...chain('guard-in', filter('input', '-200'), [...allowed('in'), 'udp dport 1701 meta ipsec missing counter drop']),
    ...chain('guard-out', filter('output', '-200'), [
      ...allowed('out'),
      'udp sport 1701 rt ipsec missing counter drop',
      ...NFT_UNREACHABLE,
    ]),
    ...chain(
      'accept-in',
      filter('input', '-10'),
      acceptIn
        ? ['udp dport { 500, 4500 } accept', 'meta l4proto esp accept', 'udp dport 1701 meta ipsec exists accept']
        : [],
    ),
    ...chain('clients', filter('forward', '-10'), [
      ...byFamily(r?.routes ?? []).map(
        ([ip, routes]) => `iifname "${tun}" ${ip} daddr { ${routes} } ${accept ? 'accept' : 'return'}`,
      ),
      ...((r?.routes ?? []).length > 0 ? [`iifname "${tun}" counter drop`] : []),
      ...(accept ? [`iifname "${tun}" accept`, `oifname "${tun}" accept`] : []),
    ]),
    ...chain(
      'nat-out', // "masquerade" is a keyword
      'type nat hook postrouting priority 100; policy accept;',
      byFamily(r?.masquerade ?? []).map(
        ([ip, sources]) =>
          `${ip} saddr { ${sources} } oifname ${r?.inside ? `"${name(r.inside)}"` : `!= { "${tun}", "lo" }`} masquerade`,
      ),
    ),
    '}',
    '',
  ].join('\n');
}

/** Removes all that is ours; nothing there is fine. */
export function nftRemoval(): string {
  return `table inet ${TABLE}\ndelete table inet ${TABLE}\n`;
}

/**
 * Input for `iptables-legacy-restore --noflush` (`ip6tables-...` for IPv6): each table is one atomic commit that
 * replaces our chains' contents and leaves all others alone. `jumps` are the calls that exist already, as
 * `iptables -S` prints them: they are put first again.
 */
export function iptablesRules(rules: FirewallRules, family: 4 | 6, jumps: readonly string[]): string {
  const { raw = [], reachability: r } = rules;
  const accept = r?.accept === true;
  const acceptIn = accept && r.rawOnly !== true;
  const mine = <T extends string>(list: readonly T[]) =>
    prefixes(list).filter((p) => isIP(p.split('/')[0]!) === family);
  const allowed = (side: 'in' | 'out') =>
    raw.flatMap((w) =>
      mine(w.addresses).flatMap((ours) =>
        mine(w.peers).map((peer) =>
          side === 'in'
            ? `-A ${CHAIN.in} -i ${name(w.interface)} -s ${peer} -d ${ours} -p udp --dport 1701 -j ACCEPT`
            : `-A ${CHAIN.out} -o ${name(w.interface)} -s ${ours} -d ${peer} -p udp --sport 1701 -j ACCEPT`,
        ),
      ),
    );
  const filter = [
    ...allowed('in'),
    `-A ${CHAIN.in} -p udp --dport 1701 -m policy --dir in --pol none -j DROP`,
    ...allowed('out'),
    `-A ${CHAIN.out} -p udp --sport 1701 -m policy --dir out --pol none -j DROP`,
    `-A ${CHAIN.out} ${family === 4 ? '-p icmp --icmp-type' : '-p ipv6-icmp --icmpv6-type'} port-unreachable -j DROP`,
    ...(acceptIn
      ? [
          `-A ${CHAIN.in} -p udp --dport 500 -j ACCEPT`,
          `-A ${CHAIN.in} -p udp --dport 4500 -j ACCEPT`,
          `-A ${CHAIN.in} -p esp -j ACCEPT`,
          `-A ${CHAIN.in} -p udp --dport 1701 -m policy --dir in --pol ipsec --proto esp -j ACCEPT`,
        ]
      : []),
    ...mine(r?.routes ?? []).map(
      (route) => `-A ${CHAIN.forward} -i ${name(r!.tun)} -d ${route} -j ${accept ? 'ACCEPT' : 'RETURN'}`,
    ),
    ...((r?.routes ?? []).length > 0 ? [`-A ${CHAIN.forward} -i ${name(r!.tun)} -j DROP`] : []),
    ...(accept
      ? [`-A ${CHAIN.forward} -i ${name(r.tun)} -j ACCEPT`, `-A ${CHAIN.forward} -o ${name(r.tun)} -j ACCEPT`]
      : []),
  ];
  const nat = mine(r?.masquerade ?? []).flatMap((source) =>
    r?.inside
      ? [`-A ${CHAIN.nat} -s ${source} -o ${name(r.inside)} -j MASQUERADE`]
      : [
          `-A ${CHAIN.nat} -s ${source} -o ${name(r!.tun)} -j RETURN`,
          `-A ${CHAIN.nat} -s ${source} -o lo -j RETURN`,
          `-A ${CHAIN.nat} -s ${source} -j MASQUERADE`,
        ],
  );
  return ['filter', 'nat']
    .map((table) => {
      const lines = table === 'filter' ? filter : nat;
      const hooks = HOOKS.filter((h) => h[0] === table);
      // The nat table is not even touched (it would load conntrack) unless there is or was something of ours in it.
      if (table === 'nat' && lines.length === 0 && !jumps.some((j) => j.includes(CHAIN.nat))) return '';
      return [
        `*${table}`,
        ...hooks.map(([, , chain]) => `:${chain} - [0:0]`),
        ...lines,
        ...hooks.flatMap(([, builtin, chain]) => [...unhook(jumps, builtin, chain), `-I ${builtin} 1 -j ${chain}`]),
        'COMMIT\n',
      ].join('\n');
    })
    .join('');
}

/** Removes our chains, given the calls and chains that exist (`iptables -S` of both tables). */
export function iptablesRemoval(existing: readonly string[]): string {
  return ['filter', 'nat']
    .map((table) => {
      const chains = HOOKS.filter((h) => h[0] === table && existing.includes(`-N ${h[2]}`));
      if (chains.length === 0) return '';
      return [
        `*${table}`,
        ...chains.flatMap(([, builtin, chain]) => unhook(existing, builtin, chain)),
        ...chains.flatMap(([, , chain]) => [`-F ${chain}`, `-X ${chain}`]),
        'COMMIT\n',
      ].join('\n');
    })
    .join('');
}

const unhook = (lines: readonly string[], builtin: string, chain: string): string[] =>
  lines.filter((l) => l === `-A ${builtin} -j ${chain}`).map((l) => l.replace('-A', '-D'));

/** Interface names come from configuration: only what the kernel and both tools take literally. */
function name(interfaceName: string): string {
  if (!/^[A-Za-z0-9_.:@-]{1,15}$/.test(interfaceName)) throw new Error(`not an interface name: ${interfaceName}`);
  return interfaceName;
}

function byFamily(list: readonly string[]): [ip: 'ip' | 'ip6', text: string][] {
  const all = prefixes(list);
  const v4 = all.filter((p) => !p.includes(':'));
  const v6 = all.filter((p) => p.includes(':'));
  const text = (ip: 'ip' | 'ip6', p: string[]): [typeof ip, string][] => (p.length === 0 ? [] : [[ip, p.join(', ')]]);
  return [...text('ip', v4), ...text('ip6', v6)];
}
