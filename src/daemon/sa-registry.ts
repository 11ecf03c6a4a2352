/**
 * Who stands behind a mark: mark -> CHILD_SAs -> IKE_SA, kept from charon's events. A machine; marks outlive rekeying,
 * reauthentication and a client's crash and return, ids do not. RFC 3193 §3.1 (an SA deleted ends the tunnel), §3.3.
 */
import type { ChildSa, IkeEvent, IkeSa } from '../io/ports.js';
import { after, type Instant, type Machine, Outbox, TimerTable } from '../proto/machine.js';
import { never } from '../wire/result.js';

export type IkeInfo = Omit<IkeSa, 'children'>;

export interface MarkInfo {
  readonly mark: number;
  readonly ike: IkeInfo;
  /** Those installed and not replaced, oldest first; empty in the grace after the last one went. */
  readonly children: readonly ChildSa[];
  /** The newest: what we send through. */
  readonly current: ChildSa;
}

export type MarkDownReason =
  | 'child-deleted' // the last CHILD_SA was deleted and none followed
  | 'ike-deleted' // by the peer or by us
  | 'peer-dead' // DPD or retransmissions unanswered
  | 'gone' // not there any more when charon could be asked again
  | 'replaced'; // the mark is another client's now: charon was restarted

export type RegistryOut =
  | { readonly type: 'mark-up'; readonly mark: number; readonly sa: MarkInfo }
  /** Rekeyed, moved to another IKE_SA, or the peer's address or port changed. */
  | { readonly type: 'mark-changed'; readonly mark: number; readonly sa: MarkInfo }
  | MarkDown;

export interface MarkDown {
  readonly type: 'mark-down';
  readonly mark: number;
  readonly reason: MarkDownReason;
  /** Its IKE_SA, if that still stands. */
  readonly left?: IkeInfo;
}

/**
 * Implementation: Windows and Apple delete the older SA after each renegotiation, and may delete it before the new one
 * is complete; the last SA gone means a client that left only if none follows within this.
 */
export const GRACE_MS = 3_000;

interface Entry {
  ike: IkeInfo;
  /** By uniqueId, oldest first. */
  readonly children: Map<string, ChildSa>;
  current: ChildSa;
}

export class SaRegistry implements Machine<IkeEvent, RegistryOut> {
  readonly #graceMs: number;
  readonly #marks = new Map<number, Entry>();
  /** Established IKE_SAs, those without children included. */
  readonly #ikes = new Map<string, IkeInfo>();
  readonly #grace = new TimerTable<string>();
  readonly #out = new Outbox<RegistryOut>();

  constructor(options: { readonly graceMs?: number } = {}) {
    this.#graceMs = options.graceMs ?? GRACE_MS;
  }

  lookup(mark: number): MarkInfo | undefined {
    const entry = this.#marks.get(mark);
    return entry && info(mark, entry);
  }

