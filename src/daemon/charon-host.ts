/**
 * charon as our own child (`ike.charon: spawn`), or as another service's (`external`). Before ours starts, the kernel is cleared of what an earlier run of ours
 * left: marks begin at 1 again in a new charon, and an old SA's packets would be attributed to a new client.
 */
import { type CharonExit, CharonProcess } from '../io/charon-process.js';
import type { IkeSa } from '../io/ports.js';
import { claimXfrm, describe, inspectXfrm, probeEsp, removeOrphans, removeOwn, type XfrmOptions } from '../io/xfrm.js';
import type { Log } from './log.js';
import type { CharonHost } from './sidecar.js';

export interface KernelOptions {
  readonly xfrm: XfrmOptions;
  readonly listen: readonly string[];
  /** Start although the kernel holds SAs or policies that are not ours. */
  readonly allowForeign: boolean;
  readonly log: Log;
}

export interface SpawnedCharonOptions extends KernelOptions {
  readonly runDir: string;
  readonly vici: string;
  /** IKEv1 Aggressive Mode. */
  readonly aggressive: boolean;
}

export class SpawnedCharon implements CharonHost {
  readonly #process: CharonProcess;
  readonly #o: SpawnedCharonOptions;
  #onExit: (why: string) => void = () => {};

  constructor(options: SpawnedCharonOptions) {
    this.#o = options;
    this.#process = new CharonProcess({
      runDir: options.runDir,
      viciSocket: options.vici,
      aggressive: options.aggressive,
      onLine: (line) => options.log.debug('charon.line', { line }),
      onExit: (exit) => {
        if (!exit.wanted) this.#onExit(how(exit));
      },
    });
  }

  onExit(listener: (why: string) => void): void {
    this.#onExit = listener;
  }

  async start(): Promise<void> {
    await prepareKernel(this.#o);
    await this.#process.start();
    // start() ends an orphaned charon; one that had to be killed leaves its SAs. No connection is loaded yet.
    await removeStale(this.#o);
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }
}

/** charon as another service's: it may hold SAs of before, and of a charon before it the kernel may. */
export class ExternalCharon implements CharonHost {
  readonly #o: KernelOptions;

  constructor(options: KernelOptions) {
    this.#o = options;
  }

  async start(): Promise<void> {
    const { xfrm, listen } = this.#o;
    await probeEsp(xfrm.run);
    await refuseForeign(this.#o);
    await claimXfrm(listen, xfrm);
  }

  readonly settle = async (sas: () => Promise<readonly IkeSa[]>): Promise<void> => {
    const known = async () => new Set((await sas()).flatMap((sa) => sa.children.flatMap((c) => [c.spiIn, c.spiOut])));
    const removed = await removeOrphans(known, this.#o.xfrm);
    if (removed > 0) this.#o.log.info('ike.stale-removed', { removed });
  };

  /** Nothing of ours runs. */
  async stop(): Promise<void> {}

  /** VICI tells. */
  onExit(): void {}
}

/**
 * Before any charon of ours starts, whoever starts it: this kernel does ESP, holds nothing of an earlier run and, unless
 * allowed, nothing of others. Rejects with a sentence.
 */
export async function prepareKernel(options: KernelOptions): Promise<void> {
  await probeEsp(options.xfrm.run);
  await removeStale(options);
  await refuseForeign(options);
  await claimXfrm(options.listen, options.xfrm);
}

async function removeStale({ xfrm, log }: KernelOptions): Promise<void> {
  const removed = await removeOwn(xfrm);
  if (removed > 0) log.info('ike.stale-removed', { removed });
}

async function refuseForeign({ xfrm, allowForeign, log }: KernelOptions): Promise<void> {
  const foreign = describe((await inspectXfrm(xfrm)).foreign);
  if (foreign.length === 0) return;
  if (allowForeign) {
    log.warn('ike.foreign-xfrm', { foreign });
    return;
  }
  throw new Error(
    `the kernel holds IPsec state that is not ours (${foreign.join('; ')}): remove it, or set ike.allow_foreign: true`,
  );
}

const how = ({ code, signal }: CharonExit): string => (signal === null ? `exit status ${code ?? 'unknown'}` : signal);
