/** One control connection: its state machine, keepalive and teardown. RFC 2661 §5.1, §5.5, §5.7, §7.2; table in tunnel-table.ts. */
import { CallResult, ErrorCode, type ResultCode, redirectOf, StopResult } from '../../wire/l2tp/codes.js';
import { type ControlHeader, encodeControl } from '../../wire/l2tp/header.js';
import {
  type BadMessage,
  type ControlMessage,
  decodeMessage,
  encodeMessage,
  type MessageOf,
} from '../../wire/l2tp/message.js';
import { never } from '../../wire/result.js';
import { after, type Instant, TimerTable } from '../machine.js';
import type { EndpointConfig } from './config.js';
import type { EndedBy, EndpointOut, LocalSessionId, LocalTunnelId, Path, PeerTunnelId, TunnelPeer } from './events.js';
import { framingFor, Handshake, type Introduction, peerOf, stopCcn, unacceptable } from './handshake.js';
import { fullCycleMs, type Received, ReliableChannel } from './reliable.js';
import { type CallMessage, type Role, Sessions, sessionNotOpened } from './session.js';
import { optional } from './support.js';
import { CONTROL_CONNECTION, type TunnelAction, type TunnelEvent, type TunnelState } from './tunnel-table.js';

/** What the endpoint does for its tunnels. */
export interface TunnelHost {
  readonly config: EndpointConfig;
  emit(out: EndpointOut): void;
  note(now: Instant, event: string, path: Path, fields: Record<string, unknown>): void;
  callSerialNumber(): number;
}

type TimerName = 'setup' | 'hello' | 'empty' | 'close' | 'linger';

interface Ending {
  readonly by: EndedBy;
  readonly result?: ResultCode;
  readonly redirect?: string;
}

export class Tunnel {
  readonly id: LocalTunnelId;
  readonly role: Role;
  readonly sessions: Sessions;
  readonly #host: TunnelHost;
  readonly #ref: string | undefined;
  readonly #secret: Uint8Array | undefined;
  readonly #handshake: Handshake;
  readonly #reliable: ReliableChannel;
  readonly #timers = new TimerTable<TimerName>();
  /** Our Tie Breaker value while we wait for an SCCRP; absent when none was sent. */
  readonly tieBreaker: Uint8Array | undefined;

  #state: TunnelState = 'idle';
  #path: Path;
  #peerId = 0 as PeerTunnelId;
  #peer: TunnelPeer | undefined;
  #framingType = framingFor(0);
  #heard: Instant;
  /** When the state it is in began. */
  #since: Instant;

