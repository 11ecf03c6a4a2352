/** The monotonic clock and its one alarm. */
import type { Clock } from './ports.js';
export declare class MonotonicClock implements Clock {
    #private;
    now(): number;
    arm(at: number | undefined, ring: () => void): void;
}
