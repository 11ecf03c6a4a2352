/**
 * charon's side of VICI in memory, as strongSwan 5.9.8 behaves (the same contract runs against the real one): what is
 * loaded is listed, events go to who registered, one request of a client at a time. SAs and events are put in by tests.
 */
import { createServer, type Server } from 'node:net';
import { Section, type SectionInput } from 'vici-client';
import { decodePacket, encodePacket, type Packet } from 'vici-client/packet';
import { Deframer, frame } from 'vici-client/transport';
import { type Duplex, duplexPair } from './duplex.js';

const EVENTS = [
  ...['log', 'control-log', 'list-sa', 'list-policy', 'list-conn', 'list-cert', 'list-authority'],
  ...['ike-updown', 'ike-rekey', 'ike-update', 'child-updown', 'child-rekey'],
];
const OK = { success: 'yes' };
const no = (errmsg: string) => ({ success: 'no', errmsg });

/** Answers one command; `emit` streams to the client that asked, if it registered. */
export type Handler = (args: Section, emit: (event: string, m: SectionInput) => void) => Answer | Promise<Answer>;
type Answer = SectionInput | Packet;

class Peer {
  readonly registered: string[] = [];
  constructor(readonly stream: Duplex) {}
  send(packet: Packet): void {
    if (!this.stream.destroyed) this.stream.write(frame(encodePacket(packet)));
  }
  emit(event: string, m: SectionInput): void {
    for (const name of this.registered)
      if (name === event) this.send({ type: 'EVENT', name, message: Section.from(m) });
  }
}

export class FakeCharon {
  /** Loaded connections, shared keys (id to type) and SAs, by name or id. */
  readonly conns = new Map<string, Section>();
  readonly shared = new Map<string, string>();
  /** `X509 CA`, `key any`: what load-cert and load-key were given, in order. */
  readonly credentials: string[] = [];
  /** What list-sas streams, by uniqueid: each is one list-sa event, e.g. `{ l2tp: { uniqueid: '1', ... } }`. */
  readonly sas = new Map<string, SectionInput>();
  /** `type name` of each packet received, in order; never what it carried. */
  readonly received: string[] = [];
  /** Commands that a test answers itself. */
  readonly overrides = new Map<string, Handler>();
  readonly #policies = new Map<string, SectionInput>();
  readonly #peers = new Set<Peer>();
  #server: Server | undefined;
  #lastId = 0;