  constructor(host: TunnelHost, now: Instant, id: LocalTunnelId, role: Role, path: Path, ref?: string) {
    const { config } = host;
    this.id = id;
    this.role = role;
    this.#since = now;
    this.#host = host;
    this.#path = path;
    this.#ref = ref;
    this.#heard = now;
    this.#secret = config.secret?.(path);
    this.#handshake = new Handshake(config, this.#secret);
    this.tieBreaker = role === 'LAC' && config.tieBreaker ? config.random(8) : undefined;
    this.#reliable = new ReliableChannel(config.retransmit, config.receiveWindow, ({ body, ...numbers }) =>
      host.emit({ type: 'send', path: this.#path, data: encodeControl({ tunnelId: this.#peerId, ...numbers }, body) }),
    );
    this.sessions = new Sessions(this.#sessionHost());
  }

  get state(): TunnelState {
    return this.#state;
  }

  get path(): Path {
    return this.#path;
  }

  get peerId(): PeerTunnelId {
    return this.#peerId;
  }

  get halfOpen(): boolean {
    return this.#state === 'wait-ctl-conn' || this.#state === 'wait-ctl-reply';
  }

  /**
   * Whether the SCCRQ it came from may be repeated yet: until the peer has our SCCRP, or gives up after a full cycle (§5.8), and, by a
   * detour on the way, a moment longer.
   */
  awaitsRepeats(now: Instant): boolean {
    const ms = now - this.#since;
    return this.halfOpen
      ? ms < fullCycleMs(this.#host.config.retransmit)
      : this.#state === 'established' && ms < DETOUR_MS;
  }

  get #live(): boolean {
    return this.halfOpen || this.#state === 'established';
  }

  nextTimeout(): Instant | undefined {
    let min = this.#timers.next();
    for (const at of [this.#reliable.nextTimeout(), this.sessions.nextTimeout()]) {
      if (at !== undefined && (min === undefined || at < min)) min = at;
    }
    return min;
  }

  /** Originator: sends the SCCRQ. */
  dial(now: Instant): void {
    this.#step(now, 'open', LOCAL);
    this.#settle(now);
  }

  /** Recipient: answers an SCCRQ found acceptable, `body` in its encoding: the peer's message with Ns 0. */
  answer(now: Instant, body: Uint8Array, { avps }: MessageOf<'SCCRQ'>): void {
    this.#peerId = avps.assignedTunnelId as PeerTunnelId;
    this.#reliable.receive(now, 0, 0, 0, body);
    this.#meet(now, avps, 'SCCRQ+');
    this.#settle(now);
  }

  /** A control packet of this tunnel whose path was checked. */
  receive(now: Instant, path: Path, header: ControlHeader, body: Uint8Array): void {
    const got: Received = this.#reliable.receive(now, header.sessionId, header.Ns, header.Nr, body);
    if (got.kind === 'invalid') this.#note(now, 'l2tp.sequence.invalid', { why: got.why });
    else this.#heard = now;
    if (got.kind === 'delivered') {
      // What follows a message that ended the tunnel is acknowledged and no more.
      for (const m of got.messages) if (this.#live) this.#message(now, path, m.sessionId, m.body);
    }
    this.#settle(now);
  }

  /** Data was received: the silence before a HELLO starts anew (§5.5), and an unanswered HELLO is no proof of death. */
  traffic(now: Instant): void {
    this.#heard = now;
    this.#reliable.sawLife();
  }

  /** Sends a HELLO unless the answer to another message will tell as much, or a call is being set up. */
  probe(now: Instant): void {
    if (this.#state === 'established' && this.#reliable.idle && !this.sessions.settingUp) {
      this.#reliable.send(0, encodeMessage({ type: 'HELLO', avps: {} }), true);
    }
    this.#settle(now);
  }

  openSession(now: Instant, ref: string): void {
    if (this.#live) this.sessions.open(now, ref, this.#state === 'established');
    else this.#host.emit(sessionNotOpened(this.id, ref, { result: CallResult.noFacilitiesNow }));
    this.#settle(now);
  }

  closeSession(now: Instant, id: LocalSessionId, result: ResultCode): void {
    this.sessions.close(now, id, result);
    this.#settle(now);
  }

  close(now: Instant, ending: Ending): void {
    if (this.#live) this.#step(now, 'close', ending);
    this.#settle(now);
  }

  /** §4.4.3 MUST: the loser silently discards its tunnel. */
  loseTie(now: Instant): void {
    this.#step(now, 'lose-tie', { by: 'protocol' });
  }

  /** Forgets everything with nothing sent. */
  abandon(): void {
    this.#gone({ by: 'abandoned' });
  }

  movePath(path: Path): void {
    this.#path = path;
  }

  handleTimeout(now: Instant): void {
    if (this.#reliable.handleTimeout(now) === 'lost') return this.#gone({ by: 'timeout' });
    this.sessions.handleTimeout(now);
    for (const timer of this.#timers.due(now)) this.#expired(now, timer);
    this.#settle(now);
  }

  #expired(now: Instant, timer: TimerName): void {
    switch (timer) {
      case 'setup':
        return this.close(now, { by: 'timeout', result: { result: StopResult.general, message: 'setup timed out' } });
      case 'empty':
        return this.close(now, { by: 'timeout', result: { result: StopResult.general, message: 'no session' } });
      case 'hello':
        return this.#hello(now);
      case 'close':
      case 'linger':
        return this.#gone({ by: 'timeout' });
      // Exhaustive: reached by a bug of ours only.
      /* v8 ignore next 2 */
      default:
        return never(timer);
    }
  }

  #hello(now: Instant): void {
    if (this.#state !== 'established') return;
    const { helloIntervalMs, emptyTunnelTimeoutMs } = this.#host.config;
    const due = after(this.#heard, helloIntervalMs);
    // A tunnel without sessions ends by itself, see #watchEmpty.
    if (due <= now && (this.sessions.size > 0 || emptyTunnelTimeoutMs === 0)) this.probe(now);
    this.#timers.set('hello', due <= now ? after(now, helloIntervalMs) : due);
  }

  /** After every input: what may be sent is sent, what is owed acknowledged, and the end noticed. */
  #settle(now: Instant): void {
    if (this.#state === 'gone') return;
    if (this.#reliable.overfull && this.#live) {
      const result = { result: StopResult.error, error: ErrorCode.resources, message: 'messages not acknowledged' };
      this.#step(now, 'close', { by: 'protocol', result });
    }
    this.#reliable.flush(now);
    if (this.#state === 'closing' && this.#reliable.idle) this.#gone(LOCAL);
    if (this.#state === 'established') this.#watchEmpty(now);
  }

  /** §7.6: an established tunnel without sessions is of no use to anyone for long. */
  #watchEmpty(now: Instant): void {
    const { emptyTunnelTimeoutMs } = this.#host.config;
    if (this.sessions.size > 0 || emptyTunnelTimeoutMs === 0) this.#timers.clear('empty');
    else if (!this.#timers.has('empty')) this.#timers.set('empty', after(now, emptyTunnelTimeoutMs));
  }

  #message(now: Instant, path: Path, sessionId: number, body: Uint8Array): void {
    const decoded = decodeMessage(body, this.#secret);
    if (!decoded.ok) return this.#bad(now, sessionId, decoded);
    if (decoded.ignored.length > 0) {
      this.#note(now, 'l2tp.avp.ignored', { message: decoded.value.type, why: decoded.ignored.slice(0, 4).join('; ') });
    }
    const m = decoded.value;
    switch (m.type) {
      case 'SCCRQ':
        return this.#step(now, 'SCCRQ', FSM_ERROR);
      case 'SCCRP':
        return this.#reply(now, path, m);
      case 'SCCCN':
        return this.#connected(now, m);
      case 'StopCCN':
        return this.#step(now, 'StopCCN', stoppedByPeer(m.avps.resultCode));
      case 'HELLO':
        // §6.5: to be acknowledged, which its delivery already does; during set-up as well.
        return;
      default:
        return this.#call(now, sessionId, m);
    }
  }

  #call(now: Instant, sessionId: number, m: CallMessage): void {
    // §5.1 MUST: the control connection is established first; §7.1: out of sequence clears it.
    if (this.#state === 'established') this.sessions.message(now, sessionId, m);
    else this.#step(now, 'close', FSM_ERROR);
  }

  #bad(now: Instant, sessionId: number, bad: BadMessage): void {
    if (bad.reaction === 'clear-session' && this.#state === 'established')
      return this.sessions.bad(now, sessionId, bad);
    this.#note(now, 'l2tp.message.malformed', { why: bad.why, ref: bad.ref, reaction: bad.reaction });
    if (bad.reaction === 'drop') return;
    const result = { result: StopResult.error, error: bad.error, message: bad.why };
    this.#step(now, 'close', { by: 'protocol', result });
  }

  #reply(now: Instant, path: Path, { avps }: MessageOf<'SCCRP'>): void {
    if (this.#state !== 'wait-ctl-reply') return this.#step(now, 'SCCRP', FSM_ERROR);
    this.#peerId = avps.assignedTunnelId as PeerTunnelId;
    // §8.1: the recipient may answer from another port, which then stays.
    this.#path = path;
    const refused = unacceptable(avps, this.#secret) ?? this.#handshake.impostor('SCCRP', avps.challengeResponse);
    if (refused) this.#step(now, 'SCCRP-', { by: 'protocol', result: refused });
    else this.#meet(now, avps, 'SCCRP+');
  }

  #connected(now: Instant, { avps }: MessageOf<'SCCCN'>): void {
    if (this.#state !== 'wait-ctl-conn') return this.#step(now, 'SCCCN', FSM_ERROR);
    const refused = this.#handshake.impostor('SCCCN', avps.challengeResponse);
    if (refused) this.#step(now, 'SCCCN-', { by: 'protocol', result: refused });
    else this.#step(now, 'SCCCN+', LOCAL);
  }

  /** The peer introduced itself acceptably: SCCRQ+ as recipient, SCCRP+ as originator. */
  #meet(now: Instant, avps: Introduction, event: 'SCCRQ+' | 'SCCRP+'): void {
    this.#peer = peerOf(avps, this.#path);
    this.#framingType = framingFor(avps.framingCapabilities);
    this.#reliable.setPeerWindow(this.#peer.receiveWindow);
    this.#step(now, event, LOCAL, avps.challenge);
  }

  #step(now: Instant, event: TunnelEvent, ending: Ending, challenge?: Uint8Array): void {
    const before = this.#state;
    const { actions, next } = CONTROL_CONNECTION(before, event);
    if (next !== before) this.#since = now;
    this.#state = next;
    for (const action of actions) this.#act(action, ending, challenge);
    switch (next) {
      case 'wait-ctl-reply':
      case 'wait-ctl-conn':
        this.#timers.set('setup', after(now, this.#host.config.setupTimeoutMs));
        return;
      case 'established':
        return this.#opened(now);
      case 'closing':
        this.#timers.clearAll();
        this.#timers.set('close', after(now, this.#host.config.closeTimeoutMs));
        this.sessions.clear(ending.by, ending.result);
        this.#reliable.flush(now);
        return this.#down(ending);
      case 'lingering':
        return this.#linger(now, ending);
      default:
        // No row leads back to idle.
        next satisfies 'gone' | 'idle';
        return this.#gone(ending, before);
    }
  }

  #opened(now: Instant): void {
    const { helloIntervalMs } = this.#host.config;
    this.#timers.clear('setup');
    if (helloIntervalMs > 0) this.#timers.set('hello', after(now, helloIntervalMs));
    // The SCCCN leaves before anyone uses the tunnel.
    this.#reliable.flush(now);
    if (this.#peer) {
      this.#host.emit({ type: 'tunnel-up', tunnelId: this.id, peer: this.#peer, ...optional('ref', this.#ref) });
    }
    this.sessions.tunnelOpen(now);
  }

  /** §5.7 MUST: the StopCCN is acknowledged first, and its repeats for a full retransmission cycle. */
  #linger(now: Instant, ending: Ending): void {
    this.#timers.clearAll();
    this.#timers.set('linger', after(now, fullCycleMs(this.#host.config.retransmit)));
    this.#reliable.stopSending();
    this.sessions.clear(ending.by, ending.result);
    this.#reliable.flush(now);
    this.#down(ending);
  }

  #down(ending: Ending): void {
    this.#host.emit({ type: 'tunnel-down', tunnelId: this.id, ...ending, ...optional('ref', this.#ref) });
  }

  #gone(ending: Ending, before: TunnelState = this.#state): void {
    const live = before !== 'closing' && before !== 'lingering';
    this.#state = 'gone';
    this.#timers.clearAll();
    this.#reliable.stopSending();
    if (live) {
      this.sessions.clear(ending.by, ending.result);
      this.#down(ending);
    }
    this.#host.emit({ type: 'tunnel-gone', tunnelId: this.id });
  }

  #act(action: TunnelAction, ending: Ending, challenge: Uint8Array | undefined): void {
    switch (action) {
      case 'SCCRQ':
        return this.#send(0, {
          type: 'SCCRQ',
          avps: { ...this.#handshake.introduction(this.id), ...optional('tieBreaker', this.tieBreaker) },
        });
      case 'SCCRP':
        return this.#send(0, {
          type: 'SCCRP',
          avps: { ...this.#handshake.introduction(this.id), ...this.#handshake.response('SCCRP', challenge) },
        });
      case 'SCCCN':
        return this.#send(0, { type: 'SCCCN', avps: this.#handshake.response('SCCCN', challenge) });
      case 'StopCCN':
        this.#reliable.dropUnsent();
        this.#reliable.hurry();
        return this.#send(0, stopCcn(this.id, { result: StopResult.general, ...ending.result }));
      // Exhaustive: reached by a bug of ours only.
      /* v8 ignore next 2 */
      default:
        return never(action);
    }
  }

  #send(sessionId: number, message: ControlMessage): void {
    this.#reliable.send(sessionId, encodeMessage(message));
  }

  #note(now: Instant, event: string, fields: Record<string, unknown>): void {
    this.#host.note(now, event, this.#path, { tunnelId: this.id, ...fields });
  }

  #sessionHost(): ConstructorParameters<typeof Sessions>[0] {
    const tunnel = this;
    const { config } = this.#host;
    return {
      tunnelId: this.id,
      role: this.role,
      random: config.random,
      maxSessions: config.limits.maxSessionsPerTunnel,
      setupTimeoutMs: config.sessionSetupTimeoutMs,
      get peerTunnelId() {
        return tunnel.#peerId;
      },
      get path() {
        return tunnel.#path;
      },
      get framingType() {
        return tunnel.#framingType;
      },
      callSerialNumber: () => this.#host.callSerialNumber(),
      send: (sessionId, message) => this.#send(sessionId, message),
      flush: (now) => this.#reliable.flush(now),
      emit: (out) => this.#host.emit(out),
      note: (now, event, fields) => this.#note(now, event, fields),
    };
  }
}

const stoppedByPeer = (result: ResultCode | undefined): Ending => ({
  by: 'peer',
  ...optional('result', result),
  ...optional('redirect', result && redirectOf(result)),
});
/** By how much a copy of a message may come later than what was sent after it. */
const DETOUR_MS = 3_000;
const LOCAL: Ending = { by: 'local' };
const FSM_ERROR: Ending = { by: 'protocol', result: { result: StopResult.fsmError } };
