// The other end of every bench: a LAC made of our own machines and packet thread. It sets up L2TP and PPP for real with whatever
// LNS it is told to, keeps the sessions and carries traffic on the first. A program: JSON commands on stdin, JSON answers on stdout.
import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import { Drive, type Driven } from '../src/daemon/drive.js';
import { MonotonicClock } from '../src/io/clock.js';
import { type Dataplane, openDataplane, type Upcall } from '../src/io/dataplane.js';
import { openTuntap, type Tuntap } from '../src/io/tun.js';
import { defaultLimits, endpointConfig } from '../src/proto/l2tp/config.js';
import { Endpoint } from '../src/proto/l2tp/endpoint.js';
import type { EndpointIn, EndpointOut, LocalTunnelId, Path, SessionIds } from '../src/proto/l2tp/events.js';
import type { AuthMethod, LinkIn, LinkOut } from '../src/proto/ppp/events.js';
import { CLIENT_IPCP_OPTIONS, Link } from '../src/proto/ppp/link.js';

export interface LacOptions {
  /** Its addresses; each tunnel has the next one, for l2tpns takes the second SCCRQ of an address for a repeat of the first. */
  readonly local: readonly string[];
  readonly remote: string;
  readonly interface: string;
  readonly tun: string;
  /** Tunnel secret. */
  readonly secret?: string;
}

/** `tunnels` x `sessions`. */
export interface Load {
  readonly tunnels: number;
  readonly sessions: number;
  /**
   * Sessions in the making at any time, the tunnels that are up taking turns; and tunnels that are dialled meanwhile. An endpoint queues
   * MAX_QUEUED messages of a tunnel.
   */
  readonly parallel: number;
  readonly auth: AuthMethod;
  /** A set-up that stalls for longer counts as failed: an LNS may take half a minute over lost messages. */
  readonly patienceMs?: number;
}

export interface Loaded {
  readonly up: number;
  readonly failed: number;
  readonly ms: number;
  /** From a session's first message to its address, and what its tunnel took, unless it is the only one; sorted. */
  readonly setupMs: readonly number[];
  /** What was said to those that did not come up. */
  readonly refusals: readonly string[];
  /** Of the LAC itself, in the same time. */
  readonly cpuSeconds: number;
  readonly sessions: readonly {
    readonly address: string;
    /** The LAC's address its tunnel has. */
    readonly local: string;
    readonly peerTunnelId: number;
    readonly peerSessionId: number;
  }[];
}

/** `hello`: a control message once more, to be acknowledged once more; `echo`: LCP's. */
export type Question = 'hello' | 'echo';

export interface Ask {
  /** Of Loaded.sessions. */
  readonly session: number;
  readonly question: Question;
  readonly count: number;
  readonly everyMs: number;
}

interface Call {
  readonly user: string;
  readonly since: number;
  readonly done: (ok: boolean) => void;
  ids?: SessionIds;
  local?: string;
  link?: Driven<LinkIn>;
  address?: string;
  over: boolean;
}

const PATIENCE_MS = 10_000;
const GOODBYE_MS = 3_000;
const ANSWER_MS = 1_000;

const key = (ids: { tunnelId: number; sessionId: number }): number => ids.tunnelId * 0x10000 + ids.sessionId;

class Lac {
  readonly #drive = new Drive(new MonotonicClock());
  readonly #tun: Tuntap;
  readonly #plane: Dataplane;
  readonly #endpoint: Driven<EndpointIn>;
  readonly #paths: readonly Path[];
  readonly #calls = new Map<string, Call>();
  readonly #byIds = new Map<number, Call>();
  /** Of each tunnel. */
  readonly #localOf = new Map<LocalTunnelId, string>();
  readonly #tunnels = new Map<string, { up?: (id: LocalTunnelId | undefined) => void; id?: LocalTunnelId }>();
  #auth: AuthMethod = 'pap';
  #refs = 0;
  #dialled = 0;
  #begun = 0;
  #load = 0;
  #setupMs: number[] = [];
  readonly #refusals = new Set<string>();
  #gone: (() => void) | undefined;
  #open = 0;
  /** The last message with something in it to each tunnel of the peer, and who waits for the answer to a question. */
  readonly #said = new Map<number, { readonly path: Path; readonly data: Uint8Array }>();
  #answered: { readonly question: Question; readonly path: Path; readonly resolve: () => void } | undefined;

