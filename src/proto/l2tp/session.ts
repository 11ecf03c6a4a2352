/** The sessions of one tunnel: incoming calls in either role. RFC 2661 §5.2.1, §7.4; tables in session-table.ts. */
import { type CallErrors, CallResult, ErrorCode, type ResultCode } from '../../wire/l2tp/codes.js';
import type { BadMessage, ControlMessage, MessageOf } from '../../wire/l2tp/message.js';
import { never } from '../../wire/result.js';
import { after, type Instant, type Random } from '../machine.js';
import type {
  CallInfo,
  EndedBy,
  EndpointOut,
  LocalSessionId,
  LocalTunnelId,
  Path,
  PeerSessionId,
  PeerTunnelId,
  SessionIds,
} from './events.js';
import {
  LAC_INCOMING,
  LNS_INCOMING,
  type SessionAction,
  type SessionEvent,
  type SessionState,
} from './session-table.js';
import { optional, pickId, printable } from './support.js';

export type CallMessage = MessageOf<'OCRQ' | 'OCRP' | 'OCCN' | 'ICRQ' | 'ICRP' | 'ICCN' | 'CDN' | 'WEN' | 'SLI'>;
export type Role = 'LAC' | 'LNS';

/** What a tunnel does for its sessions. */
export interface SessionHost {
  readonly tunnelId: LocalTunnelId;
  readonly peerTunnelId: PeerTunnelId;
  readonly path: Path;
  readonly role: Role;
  readonly random: Random;
  readonly maxSessions: number;
  readonly setupTimeoutMs: number;
  /** Framing Type for our ICCN: one the peer announced (§4.4.3 MUST). */
  readonly framingType: number;
  callSerialNumber(): number;
  send(sessionId: PeerSessionId, message: ControlMessage): void;
  flush(now: Instant): void;
  emit(out: EndpointOut): void;
  note(now: Instant, event: string, fields: Record<string, unknown>): void;
}

interface Session {
  readonly localId: LocalSessionId;
  /** 0 until the peer assigned it. */
  peerId: PeerSessionId;
  state: SessionState;
  readonly ref: string | undefined;
  readonly request: CallRequest;
}

type CallRequest = Pick<CallInfo, 'callSerial' | 'calledNumber' | 'callingNumber'>;

interface Ending {
  readonly by: EndedBy;
  readonly result?: ResultCode;
  readonly cause?: CallErrors;
}

const NO_PEER_ID = 0 as PeerSessionId;

/* Implementation */
/** Connect speed we report as LAC, bits per second: nothing may be derived from it. */
const CONNECT_SPEED = 100_000_000;
/** Local ids of ended sessions that are not given out again while data for them may be under way. */
const RESTING_IDS = 64;

export class Sessions {
  readonly #host: SessionHost;
  readonly #byLocal = new Map<LocalSessionId, Session>();
  readonly #byPeer = new Map<PeerSessionId, Session>();
  /** Sessions being set up with their deadlines; one timeout for all, so insertion order is deadline order. */
  readonly #settingUp = new Map<Session, Instant>();
  readonly #resting: LocalSessionId[] = [];

  constructor(host: SessionHost) {
    this.#host = host;
  }

  get size(): number {
    return this.#byLocal.size;
  }

  /** Some session is between ICRQ and ICCN: Apple takes a HELLO then for a protocol error and ends the dial. */
  get settingUp(): boolean {
    return this.#settingUp.size > 0;
  }

