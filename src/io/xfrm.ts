/**
 * The kernel's IPsec state that an earlier run of ours left, told from other people's and removed exactly. A new charon
 * hands out mark 1 again: old SAs must be gone first, or old packets count as the new client's. ip-xfrm(8) first.
 */
import { readFile } from 'node:fs/promises';
import { writeOwned } from './owned.js';
import { type Run, run as runTool } from './run.js';

export interface Mark {
  readonly value: number;
  readonly mask: number;
}

export interface XfrmState {
  readonly src: string;
  readonly dst: string;
  readonly proto: string;
  /** `0xc4157db9` */
  readonly spi: string;
  readonly reqid: number;
  readonly mode: string;
  /** Looked for when sending. */
  readonly mark?: Mark;
  /** Set on what was received. */
  readonly outputMark?: Mark;
  readonly ifId?: string;
  /** The selector's protocol and ports; of an acquire, those of the packet that caused it. */
  readonly selector: Readonly<Record<string, string>>;
}

export interface XfrmPolicy {
  /** src, dst and where given proto, sport, dport, dev: ip-xfrm's words and values. */
  readonly selector: Readonly<Record<string, string>>;
  readonly dir: string;
  readonly block: boolean;
  readonly mark?: Mark;
  readonly ifId?: string;
  readonly templates: readonly { readonly reqid: number; readonly mode: string }[];
}

export interface XfrmSet {
  readonly states: readonly XfrmState[];
  readonly policies: readonly XfrmPolicy[];
}

export interface XfrmInventory {
  readonly ours: XfrmSet;
  readonly foreign: XfrmSet;
}

export class XfrmError extends Error {
  override readonly name = 'XfrmError';
}

export interface XfrmOptions {
  /** Where claimXfrm() notes our addresses: `<state_dir>/xfrm-owned.json`. */
  readonly record: string;
  readonly run?: Run;
}

/**
 * Says which addresses our SAs will end at; call it before charon starts. By it a later run knows SAs of ours whose
 * policies are gone.
 */
export async function claimXfrm(listen: readonly string[], options: XfrmOptions): Promise<void> {
  const all = [...new Set([...(await claimed(options.record)), ...listen])];
  await writeOwned(options.record, `${JSON.stringify({ listen: all })}\n`);
}

/** An SA on loopback that nothing uses, with the cipher and digest every client can do; its keys are no secrets. */
const PROBE = 'src 127.0.0.1 dst 127.0.0.1 proto esp spi 0x1701';
const PROBE_ALGORITHMS = [
  ...['mode', 'transport'],
  ...['auth-trunc', 'hmac(sha1)', `0x${'01'.repeat(20)}`, '96'],
  ...['enc', 'cbc(aes)', `0x${'02'.repeat(16)}`],
];

/** Whether this kernel can do ESP: installs an SA and removes it. Rejects with XfrmError that says what is missing. */
export async function probeEsp(run: Run = runTool): Promise<void> {
  const { status, stderr } = await run('ip', ['xfrm', 'state', 'add', ...PROBE.split(' '), ...PROBE_ALGORITHMS]);
  await run('ip', ['xfrm', 'state', 'delete', ...PROBE.split(' ')]);
  if (status !== 0 && !/File exists/.test(stderr))
    throw new XfrmError(
      `this kernel has no ESP (ip xfrm: ${stderr.split('\n')[0]?.replace(/^(RTNETLINK answers|Error): |\.$/g, '')}): it needs esp4, esp6, xfrm_user, cbc, hmac and sha1, or run lockstepd elsewhere`,
    );
}

/** Rejects with XfrmError when the kernel cannot be asked. */
export async function inspectXfrm(options: XfrmOptions): Promise<XfrmInventory> {
  const { run = runTool } = options;
  const list = async (...args: string[]) => {
    const { status, stdout, stderr } = await run('ip', ['xfrm', ...args]);
    if (status !== 0) throw new XfrmError(`ip xfrm ${args[0]} list: ${stderr.trim().split('\n')[0]}`);
    return stdout;
  };
  // nokeys: there is no reason to ever have them in this process.
  // Policies first: the states of each of them are in the second list, whatever is installed in between.
  const [policies, states] = [await list('policy', 'list', 'nosock'), await list('state', 'list', 'nokeys')];
  return classify({ states: parseStates(states), policies: parsePolicies(policies) }, await claimed(options.record));
}

/**
 * Whether the drop shunt of each address stands, in and out, asked by selector: one process and no listing, however many
 * SAs there are. Rejects with XfrmError when the kernel cannot be asked.
 */