  /** Of an IKE SA there are several where a client came back under it with another proposal, and the old CHILD_SA was adopted. */
  marksOf(ikeId: string): number[] {
    return [...this.#marks].filter(([, { ike }]) => ike.uniqueId === ikeId).map(([mark]) => mark);
  }

  all(): MarkInfo[] {
    return [...this.#marks].map(([mark, entry]) => info(mark, entry));
  }

  handle(now: Instant, event: IkeEvent): void {
    switch (event.type) {
      case 'child-updown':
        if (event.up) for (const child of event.sa.children) this.#installed(bare(event.sa), child);
        else for (const child of event.sa.children) this.#removed(now, event.sa, child);
        return;
      case 'child-rekey':
        return this.#rekeyed(now, event.sa, event.old, event.new);
      case 'ike-updown':
        return event.up ? this.#ikeUp(bare(event.sa)) : this.#ikeDown(event.sa);
      case 'ike-rekey': // IKEv2: the new IKE_SA inherits the children, RFC 7296 §2.8
        return this.#moved(event.old.uniqueId, bare(event.new));
      case 'ike-update':
        return this.#moved(event.sa.uniqueId, bare(event.sa));
      case 'snapshot':
        return this.#reconcile(event.sas);
      case 'connected':
      case 'lost': // what is known stays; the next snapshot tells
      case 'log':
        return;
      default:
        never(event);
    }
  }

  handleTimeout(now: Instant): void {
    for (const mark of this.#grace.due(now)) this.#down(Number(mark), 'child-deleted');
  }

  poll(): RegistryOut | undefined {
    return this.#out.poll();
  }

  nextTimeout(): Instant | undefined {
    return this.#grace.next();
  }

  #installed(ike: IkeInfo, child: ChildSa): void {
    if (child.markIn === 0) return; // not of our connection
    this.#ikes.set(ike.uniqueId, ike);
    const entry = this.#marks.get(child.markIn);
    if (!entry) {
      this.#marks.set(child.markIn, { ike, children: new Map([[child.uniqueId, child]]), current: child });
      this.#tell('mark-up', child.markIn);
      return;
    }
    const known = entry.children.has(child.uniqueId) && sameIke(entry.ike, ike);
    entry.ike = ike;
    entry.children.set(child.uniqueId, child);
    if (!known) entry.current = child;
    this.#grace.clear(`${child.markIn}`);
    if (!known) this.#tell('mark-changed', child.markIn);
  }

  #removed(now: Instant, sa: IkeSa, child: ChildSa): void {
    const entry = this.#marks.get(child.markIn);
    if (!entry?.children.delete(child.uniqueId)) return; // an older one, replaced before: that ends nothing
    const newest = [...entry.children.values()].at(-1);
    if (newest) {
      const changed = newest !== entry.current;
      entry.current = newest;
      if (changed) this.#tell('mark-changed', child.markIn);
      return;
    }
    entry.current = child; // with its final counters
    const ikeGone = sa.state === 'DELETING' || !this.#ikes.has(entry.ike.uniqueId);
    if (ikeGone) this.#down(child.markIn, 'ike-deleted');
    else this.#grace.set(`${child.markIn}`, after(now, this.#graceMs));
  }

  /** The old one stays usable inbound until the peer deletes it, of which charon then tells nothing. */
  #rekeyed(now: Instant, sa: IkeSa, old: ChildSa, young: ChildSa): void {
    if (old.markIn === young.markIn) this.#marks.get(old.markIn)?.children.delete(old.uniqueId);
    this.#installed(bare(sa), young);
    if (old.markIn !== young.markIn) this.#removed(now, sa, old);
  }

  #ikeUp(ike: IkeInfo): void {
    this.#ikes.set(ike.uniqueId, ike);
    // IKEv1 reauthentication, and a client that crashed and came back: charon moves the children without a word.
    if (ike.version === 1)
      for (const [mark, entry] of this.#marks) if (samePeer(entry.ike, ike)) this.#setIke(mark, entry, ike);
  }

  #ikeDown(sa: IkeSa): void {
    if (!this.#ikes.delete(sa.uniqueId)) return; // never established
    const reason = sa.state === 'DELETING' ? 'ike-deleted' : 'peer-dead';
    for (const [mark, entry] of this.#marks) {
      if (entry.ike.uniqueId !== sa.uniqueId) continue;
      const heir = entry.ike.version === 1 ? this.#heir(entry.ike) : undefined;
      if (heir) this.#setIke(mark, entry, heir);
      else this.#down(mark, reason);
    }
  }

  /** Another IKE_SA with the same peer: it has adopted the children, or the two came up in one moment. */
  #heir(ike: IkeInfo): IkeInfo | undefined {
    return [...this.#ikes.values()].filter((other) => samePeer(other, ike)).at(-1);
  }

  #moved(oldId: string, ike: IkeInfo): void {
    if (!this.#ikes.delete(oldId)) return; // endpoints float before the peer is authenticated
    this.#ikes.set(ike.uniqueId, ike);
    for (const [mark, entry] of this.#marks) if (entry.ike.uniqueId === oldId) this.#setIke(mark, entry, ike);
  }

  #setIke(mark: number, entry: Entry, ike: IkeInfo): void {
    const same = sameIke(entry.ike, ike);
    entry.ike = ike;
    if (!same) this.#tell('mark-changed', mark);
  }

