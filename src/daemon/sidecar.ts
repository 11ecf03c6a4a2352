/**
 * The IKE sidecar and everything that must stand before UDP 1701 may open (fail closed, four layers):
 *
 *   stale xfrm state removed -> guard rules in -> charon up -> VICI connected -> policy loaded -> shunts confirmed -> safe
 *
 * It becomes unsafe when charon exits, or when VICI stays lost beyond a short grace. Then the same road is taken again.
 */
import type { IkeEvent, IkeMonitor, IkePolicy, IkeSa } from '../io/ports.js';
import type { Drive } from './drive.js';
import type { Log } from './log.js';

/** charon as the host runs it: by us, or by another service (`ike.charon`). */
export interface CharonHost {
  /**
   * Ours: resolves when its VICI socket answers; stale SAs and policies of ours are gone before. Another's: when the host is
   * fit for it. Rejects with a sentence.
   */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** It ended by itself. */
  onExit(listener: (why: string) => void): void;
  /** Only of a charon that outlives us: it was connected to, and what the kernel has and it does not know must go. */
  readonly settle?: (sas: () => Promise<readonly IkeSa[]>) => Promise<void>;
}

export interface SidecarOptions {
  readonly monitor: IkeMonitor;
  readonly charon: CharonHost | undefined;
  readonly policy: IkePolicy;
  /**
   * Whether the kernel has the drop policies too: charon lists what it believes. Asked every few seconds: a cheap question. Rejects
   * when there is no answer.
   */
  readonly shuntsStand: () => Promise<boolean>;
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
/** No answer (no process can be started, the tool hangs) is none: the question is asked again, and so many times before it counts as no. */
const WATCH_TRIES = 4;
const WATCH_AGAIN_MS = 1_000;
const CONFIRM_TRIES = 50;
const CONFIRM_EVERY_MS = 100;
const START_TIMEOUT_MS = 30_000;
const RESTART_MIN_MS = 500;
const RESTART_MAX_MS = 30_000;
/** A policy that was not taken, or a port that did not open, is tried again. */
const RETRY_MS = 5_000;
const STOPPED = 'stopped before the IPsec policies were in place';

export class Sidecar {
  readonly #o: SidecarOptions;
  #policy: IkePolicy;
  #safe = false;
  #stopping = false;
  /** The one start of charon that is under way. */
  #starting: Promise<void> | undefined;
  /** Why charon ended since its last start. */
  #exit: string | undefined;
  /** Counts connections to charon, made and lost: what was asked over an older one says nothing any more. */
  #connection = 0;
  #restartMs = RESTART_MIN_MS;
  #cancelGrace = () => {};
  #cancelRetry = () => {};
  #cancelWatch = () => {};
  #inGrace = false;
  #started: { resolve: () => void; reject: (error: Error) => void } | undefined;