export async function shuntsStand(listen: readonly string[], run: Run = runTool): Promise<boolean> {
  const lines = listen.flatMap((address) => {
    const [own, any] = address.includes(':') ? [`${address}/128`, '::/0'] : [`${address}/32`, '0.0.0.0/0'];
    return [
      `xfrm policy get src ${own} dst ${any} proto udp sport 1701 dir out`,
      `xfrm policy get src ${any} dst ${own} proto udp dport 1701 dir in`,
    ];
  });
  const { status, stdout, stderr } = await run('ip', ['-batch', '-'], `${lines.join('\n')}\n`);
  if (status !== 0 && !/No such file/.test(stderr))
    throw new XfrmError(`ip xfrm policy get: ${stderr.trim().split('\n')[0]}`);
  return status === 0 && parsePolicies(stdout).filter((p) => p.block).length === lines.length;
}

/** Deletes what is ours, one by one, never a flush; charon must not be running. Returns how many; all gone after it. */
export async function removeOwn(options: XfrmOptions): Promise<number> {
  const { run = runTool } = options;
  const before = (await inspectXfrm(options)).ours;
  const count = before.states.length + before.policies.length;
  if (count === 0) return 0;
  await run('ip', ['-force', '-batch', '-'], deletions(before));
  const { states, policies } = (await inspectXfrm(options)).ours;
  if (states.length + policies.length > 0)
    throw new XfrmError(
      `the kernel kept ${states.length} SAs and ${policies.length} policies of an earlier run: ${describe({ states, policies })[0]}`,
    );
  return count;
}

/**
 * Deletes those SAs of ours, and their policies, that a running charon does not know: a predecessor that was killed left
 * them. `known` asks charon for the inbound and outbound SPIs it holds, 8 hex digits each. Drop policies stay. Returns how many SAs.
 */
export async function removeOrphans(known: () => Promise<ReadonlySet<string>>, options: XfrmOptions): Promise<number> {
  const { run = runTool } = options;
  // The kernel first: what charon installs meanwhile is in its list and not in this one.
  const { states, policies } = (await inspectXfrm(options)).ours;
  const spis = await known();
  // An SPI that is only reserved yet has no mark, and charon does not list it either.
  const orphans = states.filter(
    (s) => (s.mark ?? s.outputMark) !== undefined && !spis.has(s.spi.slice(2).padStart(8, '0')),
  );
  const living = new Set(states.filter((s) => !orphans.includes(s)).map((s) => s.reqid));
  const dead = policies.filter((p) => !p.block && p.templates.every((t) => !living.has(t.reqid)));
  if (orphans.length + dead.length === 0) return 0;
  await run('ip', ['-force', '-batch', '-'], deletions({ states: orphans, policies: dead }));
  const left = new Set((await inspectXfrm(options)).ours.states.map((s) => s.spi));
  const kept = orphans.filter((s) => left.has(s.spi));
  if (kept.length > 0)
    throw new XfrmError(
      `the kernel kept ${kept.length} SAs of an earlier charon: ${describe({ states: kept, policies: [] })[0]}`,
    );
  return orphans.length;
}

/** One line for each, for the list shown to the operator. */
export function describe({ states, policies }: XfrmSet): string[] {
  return [
    ...states.map((s) => `SA ${s.proto} ${s.mode} ${s.src} -> ${s.dst} spi ${s.spi} reqid ${s.reqid}`),
    ...policies.map((p) => `policy ${p.dir}${p.block ? ' (block)' : ''} ${words(p.selector)}`),
  ];
}

/**
 * Ours: policies for UDP 1701; the transport SAs their templates name; acquires they caused; and transport SAs at an
 * address we claimed that carry a whole-word mark, as only `mark_in = %unique` makes them.
 */
export function classify({ states, policies }: XfrmSet, listen: readonly string[] = []): XfrmInventory {
  const isL2tp = (s: Readonly<Record<string, string>>) =>
    s.proto === 'udp' && (s.sport === '1701' || s.dport === '1701');
  const ourPolicy = (p: XfrmPolicy) =>
    isL2tp(p.selector) && (p.block || p.templates.every((t) => t.mode === 'transport'));
  const reqids = new Set(policies.filter(ourPolicy).flatMap((p) => p.templates.map((t) => t.reqid)));
  const whole = (mark: Mark | undefined) => mark !== undefined && mark.mask === 0xffffffff && mark.value > 0;
  const ourState = (s: XfrmState) =>
    s.mode === 'transport' &&
    (isL2tp(s.selector) ||
      (s.proto === 'esp' &&
        ((s.reqid !== 0 && reqids.has(s.reqid)) ||
          ((listen.includes(s.src) || listen.includes(s.dst)) && (whole(s.mark) || whole(s.outputMark))))));
  const split = <T>(list: readonly T[], ours: (item: T) => boolean) => [
    list.filter(ours),
    list.filter((i) => !ours(i)),
  ];
  const [ourStates = [], otherStates = []] = split(states, ourState);
  const [ourPolicies = [], otherPolicies = []] = split(policies, ourPolicy);
  return {
    ours: { states: ourStates, policies: ourPolicies },
    foreign: { states: otherStates, policies: otherPolicies },
  };
}

