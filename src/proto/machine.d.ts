/**
 * What every protocol machine looks like: values and the time go in, values come out. No clock, no timer, no random
 * source and no socket in here; the daemon's one drive loop (or a test on a virtual clock) supplies them.
 */
/** Monotonic time in milliseconds. */
export type Instant = number & {
    readonly __brand: 'Instant';
};
export declare const instant: (ms: number) => Instant;
export declare const after: (now: Instant, ms: number) => Instant;
export interface Machine<In, Out> {
    /** A datagram, a command or a lower-layer event. */
    handle(now: Instant, input: In): void;
    /** Time has passed. Calling it early is a harmless no-op. */
    handleTimeout(now: Instant): void;
    /** Drain until undefined. Order matters: outputs are in the order they must take effect. */
    poll(): Out | undefined;
    /** When to call handleTimeout, or undefined when nothing is armed. */
    nextTimeout(): Instant | undefined;
}
/** `n` unpredictable octets; the daemon passes node:crypto's randomBytes, tests a seeded generator. */
export type Random = (n: number) => Uint8Array;
/** Named one-shot timers. */
export declare class TimerTable<Name extends string> {
    #private;
    set(name: Name, at: Instant): void;
    clear(name: Name): void;
    clearAll(): void;
    has(name: Name): boolean;
    /** The earliest armed timer. */
    next(): Instant | undefined;
    /** Disarms and returns the timers due at `now`, earliest first. */
    due(now: Instant): Name[];
}
/** First-in first-out queue of outputs, drained by poll(). */
export declare class Outbox<Out> {
    #private;
    push(out: Out): void;
    poll(): Out | undefined;
}
