/**
 * The IKE sidecar and everything that must stand before UDP 1701 may open (fail closed, four layers):
 *
 *   stale xfrm state removed -> guard rules in -> charon up -> VICI connected -> policy loaded -> shunts confirmed -> safe
 *
 * It becomes unsafe when charon exits, or when VICI stays lost beyond a short grace. Then the same road is taken again.
 */
import type { IkeEvent, IkeMonitor, IkePolicy } from '../io/ports.js';
import type { Drive } from './drive.js';
import type { Log } from './log.js';

/** The charon process, when it is ours to run (`ike.charon: spawn`). */
export interface CharonHost {
  /** Resolves when its VICI socket answers; stale SAs and policies of ours are gone before. Rejects with a sentence. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** It ended by itself. */
  onExit(listener: (why: string) => void): void;
}

export interface SidecarOptions {
  readonly monitor: IkeMonitor;
  readonly charon: CharonHost | undefined;
  readonly policy: IkePolicy;
  /** Whether the kernel has the drop policies too: charon lists what it believes. */
  readonly kernelConfirms: () => Promise<boolean>;
  /** While 1701 is open, whether the drop policies still stand: asked every few seconds, so a cheap question. */
  readonly kernelHolds?: () => Promise<boolean>;
  readonly drive: Drive;
  readonly log: Log;
  readonly onEvent: (event: IkeEvent) => void;
  /** Every layer stands: 1701 may be opened. */
  readonly onSafe: () => void;
  /** A layer is gone: 1701 must be shut, every SA known so far is void. */
  readonly onUnsafe: (reason: string) => void;
}

/* Implementation */
/** VICI may be lost this long before the port is shut. */
const VICI_GRACE_MS = 3_000;
/** Anyone may flush the kernel's policies; the firewall's guard stands alone until it is noticed. */
const WATCH_MS = 5_000;
const CONFIRM_TRIES = 50;
const CONFIRM_EVERY_MS = 100;
const START_TIMEOUT_MS = 30_000;
const RESTART_MIN_MS = 500;
const RESTART_MAX_MS = 30_000;

export class Sidecar {
  readonly #o: SidecarOptions;
  #safe = false;
  #stopping = false;
  #restartMs = RESTART_MIN_MS;
  #cancelGrace: (() => void) | undefined;
  #cancelWatch: (() => void) | undefined;
  /** A start of charon that is under way: VICI answers before it has removed the last of its predecessor's policies. */
  #charonStarting: Promise<void> | undefined;
  #started: { resolve: () => void; reject: (error: Error) => void } | undefined;

