/** The in-memory twin of charon behind IkeMonitor: tests push events and read what was asked of it. */
import type { IkeEvent, IkeMonitor, IkePolicy, IkeSa } from './ports.js';

export class MemoryIke implements IkeMonitor {
  /** What loadPolicy was given, in order. */
  readonly policies: IkePolicy[] = [];
  /** What changePolicy was given, in order. */
  readonly changes: IkePolicy[] = [];
  /** Ids given to terminate(), in order. */
  readonly terminated: string[] = [];
  /** What listSas() answers. */
  sas: readonly IkeSa[] = [];
  /** What policiesConfirmed() answers; by default, whether a policy was loaded. */
  confirmed: boolean | undefined;
  /** Rejects the next loadPolicy() with this. */
  refuse: Error | undefined;
  started = false;
  closed = false;
  #listener: ((event: IkeEvent) => void) | undefined;

  onEvent(listener: (event: IkeEvent) => void): void {
    this.#listener = listener;
  }

  /** As a charon that is up: connected, then what `sas` holds. */
  start(): void {
    this.started = true;
    this.push({ type: 'connected' });
    this.push({ type: 'snapshot', sas: this.sas });
  }

  push(...events: IkeEvent[]): void {
    if (!this.closed) for (const event of events) this.#listener?.(event);
  }

  async loadPolicy(policy: IkePolicy): Promise<void> {
    const error = this.refuse;
    this.refuse = undefined;
    if (error !== undefined) throw error;
    this.policies.push(policy);
  }

  /** What it takes is in `policies`, too. */
  async changePolicy(policy: IkePolicy): Promise<void> {
    this.changes.push(policy);
    await this.loadPolicy(policy);
  }

  async policiesConfirmed(): Promise<boolean> {
    return this.confirmed ?? this.policies.length > 0;
  }

  async terminate(ikeUniqueId: string): Promise<void> {
    this.terminated.push(ikeUniqueId);
  }

  async listSas(): Promise<readonly IkeSa[]> {
    return this.sas;
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}
