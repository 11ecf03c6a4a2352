/**
 * Acknowledge, Nak or Reject: the option dialogue of every control protocol, driven by a policy table. The engine
 * knows RFC 1661 §5.1 to §5.4 and Max-Failure (§4.6); what we want is in `lcp.ts` and `ipcp.ts`.
 */
import type { Option, OptionCodec, OptionName, OptionTable, RawOption, Value } from '../../wire/ppp/options.js';
import { sameBytes } from '../../wire/reader.js';
import { MAX_FAILURE } from './limits.js';

/** Why a dialogue cannot succeed; becomes the link's `down`. */
export interface GiveUp {
  readonly by: 'auth' | 'protocol' | 'timeout';
  readonly reason: string;
  readonly hint?: string;
}

/** What we say to one option of the peer's Configure-Request. */
export type Verdict<V> = 'ack' | 'reject' | { readonly nak: V };

/** How we judge an option the peer asks for. No rule: Configure-Reject. */
export interface PeerRule<V, Self = unknown> {
  review(asked: V, self: Self): Verdict<V>;
  /** Suggested when the option came with a wrong length (§6), or, with `wanted`, did not come at all (§5.3). None: Configure-Reject. */
  prefer?(self: Self): V | undefined;
  readonly wanted?: boolean;
}

/** What we do about our own option after a Nak or Reject. */
export type Answer<V> = 'drop' | { readonly ask: V } | { readonly giveUp: GiveUp };

/** No rule: take the first suggestion of a Nak, drop the option after a Reject or MAX_FAILURE Naks. */
export interface OwnRule<V, Self = unknown> {
  /** `naks`: how many of this option there were in this dialogue, with this one. */
  naked?(suggested: readonly V[], current: V, self: Self, naks: number): Answer<V>;
  rejected?(current: V, self: Self): Answer<V>;
}

/** For what is not the peer's to choose. One that keeps asking is spared the option. */
export const insist = <V>(): OwnRule<V> => ({
  naked: (_suggested, current, _self, naks) => (naks > MAX_FAILURE ? 'drop' : { ask: current }),
});

/** One for all links: what a link has of its own, its address for one, the rules are given as `self`. */
export interface Policy<T extends OptionTable, Self = unknown> {
  /** Options of our first Configure-Request. */
  wishes(self: Self): readonly Option<T>[];
  readonly peer: { readonly [K in OptionName<T>]?: PeerRule<Value<T, K>, Self> };
  readonly own: { readonly [K in OptionName<T>]?: OwnRule<Value<T, K>, Self> };
}

export interface Reply {
  readonly code: 'Configure-Ack' | 'Configure-Nak' | 'Configure-Reject';
  readonly options: readonly RawOption[];
}

export class Negotiation<T extends OptionTable> {
  readonly #codec: OptionCodec<T>;
  readonly #policy: Policy<T>;
  readonly #self: unknown;
  #wishes: readonly Option<T>[] = NONE;
  /** Absent until the first. */
  #naksReceived: Map<OptionName<T>, number> | undefined;
  #naksSent = 0;
  #accepted: readonly Option<T>[] = NONE;

  constructor(codec: OptionCodec<T>, policy: Policy<T>, self: unknown) {
    this.#codec = codec;
    this.#policy = policy;
    this.#self = self;
    this.reset();
  }

  /** A new dialogue: what the last one taught is forgotten. */
  reset(): void {
    this.#wishes = this.#policy.wishes(this.#self);
    this.#naksReceived = undefined;
    this.#naksSent = 0;
    this.#accepted = NONE;
  }

  /** The options of our next Configure-Request. */
  request(): RawOption[] {
    return this.#wishes.map((option) => this.#codec.encode(option));
  }