/** Input for `ip -batch`. */
export function deletions({ states, policies }: XfrmSet): string {
  const mark = (m: Mark | undefined) => (m ? ` mark ${hex(m.value)} mask ${hex(m.mask)}` : '');
  const interfaceId = (id: string | undefined) => (id === undefined ? '' : ` if_id ${id}`);
  return [
    ...policies.map((p) => `xfrm policy delete ${words(p.selector)} dir ${p.dir}${mark(p.mark)}${interfaceId(p.ifId)}`),
    ...states.map((s) => `xfrm state delete src ${s.src} dst ${s.dst} proto ${s.proto} spi ${s.spi}${mark(s.mark)}`),
    '',
  ].join('\n');
}

/** `ip xfrm state list`, with -s or without. */
export function parseStates(text: string): XfrmState[] {
  return blocks(text).flatMap(([head = '', ...rest]) => {
    const { src, dst } = pairs(head);
    const id = pairs(rest.find((l) => /^proto \S+ spi /.test(l)) ?? '');
    if (src === undefined || dst === undefined || id.proto === undefined || id.spi === undefined) return [];
    const { src: _, dst: __, ...selector } = pairs((rest.find((l) => l.startsWith('sel ')) ?? '').slice(4));
    return [
      {
        src,
        dst,
        proto: id.proto,
        spi: id.spi,
        reqid: Number(id.reqid ?? 0),
        mode: id.mode ?? '',
        selector,
        ...marks(rest),
      },
    ];
  });
}

/** `ip xfrm policy list`, with -s or without; policies of sockets are left out: they go with their sockets. */
export function parsePolicies(text: string): XfrmPolicy[] {
  return blocks(text).flatMap(([head = '', ...rest]) => {
    const { uid: _, ...selector } = pairs(head);
    const { dir, action } = pairs(rest.find((l) => l.startsWith('dir ')) ?? '');
    if (selector.src === undefined || selector.dst === undefined || dir === undefined) return [];
    const templates = rest.filter((l) => /^proto .*\bmode /.test(l)).map(pairs);
    return [
      {
        selector,
        dir,
        block: action === 'block',
        templates: templates.map((t) => ({ reqid: Number(t.reqid ?? 0), mode: t.mode ?? '' })),
        ...marks(rest),
      },
    ];
  });
}

/** An entry starts in the first column, its other lines are indented. */
function blocks(text: string): string[][] {
  const all: string[][] = [];
  for (const line of text.split('\n')) {
    if (/^\S/.test(line)) all.push([line.trim()]);
    else if (line.trim() !== '') all.at(-1)?.push(line.trim());
  }
  return all;
}

/** `src A dst B proto udp`: words and their values; `reqid 77(0x4d)` loses what is in brackets. */
function pairs(line: string): Record<string, string> {
  const tokens = line
    .replace(/\([^)]*\)/g, '')
    .trim()
    .split(/\s+/);
  const out: Record<string, string> = {};
  for (let i = 0; i + 1 < tokens.length; i += 2) out[tokens[i]!] = tokens[i + 1]!;
  return out;
}

function marks(lines: readonly string[]): { mark?: Mark; outputMark?: Mark; ifId?: string } {
  const [mark, outputMark] = [markIn(lines, 'mark'), markIn(lines, 'output-mark')];
  const ifId = lines.map((l) => /^if_id (\S+)/.exec(l)?.[1]).find((id) => id !== undefined);
  return { ...(mark && { mark }), ...(outputMark && { outputMark }), ...(ifId === undefined ? {} : { ifId }) };
}

function markIn(lines: readonly string[], word: string): Mark | undefined {
  for (const line of lines) {
    const [, value, mask] = new RegExp(`^${word} (0x[0-9a-f]+|\\d+)/(0x[0-9a-f]+|\\d+)`).exec(line) ?? [];
    if (value !== undefined) return { value: Number(value), mask: Number(mask) };
  }
  return undefined;
}

const hex = (n: number): string => `0x${n.toString(16)}`;

const words = (selector: Readonly<Record<string, string>>): string => Object.entries(selector).flat().join(' ');

async function claimed(record: string): Promise<string[]> {
  try {
    const { listen } = JSON.parse(await readFile(record, 'utf8')) as { listen?: unknown };
    return Array.isArray(listen) ? listen.filter((a) => typeof a === 'string') : [];
  } catch {
    return []; // none yet, or unreadable: then the policies alone tell
  }
}
