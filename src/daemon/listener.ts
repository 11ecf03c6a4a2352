/** The sockets on UDP 1701: which addresses have one, with IPsec and without. */
import type { Dataplane } from '../io/dataplane.js';
import type { Listening } from './host.js';
import type { Log } from './log.js';

export class Listener {
  readonly #dataplane: Dataplane;
  readonly #to: Listening;
  readonly #log: Log;
  #served: readonly string[] = [];

  constructor(dataplane: Dataplane, to: Listening, log: Log) {
    this.#dataplane = dataplane;
    this.#to = to;
    this.#log = log;
  }

  /** Addresses with a socket on 1701. */
  get served(): readonly string[] {
    return this.#served;
  }

  /** The listener without IPsec needs the guard's exception and nothing of charon. Whether there is one. */
  openRaw(): boolean {
    const { raw } = this.#to;
    if (raw === undefined) return false;
    this.#listen([]);
    this.#log.info('port.open-raw', { listen: raw.addresses, interface: raw.interface, peers: raw.peers, port: 1701 });
    return true;
  }

  /** Every address; only for when the IPsec policies stand. @throws DataplaneError: then those with IPsec are shut */
  open(): void {
    const { listen, raw } = this.#to;
    try {
      this.#listen(listen);
    } catch (error) {
      if (raw === undefined) throw error;
      this.#openWithoutRaw(error);
    }
    this.#log.info('port.open', { listen, port: 1701 });
  }

  /** All sockets did not open together: those with IPsec alone do, or the fault is theirs. */
  #openWithoutRaw(error: unknown): void {
    try {
      this.#listen(this.#to.listen, false);
    } catch (own) {
      this.reopenRaw();
      throw own;
    }
    this.#rawFailed(error);
  }

  /** Peers without IPsec need no charon. */
  reopenRaw(): void {
    if (this.#to.raw === undefined) return;
    try {
      this.#listen([]);
    } catch (error) {
      this.#rawFailed(error);
    }
  }

  /** All of them. */
  shut(): void {
    this.#served = [];
    this.#dataplane.unlisten();
  }

  /** These addresses with IPsec, and `withRaw` those of the raw listener without; all others are shut. */
  #listen(addresses: readonly string[], withRaw = true): void {
    const { interface: on = '', peers = [], addresses: bare = [] } = (withRaw ? this.#to.raw : undefined) ?? {};
    this.shut();
    this.#dataplane.listen([
      ...addresses.map((address) => ({ address })),
      ...bare.map((address) => ({ address, raw: { interface: on, peers } })),
    ]);
    this.#served = [...addresses, ...bare];
  }

  #rawFailed(error: unknown): void {
    this.#log.error('port.raw-failed', {
      error,
      hint: 'is the interface of listen.raw still there, with its address?',
    });
  }
}