  constructor(options: SidecarOptions) {
    this.#o = options;
    this.#policy = options.policy;
    options.monitor.onEvent((event) => this.#onEvent(event));
    options.charon?.onExit((why) => {
      this.#exit = why;
      // While it starts, start() tells, and once only.
      if (this.#starting === undefined) this.#charonEnded(why);
    });
  }

  /** Resolves when safe for the first time; rejects with a sentence, also when stop() comes first. */
  async start(): Promise<void> {
    const { monitor, drive } = this.#o;
    await this.#startCharon();
    if (this.#stopping) throw new Error(STOPPED);
    await new Promise<void>((resolve, reject) => {
      const problem = `charon did not confirm its policies in ${START_TIMEOUT_MS / 1000} s`;
      const cancel = drive.after(START_TIMEOUT_MS, () => this.#started?.reject(new Error(problem)));
      const settle = <T>(act: (value: T) => void) => {
        return (value: T) => {
          cancel();
          this.#started = undefined;
          act(value);
        };
      };
      this.#started = { resolve: settle<void>(resolve), reject: settle(reject) };
      monitor.start();
    });
  }

  /** charon deletes its SAs when it ends cleanly. Call with the 1701 sockets closed; also while start() is under way. */
  async stop(): Promise<void> {
    const { monitor, charon } = this.#o;
    this.#stopping = true;
    this.#cancelRetry();
    this.#cancelWatch();
    this.#started?.reject(new Error(STOPPED));
    await this.#leave();
    this.#endGrace();
    await monitor.close();
    const starting = this.#starting;
    await charon?.stop();
    if (starting === undefined) return;
    // It may have been between two steps, with no process to stop yet.
    await starting.catch(() => {});
    await charon?.stop();
  }

  /**
   * Another policy, while clients are connected. Rejects with a sentence when charon refuses it; then the old one is in force.
   * While charon is away it only takes the other's place.
   */
  async reload(policy: IkePolicy): Promise<void> {
    const { monitor, log } = this.#o;
    const before = this.#policy;
    this.#policy = policy;
    if (!this.#safe) return;
    try {
      await monitor.changePolicy(policy);
    } catch (error) {
      this.#policy = before;
      await monitor.changePolicy(before).catch((e: Error) => log.warn('ike.unload-failed', { problem: e.message }));
      throw error;
    }
  }

  terminate(ikeUniqueId: string): Promise<void> {
    return this.#o.monitor.terminate(ikeUniqueId);
  }

  #onEvent(event: IkeEvent): void {
    if (event.type === 'connected') {
      this.#endGrace();
      void this.#secure(++this.#connection);
    }
    if (event.type === 'lost') this.#viciLost();
    this.#o.onEvent(event);
  }

  /** VICI is there (again): the policy is loaded anew, and the port opened only when charon shows the shunts. */
  async #secure(connection: number): Promise<void> {
    const { monitor } = this.#o;
    const stale = () => this.#stopping || connection !== this.#connection;
    this.#cancelRetry();
    try {
      // The last act of starting charon clears the kernel of what is left of the one before: our policies come after.
      await this.#starting;
      await this.#settle(stale);
      let loaded: IkePolicy;
      do {
        loaded = this.#policy;
        await monitor.loadPolicy(loaded);
      } while (loaded !== this.#policy); // a reload came meanwhile
      if (!(await this.#confirmed(stale)) && !stale())
        throw new Error('the drop policies of UDP 1701 are not in place');
      if (stale()) return;
      if (!this.#safe) this.#o.onSafe();
      this.#safe = true;
      this.#watch();
    } catch (error) {
      if (!stale()) this.#insecure(error instanceof Error ? error : new Error(String(error)), connection);
      return;
    }
    this.#restartMs = RESTART_MIN_MS;
    this.#started?.resolve();
  }

  /**
   * An SA of before is of no use: its tunnel ended with us, or when the port was shut. And marks begin at 1 again in a new
   * charon: SAs that a killed one left would be taken for the next client's.
   */
  async #settle(stale: () => boolean): Promise<void> {
    const { monitor, charon, log } = this.#o;
    await charon?.settle?.(() => monitor.listSas());
    if (this.#safe || stale()) return;
    const sas = await monitor.listSas();
    for (const { uniqueId } of sas) await monitor.terminate(uniqueId);
    if (sas.length > 0) log.info('ike.leftovers-closed', { sas: sas.length });
  }

  /** A charon that stays would let clients in to nobody: it keeps the drop policies, and forgets keys and connection. */
  async #leave(): Promise<void> {
    const { monitor, charon, log } = this.#o;
    const policy = this.#policy;
    if (charon?.settle === undefined || !this.#safe || this.#inGrace) return;
    const names = new Set(policy.shunts.map((s) => s.name));
    const shunts = Object.entries(policy.connections).filter(([name]) => names.has(name));
    try {
      await monitor.loadPolicy({ ...policy, secrets: [], connections: Object.fromEntries(shunts) });
      for (const { uniqueId } of await monitor.listSas()) await monitor.terminate(uniqueId);
    } catch (error) {
      log.warn('ike.unload-failed', { problem: error instanceof Error ? error.message : String(error) });
    }
  }

  #insecure(why: Error, connection: number): void {
    const { log, drive } = this.#o;
    log.error('ike.policy-failed', { problem: why.message, hint: 'UDP 1701 stays closed' });
    this.#unsafe(why.message);
    if (this.#started !== undefined) return this.#started.reject(why);
    this.#cancelRetry = drive.after(RETRY_MS, () => void this.#reinstall(connection));
  }

  async #confirmed(stale: () => boolean): Promise<boolean> {
    for (let n = 0; n < CONFIRM_TRIES && !stale(); n++) {
      if ((await this.#o.monitor.policiesConfirmed()) && (await this.#shuntsStand())) return true;
      await new Promise<void>((next) => this.#o.drive.after(CONFIRM_EVERY_MS, next));
    }
    return false;
  }

  #watch(ms = WATCH_MS, tries = WATCH_TRIES): void {
    this.#cancelWatch();
    const connection = this.#connection;
    this.#cancelWatch = this.#o.drive.after(ms, async () => {
      const held = await this.#shuntsStand();
      if (!this.#safe || this.#stopping || connection !== this.#connection) return;
      if (held) this.#watch();
      else if (held === undefined && tries > 1) this.#watch(WATCH_AGAIN_MS, tries - 1);
      else await this.#policiesGone(connection, held === false);
    });
  }

  /** undefined: nobody knows. */
  async #shuntsStand(): Promise<boolean | undefined> {
    try {
      return await this.#o.shuntsStand();
    } catch (error) {
      this.#o.log.warn('ike.policies-unknown', { problem: error instanceof Error ? error.message : String(error) });
      return undefined;
    }
  }

  async #policiesGone(connection: number, known: boolean): Promise<void> {
    const reason = known
      ? 'the drop policies of UDP 1701 are gone from the kernel'
      : 'nobody knows whether the drop policies of UDP 1701 stand';
    const hint = known ? 'who runs `ip xfrm policy flush` here?' : 'ike.policies-unknown, above, says why';
    this.#o.log.error('ike.policies-gone', { problem: reason, hint });
    this.#unsafe(reason);
    await this.#reinstall(connection);
  }

  /** Only a reload brings the shunts back. The clients' policies went along with them: #settle() closes their SAs. */
  async #reinstall(connection: number): Promise<void> {
    const { monitor, log } = this.#o;
    try {
      // charon believes they still stand: it installs again only what it has taken out.
      if (connection === this.#connection) await monitor.loadPolicy({ ...this.#policy, connections: {}, shunts: [] });
    } catch (error) {
      log.warn('ike.unload-failed', { problem: error instanceof Error ? error.message : String(error) });
    }
    if (connection === this.#connection) await this.#secure(connection);
  }

  #viciLost(): void {
    this.#connection++;
    this.#cancelRetry();
    if (this.#stopping || !this.#safe || this.#inGrace) return;
    this.#o.log.warn('ike.vici-lost', { graceMs: VICI_GRACE_MS });
    this.#inGrace = true;
    this.#cancelGrace = this.#o.drive.after(VICI_GRACE_MS, () => {
      this.#inGrace = false;
      this.#unsafe('the connection to charon is lost');
    });
  }

  #endGrace(): void {
    this.#inGrace = false;
    this.#cancelGrace();
  }

  #charonEnded(why: string): void {
    if (this.#stopping) return;
    this.#connection++;
    this.#endGrace();
    this.#cancelRetry();
    this.#o.log.error('ike.charon-exited', { why, restartMs: this.#restartMs });
    this.#unsafe(`charon ended: ${why}`);
    if (this.#started !== undefined) return this.#started.reject(new Error(`charon ended: ${why}`));
    this.#o.drive.after(this.#restartMs, () => this.#restart());
    this.#restartMs = Math.min(this.#restartMs * 2, RESTART_MAX_MS);
  }

  #restart(): void {
    if (!this.#stopping) this.#startCharon().catch((error: Error) => this.#charonEnded(error.message));
  }

  async #startCharon(): Promise<void> {
    this.#exit = undefined;
    this.#starting = this.#o.charon?.start();
    try {
      await this.#starting;
    } finally {
      this.#starting = undefined;
    }
    if (this.#exit !== undefined) throw new Error(`charon ended: ${this.#exit}`);
  }

  #unsafe(reason: string): void {
    if (!this.#safe) return;
    this.#safe = false;
    this.#cancelWatch();
    this.#o.onUnsafe(reason);
  }
}