  /**
   * After a (re)connect: SPIs are random, so a child we knew, or an IKE_SA under which it was rekeyed meanwhile, proves that the mark
   * is still the same client's.
   */
  #reconcile(sas: readonly IkeSa[]): void {
    const established = sas.filter((sa) => ['ESTABLISHED', 'REKEYING', 'PASSIVE'].includes(sa.state));
    this.#ikes.clear();
    for (const sa of established) this.#ikes.set(sa.uniqueId, bare(sa));
    const listed = new Map<number, { ike: IkeInfo; children: ChildSa[] }>();
    for (const sa of established)
      for (const child of sa.children) {
        const at = listed.get(child.markIn);
        if (at) at.children.push(child);
        else if (child.markIn !== 0) listed.set(child.markIn, { ike: bare(sa), children: [child] });
      }
    for (const [mark, entry] of this.#marks) {
      const children = listed.get(mark)?.children ?? [];
      const spis = new Set([entry.current, ...entry.children.values()].map((c) => c.spiIn));
      if (!standing(children)) this.#down(mark, 'gone');
      else if (!children.some((c) => spis.has(c.spiIn)) && listed.get(mark)?.ike.spis !== entry.ike.spis)
        this.#down(mark, 'replaced');
    }
    for (const [mark, { ike, children }] of listed) {
      const child = standing(children);
      if (!child) continue;
      const known = this.#marks.get(mark)?.children;
      for (const id of known?.keys() ?? []) if (id !== child.uniqueId) known?.delete(id);
      this.#installed(ike, child);
    }
  }

  #down(mark: number, reason: MarkDownReason): void {
    this.#grace.clear(`${mark}`);
    const entry = this.#marks.get(mark);
    if (entry === undefined) return;
    this.#marks.delete(mark);
    const left = this.#ikes.get(entry.ike.uniqueId);
    this.#out.push({ type: 'mark-down', mark, reason, ...(left && { left }) });
  }

  #tell(type: 'mark-up' | 'mark-changed', mark: number): void {
    const sa = this.lookup(mark);
    if (sa) this.#out.push({ type, mark, sa });
  }
}

/**
 * The one that carries the mark's traffic. In a rekeying the older one is REKEYING, then REKEYED (inbound only), and its
 * end comes without an event: it counts only while there is no other.
 */
function standing(children: readonly ChildSa[]): ChildSa | undefined {
  const newest = (state: string) =>
    children
      .filter((c) => c.state === state)
      .sort(byAge)
      .at(-1);
  return newest('INSTALLED') ?? newest('UPDATING') ?? newest('REKEYING') ?? newest('RETRYING');
}

const byAge = (a: ChildSa, b: ChildSa): number => Number(a.uniqueId) - Number(b.uniqueId);

const info = (mark: number, { ike, children, current }: Entry): MarkInfo => ({
  mark,
  ike,
  children: [...children.values()],
  current,
});

function bare({ children: _, ...ike }: IkeSa): IkeInfo {
  return ike;
}

/** What charon compares before a new IKE_SA adopts the children of an older one: both ends and both identities. */
function samePeer(a: IkeInfo, b: IkeInfo): boolean {
  return (
    a.version === b.version &&
    a.name === b.name &&
    a.localId === b.localId &&
    a.remoteId === b.remoteId &&
    sameEnds(a, b)
  );
}

/** Whether anything a tunnel depends on is different. */
function sameIke(a: IkeInfo, b: IkeInfo): boolean {
  return a.uniqueId === b.uniqueId && sameEnds(a, b);
}

function sameEnds(a: IkeInfo, b: IkeInfo): boolean {
  return (
    a.localHost === b.localHost &&
    a.localPort === b.localPort &&
    a.remoteHost === b.remoteHost &&
    a.remotePort === b.remotePort
  );
}
