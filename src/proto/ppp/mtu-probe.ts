/**
 * Which packets fit the path now: Echo-Requests of full size that no router may fragment, answered or not. Nothing is
 * believed but the peer's own replies, so a forged ICMP message lowers nothing. RFC 8899 §5, RFC 1661 §5.8.
 */
import { after, type Instant } from '../machine.js';

/* Specification */

/** RFC 8899 §5.1.2, MAX_PROBES: so often a size is tried before it counts as too large. */
const TRIES = 3;
/** RFC 8899 §5.1.1, PMTU_RAISE_TIMER; RFC 1191 §6.3 has the same ten minutes. */
const RAISE_MS = 600_000;

/* Implementation */

/** RFC 8899 §5.1.1 wants PROBE_TIMER above one second; a queue that is full adds about as much. */
const PROBE_MS = 3_000;

export interface MtuProbeHooks {
  /** Sends a probe that makes an IP packet's worth of `size` octets. */
  probe(size: number): void;
  changed(mtu: number): void;
}

export class MtuProbe {
  readonly #intervalMs: number;
  readonly #hooks: MtuProbeHooks;
  /** Candidates, largest first: the first is what was agreed on. */
  readonly #sizes: readonly number[];
  #mtu: number;
  /** Largest size answered in this search. */
  #best = 0;
  /** 0: resting. 1: the present size is confirmed. Then TRIES rounds of all candidates. */
  #round = 0;
  #answersAtAll = false;
  #at: Instant | undefined;
  #raiseAt: Instant | undefined;

  /** `sizes` in octets, largest first and at least one, which is in use; `intervalMs` between two confirmations. */
  constructor(now: Instant, sizes: readonly number[], intervalMs: number, hooks: MtuProbeHooks) {
    this.#intervalMs = intervalMs;
    this.#hooks = hooks;
    this.#sizes = sizes;
    this.#mtu = sizes[0]!;
    this.#at = after(now, PROBE_MS);
  }

  nextTimeout(): Instant | undefined {
    return this.#at;
  }

  handleTimeout(now: Instant): void {
    if (this.#at === undefined || now < this.#at) return;
    if (this.#round > TRIES) return this.#conclude(now);
    if (this.#round === 0) {
      this.#best = 0;
      this.#round = this.#raiseAt !== undefined && now >= this.#raiseAt ? 1 : 0;
    }
    this.#round += 1;
    this.#at = after(now, PROBE_MS);
    const wanted = this.#round === 1 ? [this.#mtu] : this.#sizes.filter((size) => size > this.#best);
    for (const size of wanted) this.#hooks.probe(size);
  }

  /** The peer answered a probe of `size`. */
  answered(now: Instant, size: number): void {
    this.#answersAtAll = true;
    if (this.#round === 0) return;
    this.#best = Math.max(this.#best, size);
    if (this.#round === 1 || size === this.#sizes[0]) this.#conclude(now);
  }

  /** A peer that has never answered a padded Echo-Request tells nothing about the path, and is asked no more. */
  #conclude(now: Instant): void {
    this.#round = 0;
    this.#at = this.#answersAtAll ? after(now, this.#intervalMs) : undefined;
    if (this.#best === 0 || this.#best === this.#mtu) {
      if (this.#raiseAt !== undefined && now >= this.#raiseAt) this.#raiseAt = after(now, RAISE_MS);
      return;
    }
    this.#mtu = this.#best;
    this.#raiseAt = this.#mtu === this.#sizes[0] ? undefined : after(now, RAISE_MS);
    this.#hooks.changed(this.#mtu);
  }
}
