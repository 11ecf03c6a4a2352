/**
 * Who stands behind a mark: mark -> CHILD_SAs -> IKE_SA, kept from charon's events. A machine; marks outlive rekeying,
 * reauthentication and a client's crash and return, ids do not. RFC 3193 §3.1 (an SA deleted ends the tunnel), §3.3.
 */
import type { ChildSa, IkeEvent, IkeSa } from '../io/ports.js';
import { after, type Instant, type Machine, Outbox, TimerTable } from '../proto/machine.js';
import { Multimap } from '../proto/multimap.js';
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

interface Established {
  /** Rises in the order of coming. */
  readonly nth: number;
  readonly ike: IkeInfo;
}

interface Entry {
  readonly mark: number;
  readonly nth: number;
  ike: IkeInfo;
  /** By uniqueId, oldest first. */
  readonly children: Map<string, ChildSa>;
  current: ChildSa;
}

export class SaRegistry implements Machine<IkeEvent, RegistryOut> {
  readonly #graceMs: number;
  readonly #marks = new Map<number, Entry>();
  /** The same by the IKE_SA each is under, and by that one's peer: an event costs what it is about, not a walk through all. */
  readonly #byIke = new Multimap<string, Entry>();
  readonly #byPeer = new Multimap<string, Entry>();
  /** Established IKE_SAs, those without children included. */
  readonly #ikes = new Map<string, Established>();
  readonly #ikesByPeer = new Multimap<string, Established>();
  #nth = 0;
  readonly #grace = new TimerTable<string>();
  readonly #out = new Outbox<RegistryOut>();

  constructor(options: { readonly graceMs?: number } = {}) {
    this.#graceMs = options.graceMs ?? GRACE_MS;
  }

  lookup(mark: number): MarkInfo | undefined {
    const entry = this.#marks.get(mark);
    return entry && info(entry);
  }

  /** Of an IKE SA there are several where a client came back under it with another proposal, and the old CHILD_SA was adopted. */
  marksOf(ikeId: string): number[] {
    return inOrder(this.#byIke.of(ikeId)).map(({ mark }) => mark);
  }

  all(): MarkInfo[] {
    return [...this.#marks.values()].map(info);
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
    this.#establish(ike);
    const mark = child.markIn;
    const entry = this.#marks.get(mark);
    if (!entry) {
      const children = new Map([[child.uniqueId, child]]);
      const young: Entry = { mark, nth: ++this.#nth, ike, children, current: child };
      this.#marks.set(mark, young);
      this.#index(young);
      this.#tell('mark-up', mark);
      return;
    }
    const known = entry.children.has(child.uniqueId) && sameIke(entry.ike, ike);
    this.#put(entry, ike);
    entry.children.set(child.uniqueId, child);
    if (!known) entry.current = child;
    this.#grace.clear(`${mark}`);
    if (!known) this.#tell('mark-changed', mark);
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
    this.#establish(ike);
    // IKEv1 reauthentication, and a client that crashed and came back: charon moves the children without a word.
    if (ike.version === 1) for (const entry of inOrder(this.#byPeer.of(peerOf(ike)))) this.#setIke(entry, ike);
  }

  #ikeDown(sa: IkeSa): void {
    if (!this.#forget(sa.uniqueId)) return; // never established
    const reason = sa.state === 'DELETING' ? 'ike-deleted' : 'peer-dead';
    for (const entry of inOrder(this.#byIke.of(sa.uniqueId))) {
      const heir = entry.ike.version === 1 ? this.#heir(entry.ike) : undefined;
      if (heir) this.#setIke(entry, heir);
      else this.#down(entry.mark, reason);
    }
  }

  /** Another IKE_SA with the same peer: it has adopted the children, or the two came up in one moment. */
  #heir(ike: IkeInfo): IkeInfo | undefined {
    return inOrder(this.#ikesByPeer.of(peerOf(ike))).at(-1)?.ike;
  }

  #moved(oldId: string, ike: IkeInfo): void {
    if (!this.#forget(oldId)) return; // endpoints float before the peer is authenticated
    this.#establish(ike);
    for (const entry of inOrder(this.#byIke.of(oldId))) this.#setIke(entry, ike);
  }

  #setIke(entry: Entry, ike: IkeInfo): void {
    const same = sameIke(entry.ike, ike);
    this.#put(entry, ike);
    if (!same) this.#tell('mark-changed', entry.mark);
  }

  /**
   * After a (re)connect: SPIs are random, so a child we knew, or an IKE_SA under which it was rekeyed meanwhile, proves that the mark
   * is still the same client's.
   */
  #reconcile(sas: readonly IkeSa[]): void {
    const established = sas.filter((sa) => ['ESTABLISHED', 'REKEYING', 'PASSIVE'].includes(sa.state));
    for (const id of this.#ikes.keys()) this.#forget(id);
    for (const sa of established) this.#establish(bare(sa));
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
    this.#unindex(entry);
    const left = this.#ikes.get(entry.ike.uniqueId)?.ike;
    this.#out.push({ type: 'mark-down', mark, reason, ...(left && { left }) });
  }

  /** One that is known keeps its place. */
  #establish(ike: IkeInfo): void {
    const nth = this.#ikes.get(ike.uniqueId)?.nth ?? ++this.#nth;
    this.#forget(ike.uniqueId);
    const established = { nth, ike };
    this.#ikes.set(ike.uniqueId, established);
    this.#ikesByPeer.add(peerOf(ike), established);
  }

  /** Whether it was established. */
  #forget(ikeId: string): boolean {
    const established = this.#ikes.get(ikeId);
    if (established) this.#ikesByPeer.remove(peerOf(established.ike), established);
    return this.#ikes.delete(ikeId);
  }

  /** A mark comes under another IKE_SA, or its own is another in something, only here. */
  #put(entry: Entry, ike: IkeInfo): void {
    this.#unindex(entry);
    entry.ike = ike;
    this.#index(entry);
  }

  #index(entry: Entry): void {
    this.#byIke.add(entry.ike.uniqueId, entry);
    this.#byPeer.add(peerOf(entry.ike), entry);
  }

  #unindex(entry: Entry): void {
    this.#byIke.remove(entry.ike.uniqueId, entry);
    this.#byPeer.remove(peerOf(entry.ike), entry);
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

const inOrder = <T extends { readonly nth: number }>(found: T[]): T[] => found.sort((a, b) => a.nth - b.nth);

const info = ({ mark, ike, children, current }: Entry): MarkInfo => ({
  mark,
  ike,
  children: [...children.values()],
  current,
});

function bare({ children: _, ...ike }: IkeSa): IkeInfo {
  return ike;
}

/** What charon compares before a new IKE_SA adopts the children of an older one: both ends and both identities. */
function peerOf({ version, name, localId, remoteId, localHost, localPort, remoteHost, remotePort }: IkeInfo): string {
  return JSON.stringify([version, name, localId, remoteId, localHost, localPort, remoteHost, remotePort]);
}

/** Whether anything a tunnel depends on is different. */
function sameIke(a: IkeInfo, b: IkeInfo): boolean {
  return (
    a.uniqueId === b.uniqueId &&
    a.localHost === b.localHost &&
    a.localPort === b.localPort &&
    a.remoteHost === b.remoteHost &&
    a.remotePort === b.remotePort
  );
}