  /** Our own option as it stands now; once the peer acknowledged, as agreed. */
  own<K extends OptionName<T>>(name: K): Value<T, K> | undefined {
    return find(this.#wishes, name);
  }

  /** The peer's option in the Configure-Request we acknowledged last. */
  accepted<K extends OptionName<T>>(name: K): Value<T, K> | undefined {
    return find(this.#accepted, name);
  }

  /** Our reply to the peer's Configure-Request. Reject goes before Nak, Nak before Ack (§5.2 to §5.4). */
  review(options: readonly RawOption[]): Reply {
    const values: Option<T>[] = [];
    const rejected: RawOption[] = [];
    const naked: { raw: RawOption; better: RawOption }[] = [];
    const types = new Set<number>();
    for (const raw of options) {
      // §6: no option of these tables may be listed twice.
      const verdict = types.has(raw.type) ? 'reject' : this.#judge(raw, values);
      types.add(raw.type);
      if (verdict === 'reject') rejected.push(raw);
      else if (verdict !== 'ack') naked.push({ raw, better: verdict });
    }
    if (rejected.length > 0) return { code: 'Configure-Reject', options: rejected };
    if (this.#naksSent >= MAX_FAILURE) {
      // §4.6: not converging; Naks become Rejects, and nothing is appended any more.
      if (naked.length > 0) return { code: 'Configure-Reject', options: naked.map((n) => n.raw) };
    } else {
      const better = [...naked.map((n) => n.better), ...this.#missing(types)];
      if (better.length > 0) {
        this.#naksSent += 1;
        return { code: 'Configure-Nak', options: better };
      }
    }
    this.#naksSent = 0;
    this.#accepted = values.slice(); // without room to grow
    return { code: 'Configure-Ack', options };
  }

  #judge(raw: RawOption, values: Option<T>[]): 'ack' | 'reject' | RawOption {
    const meaning = this.#codec.decode(raw);
    if (meaning.kind === 'unknown') return 'reject';
    const rule = this.#peerRule(meaning.name);
    if (rule === undefined) return 'reject';
    if (meaning.kind === 'bad-length') {
      const better = rule.prefer?.(this.#self);
      return better === undefined ? 'reject' : this.#encode(meaning.name, better);
    }
    const verdict = rule.review(meaning.value, this.#self);
    if (verdict === 'ack') values.push({ name: meaning.name, value: meaning.value } as Option<T>);
    return typeof verdict === 'object' ? this.#encode(meaning.name, verdict.nak) : verdict;
  }

  /** §5.3: options we want to see may be appended to a Nak. */
  #missing(present: ReadonlySet<number>): RawOption[] {
    return Object.keys(this.#policy.peer).flatMap((name) => {
      const rule = this.#peerRule(name);
      const better = rule?.wanted === true ? rule.prefer?.(this.#self) : undefined;
      const raw = better === undefined ? undefined : this.#encode(name, better);
      return raw === undefined || present.has(raw.type) ? [] : [raw];
    });
  }

  /** The peer's Configure-Nak to our request: changes the wishes, or gives up. Options we did not ask for are ignored. */
  naked(options: readonly RawOption[]): GiveUp | undefined {
    const suggested = new Map<OptionName<T>, unknown[]>();
    for (const raw of options) {
      const meaning = this.#codec.decode(raw);
      if (meaning.kind === 'unknown' || !this.#wishes.some((o) => o.name === meaning.name)) continue;
      const list = suggested.get(meaning.name) ?? [];
      // §5.3: a Nak'd option may come with another length; one we cannot read still is a Nak.
      suggested.set(meaning.name, meaning.kind === 'value' ? [...list, meaning.value] : list);
    }
    this.#naksReceived ??= new Map();
    const counts = this.#naksReceived;
    for (const [name, values] of suggested) {
      const current = this.own(name);
      const count = (counts.get(name) ?? 0) + 1;
      counts.set(name, count);
      const rule = this.#ownRule(name)?.naked ?? ((vs) => (count > MAX_FAILURE ? 'drop' : { ask: vs[0] ?? current }));
      const giveUp = this.#follow(name, rule(values, current, this.#self, count));
      if (giveUp !== undefined) return giveUp;
    }
    return undefined;
  }

  /** The peer's Configure-Reject; 'invalid' when it is not a subset of what we asked (§5.4). */
  rejected(options: readonly RawOption[]): GiveUp | 'invalid' | undefined {
    const asked = this.request();
    const names: OptionName<T>[] = [];
    for (const raw of options) {
      if (!asked.some((a) => a.type === raw.type && sameBytes(a.data, raw.data))) return 'invalid';
      const meaning = this.#codec.decode(raw);
      if (meaning.kind !== 'unknown') names.push(meaning.name);
    }
    if (names.length === 0) return 'invalid';
    for (const name of names) {
      const giveUp = this.#follow(name, this.#ownRule(name)?.rejected?.(this.own(name), this.#self) ?? 'drop');
      if (giveUp !== undefined) return giveUp;
    }
    return undefined;
  }

  #follow(name: OptionName<T>, answer: Answer<unknown>): GiveUp | undefined {
    if (answer === 'drop') this.#wishes = this.#wishes.filter((o) => o.name !== name);
    else if ('giveUp' in answer) return answer.giveUp;
    else this.#wishes = this.#wishes.map((o) => (o.name === name ? ({ name, value: answer.ask } as Option<T>) : o));
    return undefined;
  }

  #peerRule(name: OptionName<T>): PeerRule<unknown> | undefined {
    return this.#policy.peer[name] as PeerRule<unknown> | undefined;
  }

  #ownRule(name: OptionName<T>): OwnRule<unknown> | undefined {
    return this.#policy.own[name] as OwnRule<unknown> | undefined;
  }

  #encode(name: OptionName<T>, value: unknown): RawOption {
    return this.#codec.encode({ name, value } as Option<T>);
  }
}

const NONE: readonly never[] = [];

function find<T extends OptionTable, K extends OptionName<T>>(options: readonly Option<T>[], name: K) {
  return options.find((o) => o.name === name)?.value as Value<T, K> | undefined;
}

/** Same types, same data, same order (§5.2: an Ack must match exactly). */
export const sameOptions = (a: readonly RawOption[], b: readonly RawOption[]): boolean =>
  a.length === b.length && a.every((o, i) => o.type === b[i]!.type && sameBytes(o.data, b[i]!.data));
