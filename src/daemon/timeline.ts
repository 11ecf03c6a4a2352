/**
 * The story of each attempt to connect, kept for `lockstep trace`: IKE -> ESP -> L2TP -> LCP -> authentication -> IPCP -> up
 * -> why it ended. It is fed by the log's events, whatever the log's level, and by charon's log. Bounded in every direction:
 * anybody can send an IKE packet from any address.
 */
import type { IkeLogEvent } from '../io/ports.js';
import { ADVICE, adviceFor, type Cause, type Stage } from './advice.js';
import type { IkeFailure } from './ike-log.js';
import { type Log, tee } from './log.js';

export interface StepView {
  /** Of all steps of all attempts, rising. */
  readonly seq: number;
  /** ISO 8601. */
  readonly at: string;
  readonly stage: Stage;
  readonly text: string;
}

export interface AttemptView {
  readonly id: number;
  readonly state: 'trying' | 'up' | 'ended';
  /** How far it came. */
  readonly stage: Stage;
  /** The client's outer address. */
  readonly peer: string | null;
  readonly user: string | null;
  readonly hostName: string | null;
  readonly mark: number | null;
  readonly steps: readonly StepView[];
  readonly cause: Cause | null;
  readonly reason: string | null;
  /** What the person at the client sees; empty when it is no failure. */
  readonly shows: readonly string[];
  readonly advice: string | null;
}

export interface TraceView {
  /** Of the last step there is: `after` of the next question. */
  readonly seq: number;
  /** Oldest first. */
  readonly attempts: readonly AttemptView[];
}

export interface TraceQuery {
  /** Address, user or host name. */
  readonly peer?: string;
  /** Only attempts with steps after this one, and of them only those steps. */
  readonly after?: number;
  /** The newest so many. */
  readonly limit?: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Attempt = Mutable<Omit<AttemptView, 'steps' | 'shows'>> & {
  readonly steps: StepView[];
  ike?: string;
  session?: string;
  informed?: true;
  touched: number;
  /** Its place among those that got past IKE; 0 before. */
  nth: number;
};
type Fields = Readonly<Record<string, unknown>>;

/* Implementation */
/** Attempts that got past IKE, and those that did not and may be forged: each has room of its own. */
const MAX_ATTEMPTS = 4_096;
const MAX_IKE_ONLY = 256;
const MAX_PER_PEER = 50;
const MAX_AGE_MS = 24 * 3_600_000;
const SWEEP_MS = 60_000;
const MAX_STEPS = 40;
/** Of a long story the beginning is kept, and the end. */
const KEPT_STEPS = 30;
const MAX_TEXT = 200;
const MAX_ANSWER = 1_000;

export class Timeline {
  readonly #now: () => Date;
  /** By id, oldest first: those that got past IKE, and those that have not. */
  readonly #known = new Map<number, Attempt>();
  readonly #begun = new Map<number, Attempt>();
  /** Those of `#known` that have ended, in its order: the first is forgotten first. */
  readonly #ended: Attempt[] = [];
  readonly #byIke = new Map<string, Attempt>();
  readonly #byMark = new Map<number, Attempt>();
  readonly #bySession = new Map<string, Attempt>();
  readonly #perPeer = new Map<string, Set<Attempt>>();
  #id = 0;
  #nth = 0;
  #seq = 0;
  #sweptAt = 0;

  constructor(now: () => Date = () => new Date()) {
    this.#now = now;
  }

  /** The same log, with the timeline listening. */
  listening(log: Log): Log {
    return tee(log, (event, fields) => this.event(event, fields));
  }

  /** A line of charon's log: the beginning of an attempt is only there. */
  ikeLog({ message, ikeUniqueId }: IkeLogEvent): void {
    const begun = /^([0-9a-f.:]+) is initiating an? (?:(\w+ Mode) )?IKE_SA$/.exec(message);
    if (begun === null || ikeUniqueId === undefined || this.#byId(ikeUniqueId, begun[1]!) !== undefined) return;
    this.#ofIke(
      ikeUniqueId,
      begun[1]!,
      `the client begins${begun[2] === undefined ? ' IKEv2' : `: IKEv1 ${begun[2]}`}`,
    );
  }

  /** There may be a new charon, which counts its SAs from 1 again. */
  charonConnected(): void {
    this.#byIke.clear();
  }

