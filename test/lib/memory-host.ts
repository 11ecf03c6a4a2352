/** A machine for the gateway that is all memory and does what the test says; what was asked of it is one list. */

import { MemoryDataplane } from 'l2tp-dataplane/memory';
import type { Host, IkeHost } from '../../src/daemon/host.js';
import type { InsideOptions } from '../../src/daemon/inside.js';
import type { CharonHost } from '../../src/daemon/sidecar.js';
import type { DataplaneOptions } from '../../src/io/dataplane.js';
import type { Reachability } from '../../src/io/firewall-rules.js';
import { MemoryIke } from '../../src/io/memory-ike.js';
import { VirtualClock } from './virtual-clock.js';

/** A charon that is told when to be up and when to die. */
export class MemoryCharon implements CharonHost {
  /** What start() does; by default it is up at once. */
  onStart: () => Promise<void> = async () => {};
  onStop: () => void = () => {};
  running = false;
  starts = 0;
  #listener: (why: string) => void = () => {};
  readonly #acts: string[];

  constructor(acts: string[] = []) {
    this.#acts = acts;
  }

  onExit(listener: (why: string) => void): void {
    this.#listener = listener;
  }

  async start(): Promise<void> {
    this.#acts.push('charon start');
    this.starts++;
    await this.onStart();
    this.running = true;
  }

  async stop(): Promise<void> {
    this.onStop();
    if (this.running) this.#acts.push('charon stop');
    this.running = false;
  }

  die(why = 'SIGKILL'): void {
    this.running = false;
    this.#listener(why);
  }
}

export class MemoryHost implements Host {
  readonly acts: string[] = [];
  readonly clock = new VirtualClock();
  readonly monitor = new MemoryIke();
  readonly charon = new MemoryCharon(this.acts);
  readonly ike: IkeHost | undefined = {
    monitor: this.monitor,
    charon: this.charon,
    shuntsStand: async () => this.policiesStand,
  };
  plane!: MemoryDataplane;
  #planeOptions!: DataplaneOptions;
  policiesStand = true;
  /** What NAT was last asked for. */
  masquerade: readonly string[] | undefined;
  /** What clients may reach, as last asked for; and the IPv6 networks routed to them. */
  reachable: readonly string[] | undefined;
  networks6: readonly string[] | undefined;
  /** Before each act: reject or wait, by its name. */
  readonly before: Record<string, (what?: string) => unknown> = {};

  readonly sysctls = {
    set: (path: readonly string[], value: string) => this.#act(`sysctl ${path.join('.')}=${value}`),
    restore: () => this.#act('sysctl restore'),
  };

  openInside({ networks6 }: InsideOptions) {
    this.networks6 = networks6;
    this.acts.push('inside open');
    return {
      name: 'lockstep0',
      fds: [3],
      vnetHeader: false,
      routeTo: (fixed: Iterable<string>) => {
        this.before.route?.();
        this.acts.push(`route ${[...fixed].join()}`);
      },
      close: () => void this.acts.push('inside close'),
    };
  }

  openDataplane(options: DataplaneOptions): MemoryDataplane {
    this.before['dataplane open']?.();
    this.#planeOptions = options;
    const plane = new MemoryDataplane({ ...options, now: () => this.clock.now() });
    const listen = plane.listen.bind(plane);
    const unlisten = plane.unlisten.bind(plane);
    const close = plane.close.bind(plane);
    plane.listen = (l) => {
      const addresses = l.map((x) => x.address).join();
      this.before.listen?.(addresses);
      listen(l);
      this.acts.push(`listen ${addresses}`);
    };
    plane.unlisten = () => {
      if (plane.listening) this.acts.push('unlisten');
      unlisten();
    };
    plane.close = async () => {
      await this.#act('dataplane close');
      await close();
    };
    this.plane = plane;
    return plane;
  }

  /** As the packet thread that met a fatal error. */
  async failPlane(): Promise<void> {
    await MemoryDataplane.prototype.close.call(this.plane);
    this.#planeOptions.onError(new Error('epoll_wait: EBADF'));
  }

  async openFirewall() {
    await this.#act('guard');
    return {
      backend: 'nft' as const,
      applyGuard: () => this.#act('guard'),
      apply: async (r: Reachability) => {
        this.masquerade = r.masquerade;
        this.reachable = r.routes;
        await this.#act('reachability');
        this.rulesStand = true;
      },
      stands: async () => this.rulesStand,
      removeReachability: () => this.#act('reachability off'),
      removeAll: () => this.#act('guard off'),
    };
  }

  async foreignDropPolicies(): Promise<string[]> {
    return [];
  }

  marks: string[] = [];

  /** False: somebody took the firewall rules out. */
  rulesStand = true;

  async markUsers(): Promise<string[]> {
    return this.marks;
  }

  async #act(name: string): Promise<void> {
    await this.before[name]?.();
    this.acts.push(name);
  }
}
