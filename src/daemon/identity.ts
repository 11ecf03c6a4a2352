/**
 * Which IKE identity a PPP user must come with (`identity` in lockstep.yaml). IKE proves the machine and PPP the user,
 * and nothing in L2TP ties one to the other: RFC 3193 §5.1. Pure.
 */

/** User -> patterns, of which one must match. Users that are not in it may come from anywhere. */
export type IdentityBindings = ReadonlyMap<string, readonly string[]>;

/** The patterns a user breaks; undefined: he may pass. `identity` undefined: none is known, and a bound user is refused. */
export function brokenBinding(
  bindings: IdentityBindings,
  user: string,
  identity: string | undefined,
): readonly string[] | undefined {
  const patterns = bindings.get(user);
  if (patterns === undefined) return undefined;
  return identity !== undefined && patterns.some((p) => matches(p, identity)) ? undefined : patterns;
}

/**
 * `*` stands for any characters, commas and dots too, or none; every other character for itself, A-Z as a-z. In one pass:
 * the identity is the peer's, and as long as it likes.
 */
export function matches(pattern: string, identity: string): boolean {
  const [first = '', ...parts] = fold(pattern).split('*');
  const text = fold(identity);
  const last = parts.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const part of parts) {
    const found = text.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}

/** ASCII only: Unicode would fold a Kelvin sign to a k. */
const fold = (text: string): string => text.replace(/[A-Z]/g, (c) => c.toLowerCase());
