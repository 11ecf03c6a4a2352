/** What the gateway takes from the machine it runs on: the real things are put together here, tests bring others. */
import { join } from 'node:path';
import { CharonMonitor } from '../io/charon.js';
import { MonotonicClock } from '../io/clock.js';
import { type Dataplane, type DataplaneOptions, openDataplane } from '../io/dataplane.js';
import { type Firewall, foreignDropPolicies, openFirewall, type RawListener } from '../io/firewall.js';
import { markUsers } from '../io/fwmarks.js';
import type { Clock, IkeMonitor } from '../io/ports.js';
import { type SysctlPath, Sysctls } from '../io/sysctl.js';
import { shuntsStand } from '../io/xfrm.js';
import { ExternalCharon, SpawnedCharon } from './charon-host.js';
import type { Config, IkeConfig } from './config.js';
import { Inside, type InsideOptions } from './inside.js';
import type { Log } from './log.js';
import type { CharonHost } from './sidecar.js';

export interface Host {
  readonly clock: Clock;
  /** @throws TuntapError */
  openInside(options: InsideOptions): Pick<Inside, 'name' | 'fds' | 'vnetHeader' | 'routeTo' | 'close'>;
  /** @throws DataplaneError */
  openDataplane(options: DataplaneOptions): Dataplane;
  /** With the guard in place. */
  openFirewall(): Promise<Firewall>;
  /** Chains of others that drop what we accept. */
  foreignDropPolicies(): Promise<string[]>;
  /** Rules of others that match or set the packet marks of our clients' SAs. Never rejects. */
  markUsers(): Promise<string[]>;
  readonly sysctls: { set(path: SysctlPath, value: string): Promise<unknown>; restore(): Promise<void> };
  /** Absent when L2TP is served raw only. */
  readonly ike: IkeHost | undefined;
}

/** charon, and what the kernel says of the policies it was given. */
export interface IkeHost {
  readonly monitor: IkeMonitor;
  readonly charon: CharonHost | undefined;
  /** Whether the kernel has the drop policies: asked before the port opens, and every few seconds. */
  shuntsStand(): Promise<boolean>;
}

/** The addresses to serve with IPsec, and the listener without. */
export interface Listening {
  readonly listen: readonly string[];
  readonly raw: RawListener | undefined;
}

export function realHost(config: Config, { listen, raw }: Listening, log: Log): Host {
  const { stateDir, ike } = config;
  return {
    clock: new MonotonicClock(),
    openInside: (options) => Inside.open(options),
    openDataplane,
    openFirewall: () => openFirewall(raw === undefined ? {} : { raw: [raw] }),
    foreignDropPolicies,
    markUsers,
    sysctls: new Sysctls({ record: join(stateDir, 'sysctl-owned.json') }),
    ike: ike === null ? undefined : ikeHost(config, ike, listen, log),
  };
}

function ikeHost({ runDir, stateDir }: Config, ike: IkeConfig, listen: readonly string[], log: Log): IkeHost {
  const xfrm = { record: join(stateDir, 'xfrm-owned.json') };
  const { vici, allowForeign, aggressive } = ike;
  const charon = { xfrm, listen, allowForeign, log };
  return {
    monitor: new CharonMonitor({
      endpoint: ike.vici,
      onRetry: (why, delayMs) => log.debug('ike.vici-retry', { why, delayMs }),
      onOddity: (what) => log.warn('ike.vici-odd', { what }),
    }),
    charon:
      ike.charon === 'spawn' ? new SpawnedCharon({ ...charon, runDir, vici, aggressive }) : new ExternalCharon(charon),
    shuntsStand: () => shuntsStand(listen),
  };
}