  constructor(options: SidecarOptions) {
    this.#o = options;
    options.monitor.onEvent((event) => this.#onEvent(event));
    options.charon?.onExit((why) => this.#charonExited(why));
  }

  /** Resolves when safe for the first time. */
  async start(): Promise<void> {
    const { charon, monitor, drive } = this.#o;
    await charon?.start();
    await new Promise<void>((resolve, reject) => {
      this.#started = { resolve, reject };
      drive.after(START_TIMEOUT_MS, () =>
        reject(new Error(`charon did not confirm its policies in ${START_TIMEOUT_MS / 1000} s`)),
      );
      monitor.start();
    });
  }

  /** charon deletes its SAs when it ends cleanly. Call with the 1701 sockets closed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#cancelGrace?.();
    this.#cancelWatch?.();
    await this.#o.monitor.close();
    await this.#o.charon?.stop();
  }

  terminate(ikeUniqueId: string): Promise<void> {
    return this.#o.monitor.terminate(ikeUniqueId);
  }

  #onEvent(event: IkeEvent): void {
    if (event.type === 'connected') void this.#secure();
    if (event.type === 'lost') this.#viciLost();
    this.#o.onEvent(event);
  }

  /** VICI is there (again): the policy is loaded anew, and the port opened only when charon shows the shunts. */
  async #secure(): Promise<void> {
    const { monitor, policy, log } = this.#o;
    this.#cancelGrace?.();
    this.#cancelGrace = undefined;
    await this.#charonStarting;
    try {
      await monitor.loadPolicy(policy);
      if (!(await this.#confirmed())) throw new Error('the drop policies of UDP 1701 are not in place');
    } catch (error) {
      const why = error instanceof Error ? error : new Error(String(error));
      log.error('ike.policy-failed', { problem: why.message, hint: 'UDP 1701 stays closed' });
      if (this.#safe) this.#unsafe(why.message);
      this.#started?.reject(why);
      this.#watch(); // tries again
      return;
    }
    if (this.#stopping) return;
    this.#restartMs = RESTART_MIN_MS;
    if (!this.#safe) {
      this.#safe = true;
      this.#watch();
      this.#o.onSafe();
    }
    this.#started?.resolve();
    this.#started = undefined;
  }

  async #confirmed(): Promise<boolean> {
    for (let n = 0; n < CONFIRM_TRIES; n++) {
      if ((await this.#o.monitor.policiesConfirmed()) && (await this.#o.kernelConfirms())) return true;
      await new Promise<void>((next) => this.#o.drive.after(CONFIRM_EVERY_MS, next));
    }
    return false;
  }

  #watch(): void {
    const { kernelHolds, drive } = this.#o;
    if (kernelHolds === undefined || this.#stopping) return;
    this.#cancelWatch?.();
    this.#cancelWatch = drive.after(WATCH_MS, async () => {
      if (!this.#safe) return this.#reinstall();
      const held = await kernelHolds();
      if (!this.#safe || this.#stopping) return;
      if (held) this.#watch();
      else await this.#policiesGone();
    });
  }

  async #policiesGone(): Promise<void> {
    const { log } = this.#o;
    const reason = 'the drop policies of UDP 1701 are gone from the kernel';
    log.error('ike.policies-gone', { problem: reason, hint: 'who runs `ip xfrm policy flush` here?' });
    this.#unsafe(reason);
    await this.#reinstall();
  }

  /** The clients' policies went along with ours: their SAs are of no use, and only a reload brings the shunts back. */
  async #reinstall(): Promise<void> {
    const { monitor, policy, log } = this.#o;
    try {
      for (const { uniqueId } of await monitor.listSas()) await monitor.terminate(uniqueId);
      // charon believes they still stand: it installs again only what it has taken out.
      await monitor.loadPolicy({ ...policy, connections: {}, shunts: [] });
    } catch (error) {
      log.warn('ike.unload-failed', { problem: error instanceof Error ? error.message : String(error) });
    }
    await this.#secure();
  }

  #viciLost(): void {
    if (this.#stopping || !this.#safe || this.#cancelGrace !== undefined) return;
    this.#o.log.warn('ike.vici-lost', { graceMs: VICI_GRACE_MS });
    this.#cancelGrace = this.#o.drive.after(VICI_GRACE_MS, () => {
      this.#cancelGrace = undefined;
      this.#unsafe('the connection to charon is lost');
    });
  }

  #charonExited(why: string): void {
    if (this.#stopping) return;
    this.#cancelGrace?.();
    this.#cancelGrace = undefined;
    this.#o.log.error('ike.charon-exited', { why, restartMs: this.#restartMs });
    this.#unsafe(`charon ended: ${why}`);
    this.#started?.reject(new Error(`charon ended: ${why}`));
    this.#o.drive.after(this.#restartMs, () => this.#restart());
    this.#restartMs = Math.min(this.#restartMs * 2, RESTART_MAX_MS);
  }

  #restart(): void {
    if (this.#stopping) return;
    this.#cancelWatch?.();
    this.#charonStarting = this.#o.charon?.start().catch((error: Error) => this.#charonExited(error.message));
  }

  #unsafe(reason: string): void {
    if (!this.#safe) return;
    this.#safe = false;
    this.#cancelWatch?.();
    this.#o.onUnsafe(reason);
  }
}
