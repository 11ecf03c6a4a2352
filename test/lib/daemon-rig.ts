/**
 * The gateway from SA to session in memory, on a virtual clock: real Connections, endpoint, links, users and pool over
 * the in-memory data plane and charon. What it does to the world is one list, in order.
 */
import { MemoryDataplane } from 'l2tp-dataplane/memory';
import { type Aaa, LocalAaa } from '../../src/daemon/aaa.js';
import { Connections, type ConnectionsOptions } from '../../src/daemon/connections.js';
import { Drive, type Driven } from '../../src/daemon/drive.js';
import type { IdentityBindings } from '../../src/daemon/identity.js';
import type { Log } from '../../src/daemon/log.js';
import { renderFields } from '../../src/daemon/log-fields.js';
import { SaRegistry } from '../../src/daemon/sa-registry.js';
import { Timeline } from '../../src/daemon/timeline.js';
import { type User, UserStore } from '../../src/daemon/users.js';
import type { Dataplane } from '../../src/io/dataplane.js';
import { MemoryIke } from '../../src/io/memory-ike.js';
import type { IkeEvent, IkeSa } from '../../src/io/ports.js';
import { ipv4ToNumber } from '../../src/proto/aaa/address.js';
import { AddressPool } from '../../src/proto/aaa/pool.js';
import { type EndpointConfig, endpointConfig } from '../../src/proto/l2tp/config.js';
import { Endpoint } from '../../src/proto/l2tp/endpoint.js';
import type { Path } from '../../src/proto/l2tp/events.js';
import { Client, type ClientOptions, messageName, SERVER } from './daemon-client.js';
import { childSa, childUp, ikeSa } from './ike-events.js';
import { seededRandom } from './pair.js';
import { lnsConfig } from './ppp-pair.js';
import { describeFrame } from './ppp-text.js';
import { VirtualClock } from './virtual-clock.js';

export const USERS = `users:
  alice: {password: wonderland}
  bob: {password: builder, address: 10.99.0.50}
  carol: {password: christmas, disabled: true}
  erin: {password: easter, expired: true}
  dave: {nt_hash: "44EBBA8D5312B8D611474411F56989AE"}   # clientPass, RFC 2759 §9.2
`;

/** The listener without IPsec. */
export const RAW = { address: '192.0.2.1', raw: { interface: 'isp0', peers: ['192.0.2.0/24'] } };

export interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly fields: Record<string, unknown>;
}

/** Keeps what is logged, rendered as the real log renders it. */
export function memoryLog(lines: LogLine[]): Log {
  const at =
    (level: string) =>
    (event: string, fields: Record<string, unknown> = {}) =>
      void lines.push({ level, event, fields: renderFields(fields) });
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') } as unknown as Log;
}

export interface RigOptions {
  readonly users?: string;
  readonly ipv6?: ConnectionsOptions['ipv6'];
  /** First and last address of the pool. */
  readonly pool?: readonly [string, string];
  readonly sessionsPerUser?: number;
  readonly link?: Partial<ConnectionsOptions['link']>;
  readonly l2tp?: Partial<EndpointConfig>;
  readonly connections?: Partial<
    Pick<
      ConnectionsOptions,
      'idleTimeoutMs' | 'sessionTimeoutMs' | 'maxSessions' | 'maxStrangers' | 'maxMtu' | 'redirect'
    >
  >;
  readonly maxPlaneSessions?: number;
  readonly identities?: IdentityBindings;
  /** By default every peer proves what it says it is. */
  readonly identityProof?: ConnectionsOptions['identityProof'];
  /** The user store rejects whatever it is asked. */
  readonly failAuth?: boolean;
  /** Stands before the local users. */
  readonly changePassword?: (user: User, password: string) => void;
  readonly aaa?: (local: Aaa) => Aaa;
}

/** Who can be behind a mark. */
export type Attached = Pick<Client, 'path' | 'carries' | 'receive'>;

