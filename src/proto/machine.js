/**
 * What every protocol machine looks like: values and the time go in, values come out. No clock, no timer, no random
 * source and no socket in here; the daemon's one drive loop (or a test on a virtual clock) supplies them.
 */
export const instant = (ms) => ms;
export const after = (now, ms) => (now + ms);
/** Named one-shot timers. */
export class TimerTable {
    #at = new Map();
    set(name, at) {
        this.#at.set(name, at);
    }
    clear(name) {
        this.#at.delete(name);
    }
    clearAll() {
        this.#at.clear();
    }
    has(name) {
        return this.#at.has(name);
    }
    /** The earliest armed timer. */
    next() {
        let min;
        for (const at of this.#at.values())
            if (min === undefined || at < min)
                min = at;
        return min;
    }
    /** Disarms and returns the timers due at `now`, earliest first. */
    due(now) {
        const names = [...this.#at].filter(([, at]) => at <= now).sort((a, b) => a[1] - b[1]);
        for (const [name] of names)
            this.#at.delete(name);
        return names.map(([name]) => name);
    }
}
/** First-in first-out queue of outputs, drained by poll(). */
export class Outbox {
    #items = [];
    #head = 0;
    push(out) {
        this.#items.push(out);
    }
    poll() {
        if (this.#head >= this.#items.length) {
            this.#items = [];
            this.#head = 0;
            return undefined;
        }
        return this.#items[this.#head++];
    }
}
//# sourceMappingURL=machine.js.map