  /** It ended in IKE, by charon's log. */
  ikeFailed({ cause, peer, ikeUniqueId, offered, configured, message }: IkeFailure): void {
    if (peer === undefined) return;
    const attempt = this.#byId(ikeUniqueId, peer) ?? this.#ofIke(ikeUniqueId, peer, 'the client asks');
    if (offered !== undefined) this.#step(attempt, `it offered ${offered}`);
    if (configured !== undefined) this.#step(attempt, `the gateway takes ${configured}`);
    this.#step(attempt, message);
    if (attempt.stage !== 'ike') return;
    const advice = adviceFor(cause, offered);
    if (attempt.state === 'ended') return this.#because(attempt, cause, message, advice); // told better after its end
    this.#end(attempt, cause, message, advice);
  }

  /** An event of the log. */
  event(event: string, fields: Fields): void {
    if (event === 'port.shut') return this.#allEnd(String(fields.reason));
    if (event === 'ike.child-up' || event === 'ike.child-changed') return this.#child(event, fields);
    const story = STORIES[event] ?? (event.startsWith('l2tp.') ? TOLD_BY_L2TP : undefined);
    if (story === undefined) return;
    const attempt = this.#find(event, fields);
    if (attempt === undefined) return;
    this.#learn(attempt, fields);
    if (story.stage !== undefined) this.#reach(attempt, story.stage);
    if (event === 'dhcp.informed') {
      // The client asks as often as it likes, and would push the others out.
      if (attempt.informed === true) return;
      attempt.informed = true;
    }
    this.#step(attempt, story.say(fields));
    if (event === 'tunnel.up') this.#because(attempt, undefined, null, null); // late, but it came
    if (event === 'session.up') attempt.state = 'up';
    if (event === 'ike.no-l2tp') this.#because(attempt, 'no-l2tp', 'no L2TP arrived', adviceFor('no-l2tp'));
    if (event === 'session.end')
      this.#end(attempt, fields.cause as Cause | undefined, text(fields.reason), textOr(fields.hint));
    if (event === 'ike.child-down') this.#markDown(attempt, fields.mark as number);
  }

  /** @throws Error when `limit` is less than 1 */
  view({ peer, after = 0, limit = 50 }: TraceQuery): TraceView {
    if (limit < 1) throw new Error('limit: expected 1 or more');
    this.#forgetOld();
    const found = this.#all().filter(
      (a) =>
        (a.steps.at(-1)?.seq ?? 0) > after &&
        (peer === undefined || [a.peer, a.user, a.hostName, String(a.id)].includes(peer)),
    );
    const attempts = found.slice(-Math.min(limit, MAX_ANSWER)).map((a) => shown(a, after));
    return { seq: this.#seq, attempts };
  }

  get size(): number {
    return this.#known.size + this.#begun.size;
  }

  #all(): Attempt[] {
    return [...this.#known.values(), ...this.#begun.values()].sort((a, b) => a.id - b.id);
  }

  #child(event: string, fields: Fields): void {
    const mark = fields.mark as number;
    const ike = String(fields.ike);
    const begun = this.#byId(ike, text(fields.remote));
    const known = this.#byMark.get(mark);
    if (event === 'ike.child-changed' && known !== undefined) {
      // A client that renews its IKE SA: that was no attempt to connect.
      if (begun !== undefined && begun !== known && begun.stage === 'ike') this.#forget(begun);
      if (known.ike !== undefined && known.ike !== ike && this.#byIke.get(known.ike) === known)
        this.#byIke.delete(known.ike);
      this.#byIke.set(ike, known);
      known.ike = ike;
      return this.#step(known, 'the client renewed its SA');
    }
    const attempt = begun?.state === 'trying' && begun.mark === null ? begun : this.#open(text(fields.remote));
    attempt.ike ??= ike;
    this.#byIke.set(ike, attempt);
    this.#byMark.set(mark, attempt);
    attempt.mark = mark;
    this.#learn(attempt, fields);
    this.#reach(attempt, 'esp');
    this.#step(attempt, `IKE is done, the ESP SA is up: ${text(fields.cipher) || 'cipher not told'}`);
  }

  /** An id alone may be of an earlier charon, and another client's. */
  #byId(ike: string | undefined, peer: string): Attempt | undefined {
    const attempt = ike === undefined ? undefined : this.#byIke.get(ike);
    return attempt?.peer === peer ? attempt : undefined;
  }