export class Rig {
  readonly clock = new VirtualClock();
  readonly drive = new Drive(this.clock);
  readonly ike = new MemoryIke();
  readonly log: LogLine[] = [];
  readonly timeline = new Timeline();
  /** `send 1 StopCCN`, `frame LCP Terminate-Request ...`, `update open=false prefixes=`, `flush`, `terminate 1`. */
  readonly acts: string[] = [];
  /** Sessions the data plane holds. */
  readonly planeSessions = new Set<string>();
  readonly plane: MemoryDataplane;
  readonly pool: AddressPool;
  readonly connections: Connections;
  readonly sas: Driven<IkeEvent>;
  readonly registry = new SaRegistry();
  readonly clients: Client[] = [];
  /** Whatever else hears what is sent its way. */
  readonly attached: Attached[] = [];
  /** Called when a verdict is on its way. */
  onAuth: () => void = () => {};
  readonly #clientClock = new VirtualClock();
  /** The clients' own: they run beside the gateway, on the same time. */
  readonly clientDrive = new Drive(this.#clientClock);
  #seed = 1;

  constructor(options: RigOptions = {}) {
    const { users = USERS, pool = ['10.99.0.2', '10.99.0.254'], sessionsPerUser = 4 } = options;
    const store = UserStore.parse('users.yaml', users);
    const [first, last] = pool.map((a) => ipv4ToNumber(a)!);
    this.pool = new AddressPool({ ranges: [{ first: first!, last: last! }], fixed: store.fixedAddresses() });
    const local = new LocalAaa({
      users: () => store,
      realms: 'any',
      identities: () => options.identities ?? new Map(),
      pool: this.pool,
      dns: ['10.99.0.53'],
      nbns: [],
      sessionsPerUser,
      ...(options.changePassword === undefined ? {} : { changePassword: options.changePassword }),
    });
    const aaa: Aaa = options.aaa?.(local) ?? local;
    this.plane = new MemoryDataplane({
      tunFds: [3],
      vnetHeader: false,
      maxSessions: options.maxPlaneSessions ?? 1_024,
      now: () => this.clock.now(),
      onUpcalls: (batch) => this.connections.onUpcalls(batch),
      onError: (error) => {
        throw error;
      },
    });
    this.plane.listen([{ address: SERVER }, RAW]);
    this.connections = new Connections({
      drive: this.drive,
      dataplane: recorded(this.plane, this.acts, this.planeSessions),
      endpoint: new Endpoint(endpointConfig({ hostName: 'lockstep', random: seededRandom(99), ...options.l2tp })),
      aaa: {
        authenticate: async (request, context) => {
          const verdict = options.failAuth === true ? undefined : await aaa.authenticate(request, context);
          this.onAuth();
          if (verdict === undefined) throw new Error('the user store is not there');
          return verdict;
        },
        release: (address) => aaa.release(address),
        decidesEap: aaa.decidesEap === true,
      },
      log: this.timeline.listening(memoryLog(this.log)),
      inform: () => ({
        gateway: '10.99.0.1',
        dns: ['10.99.0.53'],
        nbns: [],
        domain: 'corp.example',
        routes: ['10.11.11.0/24'],
      }),
      ...(options.ipv6 === undefined ? {} : { ipv6: options.ipv6 }),
      link: lnsConfig({ random: seededRandom(98), ...options.link }),
      maxMtu: 1_400,
      helloIntervalMs: 60_000,
      maxSessions: 100,
      maxStrangers: 64,
      transit: {},
      idleTimeoutMs: 0,
      sessionTimeoutMs: 0,
      ...options.connections,
      sa: (mark) => this.registry.lookup(mark),
      marksOf: (ikeId) => this.registry.marksOf(ikeId),
      identityProof: options.identityProof ?? (() => 'key'),
      terminateIke: async (id) => {
        this.acts.push(`terminate ${id}`);
        await this.ike.terminate(id);
      },
    });
    this.sas = this.drive.add(this.registry, (out) => this.connections.onMark(out));
    this.ike.onEvent((event) => this.sas.input(event));
    this.ike.start();
  }

  /** A client that is not yet dialling; its SA is not up. */
  client(options: ClientOptions): Client {
    const client = new Client(this.clientDrive, this.#seed++, options, (path, data) => this.arrive(path, data));
    this.clients.push(client);
    return client;
  }

  arrive(path: Path, data: Uint8Array): void {
    this.plane.receive(path, data);
  }

  /** The client's IKE_SA with its one child; ids are the mark's number. */
  saOf(client: Attached, more: Partial<IkeSa> = {}): IkeSa {
    const { mark, remote } = client.path;
    return ikeSa(`${mark}`, [childSa(`${mark}`, mark)], { remoteHost: remote, ...more });
  }

  childUp(client: Attached): void {
    this.ike.push(childUp(this.saOf(client)));
  }

  /** SA up, dialled, and as far as it gets in 2 s. */
  async connect(options: ClientOptions): Promise<Client> {
    const client = this.client(options);
    this.childUp(client);
    client.dial();
    await this.run(2_000);
    return client;
  }

  /** Lets everything that is under way arrive. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 2; ) {
      await new Promise((resolve) => setImmediate(resolve));
      const sent = this.plane.takeSent();
      quiet = sent.length === 0 ? quiet + 1 : 0;
      for (const { path, data, dontFragment = false } of sent)
        for (const client of [...this.clients, ...this.attached].filter((c) => samePlace(c.path, path)))
          if (!dontFragment || data.length <= client.carries) client.receive(data);
    }
  }

  /** `ms` pass. */
  async run(ms: number): Promise<void> {
    const end = this.clock.now() + ms;
    await this.settle();
    for (;;) {
      const next = Math.min(this.clock.armed ?? Infinity, this.#clientClock.armed ?? Infinity);
      if (next > end) break;
      this.#clientClock.run(next);
      this.clock.run(next);
      await this.settle();
    }
    this.#clientClock.run(end);
    this.clock.run(end);
  }

  events(event: string): Record<string, unknown>[] {
    return this.log.filter((l) => l.event === event).map((l) => l.fields);
  }

  /** What must be nothing once everybody is gone. */
  get left(): Record<string, number> {
    const { registry } = this.connections;
    return {
      tunnels: registry.tunnelCount,
      sessions: registry.sessionCount,
      leased: this.pool.leased,
      plane: this.planeSessions.size,
    };
  }
}

export const NOTHING = { tunnels: 0, sessions: 0, leased: 0, plane: 0 };

const samePlace = (a: Path, b: Path): boolean =>
  a.mark === b.mark && a.remote === b.remote && a.remotePort === b.remotePort;

/** The data plane with a record of what it was told. */
function recorded(plane: MemoryDataplane, acts: string[], held: Set<string>): Dataplane {
  const note =
    <A extends unknown[], R>(act: (...args: A) => R, say: (...args: A) => string) =>
    (...args: A): R => {
      acts.push(say(...args));
      return act.apply(plane, args);
    };
  const own: Partial<Dataplane> = {
    confirmMark: note(plane.confirmMark, (mark) => `confirm ${mark}`),
    forgetMark: note(plane.forgetMark, (mark) => `forget ${mark}`),
    addSession: (spec, state) => {
      plane.addSession(spec, state);
      acts.push('add');
      held.add(`${spec.tunnelId}/${spec.sessionId}`);
    },
    updateSession: note(plane.updateSession, (_t, _s, state) => {
      const text = Object.entries(state).map(([k, v]) => `${k}=${Array.isArray(v) ? v.join() : v}`);
      return `update ${text.join(' ')}`;
    }),
    movePath: note(plane.movePath, (_t, path) => `move ${path.remote}`),
    removeSession: (t, s) => {
      const counters = plane.removeSession(t, s);
      if (held.delete(`${t}/${s}`)) acts.push('remove');
      return counters;
    },
    sendControl: note(plane.sendControl, (packets) =>
      packets.map((p) => `send ${p.path.mark} ${messageName(p.data)}`).join(),
    ),
    sendFrame: note(
      plane.sendFrame,
      (_t, _s, frame) => `frame ${describeFrame(frame).split(' ').slice(0, 2).join(' ')}`,
    ),
    flush: note(plane.flush, () => 'flush'),
  };
  return new Proxy(plane, {
    get: (target, name) => {
      if (Object.hasOwn(own, name)) return own[name as keyof Dataplane];
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