  /** Listens on a unix socket. */
  async listen(path: string): Promise<void> {
    const server = createServer((stream) => this.accept(stream));
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve));
    this.#server = server;
  }

  /** An in-memory connection to this charon. */
  connect(): Duplex {
    const [ours, theirs] = duplexPair();
    this.accept(theirs);
    return ours;
  }

  accept(stream: Duplex): void {
    const peer = new Peer(stream);
    const deframer = new Deframer();
    let turn = Promise.resolve();
    this.#peers.add(peer);
    stream.on('error', () => {});
    stream.on('close', () => this.#peers.delete(peer));
    stream.on('data', (chunk: Uint8Array) => {
      for (const segment of deframer.push(chunk).segments) turn = turn.then(() => this.#handle(peer, segment));
    });
  }

  /** Raises an event for every client registered for it. */
  raise(event: string, m: SectionInput): void {
    for (const peer of this.#peers) peer.emit(event, m);
  }

  /** Raw bytes to every client, framed. */
  inject(segment: Uint8Array): void {
    for (const peer of this.#peers) peer.stream.write(frame(segment));
  }

  /** Drops all connections, as a killed charon does; state is gone as well. */
  async stop(): Promise<void> {
    for (const state of [this.conns, this.shared, this.sas, this.#policies]) state.clear();
    for (const { stream } of this.#peers) stream.destroy();
    const server = this.#server;
    this.#server = undefined;
    if (server) await new Promise((resolve) => server.close(resolve));
  }

  async #handle(peer: Peer, segment: Uint8Array): Promise<void> {
    const decoded = decodePacket(segment);
    if (!decoded.ok) return; // logged and ignored by charon
    const packet = decoded.value;
    this.received.push('name' in packet ? `${packet.type} ${packet.name}` : packet.type);
    switch (packet.type) {
      case 'EVENT_REGISTER':
        if (EVENTS.includes(packet.name)) peer.registered.push(packet.name);
        return peer.send({ type: EVENTS.includes(packet.name) ? 'EVENT_CONFIRM' : 'EVENT_UNKNOWN' });
      case 'EVENT_UNREGISTER': {
        const at = peer.registered.indexOf(packet.name);
        if (at >= 0) peer.registered.splice(at, 1);
        return peer.send({ type: at >= 0 ? 'EVENT_CONFIRM' : 'EVENT_UNKNOWN' });
      }
      case 'CMD_REQUEST': {
        const handler = this.overrides.get(packet.name) ?? this.#commands[packet.name];
        if (!handler) return peer.send({ type: 'CMD_UNKNOWN' });
        const answer = await handler(packet.message, (event, m) => peer.emit(event, m));
        return peer.send(isPacket(answer) ? answer : { type: 'CMD_RESPONSE', message: Section.from(answer) });
      }
      default:
        return; // "unsupported vici operation": logged and ignored
    }
  }

  #log(group: string, msg: string): void {
    setImmediate(() => this.raise('log', { group, level: 1, thread: 5, msg })); // charon: from a thread of its own
  }

  readonly #commands: Record<string, Handler> = {
    version: () => ({ daemon: 'charon-systemd', version: '5.9.8', sysname: 'Linux', release: '6', machine: 'x86_64' }),
    stats: () => ({
      uptime: { running: '1 second' },
      ikesas: { total: this.sas.size, 'half-open': 0 },
      plugins: ['vici'],
    }),
    'load-conn': (args) => {
      for (const [name, conn] of args.sections()) {
        this.conns.set(name, conn);
        this.#log('CFG', `added vici connection: ${name}`);
        for (const [child, c] of conn.section('children')?.sections() ?? [])
          if (c.text('start_action') === 'trap') this.#install(name, child, c);
      }
      return OK;
    },
    'unload-conn': (args) => {
      const name = args.text('name') ?? '';
      if (!this.conns.delete(name)) return no(`unload: connection '${name}' not found`);
      for (const key of this.#policies.keys()) if (key.startsWith(`${name}/`)) this.#policies.delete(key);
      return OK;
    },
    'get-conns': () => ({ conns: [...this.conns.keys()] }),
    'list-conns': (_, emit) => {
      for (const [name, conn] of this.conns) emit('list-conn', { [name]: conn });
      return {};
    },
    'load-shared': (args) => {
      const type = args.text('type');
      if (type === undefined) return no('shared key type missing');
      if (!['IKE', 'EAP', 'XAUTH', 'NTLM', 'PPK'].includes(type)) return no(`invalid shared key type: ${type}`);
      this.shared.set(args.text('id') ?? '', type);
      return OK;
    },
    'unload-shared': (args) => {
      this.shared.delete(args.text('id') ?? '');
      return OK;
    },
    'clear-creds': () => {
      this.shared.clear();
      this.credentials.length = 0;
      return OK;
    },
    'load-cert': (args) => {
      this.credentials.push(`${args.text('type')} ${args.text('flag')}`);
      return OK;
    },
    'load-key': (args) => {
      this.credentials.push(`key ${args.text('type')}`);
      return { ...OK, id: '00' };
    },
    'get-shared': () => ({ keys: [...this.shared.keys()] }),
    'list-sas': (_, emit) => {
      for (const sa of this.sas.values()) emit('list-sa', sa);
      return {};
    },
    'list-policies': (_, emit) => {
      for (const [name, policy] of this.#policies) emit('list-policy', { [name]: policy });
      return {};
    },
    'list-certs': () => ({}),
    'list-authorities': () => ({}),
    install: (args) => {
      for (const [name, conn] of this.conns) {
        const child = conn.section('children')?.section(args.text('child') ?? '');
        if (child) return this.#install(name, args.text('child') ?? '', child);
      }
      return no('configuration name not found');
    },
    uninstall: (args) => {
      for (const key of this.#policies.keys()) if (key.endsWith(`/${args.text('child')}`)) this.#policies.delete(key);
      return OK;
    },
    initiate: async (args, emit) => {
      const child = args.text('child') ?? '';
      const conn = [...this.conns].find(([, c]) => c.section('children')?.section(child));
      if (!conn) return no(`CHILD_SA config '${child}' not found`);
      const [name] = conn;
      const uniqueid = String(++this.#lastId);
      this.sas.set(uniqueid, { [name]: { uniqueid, state: 'CONNECTING' } });
      emit('control-log', {
        group: 'IKE',
        level: 0,
        'ikesa-name': name,
        msg: `initiating Main Mode IKE_SA ${name}[1]`,
      });
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, Number(args.text('timeout') ?? 0))));
      return no(`CHILD_SA '${child}' not established after ${args.text('timeout')}ms`);
    },
    terminate: (args, emit) => {
      const [id, ike] = [args.text('ike-id'), args.text('ike')];
      if (id === undefined && ike === undefined) return no('missing terminate selector');
      const names = (sa: SectionInput) =>
        Section.from(sa)
          .sections()
          .map(([name]) => name);
      const found = [...this.sas].filter(([key, sa]) => key === id || (ike !== undefined && names(sa).includes(ike)));
      for (const [key] of found) {
        this.sas.delete(key);
        emit('control-log', {
          group: 'IKE',
          level: 1,
          msg: 'destroying IKE_SA in state CONNECTING without notification',
        });
      }
      const counts = { matches: found.length, terminated: found.length };
      return found.length > 0 ? { ...OK, ...counts } : { ...no('no matching SAs to terminate found'), ...counts };
    },
  };

  #install(ike: string, child: string, config: Section): SectionInput {
    const mode = (config.text('mode') ?? 'tunnel').toUpperCase();
    const ts = { 'local-ts': config.list('local_ts') ?? [], 'remote-ts': config.list('remote_ts') ?? [] };
    this.#policies.set(`${ike}/${child}`, { child, ike, mode, ...ts });
    return OK;
  }
}

const PACKET_TYPES = ['CMD_RESPONSE', 'CMD_UNKNOWN', 'EVENT_CONFIRM', 'EVENT_UNKNOWN', 'EVENT', 'CMD_REQUEST'];
const isPacket = (answer: Answer): answer is Packet =>
  'type' in answer && typeof answer.type === 'string' && PACKET_TYPES.includes(answer.type);
