/** The gateway as a whole: what starts after what, and what stops before what. */
import { mkdirSync } from 'node:fs';
import type { Dataplane } from '../io/dataplane.js';
import type { IkeEvent, IkeLogEvent, IkePolicy } from '../io/ports.js';
import { AddressPool } from '../proto/aaa/pool.js';
import { Endpoint } from '../proto/l2tp/endpoint.js';
import { LocalAaa } from './aaa.js';
import type { Config } from './config.js';
import { configWarnings, excludedAddresses, ownAddresses } from './config-check.js';
import { Connections } from './connections.js';
import { type ControlHandlers, ControlServer, type DrainRequest, type StatusView } from './control.js';
import { Drive, type Driven } from './drive.js';
import { eventFields } from './facts.js';
import { foundView, healthView, poolView, sessionsView, snapshot, statusView, type Viewed } from './gateway-view.js';
import { History } from './history.js';
import type { Host, Listening } from './host.js';
import { IkeLogWatch } from './ike-log.js';
import { identityProof, ipsecPolicy } from './ipsec-policy.js';
import { ipv6Settings } from './ipv6.js';
import { Listener } from './listener.js';
import type { LocalServer } from './local-http.js';
import { type Log, tee } from './log.js';
import { limited } from './log-limit.js';
import { Metrics } from './metrics.js';
import { serveMetrics } from './metrics-server.js';
import { CAUTIOUS_MTU } from './mtu.js';
import { endpointConfig, informSettings, ipsecSettings, linkConfig, transitState } from './protocol-config.js';
import { Reach } from './reach.js';
import { configChange, withReloadable } from './reload.js';
import { RulesWatch } from './rules-watch.js';
import { SaRegistry } from './sa-registry.js';
import { Sidecar } from './sidecar.js';
import { serveStatusPage } from './status-page.js';
import { Timeline } from './timeline.js';
import type { User, UserStore } from './users.js';
import { storePassword } from './users-edit.js';

/* Implementation */
const TUN_NAME = 'lockstep0';
/** A stop waits this long for peers to acknowledge before it goes on without them. */
const DRAIN_MS = 12_000;

export interface GatewayOptions extends Listening {
  readonly host: Host;
  readonly config: Config;
  readonly users: UserStore;
  readonly version: string;
  readonly log: Log;
  /** Something failed for good while running: the process should stop. */
  readonly onFatal: (error: Error) => void;
  /** Somebody asked for what SIGHUP does. */
  readonly onReload?: () => Promise<void>;
}

