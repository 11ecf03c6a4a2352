/**
 * Who else on this host uses the packet marks our clients' SAs have, 1 to 65535: routing rules and firewall rules. Such a
 * rule sends a client's packets elsewhere, or changes the mark by which they find their SA. The parsers are pure; ip-rule(8),
 * iptables-extensions(8) "mark", "MARK", "CONNMARK", and libnftables-json(5) first.
 */
import { TABLE } from './firewall-rules.js';
import { type Run, run as runTool } from './run.js';

/** Looked for up to here; a charon that lives for long counts further. */
export const LAST_MARK = 0xffff;
/** A ruleset that prints more than this is not looked through. */
const MOST_TEXT = 16 * 1024 * 1024;
const LONGEST = 300;

/** The rules that concern marks of ours, each in words an operator finds it by; tools that are missing say nothing. Never rejects. */
export async function markUsers(run: Run = runTool): Promise<string[]> {
  const text = async (tool: string, ...args: string[]) => {
    const { status, stdout } = await run(tool, args);
    return status === 0 && stdout.length <= MOST_TEXT ? stdout : '';
  };
  const saves = ['iptables-legacy', 'ip6tables-legacy', 'iptables-nft', 'ip6tables-nft'];
  const found = [
    ...routingRules('ip rule', await text('ip', '-4', 'rule', 'show')),
    ...routingRules('ip -6 rule', await text('ip', '-6', 'rule', 'show')),
    ...nftRules(await text('nft', '-j', '-s', '-t', 'list', 'ruleset')),
  ];
  for (const tool of saves) found.push(...iptablesRules(tool, await text(`${tool}-save`)));
  return [...new Set(found)].map((rule) => (rule.length > LONGEST ? `${rule.slice(0, LONGEST)}...` : rule));
}

/** `32765: not from all fwmark 0x1/0xff lookup 100` */
export function routingRules(name: string, text: string): string[] {
  return lines(text)
    .filter((line) => {
      const [, value, mask] = /\bfwmark (\S+?)(?:\/(\S+))?(?= |$)/.exec(line) ?? [];
      return value !== undefined && tells((m) => masked(m, value, mask), [value]);
    })
    .map((line) => `${name} ${line.replace(/\s+/g, ' ')}`);
}

/** Output of `iptables-save`, of all tables. What is forwarded has no mark of ours. */
export function iptablesRules(name: string, text: string): string[] {
  let table = '';
  return lines(text).flatMap((line) => {
    if (line.startsWith('*')) table = line.slice(1);
    if (!line.startsWith('-A ') || line.startsWith('-A FORWARD ')) return [];
    return matchesMark(line) || setsMark(line) ? [`${name} -t ${table} ${line}`] : [];
  });
}

function matchesMark(rule: string): boolean {
  const [, value, mask] = /-m mark (?:! )?--mark (\S+?)(?:\/(\S+))?(?= |$)/.exec(rule) ?? [];
  return value !== undefined && tells((m) => masked(m, value, mask), [value]);
}

function setsMark(rule: string): boolean {
  const [, value, mask = '0xffffffff'] = /-j MARK --set-xmark (\S+?)(?:\/(\S+))?(?= |$)/.exec(rule) ?? [];
  if (value !== undefined) return alters((m) => (m & ~Number(mask)) ^ Number(value));
  const [restore, nfmask = '0xffffffff'] = /-j CONNMARK --restore-mark(?:.*--nfmask (\S+))?/.exec(rule) ?? [];
  return restore !== undefined && (Number(nfmask) & LAST_MARK) !== 0;
}

interface NftRule {
  readonly family?: unknown;
  readonly table?: unknown;
  readonly chain?: unknown;
  readonly handle?: unknown;
  readonly expr?: unknown;
}

/** Output of `nft -j list ruleset`. A text that is not what it should be holds no rules. */
export function nftRules(text: string): string[] {
  if (text === '') return [];
  const items = entries(text);
  const chainOf = (r: NftRule) => `${r.family} ${r.table} ${r.chain}`;
  const forward = new Set(
    items.flatMap(({ chain: c }) => (c?.hook === 'forward' ? [`${c.family} ${c.table} ${c.name}`] : [])),
  );
  return items.flatMap(({ rule: r }) => {
    if (r === undefined || r.table === TABLE || !['ip', 'ip6', 'inet'].includes(String(r.family))) return [];
    if (forward.has(chainOf(r)) || !Array.isArray(r.expr)) return [];
    const does = r.expr.map(concerns).find((c) => c !== undefined);
    return does === undefined ? [] : [`nft ${chainOf(r)} handle ${r.handle}: ${does}`];
  });
}

