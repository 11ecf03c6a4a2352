/**
 * Looks every 5 s whether our firewall rules stand, and puts back what somebody took out: whoever reloads rules of his own may
 * flush all there are. Says when that cannot be done, and when it can again.
 */
import type { Drive } from './drive.js';
import type { Log } from './log.js';

/* Implementation */
const WATCH_MS = 5_000;
/** A question without an answer, or rules that are refused: asked again so often, so soon. */
const TRIES = 4;
const AGAIN_MS = 1_000;

const FLUSH_HINT =
  'they were put back. Who takes them out? A /etc/nftables.conf that begins with `flush ruleset` does so at each reload: let it flush its own tables';

export interface RulesWatchOptions {
  /** Puts back what is missing; resolves to whether something was. */
  readonly mend: () => Promise<boolean>;
  readonly drive: Drive;
  readonly log: Log;
  readonly onLost: (reason: string) => void;
  readonly onBack: () => void;
}

export class RulesWatch {
  readonly #o: RulesWatchOptions;
  #cancel = (): void => {};
  #stopped = false;
  #failures = 0;

  constructor(options: RulesWatchOptions) {
    this.#o = options;
  }

  /** Nobody knows whether they stand, or they cannot be put back: 1701 must be shut. */
  get lost(): boolean {
    return this.#failures >= TRIES;
  }

  start(): void {
    this.#next();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  #next(): void {
    const ms = this.#failures > 0 && !this.lost ? AGAIN_MS : WATCH_MS;
    this.#cancel = this.#o.drive.after(ms, async () => {
      await this.#look();
      if (!this.#stopped) this.#next();
    });
  }

  async #look(): Promise<void> {
    const { mend, log, onBack } = this.#o;
    try {
      const mended = await mend();
      if (this.#stopped) return;
      if (mended) log.error('firewall.gone', { hint: FLUSH_HINT });
      const { lost } = this;
      this.#failures = 0;
      if (lost) onBack();
    } catch (error) {
      if (!this.#stopped) this.#failed(error instanceof Error ? error.message : String(error));
    }
  }

  #failed(problem: string): void {
    const { log, onLost } = this.#o;
    this.#failures++;
    if (this.#failures === 1) log.warn('firewall.unknown', { problem });
    if (this.#failures === TRIES) onLost(`the firewall rules: ${problem}`);
  }
}
