/** setTimeout() fires at once when asked for more than 2^31-1 ms. */
const LONGEST = 0x7fffffff;
export class MonotonicClock {
    #timer;
    now() {
        return performance.now();
    }
    arm(at, ring) {
        clearTimeout(this.#timer);
        this.#timer = undefined;
        if (at === undefined)
            return;
        const left = at - this.now();
        // A timer may fire up to 1 ms early; and far alarms come in steps.
        this.#timer = setTimeout(() => (this.now() >= at ? ring() : this.arm(at, ring)), Math.min(Math.max(Math.ceil(left), 0), LONGEST));
    }
}
//# sourceMappingURL=clock.js.map