function entries(text: string): { chain?: Record<string, unknown>; rule?: NftRule }[] {
  try {
    const { nftables } = JSON.parse(text) as { nftables?: unknown };
    return Array.isArray(nftables) ? nftables.filter((i) => typeof i === 'object' && i !== null) : [];
  } catch {
    return [];
  }
}

/** What one statement does with marks of ours, if anything. */
function concerns(statement: unknown): string | undefined {
  const s = record(statement);
  const [match, mangle, vmap] = [record(s.match), record(s.mangle), record(s.vmap)];
  if (usesMark(vmap.key)) return 'branches on meta mark';
  if (record(record(mangle.key).meta).key === 'mark')
    return alters((m) => value(mangle.value, m)) ? 'sets meta mark' : undefined;
  if (!usesMark(match.left)) return undefined;
  return tells((m) => compare(match, m), numbers(match.right)) ? 'matches meta mark' : undefined;
}

const usesMark = (expression: unknown): boolean =>
  JSON.stringify(expression ?? null).includes('{"meta":{"key":"mark"}}');

function compare(match: Readonly<Record<string, unknown>>, m: number): boolean | undefined {
  const left = value(match.left, m);
  if (left === undefined) return undefined;
  const hits = members(match.right).map((r): boolean | undefined => {
    const range = record(r).range;
    if (Array.isArray(range)) return left >= Number(range[0]) && left <= Number(range[1]);
    const right = value(r, m);
    if (right === undefined) return undefined;
    const order: Readonly<Record<string, boolean>> = {
      '<': left < right,
      '>': left > right,
      '<=': left <= right,
      '>=': left >= right,
    };
    return order[String(match.op)] ?? left === right;
  });
  if (hits.includes(undefined)) return undefined;
  return hits.includes(true) !== (match.op === '!=');
}

const members = (right: unknown): unknown[] => {
  const set = record(right).set;
  return Array.isArray(set) ? set : [right];
};

/** An nft expression for a packet with mark `m`; undefined: it depends on something else. */
function value(expression: unknown, m: number): number | undefined {
  if (typeof expression === 'number') return expression;
  const e = record(expression);
  if (record(e.meta).key === 'mark') return m;
  for (const [operator, apply] of Object.entries(OPERATORS)) {
    const operands = e[operator];
    if (!Array.isArray(operands)) continue;
    const values = operands.map((o) => value(o, m));
    return values.includes(undefined) ? undefined : (values as number[]).reduce(apply);
  }
  return undefined;
}

const OPERATORS: Readonly<Record<string, (a: number, b: number) => number>> = {
  '&': (a, b) => (a & b) >>> 0,
  '|': (a, b) => (a | b) >>> 0,
  '^': (a, b) => (a ^ b) >>> 0,
  '<<': (a, b) => (a << b) >>> 0,
  '>>': (a, b) => a >>> b,
};

/** The constants of an expression: where what it says may change. */
function numbers(expression: unknown): number[] {
  if (typeof expression === 'number') return [expression];
  return typeof expression === 'object' && expression !== null ? Object.values(expression).flatMap(numbers) : [];
}

/** Whether the rule tells one of our marks from no mark at all, as which our packets would pass without us. */
function tells(matches: (m: number) => boolean | undefined, constants: readonly (string | number)[]): boolean {
  const near = constants.flatMap((c) => [Number(c) - 1, Number(c), Number(c) + 1]).map((m) => m & LAST_MARK);
  const without = matches(0);
  return without === undefined || [...PROBES, ...near].some((m) => m > 0 && matches(m) !== without);
}

/** Whether the rule gives a packet another of our marks than it had. */
const alters = (set: (m: number) => number | undefined): boolean =>
  [0, ...PROBES].some((m) => {
    const after = set(m);
    return after === undefined || ((after ^ m) & LAST_MARK) !== 0;
  });

/** Every bit that our marks have, alone and all together. */
const PROBES = [...Array.from({ length: 16 }, (_, bit) => 1 << bit), LAST_MARK];

const masked = (m: number, value: string, mask = '0xffffffff'): boolean => ((m ^ Number(value)) & Number(mask)) === 0;

const record = (v: unknown): Readonly<Record<string, unknown>> =>
  typeof v === 'object' && v !== null && !Array.isArray(v) ? (v as Record<string, unknown>) : {};

const lines = (text: string): string[] =>
  text
    .split('\n')
    .map((l) => l.trim())
    .filter((l) => l !== '');
