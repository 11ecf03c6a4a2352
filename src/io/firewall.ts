/**
 * Puts our firewall rules into the kernel and takes them out: one nft table of our own, or chains of our own with
 * iptables-legacy where the kernel has no nft inet family. Read firewall-rules.ts first.
 */
import { existsSync } from 'node:fs';
import {
  type FirewallRules,
  iptablesRemoval,
  iptablesRules,
  isOurs,
  nftRemoval,
  nftRules,
  type RawListener,
  type Reachability,
  TABLE,
} from './firewall-rules.js';
import { type Run, run as runTool } from './run.js';

export type { RawListener, Reachability } from './firewall-rules.js';

/**
 * Order of life: applyGuard() before charon and the 1701 sockets, apply(), ..., removeReachability(), sockets closed,
 * removeAll(). Every step is idempotent and replaces ours atomically; a crash leaves the guard in place. All reject with
 * a FirewallError.
 */
export interface Firewall {
  readonly backend: 'nft' | 'iptables-legacy';
  applyGuard(): Promise<void>;
  /** Guard and reachability. */
  apply(reachability: Reachability): Promise<void>;
  /** Whether what was put in place last is there, whole: whoever reloads rules of his own may flush all there are. */
  stands(): Promise<boolean>;
  /** Back to the guard alone. */
  removeReachability(): Promise<void>;
  /** The guard too: only when nothing of ours listens on 1701 any more. */
  removeAll(): Promise<void>;
}

export class FirewallError extends Error {
  override readonly name = 'FirewallError';
}

export interface FirewallOptions {
  readonly raw?: readonly RawListener[];
  readonly run?: Run;
  /** Whether this host speaks IPv6; iptables needs a second set of rules for it. */
  readonly ipv6?: boolean;
}

/** Finds out what this kernel can do by putting the guard in place; rejects when neither tool can. */
export async function openFirewall(options: FirewallOptions = {}): Promise<Firewall> {
  const { raw = [], run = runTool, ipv6 = existsSync('/proc/net/if_inet6') } = options;
  const tried: string[] = [];
  for (const firewall of [nft(run, raw), iptablesLegacy(run, raw, ipv6)]) {
    try {
      await firewall.applyGuard();
      return firewall;
    } catch (error) {
      tried.push((error as Error).message);
    }
  }
  throw new FirewallError(`cannot install the rules that keep L2TP from leaving unencrypted: ${tried.join('; ')}`);
}

function nft(run: Run, raw: readonly RawListener[]): Firewall {
  const load = async (text: string) => {
    const { status, stderr } = await run('nft', ['-f', '-'], text);
    if (status !== 0) throw new FirewallError(`nft: ${line(stderr)}`);
  };
  const listing = async () => {
    const { status, stdout, stderr } = await run('nft', ['-s', 'list', 'table', 'inet', TABLE]);
    if (status !== 0 && !ABSENT.test(stderr)) throw new FirewallError(`nft: ${line(stderr)}`);
    return stdout;
  };
  const seen = new Seen(listing);
  const put = (rules: FirewallRules) => load(nftRules({ raw, ...rules }));
  return {
    backend: 'nft',
    applyGuard: () => put({}),
    apply: async (reachability) => {
      await put({ reachability });
      await seen.put();
    },
    stands: () => seen.stands(),
    removeReachability: () => put({}),
    removeAll: () => load(nftRemoval()),
  };
}

function iptablesLegacy(run: Run, raw: readonly RawListener[], ipv6: boolean): Firewall {
  const families = ipv6 ? ([4, 6] as const) : ([4] as const);
  const tool = (family: 4 | 6) => (family === 4 ? 'iptables-legacy' : 'ip6tables-legacy');
  const existing = async (family: 4 | 6): Promise<string[]> => {
    const filter = await run(tool(family), ['-w', '5', '-S']);
    if (filter.status !== 0) throw new FirewallError(`${tool(family)}: ${line(filter.stderr)}`);
    // Listing the nat table would load it, and connection tracking; ours can be in it only when it is loaded.
    const tables = await run('cat', [`/proc/net/${family === 4 ? 'ip' : 'ip6'}_tables_names`]);
    const known = tables.status === 0 || ABSENT.test(tables.stderr); // the service's user may not look
    if (known && !/^nat$/m.test(tables.stdout)) return lines(filter.stdout);
    const nat = await run(tool(family), ['-w', '5', '-t', 'nat', '-S']);
    if (nat.status !== 0 && (known || !/does not exist/.test(nat.stderr)))
      throw new FirewallError(`${tool(family)}: ${line(nat.stderr)}`);
    return lines(`${filter.stdout}\n${nat.stdout}`);
  };
  const load = async (family: 4 | 6, text: string) => {
    if (text === '') return;
    const { status, stderr } = await run(`${tool(family)}-restore`, ['--noflush', '-w', '5'], text);
    if (status !== 0) throw new FirewallError(`${tool(family)}-restore: ${line(stderr)}`);
  };
  const listing = async () => {
    const lines: string[] = [];
    for (const f of families) lines.push(...(await existing(f)).filter(isOurs));
    return lines.join('\n');
  };
  const seen = new Seen(listing);
  const put = async (rules: FirewallRules) => {
    for (const f of families) await load(f, iptablesRules({ raw, ...rules }, f, await existing(f)));
  };
  return {
    backend: 'iptables-legacy',
    applyGuard: () => put({}),
    apply: async (reachability) => {
      await put({ reachability });
      await seen.put();
    },
    stands: () => seen.stands(),
    removeReachability: () => put({}),
    removeAll: async () => {
      for (const f of families) await load(f, iptablesRemoval(await existing(f)));
    },
  };
}

/** What a tool says of what is not there. */
const ABSENT = /No such file|^$/;

/** What the kernel says of our rules, and said when they were put there. */
class Seen {
  readonly #listing: () => Promise<string>;
  #then: string | undefined;

  constructor(listing: () => Promise<string>) {
    this.#listing = listing;
  }

  async put(): Promise<void> {
    this.#then = undefined;
    this.#then = await this.#listing().catch(() => undefined); // stands() asks again
  }

  async stands(): Promise<boolean> {
    const now = await this.#listing();
    if (now !== '') this.#then ??= now;
    return now !== '' && now === this.#then;
  }
}

/**
 * Chains of others that drop what reaches their end: an accept in our table cannot overrule those in nft (a packet must
 * pass every table), so the operator has to be told. `inet filter input`, ...; empty without nft.
 */
export async function foreignDropPolicies(run: Run = runTool): Promise<string[]> {
  const { status, stdout } = await run('nft', ['-j', 'list', 'chains']);
  if (status !== 0) return [];
  const chains = (JSON.parse(stdout) as { nftables?: { chain?: Record<string, unknown> }[] }).nftables ?? [];
  return chains.flatMap(({ chain: c }) =>
    c && c.table !== TABLE && c.policy === 'drop' && (c.hook === 'input' || c.hook === 'forward')
      ? [`${c.family} ${c.table} ${c.name}`]
      : [],
  );
}

const lines = (text: string): string[] => text.split('\n').map((l) => l.trim());

const line = (text: string): string =>
  text
    .split('\n')
    .find((l) => l.trim() !== '')
    ?.trim() ?? 'failed without a word';
