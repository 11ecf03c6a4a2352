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
export interface PeerRule<V> {
  review(asked: V): Verdict<V>;
  /** Suggested when the option came with a wrong length (§6), or, with `wanted`, did not come at all (§5.3). */
  prefer?(): V;
  readonly wanted?: boolean;
}

/** What we do about our own option after a Nak or Reject. */
export type Answer<V> = 'drop' | { readonly ask: V } | { readonly giveUp: GiveUp };

/** No rule: take the first suggestion of a Nak, drop the option after a Reject or MAX_FAILURE Naks. */
export interface OwnRule<V> {
  naked?(suggested: readonly V[], current: V): Answer<V>;
  rejected?(current: V): Answer<V>;
}

export interface Policy<T extends OptionTable> {
  /** Options of our first Configure-Request. */
  wishes(): readonly Option<T>[];
  readonly peer: { readonly [K in OptionName<T>]?: PeerRule<Value<T, K>> };
  readonly own: { readonly [K in OptionName<T>]?: OwnRule<Value<T, K>> };
}

export interface Reply {
  readonly code: 'Configure-Ack' | 'Configure-Nak' | 'Configure-Reject';
  readonly options: readonly RawOption[];
}

export class Negotiation<T extends OptionTable> {
  readonly #codec: OptionCodec<T>;
  readonly #policy: Policy<T>;
  #wishes = new Map<OptionName<T>, unknown>();
  #naksReceived = new Map<OptionName<T>, number>();
  #naksSent = 0;
  #accepted = new Map<OptionName<T>, unknown>();

  constructor(codec: OptionCodec<T>, policy: Policy<T>) {
    this.#codec = codec;
    this.#policy = policy;
    this.reset();
  }

  /** A new dialogue: what the last one taught is forgotten. */
  reset(): void {
    this.#wishes = new Map(this.#policy.wishes().map((o) => [o.name, o.value]));
    this.#naksReceived = new Map();
    this.#naksSent = 0;
    this.#accepted = new Map();
  }

  /** The options of our next Configure-Request. */
  request(): RawOption[] {
    return [...this.#wishes].map(([name, value]) => this.#codec.encode({ name, value } as Option<T>));
  }

  /** Our own option as it stands now; once the peer acknowledged, as agreed. */
  own<K extends OptionName<T>>(name: K): Value<T, K> | undefined {
    return this.#wishes.get(name) as Value<T, K> | undefined;
  }

  /** The peer's option in the Configure-Request we acknowledged last. */
  accepted<K extends OptionName<T>>(name: K): Value<T, K> | undefined {
    return this.#accepted.get(name) as Value<T, K> | undefined;
  }

  /** Our reply to the peer's Configure-Request. Reject goes before Nak, Nak before Ack (§5.2 to §5.4). */
  review(options: readonly RawOption[]): Reply {
    const values = new Map<OptionName<T>, unknown>();
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
    this.#accepted = values;
    return { code: 'Configure-Ack', options };
  }

  #judge(raw: RawOption, values: Map<OptionName<T>, unknown>): 'ack' | 'reject' | RawOption {
    const meaning = this.#codec.decode(raw);
    if (meaning.kind === 'unknown') return 'reject';
    const rule = this.#peerRule(meaning.name);
    if (rule === undefined) return 'reject';
    if (meaning.kind === 'bad-length') {
      return rule.prefer === undefined ? 'reject' : this.#encode(meaning.name, rule.prefer());
    }
    const verdict = rule.review(meaning.value);
    if (verdict === 'ack') values.set(meaning.name, meaning.value);
    return typeof verdict === 'object' ? this.#encode(meaning.name, verdict.nak) : verdict;
  }

  /** §5.3: options we want to see may be appended to a Nak. */
  #missing(present: ReadonlySet<number>): RawOption[] {
    return Object.keys(this.#policy.peer).flatMap((name) => {
      const rule = this.#peerRule(name);
      if (rule?.wanted !== true || rule.prefer === undefined) return [];
      const raw = this.#encode(name, rule.prefer());
      return present.has(raw.type) ? [] : [raw];
    });
  }

  /** The peer's Configure-Nak to our request: changes the wishes, or gives up. Options we did not ask for are ignored. */
  naked(options: readonly RawOption[]): GiveUp | undefined {
    const suggested = new Map<OptionName<T>, unknown[]>();
    for (const raw of options) {
      const meaning = this.#codec.decode(raw);
      if (meaning.kind === 'unknown' || !this.#wishes.has(meaning.name)) continue;
      const list = suggested.get(meaning.name) ?? [];
      // §5.3: a Nak'd option may come with another length; one we cannot read still is a Nak.
      suggested.set(meaning.name, meaning.kind === 'value' ? [...list, meaning.value] : list);
    }
    for (const [name, values] of suggested) {
      const current = this.#wishes.get(name);
      const count = (this.#naksReceived.get(name) ?? 0) + 1;
      this.#naksReceived.set(name, count);
      const rule = this.#ownRule(name)?.naked ?? ((vs) => (count > MAX_FAILURE ? 'drop' : { ask: vs[0] ?? current }));
      const giveUp = this.#follow(name, rule(values, current));
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
      const giveUp = this.#follow(name, this.#ownRule(name)?.rejected?.(this.#wishes.get(name)) ?? 'drop');
      if (giveUp !== undefined) return giveUp;
    }
    return undefined;
  }

  #follow(name: OptionName<T>, answer: Answer<unknown>): GiveUp | undefined {
    if (answer === 'drop') this.#wishes.delete(name);
    else if ('giveUp' in answer) return answer.giveUp;
    else this.#wishes.set(name, answer.ask);
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

/** Same types, same data, same order (§5.2: an Ack must match exactly). */
export const sameOptions = (a: readonly RawOption[], b: readonly RawOption[]): boolean =>
  a.length === b.length && a.every((o, i) => o.type === b[i]!.type && sameBytes(o.data, b[i]!.data));