  nextTimeout(): Instant | undefined {
    for (const at of this.#settingUp.values()) return at;
    return undefined;
  }

  handleTimeout(now: Instant): void {
    for (const [session, at] of this.#settingUp) {
      if (at > now) break;
      this.#step(now, session, 'close', { by: 'timeout', result: { result: CallResult.timeout } });
    }
  }

  /** LAC: places an incoming call, at once or when the tunnel opens. */
  open(now: Instant, ref: string, tunnelOpen: boolean): void {
    if (this.#host.role === 'LNS' || this.size >= this.#host.maxSessions) {
      return this.#host.emit(sessionNotOpened(this.#host.tunnelId, ref, { result: CallResult.noFacilitiesNow }));
    }
    const session = this.#create(NO_PEER_ID, { callSerial: this.#host.callSerialNumber() }, ref);
    this.#register(now, session);
    this.#step(now, session, 'open', LOCAL);
    if (tunnelOpen) this.#step(now, session, 'tunnel-open', LOCAL);
  }

  tunnelOpen(now: Instant): void {
    for (const session of [...this.#byLocal.values()]) this.#step(now, session, 'tunnel-open', LOCAL);
  }

  close(now: Instant, sessionId: LocalSessionId, result: ResultCode): void {
    const session = this.#byLocal.get(sessionId);
    if (session) this.#step(now, session, 'close', { by: 'local', result });
  }

  /** The tunnel is over: §6.4, all sessions are cleared without a message. */
  clear(by: EndedBy, result?: ResultCode): void {
    for (const session of [...this.#byLocal.values()]) this.#remove(session, { by, ...optional('result', result) });
  }

  /** A malformed call message: its session is cleared with a CDN (§4.1, §7.1). */
  bad(now: Instant, sessionId: number, message: BadMessage): void {
    const peerId = (message.avps.assignedSessionId ?? NO_PEER_ID) as PeerSessionId;
    const session = this.#find(sessionId, peerId) ?? this.#create(peerId, NO_CALL);
    const result = { result: CallResult.error, error: message.error, message: message.why };
    this.#host.note(now, 'l2tp.message.malformed', { why: message.why, ref: message.ref, sessionId: session.localId });
    this.#end(now, session, { by: 'protocol', result });
  }

  message(now: Instant, sessionId: number, m: CallMessage): void {
    switch (m.type) {
      case 'ICRQ':
        return this.#request(now, m);
      case 'OCRQ':
        // §7.5.1: we place no outgoing calls, now or later.
        return this.#step(now, this.#create(m.avps.assignedSessionId as PeerSessionId, NO_CALL), 'OCRQ-', {
          by: 'protocol',
          result: { result: CallResult.noFacilities },
        });
      case 'ICRP':
      case 'OCRP':
        return this.#reply(now, sessionId, m);
      case 'ICCN':
      case 'OCCN':
        return this.#step(now, this.#find(sessionId) ?? this.#create(NO_PEER_ID, NO_CALL), m.type, OUT_OF_SEQUENCE, m);
      case 'CDN':
        return this.#disconnect(now, sessionId, m);
      case 'WEN':
        return this.#host.note(now, 'l2tp.session.wan-error', { sessionId, ...m.avps.callErrors });
      case 'SLI':
        // §6.14: an ACCM means nothing to a link without asynchronous framing.
        return;
      // Exhaustive: reached by a bug of ours only.
      /* v8 ignore next 2 */
      default:
        return never(m);
    }
  }

  #request(now: Instant, { avps }: MessageOf<'ICRQ'>): void {
    const peerId = avps.assignedSessionId as PeerSessionId;
    const known = this.#byPeer.get(peerId);
    if (known) return this.#step(now, known, 'ICRQ', OUT_OF_SEQUENCE);
    const call = {
      callSerial: avps.callSerialNumber,
      ...optional('calledNumber', avps.calledNumber && printable(avps.calledNumber)),
      ...optional('callingNumber', avps.callingNumber && printable(avps.callingNumber)),
    };
    const session = this.#create(peerId, call);
    if (this.size >= this.#host.maxSessions) {
      this.#host.note(now, 'l2tp.session.refused', {
        why: 'too many sessions in the tunnel',
        callSerial: call.callSerial,
      });
      return this.#step(now, session, 'ICRQ-', { by: 'local', result: { result: CallResult.noFacilitiesNow } });
    }
    // A tunnel we dialled takes no incoming calls: the table's LAC answers with a CDN.
    if (this.#host.role === 'LAC') return this.#step(now, session, 'ICRQ', OUT_OF_SEQUENCE);
    this.#register(now, session);
    this.#step(now, session, 'ICRQ+', LOCAL);
  }

  #reply(now: Instant, sessionId: number, m: MessageOf<'ICRP' | 'OCRP'>): void {
    const peerId = m.avps.assignedSessionId as PeerSessionId;
    const session = this.#find(sessionId) ?? this.#create(peerId, NO_CALL);
    if (m.type === 'OCRP' || session.state !== 'wait-reply') return this.#step(now, session, m.type, OUT_OF_SEQUENCE);
    if (this.#byPeer.has(peerId)) return this.#step(now, session, 'ICRP-', OUT_OF_SEQUENCE);
    session.peerId = peerId;
    this.#byPeer.set(peerId, session);
    this.#step(now, session, 'ICRP+', LOCAL);
  }

  #disconnect(now: Instant, sessionId: number, { avps }: MessageOf<'CDN'>): void {
    const session = this.#find(sessionId, (avps.assignedSessionId ?? NO_PEER_ID) as PeerSessionId);
    const ending = { ...optional('result', avps.resultCode), ...optional('cause', avps.pppDisconnectCause) };
    if (session) this.#step(now, session, 'CDN', { by: 'peer', ...ending });
  }