  /** Whom an event is about. A second session under one mark is an attempt of its own. */
  #find(event: string, fields: Fields): Attempt | undefined {
    const ofMark = typeof fields.mark === 'number' ? this.#byMark.get(fields.mark) : undefined;
    if (typeof fields.sessionId !== 'number') {
      if (event !== 'tunnel.up' || ofMark?.state !== 'ended') return ofMark;
      return this.#again(ofMark);
    }
    const key = `${fields.tunnelId}/${fields.sessionId}`;
    const known = this.#bySession.get(key);
    if (known !== undefined || event.startsWith('l2tp.')) return known ?? ofMark;
    if (event === 'ike.child-down' || ofMark === undefined) return ofMark;
    const attempt = ofMark.session === undefined && ofMark.state !== 'ended' ? ofMark : this.#again(ofMark);
    attempt.session = key;
    this.#bySession.set(key, attempt);
    return attempt;
  }

  /** The same client once more, over the SA it has. */
  #again(before: Attempt): Attempt {
    const attempt = this.#open(before.peer ?? '');
    attempt.mark = before.mark;
    attempt.hostName = before.hostName;
    if (before.mark !== null) this.#byMark.set(before.mark, attempt);
    this.#reach(attempt, 'esp');
    return attempt;
  }

  #ofIke(id: string | undefined, peer: string, begins: string): Attempt {
    const attempt = this.#open(peer);
    if (id !== undefined) {
      attempt.ike = id;
      this.#byIke.set(id, attempt);
    }
    this.#step(attempt, begins);
    return attempt;
  }

  #open(peer: string): Attempt {
    this.#forgetOld();
    const attempt: Attempt = {
      id: ++this.#id,
      state: 'trying',
      stage: 'ike',
      peer,
      user: null,
      hostName: null,
      mark: null,
      steps: [],
      cause: null,
      reason: null,
      advice: null,
      touched: this.#now().getTime(),
      nth: 0,
    };
    this.#begun.set(attempt.id, attempt);
    const mine = this.#perPeer.get(peer) ?? new Set();
    this.#perPeer.set(peer, mine.add(attempt));
    if (mine.size > MAX_PER_PEER) this.#forget(first(mine, (a) => a.state === 'ended'));
    if (this.#begun.size > MAX_IKE_ONLY) this.#forget(this.#begun.values().next().value);
    return attempt;
  }

  #learn(attempt: Attempt, { user, hostName }: Fields): void {
    if (typeof user === 'string') attempt.user = user.slice(0, MAX_TEXT);
    if (typeof hostName === 'string') attempt.hostName = hostName.slice(0, MAX_TEXT);
  }

  #reach(attempt: Attempt, stage: Stage): void {
    attempt.stage = stage;
    if (!this.#begun.delete(attempt.id)) return;
    this.#known.set(attempt.id, attempt);
    attempt.nth = ++this.#nth;
    if (this.#known.size > MAX_ATTEMPTS) this.#forget(this.#ended[0] ?? this.#known.values().next().value);
  }

  #step(attempt: Attempt, say: string): void {
    const at = this.#now();
    attempt.touched = at.getTime();
    if (attempt.steps.length >= MAX_STEPS) attempt.steps.splice(KEPT_STEPS, 1);
    attempt.steps.push({ seq: ++this.#seq, at: at.toISOString(), stage: attempt.stage, text: say.slice(0, MAX_TEXT) });
  }

  #because(attempt: Attempt, cause: Cause | undefined, reason: string | null, advice: string | null): void {
    attempt.cause = cause ?? null;
    attempt.reason = reason?.slice(0, MAX_TEXT) ?? null;
    attempt.advice = advice ?? (cause === undefined ? null : adviceFor(cause));
  }

  #end(attempt: Attempt, cause: Cause | undefined, reason: string, advice: string | null): void {
    if (attempt.state === 'ended') return;
    attempt.state = 'ended';
    if (this.#known.has(attempt.id)) this.#ended.splice(placeOf(attempt, this.#ended), 0, attempt);
    this.#because(attempt, cause, reason, advice);
    if (attempt.session !== undefined) this.#bySession.delete(attempt.session);
  }

  #markDown(attempt: Attempt, mark: number): void {
    this.#byMark.delete(mark);
    if (attempt.state === 'trying' && attempt.session === undefined) {
      const cause = attempt.cause ?? 'client-gave-up';
      this.#end(attempt, cause, attempt.reason ?? 'the SA ended before a session', attempt.advice);
    }
  }

  #allEnd(reason: string): void {
    for (const attempt of this.#all()) {
      if (attempt.state === 'ended') continue;
      this.#step(attempt, `UDP 1701 was shut: ${reason}`);
      this.#end(attempt, 'charon-gone', reason, null);
    }
    // A new charon counts from 1 again.
    for (const index of [this.#byIke, this.#byMark, this.#bySession]) index.clear();
  }

  #forgetOld(): void {
    const now = this.#now().getTime();
    if (now - this.#sweptAt < SWEEP_MS) return;
    this.#sweptAt = now;
    for (const attempt of this.#all())
      if (attempt.state !== 'up' && now - attempt.touched > MAX_AGE_MS) this.#forget(attempt);
  }

  #forget(attempt: Attempt | undefined): void {
    if (attempt === undefined || !(this.#begun.delete(attempt.id) || this.#known.delete(attempt.id))) return;
    const place = placeOf(attempt, this.#ended);
    if (this.#ended[place] === attempt) this.#ended.splice(place, 1);
    const peer = attempt.peer ?? '';
    const mine = this.#perPeer.get(peer);
    mine?.delete(attempt);
    if (mine?.size === 0) this.#perPeer.delete(peer);
    for (const index of [this.#byIke, this.#byMark, this.#bySession] as Map<unknown, Attempt>[])
      for (const key of [attempt.ike, attempt.mark, attempt.session]) if (index.get(key) === attempt) index.delete(key);
  }
}

interface Story {
  /** What the event proves is reached. */
  readonly stage?: Stage;
  readonly say: (fields: Fields) => string;
}

const text = (value: unknown): string => (value === undefined || value === null ? '' : String(value));
const textOr = (value: unknown): string | null => (typeof value === 'string' ? value : null);

const STORIES: Readonly<Record<string, Story>> = {
  'ike.no-l2tp': { say: () => 'no L2TP has arrived through the SA' },
  'tunnel.up': { stage: 'l2tp', say: (f) => `the L2TP tunnel is up, from ${text(f.hostName) || 'a nameless host'}` },
  'session.open': { stage: 'l2tp', say: () => 'the call is placed' },
  'session.lcp': { stage: 'lcp', say: () => 'the call is up, LCP begins' },
  'session.auth': { stage: 'auth', say: () => 'LCP is agreed on, authentication begins' },
  'auth.ok': { stage: 'ipcp', say: (f) => `authenticated with ${text(f.method)}, IPCP begins` },
  'auth.failed': { say: (f) => `authentication of ${text(f.user)} with ${text(f.method)} failed: ${text(f.cause)}` },
  'session.up': { stage: 'up', say: (f) => `connected: ${text(f.address)}, MTU ${text(f.mtu)}` },
  'dhcp.informed': { say: (f) => `the client asked by DHCPINFORM and was told ${text(f.routes)} networks` },
  'ipv6.up': { say: (f) => `IPv6 with ${text(f.prefix)}` },
  'ipv6.delegated': { say: (f) => `${text(f.prefix)} was delegated to the client` },
  'session.end': { say: (f) => `ended after ${text(f.upSeconds)} s: ${text(f.reason)}` },
  'tunnel.moved': { say: (f) => `the client moved to ${text(f.remote)}` },
  'tunnel.down': { say: (f) => `the L2TP tunnel is down, by ${text(f.by)}` },
  'ike.terminated': { say: () => 'the IKE SA was deleted by the gateway' },
  'ike.child-down': { say: (f) => `the ESP SA is gone: ${text(f.reason)}` },
};

const TOLD_BY_L2TP: Story = { say: (f) => `L2TP: ${text(f.why ?? f.what ?? f.message) || 'something odd'}` };

/** The first that fits; else the first of all. */
const first = (attempts: Iterable<Attempt>, fits: (a: Attempt) => boolean): Attempt | undefined => {
  let any: Attempt | undefined;
  for (const attempt of attempts) {
    if (fits(attempt)) return attempt;
    any ??= attempt;
  }
  return any;
};

/** Where it stands among them, or would. */
function placeOf({ nth }: Attempt, attempts: readonly Attempt[]): number {
  let [low, high] = [0, attempts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (attempts[middle]!.nth < nth) low = middle + 1;
    else high = middle;
  }
  return low;
}

const shown = (a: Attempt, after: number): AttemptView => ({
  id: a.id,
  state: a.state,
  stage: a.stage,
  peer: a.peer,
  user: a.user,
  hostName: a.hostName,
  mark: a.mark,
  steps: a.steps.filter((s) => s.seq > after),
  cause: a.cause,
  reason: a.reason,
  shows: a.cause === null ? [] : ADVICE[a.cause].shows,
  advice: a.advice,
});