export class Gateway {
  readonly #o: GatewayOptions;
  /** In force: as started, with what reloads changed. */
  #config: Config;
  readonly #drive: Drive;
  readonly #sas = new SaRegistry();
  readonly #timeline = new Timeline();
  readonly #metrics: Metrics | undefined;
  readonly #history: History | undefined;
  readonly #ikeLog = new IkeLogWatch((failure) => {
    this.#timeline.ikeFailed(failure);
    this.#metrics?.ikeFailed(failure.cause);
  });
  readonly #pool: AddressPool;
  readonly #inside: ReturnType<Host['openInside']>;
  readonly #dataplane: Dataplane;
  readonly #connections: Connections;
  /** The data plane can be talked to. */
  #planeOpen = true;
  readonly #listener: Listener;
  readonly #reach: Reach;
  readonly #rules: RulesWatch;
  #sidecar: Sidecar | undefined;
  /** charon is there and the IPsec policies stand. */
  #ikeSafe = false;
  /** Nobody can be told any more: a drain under way waits for nothing. */
  #endDrain = (): void => {};
  #control: ControlServer | undefined;
  #metricsServer: LocalServer | undefined;
  #statusPage: LocalServer | undefined;
  #users: UserStore;
  /** For each reload that waits for charon: users who set a new password since its file was read. */
  readonly #reloading = new Set<User[]>();
  #policyInForce: IkePolicy | undefined;
  #state: StatusView['state'] = 'starting';
  #shutBecause: string | null = 'starting';
  #starting: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  /**
   * Everything that can be wrong on this host without charon is found here. Nothing is reachable yet.
   * @throws TuntapError, DataplaneError
   */
  constructor(options: GatewayOptions) {
    const { host, config, users } = options;
    this.#metrics = config.metrics.listen === null ? undefined : new Metrics(() => snapshot(this.#viewed()));
    this.#history = config.statusPage.listen === null ? undefined : new History(() => snapshot(this.#viewed()));
    this.#drive = new Drive(host.clock);
    const counted = tee(
      limited(options.log, () => this.#drive.now()),
      (event, fields) => {
        this.#metrics?.event(event, fields);
        this.#history?.event(event, fields);
      },
    );
    const log = this.#timeline.listening(counted);
    this.#o = { ...options, log };
    this.#config = config;
    this.#users = users;
    this.#pool = new AddressPool({
      ranges: config.pool.ranges,
      exclude: [...excludedAddresses(config), ...ownAddresses(options)],
      fixed: users.fixedAddresses(),
    });
    const maxMtu = config.ppp.mtu === 'auto' ? CAUTIOUS_MTU : config.ppp.mtu;
    this.#inside = host.openInside({
      name: TUN_NAME,
      gateway: config.pool.gateway,
      ranges: config.pool.ranges,
      fixed: users.addresses,
      networks6: [config.ipv6.prefix, config.ipv6.delegate].filter((n) => n !== null),
      mtu: maxMtu,
    });
    this.#dataplane = this.#openDataplane();
    this.#listener = new Listener(this.#dataplane, options, log);
    this.#reach = new Reach({ host, config, users, raw: options.raw, tun: this.#inside.name, log });
    this.#rules = new RulesWatch({
      mend: () => this.#reach.mend(),
      drive: this.#drive,
      log,
      onLost: (reason) => {
        if (this.#ikeSafe) this.#shutPort(reason);
      },
      onBack: () => {
        if (this.#ikeSafe) this.#openPort();
      },
    });
    const ipv6 = ipv6Settings(config);
    this.#connections = new Connections({
      drive: this.#drive,
      dataplane: this.#dataplane,
      endpoint: new Endpoint(endpointConfig(config)),
      aaa: this.#localAaa(),
      log,
      link: linkConfig(config),
      ...(ipv6 === undefined ? {} : { ipv6 }),
      inform: () => informSettings(this.#config),
      maxMtu,
      helloIntervalMs: config.l2tp.helloInterval,
      maxSessions: config.limits.sessions,
      maxStrangers: config.limits.halfOpenPerAddress,
      transit: transitState(config),
      idleTimeoutMs: config.limits.idleTimeout,
      sessionTimeoutMs: config.limits.sessionTimeout,
      sa: (mark) => this.#sas.lookup(mark),
      marksOf: (ikeId) => this.#sas.marksOf(ikeId),
      identityProof: (ike) => this.#policyInForce && identityProof(this.#policyInForce, ike),
      ...(config.l2tp.redirect === null ? {} : { redirect: config.l2tp.redirect }),
      terminateIke: async (id) => this.#sidecar?.terminate(id),
    });
  }

  /** Resolves when 1701 is open inside its policies. On any failure the port is shut and what was started is stopped. */
  async start(): Promise<void> {
    const { config, version, log } = this.#o;
    for (const { event, hint } of configWarnings(config)) log.warn(event, { hint });
    this.#warnOfStrangers();
    try {
      this.#starting = this.#bringUp().finally(() => {
        this.#starting = undefined;
      });
      await this.#starting;
      log.info('gateway.ready', {
        version,
        listen: this.#listener.served,
        firewall: this.#reach.backend,
        pool: config.pool.gateway,
        control: config.control.socket,
      });
    } catch (error) {
      await this.stop('start failed');
      throw error;
    }
  }

  /** One step after the other; a stop() that comes meanwhile lets none begin any more. */
  async #bringUp(): Promise<void> {
    const steps = [
      () => this.#openControl(),
      () => this.#openReach(),
      () => this.#openRaw(),
      () => this.#startSidecar(),
    ];
    for (const step of steps) {
      if (this.#stopped !== undefined) break;
      await step();
    }
    if (this.#stopped !== undefined) throw new Error(`stopped while starting: ${this.#shutBecause}`);
  }

  /**
   * What a new configuration may change without a restart, and the users. Nobody is disconnected. Rejects when the users do
   * not go with what is in force until a restart (ConfigError), or the kernel or charon refuses: then everything is as
   * before, but for routes to addresses that nobody gets.
   */
  async reload(config: Config, users: UserStore): Promise<void> {
    const { log } = this.#o;
    const { applied, restart } = configChange(this.#config, config);
    const next = withReloadable(this.#config, config);
    users.check(next, ownAddresses(this.#o));
    const policy = applied.some((key) => key.startsWith('ike.')) ? this.#policy(next) : undefined;
    this.#inside.routeTo(users.addresses);
    const changed = policy === undefined ? [] : await this.#reloadIke(policy);
    const kept = users.file === this.#users.file ? changed : [];
    this.#config = next;
    this.#reloadUsers(kept.reduce((store, user) => store.withPasswordOf(user), users));
    if (applied.length > 0) for (const { event, hint } of configWarnings(next)) log.warn(event, { hint });
    log.info('config.reloaded', { applied });
    if (restart.length > 0)
      log.warn('config.needs-restart', {
        keys: restart,
        hint: 'these keys keep their old values until lockstepd restarts',
      });
  }

  /** Resolves to the users who set a new password meanwhile. */
  async #reloadIke(policy: IkePolicy): Promise<readonly User[]> {
    const changed: User[] = [];
    this.#reloading.add(changed);
    try {
      await this.#sidecar?.reload(policy);
    } finally {
      this.#reloading.delete(changed);
    }
    this.#policyInForce = policy;
    return changed;
  }

  #policy({ ike }: Config): IkePolicy | undefined {
    return ike === null ? undefined : ipsecPolicy(ipsecSettings(ike, this.#o.listen));
  }

  #reloadUsers(users: UserStore): void {
    this.#users = users;
    if (this.#stopped === undefined) this.#reach.addUsers(users);
    this.#pool.setFixed(users.fixedAddresses());
    this.#o.log.info('users.reloaded', { users: users.size, bound: this.#config.identity.size });
    this.#warnOfStrangers();
  }

  /**
   * Peers are told, sockets closed, SAs deleted; the guard of 1701 goes last. At any time, also while start() is under way
   * or after a failure; never rejects. Calling it again waits for the same end.
   */
  stop(reason: string): Promise<void> {
    this.#stopped ??= this.#stop(reason);
    return this.#stopped;
  }

  async #stop(reason: string): Promise<void> {
    const { log, host } = this.#o;
    const wasOpen = this.#planeOpen && this.#dataplane.listening;
    this.#state = 'stopping';
    this.#shutBecause = reason;
    this.#rules.stop();
    log.info('gateway.stopping', { reason, sessions: this.#connections.registry.sessionCount });
    if (wasOpen) await this.#step('drain', () => this.#drain(reason));
    this.#unlisten();
    if (this.#starting !== undefined) {
      await this.#step('charon', () => this.#sidecar?.stop());
      await this.#starting?.catch(() => {}); // start() tells why; here it only has to be over
    }
    await this.#step('reachability', () => this.#reach.close());
    await this.#step('charon', () => this.#sidecar?.stop());
    this.#drive.stop();
    this.#planeOpen = false;
    const silent = await this.#step('data plane', () => this.#dataplane.close());
    await this.#step('inside', () => this.#inside.close());
    await this.#step('kernel settings', () => host.sysctls.restore());
    // Last of all: while anything of ours could still send from 1701, the guard stands.
    if (silent) await this.#step('guard', () => this.#reach.removeGuard());
    await this.#step('metrics', () => this.#metricsServer?.close());
    await this.#step('status page', () => this.#statusPage?.close());
    await this.#step('control', () => this.#control?.close());
    log.info('gateway.stopped', { reason });
  }

  /** Whether it was done; a step that fails must not keep the others from being taken. */
  async #step(step: string, act: () => unknown): Promise<boolean> {
    try {
      await act();
      return true;
    } catch (error) {
      this.#o.log.error('gateway.stop-failed', { step, error });
      return false;
    }
  }

  #drain(reason: string): Promise<unknown> {
    const late = new Promise<void>((resolve) => {
      this.#drive.after(DRAIN_MS, resolve);
      this.#endDrain = resolve;
    });
    return Promise.race([this.#connections.drain(reason), late]);
  }

  /** For a failure of our own: the port is shut at once and nothing is sent any more; the guard stands until stop(). */
  emergencyShut(): void {
    this.#unlisten();
    this.#drive.stop();
    this.#endDrain();
    if (this.#stopped === undefined) this.#state = 'closed';
  }

  #unlisten(): void {
    if (this.#planeOpen) this.#listener.shut();
  }

  #openDataplane(): Dataplane {
    const { host, onFatal } = this.#o;
    try {
      return host.openDataplane({
        tunFds: this.#inside.fds,
        vnetHeader: this.#inside.vnetHeader,
        gateway: [this.#o.config.pool.gateway],
        maxSessions: this.#o.config.limits.sessions,
        onUpcalls: (batch) => {
          this.#metrics?.upcalls(batch.length);
          this.#connections.onUpcalls(batch);
        },
        onError: (error) => {
          this.#planeOpen = false; // with its sockets
          this.emergencyShut();
          onFatal(error);
        },
      });
    } catch (error) {
      this.#inside.close();
      throw error;
    }
  }

  async #openControl(): Promise<void> {
    const { config, log } = this.#o;
    mkdirSync(config.runDir, { recursive: true, mode: 0o755 });
    mkdirSync(config.stateDir, { recursive: true, mode: 0o700 });
    const handlers: ControlHandlers = {
      status: () => statusView(this.#viewed()),
      sessions: () => sessionsView(this.#viewed()),
      disconnect: (target) => {
        log.info('admin.disconnect', { target });
        return this.#planeOpen ? this.#connections.disconnect(target) : 0;
      },
      pool: () => poolView(this.#viewed()),
      trace: (query) => this.#timeline.view(query),
      reload: () => this.#o.onReload?.(),
      drain: (request) => this.#adminDrain(request),
    };
    this.#control = await ControlServer.open(config.control.socket, handlers);
    const { metrics, statusPage } = config;
    if (metrics.listen !== null && this.#metrics !== undefined)
      this.#metricsServer = await serveMetrics(metrics.listen, this.#metrics, () => healthView(this.#viewed()));
    if (statusPage.listen !== null && this.#history !== undefined)
      this.#statusPage = await serveStatusPage(
        statusPage.listen,
        { ...handlers, find: (text, limit) => foundView(this.#viewed(), text, limit) },
        this.#history,
      );
  }

  /** Not the end: the daemon runs on, with nobody let in. */
  #adminDrain({ cancel, close, redirect }: DrainRequest): void {
    if (!this.#planeOpen || this.#state === 'stopping') throw new Error('the gateway is stopping');
    this.#o.log.info('admin.drain', { cancel, close, redirect });
    const reason = 'drained by the administrator';
    if (cancel) this.#connections.accept();
    else if (close)
      this.#connections.drain(reason, redirect ?? undefined).catch(() => {}); // the plane was closed
    else this.#connections.refuse(reason, redirect ?? undefined);
  }

  async #startSidecar(): Promise<void> {
    const { host, log } = this.#o;
    const policy = this.#policy(this.#config);
    if (policy === undefined || host.ike === undefined) return;
    const { ike } = host;
    this.#policyInForce = policy;
    const sas = this.#drive.add(this.#sas, (out) => this.#connections.onMark(out));
    this.#sidecar = new Sidecar({
      monitor: ike.monitor,
      charon: ike.charon,
      policy,
      shuntsStand: () => ike.shuntsStand(),
      drive: this.#drive,
      log,
      onEvent: (event) => this.#onIke(event, sas),
      onSafe: () => {
        this.#ikeSafe = true;
        this.#openPort();
      },
      onUnsafe: (reason) => {
        this.#ikeSafe = false;
        this.#shutPort(reason);
      },
    });
    await this.#sidecar.start();
  }

  #onIke(event: IkeEvent, sas: Driven<IkeEvent>): void {
    if (event.type === 'log') return this.#onIkeLog(event);
    this.#o.log.debug('ike.event', eventFields(event));
    if (event.type === 'connected') this.#timeline.charonConnected();
    if (this.#planeOpen) sas.input(event);
  }

  #onIkeLog(event: IkeLogEvent): void {
    this.#timeline.ikeLog(event);
    const failure = this.#ikeLog.note(this.#drive.now(), event);
    if (failure === undefined) return;
    const { peer, ikeUniqueId, advice, ...fields } = failure;
    this.#o.log.warn('ike.failed', { ...fields, ike: ikeUniqueId, remote: peer, hint: advice });
  }

  async #openReach(): Promise<void> {
    await this.#reach.open();
    this.#rules.start();
  }

  /** Peers without IPsec need nothing of charon. */
  #openRaw(): void {
    if (this.#listener.openRaw() && this.#config.ike === null) this.#opened();
  }

  #openPort(): void {
    if (this.#state === 'stopping' || this.#rules.lost) return;
    this.#listener.open();
    this.#opened();
  }

  #opened(): void {
    this.#state = 'listening';
    this.#shutBecause = null;
  }

  #shutPort(reason: string): void {
    if (this.#state === 'stopping') return;
    this.#unlisten();
    this.#connections.abandonMarked(reason);
    this.#state = 'closed';
    this.#shutBecause = reason;
    this.#o.log.error('port.shut', {
      reason,
      hint: 'UDP 1701 stays closed until the IPsec policies and the firewall rules are confirmed again',
    });
    this.#listener.reopenRaw();
  }

  #viewed(): Viewed {
    return {
      version: this.#o.version,
      state: this.#state,
      shutBecause: this.#shutBecause,
      served: this.#planeOpen ? this.#listener.served : [],
      dataplane: this.#planeOpen ? this.#dataplane : undefined,
      connections: this.#connections,
      sas: this.#sas,
      pool: this.#pool,
      config: this.#o.config,
    };
  }

  #localAaa(): LocalAaa {
    const { config } = this.#o;
    return new LocalAaa({
      users: () => this.#users,
      realms: config.ppp.realms,
      ...(config.ppp.passwordChange
        ? { changePassword: (user: User, password: string) => this.#changePassword(user, password) }
        : {}),
      identities: () => this.#config.identity,
      pool: this.#pool,
      dns: config.dns,
      nbns: config.nbns,
      sessionsPerUser: config.limits.sessionsPerUser,
    });
  }

  #changePassword(user: User, password: string): void {
    this.#users = storePassword(this.#users, user, password, this.#config.stateDir);
    for (const changed of this.#reloading) changed.push(this.#users.find(user.name)!);
    this.#o.log.info('user.password-changed', { user: user.name });
  }

  /** A name misspelled in `identity` leaves the user it means free. */
  #warnOfStrangers(): void {
    for (const user of this.#config.identity.keys()) {
      if (this.#users.find(user)?.name === user) continue;
      const hint = '`identity` names a user that is not in the users file: is it misspelled?';
      this.#o.log.warn('identity.unknown-user', { user, hint });
    }
  }
}