  /** By the header's Session ID, or, while that is 0, by what the peer assigned (§5.3). */
  #find(sessionId: number, peerId: PeerSessionId = NO_PEER_ID): Session | undefined {
    return sessionId === 0 ? this.#byPeer.get(peerId) : this.#byLocal.get(sessionId as LocalSessionId);
  }

  #step(now: Instant, session: Session, event: SessionEvent, ending: Ending, m?: MessageOf<'ICCN' | 'OCCN'>): void {
    const table = this.#host.role === 'LAC' ? LAC_INCOMING : LNS_INCOMING;
    const { actions, next } = table(session.state, event);
    session.state = next;
    for (const action of actions) this.#act(session, action, ending);
    if (next === 'idle') return this.#remove(session, ending);
    if (next !== 'established') return;
    this.#settingUp.delete(session);
    // The ICCN leaves before anyone starts PPP on the session.
    this.#host.flush(now);
    const call = m ? { ...session.request, ...connected(m) } : { ...session.request, sequencingRequired: false };
    this.#host.emit({ type: 'session-up', session: this.#ids(session), call, ...optional('ref', session.ref) });
  }

  /** Whatever its state. */
  #end(now: Instant, session: Session, ending: Ending): void {
    if (session.state === 'idle') {
      if (session.peerId !== NO_PEER_ID) this.#act(session, 'CDN', ending);
    } else this.#step(now, session, 'close', ending);
  }

  #act(session: Session, action: SessionAction, ending: Ending): void {
    const assignedSessionId = session.localId;
    switch (action) {
      case 'ICRQ': {
        const avps = { assignedSessionId, callSerialNumber: session.request.callSerial };
        return this.#host.send(NO_PEER_ID, { type: 'ICRQ', avps });
      }
      case 'ICRP':
        this.#opened(session);
        return this.#host.send(session.peerId, { type: 'ICRP', avps: { assignedSessionId } });
      case 'ICCN': {
        this.#opened(session);
        const avps = { txConnectSpeed: CONNECT_SPEED, framingType: this.#host.framingType };
        return this.#host.send(session.peerId, { type: 'ICCN', avps });
      }
      case 'CDN': {
        // An Error Code always: some peers insist on a Result Code AVP of 10 octets.
        const resultCode = { result: CallResult.administrative, error: ErrorCode.none, ...ending.result };
        return this.#host.send(session.peerId, { type: 'CDN', avps: { resultCode, assignedSessionId } });
      }
      // Exhaustive: reached by a bug of ours only.
      /* v8 ignore next 2 */
      default:
        return never(action);
    }
  }

  #opened(session: Session): void {
    this.#host.emit({ type: 'session-open', session: this.#ids(session), path: this.#host.path });
  }

  #create(peerId: PeerSessionId, request: CallRequest, ref?: string): Session {
    const taken = (id: number) =>
      this.#byLocal.has(id as LocalSessionId) || this.#resting.includes(id as LocalSessionId);
    const localId = pickId(this.#host.random, taken) as LocalSessionId;
    return { localId, peerId, state: 'idle', ref, request };
  }

  #register(now: Instant, session: Session): void {
    this.#byLocal.set(session.localId, session);
    if (session.peerId !== NO_PEER_ID) this.#byPeer.set(session.peerId, session);
    this.#settingUp.set(session, after(now, this.#host.setupTimeoutMs));
  }

  #remove(session: Session, ending: Ending): void {
    this.#settingUp.delete(session);
    if (!this.#byLocal.delete(session.localId)) return;
    this.#byPeer.delete(session.peerId);
    this.#resting.push(session.localId);
    if (this.#resting.length > RESTING_IDS) this.#resting.shift();
    this.#host.emit({ type: 'session-down', session: this.#ids(session), ...ending, ...optional('ref', session.ref) });
  }

  #ids({ localId, peerId }: Session): SessionIds {
    const { tunnelId, peerTunnelId } = this.#host;
    return { tunnelId, sessionId: localId, peerTunnelId, peerSessionId: peerId };
  }
}

/** The answer to an open-session that got nowhere: there are no ids. */
export const sessionNotOpened = (tunnelId: LocalTunnelId, ref: string, result: ResultCode): EndpointOut => ({
  type: 'session-down',
  session: { tunnelId, sessionId: 0 as LocalSessionId, peerTunnelId: 0 as PeerTunnelId, peerSessionId: NO_PEER_ID },
  by: 'local',
  result,
  ref,
});

const NO_CALL: CallRequest = { callSerial: 0 };
const LOCAL: Ending = { by: 'local' };
const OUT_OF_SEQUENCE: Ending = {
  by: 'protocol',
  result: { result: CallResult.error, error: ErrorCode.sessionId, message: 'message out of sequence' },
};

function connected({ avps }: MessageOf<'ICCN' | 'OCCN'>): Omit<CallInfo, 'callSerial'> {
  const { txConnectSpeed = 0, rxConnectSpeed, framingType, sequencingRequired = false } = avps;
  return {
    txConnectSpeed: BigInt(txConnectSpeed),
    ...optional('rxConnectSpeed', rxConnectSpeed === undefined ? undefined : BigInt(rxConnectSpeed)),
    framingType,
    sequencingRequired,
  };
}
