/** What a signal to stop means: the first ends everything in order, a second one at once. */

/** Implementation: Ctrl-C under npm comes twice, from the terminal and from npm: that is one wish. */
const ONE_WISH_MS = 1_000;

/** `since`: when the stop that is under way began, if one is; monotonic ms, as `now`. */
export function onSignal(since: number | undefined, now: number): 'leave' | 'wait' | 'force' {
  if (since === undefined) return 'leave';
  return now - since < ONE_WISH_MS ? 'wait' : 'force';
}
