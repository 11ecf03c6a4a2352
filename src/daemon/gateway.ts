/** The gateway as a whole: what starts after what, and what stops before what. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CharonMonitor } from '../io/charon.js';
import { MonotonicClock } from '../io/clock.js';
import { type Dataplane, openDataplane } from '../io/dataplane.js';
import { type Firewall, foreignDropPolicies, openFirewall } from '../io/firewall.js';
import type { IkeLogEvent } from '../io/ports.js';
import { IPV4_FORWARD, proxyArp, Sysctls } from '../io/sysctl.js';
import { inspectXfrm, shuntsStand, type XfrmPolicy } from '../io/xfrm.js';
import { AddressPool } from '../proto/aaa/pool.js';
import { Endpoint } from '../proto/l2tp/endpoint.js';
import { LocalAaa } from './aaa.js';
import { SpawnedCharon } from './charon-host.js';
import type { Config } from './config.js';
import { configWarnings, excludedAddresses } from './config-check.js';
import { Connections } from './connections.js';
import { ControlServer, type StatusView } from './control.js';
import { Drive } from './drive.js';
import { eventFields } from './facts.js';
import { IkeLogWatch } from './ike-log.js';
import { Inside, showRange } from './inside.js';
import { ipsecPolicy } from './ipsec-policy.js';
import type { Log } from './log.js';
import { DEFAULT_MTU, endpointConfig, ipsecSettings, linkConfig } from './protocol-config.js';
import { SaRegistry } from './sa-registry.js';
import { Sidecar } from './sidecar.js';
import type { UserStore } from './users.js';
import { sessionViews } from './view.js';

/* Implementation */
const TUN_NAME = 'lockstep0';
/** A stop waits this long for peers to acknowledge before it goes on without them. */
const DRAIN_MS = 12_000;

export interface GatewayOptions {
  readonly config: Config;
  readonly users: UserStore;
  /** Our addresses, `auto` resolved. */
  readonly listen: readonly string[];
  readonly version: string;
  readonly log: Log;
  /** Something failed for good while running: the process should stop. */
  readonly onFatal: (error: Error) => void;
}

export class Gateway {
  readonly #o: GatewayOptions;
  readonly #drive = new Drive(new MonotonicClock());
  readonly #sas = new SaRegistry();
  readonly #ikeLog = new IkeLogWatch();
  readonly #pool: AddressPool;
  readonly #inside: Inside;
  readonly #dataplane: Dataplane;
  readonly #connections: Connections;
  #firewall: Firewall | undefined;
  readonly #sysctls: Sysctls;
  #sidecar: Sidecar | undefined;
  #control: ControlServer | undefined;
  #users: UserStore;
  #state: StatusView['state'] = 'starting';
  #shutBecause: string | null = 'starting';