  constructor(options: LacOptions) {
    this.#paths = options.local.map((local) => ({ mark: 0, local, remote: options.remote, remotePort: 1701 }));
    const offloads = ['csum', 'tso4', 'tso6', 'tso-ecn', 'uso4', 'uso6'] as const;
    this.#tun = openTuntap({ mode: 'tun', name: options.tun, mtu: 1400, vnetHeader: true, offloads });
    this.#tun.setUp(true);
    this.#plane = openDataplane({
      tunFds: this.#tun.queues.map((q) => q.fd),
      vnetHeader: true,
      maxSessions: 1 << 17,
      onUpcalls: (batch) => this.#onUpcalls(batch),
      onError: (error) => {
        throw error;
      },
    });
    const raw = { interface: options.interface, peers: [options.remote] };
    this.#plane.listen(options.local.map((address) => ({ address, raw })));
    const many = 65_000;
    const config = endpointConfig({
      hostName: 'bench',
      random: randomBytes,
      receiveWindow: 64,
      limits: { ...defaultLimits, maxTunnelsPerPeer: many, maxHalfOpen: many, maxHalfOpenPerAddress: many },
      ...(options.secret === undefined ? {} : { secret: () => Buffer.from(options.secret!) }),
    });
    this.#endpoint = this.#drive.add(new Endpoint(config), (out) => this.#onEndpoint(out));
  }

  async setUp(load: Load): Promise<Loaded> {
    const { tunnels, sessions, auth, patienceMs = PATIENCE_MS } = load;
    this.#auth = auth;
    this.#setupMs = [];
    this.#refusals.clear();
    const first = this.#begun;
    this.#begun += tunnels * sessions;
    const cpu = process.cpuUsage();
    const began = this.#drive.now();
    const mine = ++this.#load;
    const work = this.#work(load, first, () => this.#load === mine);
    let late: NodeJS.Timeout | undefined;
    await Promise.race([work, new Promise((resolve) => (late = setTimeout(resolve, patienceMs)))]);
    clearTimeout(late);
    this.#load++; // what was not begun in time is not begun in the next one's
    const ms = this.#drive.now() - began;
    const { user, system } = process.cpuUsage(cpu);
    const up = [...this.#byIds.values()].filter((c) => c.address !== undefined);
    if (up[0] !== undefined) this.#carry(up[0]);
    return {
      up: this.#setupMs.length,
      failed: tunnels * sessions - this.#setupMs.length,
      ms,
      setupMs: [...this.#setupMs].sort((a, b) => a - b),
      refusals: [...this.#refusals],
      cpuSeconds: (user + system) / 1e6,
      sessions: up.map(({ address, local, ids }) => ({
        address: address!,
        local: local!,
        peerTunnelId: ids!.peerTunnelId,
        peerSessionId: ids!.peerSessionId,
      })),
    };
  }

  async #work({ tunnels, sessions, parallel }: Load, first: number, going: () => boolean): Promise<void> {
    const room = new Room(parallel);
    const calls: Promise<void>[] = [];
    // Waits for one place after the other: tunnels take turns.
    const fill = async (id: LocalTunnelId, from: number, dialledMs: number) => {
      for (let n = from; n < from + sessions; n++) {
        await room.enter();
        if (!going()) return;
        calls.push(this.#call(id, n, this.#drive.now() - dialledMs).then(() => room.leave()));
      }
    };
    const fills: Promise<void>[] = [];
    const dial = async (tunnel: number) => {
      const since = this.#drive.now();
      const id = await this.#dial();
      if (id === undefined && tunnels === 1) throw new Error('the LNS refused the tunnel');
      if (id === undefined) return;
      fills.push(fill(id, first + tunnel * sessions, tunnels === 1 ? 0 : this.#drive.now() - since));
    };
    await inParallel(tunnels, parallel, dial, going);
    await Promise.all(fills);
    await Promise.all(calls);
  }

  /** StopCCN for every tunnel; what is not over soon is forgotten. */
  async tearDown(): Promise<void> {
    const gone = new Promise<void>((resolve) => {
      this.#gone = resolve;
    });
    for (const { id } of [...this.#tunnels.values()]) {
      if (id !== undefined) this.#endpoint.input({ type: 'close-tunnel', tunnelId: id, result: { result: 1 } });
    }
    let late: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => (late = setTimeout(resolve, GOODBYE_MS)));
    if (this.#open > 0) await Promise.race([gone, patience]);
    clearTimeout(late);
    this.#gone = undefined;
    this.#endpoint.input({ type: 'abandon-mark', mark: 0 });
    this.#open = 0;
    this.#tunnels.clear();
    this.#calls.clear();
    this.#dialled = 0;
    this.#begun = 0;
  }

  /** A session without any control protocol, for an LNS that has none. */
  fixed(address: string): Loaded {
    const ids = { tunnelId: 1, sessionId: 1, peerTunnelId: 1, peerSessionId: 1 };
    this.#plane.addSession({ ...ids, path: this.#paths[0]! }, { open: true, prefixes: ['0.0.0.0/0'], mtu: 1400 });
    this.#tun.addAddress(`${address}/32`);
    const sessions = [{ address, local: this.#paths[0]!.local, peerTunnelId: 1, peerSessionId: 1 }];
    return { up: 1, failed: 0, ms: 0, setupMs: [], refusals: [], cpuSeconds: 0, sessions };
  }

  async ask({ session, question, count, everyMs }: Ask): Promise<number[]> {
    const call = [...this.#byIds.values()].filter((c) => c.address !== undefined)[session]!;
    const { tunnelId, sessionId, peerTunnelId } = call.ids!;
    const said = this.#said.get(peerTunnelId)!;
    const took: number[] = [];
    for (let n = 0; n < count; n++) {
      const began = performance.now();
      const answer = new Promise<boolean>((resolve) => {
        const late = setTimeout(() => resolve(false), ANSWER_MS);
        const done = () => {
          clearTimeout(late);
          resolve(true);
        };
        this.#answered = { question, path: said.path, resolve: done };
      });
      if (question === 'hello') this.#plane.sendControl([said]);
      else this.#plane.sendFrame(tunnelId, sessionId, Uint8Array.of(0xc0, 0x21, 9, 200, 0, 8, 0, 0, 0, 0));
      took.push((await answer) ? performance.now() - began : -1);
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
    this.#answered = undefined;
    return took;
  }

  #answer(up: Upcall): void {
    const waiting = this.#answered;
    if (waiting === undefined) return;
    if (up.kind === 'control' && waiting.question === 'hello' && up.path.local === waiting.path.local)
      waiting.resolve();
    if (up.kind === 'frame' && waiting.question === 'echo' && up.data[2] === 10 && up.data[3] === 200)
      waiting.resolve();
  }

  #carry(call: Call): void {
    this.#plane.updateSession(call.ids!.tunnelId, call.ids!.sessionId, { open: true, prefixes: ['0.0.0.0/0'] });
    const before = this.#tun.addresses();
    const own = `${call.address}/32`;
    if (!before.includes(own)) this.#tun.addAddress(own);
    // Last: a device without an address loses its routes.
    for (const old of before) if (old !== own) this.#tun.removeAddress(old);
  }

  #dial(): Promise<LocalTunnelId | undefined> {
    const path = this.#paths[this.#dialled++ % this.#paths.length]!;
    const ref = `t${this.#refs++}`;
    return new Promise((up) => {
      this.#tunnels.set(ref, { up });
      this.#endpoint.input({ type: 'open-tunnel', path, ref });
    });
  }

  #call(tunnelId: LocalTunnelId, n: number, since: number): Promise<void> {
    const ref = `s${this.#refs++}`;
    return new Promise((resolve) => {
      const done = (ok: boolean) => {
        if (ok) this.#setupMs.push(this.#drive.now() - since);
        resolve();
      };
      // Four sessions a user: what a gateway allows without being told otherwise.
      this.#calls.set(ref, { user: `user${n >> 2}`, since, done, over: false });
      this.#endpoint.input({ type: 'open-session', tunnelId, ref });
    });
  }

  #onUpcalls(batch: readonly Upcall[]): void {
    for (const up of batch) {
      this.#answer(up);
      if (up.kind === 'control') this.#endpoint.input({ type: 'datagram', path: up.path, data: up.data });
      else if (up.kind === 'frame') this.#byIds.get(key(up))?.link?.input({ type: 'frame', data: up.data });
    }
  }

  #onEndpoint(out: EndpointOut): void {
    switch (out.type) {
      case 'send':
        if (out.data.length > 12) this.#said.set(new DataView(out.data.buffer, out.data.byteOffset).getUint16(4), out);
        return this.#plane.sendControl([{ path: out.path, data: out.data }]);
      case 'tunnel-up': {
        const tunnel = this.#tunnels.get(out.ref ?? '');
        if (tunnel === undefined) return;
        tunnel.id = out.tunnelId;
        this.#open++;
        return tunnel.up?.(out.tunnelId);
      }
      case 'tunnel-down': {
        const tunnel = this.#tunnels.get(out.ref ?? '');
        if (tunnel?.id === undefined) tunnel?.up?.(undefined);
        else if (--this.#open === 0) this.#gone?.();
        return;
      }
      case 'session-open':
        this.#localOf.set(out.session.tunnelId, out.path.local);
        return this.#plane.addSession({ ...out.session, path: out.path }, { mtu: 1400 });
      case 'session-up': {
        const call = this.#calls.get(out.ref ?? '');
        if (call === undefined) return;
        call.ids = out.session;
        call.local = this.#localOf.get(out.session.tunnelId)!;
        this.#byIds.set(key(out.session), call);
        const link = new Link({
          role: 'peer',
          mru: 1400,
          user: call.user,
          passwords: ['bench'],
          auth: [this.#auth],
          lcpOptions: [],
          ipcpOptions: CLIENT_IPCP_OPTIONS.slice(0, 1),
          echoIntervalMs: 0,
          echoFailures: 3,
          setupTimeoutMs: 60_000,
          random: randomBytes,
        });
        call.link = this.#drive.add(link, (o) => this.#onLink(call, o));
        return call.link.input({ type: 'lower-up' });
      }
      case 'session-down': {
        const call = this.#calls.get(out.ref ?? '');
        if (call?.over === false) this.#refusals.add(`CDN ${out.result?.result}: ${out.result?.message}`);
        this.#plane.removeSession(out.session.tunnelId, out.session.sessionId);
        this.#byIds.delete(key(out.session));
        call?.link?.remove();
        if (call !== undefined) this.#end(call, false);
        return;
      }
    }
  }

  #onLink(call: Call, out: LinkOut): void {
    if (out.type === 'frame') this.#plane.sendFrame(call.ids!.tunnelId, call.ids!.sessionId, out.data);
    else if (out.type === 'up') {
      call.address = out.address;
      this.#end(call, true);
    } else if (out.type === 'down') this.#end(call, false);
  }

  #end(call: Call, ok: boolean): void {
    if (call.over) return;
    call.over = true;
    call.done(ok);
  }
}

/** For so many at a time; who waits comes in first come, first served. */
class Room {
  #places: number;
  readonly #waiting: (() => void)[] = [];

  constructor(places: number) {
    this.#places = places;
  }

  async enter(): Promise<void> {
    if (this.#places > 0) this.#places--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#places++;
  }
}

async function inParallel(
  count: number,
  parallel: number,
  act: (n: number) => Promise<unknown>,
  going: () => boolean,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count && going()) await act(next++);
  };
  await Promise.all(Array.from({ length: Math.min(parallel, count) }, worker));
}

const answer = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);

const lac = new Lac(JSON.parse(process.argv[2]!) as LacOptions);
answer({ ready: true });
createInterface({ input: process.stdin })
  .on('line', async (line) => {
    const command = JSON.parse(line) as { up?: Load; down?: true; fixed?: string; ask?: Ask };
    if (command.up) answer(await lac.setUp(command.up));
    else if (command.ask) answer(await lac.ask(command.ask));
    else if (command.fixed) answer(lac.fixed(command.fixed));
    else {
      await lac.tearDown();
      answer({ down: true });
    }
  })
  .on('close', () => process.exit(0));
