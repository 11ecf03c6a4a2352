/**
 * What a decoder returns. Malformed input is a value that carries the reaction the RFC demands; nothing in `wire/`
 * throws on input. RFC 2661 §4.1 (M bit), §5.8; RFC 1661 §5.
 */

/** What the receiver must do with a malformed message: RFC 2661 §4.1, §4.4.1; RFC 1661 §5 silently discards. */
export type Reaction = 'drop' | 'clear-session' | 'clear-tunnel';

export type Malformed = {
  readonly ok: false;
  /** Octet offset in the message where it went wrong. */
  readonly at: number;
  /** The clause that was broken, e.g. `RFC 2661 §4.1`. */
  readonly ref: string;
  /** One phrase for the log. */
  readonly why: string;
  readonly reaction: Reaction;
};

export type Ok<T> = { readonly ok: true; readonly value: T };
export type Decoded<T> = Ok<T> | Malformed;

export const ok = <T>(value: T): Ok<T> => ({ ok: true, value });

export const malformed = (at: number, ref: string, why: string, reaction: Reaction = 'drop'): Malformed => ({
  ok: false,
  at,
  ref,
  why,
  reaction,
});

/** Exhaustiveness: reached only by our own bug. */
export const never = (x: never): never => {
  throw new Error(`unreachable: ${JSON.stringify(x)}`);
};