  /**
   * Everything that can be wrong on this host without charon is found here. Nothing is reachable yet.
   * @throws TuntapError, DataplaneError
   */
  constructor(options: GatewayOptions) {
    const { config, users, listen, log } = options;
    this.#o = options;
    this.#users = users;
    this.#sysctls = new Sysctls({ record: join(config.stateDir, 'sysctl-owned.json') });
    this.#pool = new AddressPool({
      ranges: config.pool.ranges,
      exclude: [...excludedAddresses(config), ...listen],
      fixed: users.fixedAddresses(),
    });
    const maxMtu = config.ppp.mtu === 'auto' ? DEFAULT_MTU : config.ppp.mtu;
    this.#inside = Inside.open({
      name: TUN_NAME,
      gateway: config.pool.gateway,
      ranges: config.pool.ranges,
      fixed: [...users.fixedAddresses()].map(([, address]) => address),
      mtu: maxMtu,
    });
    this.#dataplane = openDataplane({
      tunFds: this.#inside.fds,
      vnetHeader: this.#inside.vnetHeader,
      onUpcalls: (batch) => this.#connections.onUpcalls(batch),
      onError: (error) => options.onFatal(error),
    });
    this.#connections = new Connections({
      drive: this.#drive,
      dataplane: this.#dataplane,
      endpoint: new Endpoint(endpointConfig(config)),
      aaa: this.#localAaa(),
      log,
      link: linkConfig(config),
      maxMtu,
      helloIntervalMs: config.l2tp.helloInterval,
      maxSessions: config.limits.sessions,
      idleTimeoutMs: config.limits.idleTimeout,
      sessionTimeoutMs: config.limits.sessionTimeout,
      sa: (mark) => this.#sas.lookup(mark),
      ...(config.l2tp.redirect === null ? {} : { redirect: config.l2tp.redirect }),
      terminateIke: async (id) => this.#sidecar?.terminate(id),
    });
  }

  /** Resolves when 1701 is open inside its policies. On any failure the port is shut and what was started is stopped. */
  async start(): Promise<void> {
    const { config, version, log } = this.#o;
    for (const { event, hint } of configWarnings(config)) log.warn(event, { hint });
    try {
      mkdirSync(config.runDir, { recursive: true, mode: 0o755 });
      mkdirSync(config.stateDir, { recursive: true, mode: 0o700 });
      this.#control = await ControlServer.open(config.control.socket, {
        status: () => this.#status(),
        sessions: () => sessionViews(this.#connections.registry, this.#dataplane, (mark) => this.#sas.lookup(mark)),
        disconnect: (target) => {
          log.info('admin.disconnect', { target });
          return this.#connections.disconnect(target);
        },
      });
      await this.#reach();
      await this.#startSidecar();
      log.info('gateway.ready', {
        version,
        listen: this.#o.listen,
        firewall: this.#firewall?.backend,
        pool: config.pool.gateway,
        control: config.control.socket,
      });
    } catch (error) {
      await this.stop('start failed');
      throw error;
    }
  }

  /** Users from a new file; sessions that are up stay. */
  reloadUsers(users: UserStore): void {
    this.#users = users;
    this.#pool.setFixed(users.fixedAddresses());
    this.#o.log.info('users.reloaded', { users: users.size });
  }

  /** Peers are told, sockets closed, SAs deleted; the guard of 1701 goes last. Idempotent. */
  async stop(reason: string): Promise<void> {
    if (this.#state === 'stopping') return;
    const wasOpen = this.#state === 'listening';
    this.#state = 'stopping';
    this.#shutBecause = reason;
    if (wasOpen) {
      this.#o.log.info('gateway.stopping', { reason, sessions: this.#connections.registry.sessionCount });
      await Promise.race([
        this.#connections.drain(reason),
        new Promise((done) => this.#drive.after(DRAIN_MS, () => done(0))),
      ]);
    }
    this.#dataplane.unlisten();
    await this.#firewall?.removeReachability();
    await this.#sidecar?.stop();
    await this.#dataplane.close();
    this.#inside.close();
    await this.#sysctls.restore();
    // Last of all: while anything of ours could still send from 1701, the guard stands.
    await this.#firewall?.removeAll();
    await this.#control?.close();
    this.#drive.stop();
    this.#o.log.info('gateway.stopped', { reason });
  }

  /** For a crash of our own: the port is shut at once, everything else is left to the guard. */
  emergencyShut(): void {
    this.#dataplane.unlisten();
  }

  /** The guard first, then what lets clients in and their packets through. */
  async #reach(): Promise<void> {
    const { config } = this.#o;
    const { nat, accept, ipForward, proxyArp: arp, interface: inside } = config.reachability;
    this.#firewall = await openFirewall();
    if (ipForward) await this.#sysctls.set(IPV4_FORWARD, '1');
    if (arp) await this.#sysctls.set(proxyArp(inside ?? 'all'), '1');
    await this.#firewall.apply({
      tun: this.#inside.name,
      accept,
      routes: config.routes,
      ...(inside === null ? {} : { inside }),
      masquerade: nat === 'auto' ? config.pool.ranges.map(showRange) : [],
    });
    for (const chain of accept ? await foreignDropPolicies() : []) {
      const hint = 'an accept of ours cannot overrule it: accept UDP 500, 4500, ESP and forwarded packets there';
      this.#o.log.warn('firewall.foreign-drop', { chain, hint });
    }
  }

  async #startSidecar(): Promise<void> {
    const { config, listen, log } = this.#o;
    const sas = this.#drive.add(this.#sas, (out) => this.#connections.onMark(out));
    const xfrm = { record: join(config.stateDir, 'xfrm-owned.json') };
    const { runDir, ike } = config;
    const spawned = { runDir, vici: ike.vici, xfrm, listen, allowForeign: ike.allowForeign, log };
    this.#sidecar = new Sidecar({
      monitor: new CharonMonitor({
        endpoint: ike.vici,
        onRetry: (why, delayMs) => log.debug('ike.vici-retry', { why, delayMs }),
        onOddity: (what) => log.warn('ike.vici-odd', { what }),
      }),
      charon: ike.charon === 'spawn' ? new SpawnedCharon(spawned) : undefined,
      policy: ipsecPolicy(ipsecSettings(config, listen)),
      kernelConfirms: async () => hasShunts((await inspectXfrm(xfrm)).ours.policies, listen),
      kernelHolds: () => shuntsStand(listen),
      drive: this.#drive,
      log,
      onEvent: (event) => {
        if (event.type === 'log') return this.#onIkeLog(event);
        log.debug('ike.event', eventFields(event));
        sas.input(event);
      },
      onSafe: () => this.#openPort(),
      onUnsafe: (reason) => this.#shutPort(reason),
    });
    await this.#sidecar.start();
  }

  #onIkeLog(event: IkeLogEvent): void {
    const failure = this.#ikeLog.note(this.#drive.now(), event);
    if (failure === undefined) return;
    const { peer, ikeUniqueId, advice, ...fields } = failure;
    this.#o.log.warn('ike.failed', { ...fields, ike: ikeUniqueId, remote: peer, hint: advice });
  }

  #openPort(): void {
    if (this.#state === 'stopping') return;
    this.#dataplane.listen(this.#o.listen.map((address) => ({ address })));
    this.#state = 'listening';
    this.#shutBecause = null;
    this.#o.log.info('port.open', { listen: this.#o.listen, port: 1701 });
  }

  #shutPort(reason: string): void {
    if (this.#state === 'stopping') return;
    this.#dataplane.unlisten();
    this.#connections.abandonAll(reason);
    this.#state = 'closed';
    this.#shutBecause = reason;
    this.#o.log.error('port.shut', {
      reason,
      hint: 'UDP 1701 stays closed until the IPsec policies are confirmed again',
    });
  }

  #localAaa(): LocalAaa {
    const { config } = this.#o;
    return new LocalAaa({
      users: () => this.#users,
      pool: this.#pool,
      dns: config.dns,
      nbns: config.nbns,
      sessionsPerUser: config.limits.sessionsPerUser,
    });
  }

  #status(): StatusView {
    return {
      state: this.#state,
      reason: this.#shutBecause,
      version: this.#o.version,
      listen: this.#dataplane.listening ? this.#o.listen : [],
      tunnels: this.#connections.registry.tunnelCount,
      sessions: this.#connections.registry.sessionCount,
      drops: Object.fromEntries(Object.entries(this.#dataplane.globalCounters()).map(([k, v]) => [k, Number(v)])),
    };
  }
}

/** The drop policies in both directions, for every address of ours. */
const hasShunts = (policies: readonly XfrmPolicy[], listen: readonly string[]): boolean =>
  listen.every((address) => {
    const of = (side: 'src' | 'dst') =>
      policies.some(
        (p) => p.block && p.selector[side]?.split('/')[0] === address && p.dir === (side === 'src' ? 'out' : 'in'),
      );
    return of('src') && of('dst');
  });
