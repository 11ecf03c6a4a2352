/**
 * A PPP link: the phase diagram of RFC 1661 §3.2 over LCP, one authentication and IPCP. It decides which protocol may
 * speak when, and is the one place from which a link goes down.
 */
import { LAST_NCP_CODE } from '../../wire/ppp/control.js';
import { decodeFrame, encodeFrame, PROTOCOL, protocolName } from '../../wire/ppp/frame.js';
import { type IpcpOption, UNSPECIFIED } from '../../wire/ppp/ipcp.js';
import type { LcpOption } from '../../wire/ppp/lcp.js';
import { never } from '../../wire/result.js';
import { after, type Instant, type Machine, Outbox } from '../machine.js';
import type { Authentication, Granted } from './auth.js';
import { type PeerAuthConfig, peerAuthentication } from './auth-peer.js';
import { authenticator } from './authenticator.js';
import type { ControlHooks } from './control.js';
import {
  authTimedOut,
  type Ending,
  endedByPeer,
  NO_ADDRESS,
  NOT_CONVERGED,
  SILENT,
  terminateData,
  VANISHED,
} from './ending.js';
import type { AuthMethod, LinkConfig, LinkIn, LinkOut } from './events.js';
import { askingIpcp, assigningIpcp, type Ipcp } from './ipcp.js';
import { Ipv6Layer } from './ipv6-layer.js';
import { isEchoRequest, Lcp, type LcpConfig, methodOf } from './lcp.js';
import { ANSWERS_PER_PERIOD, DEFAULT_MRU, PERIOD_MS } from './limits.js';
import type { GiveUp } from './negotiation.js';

/** The other end: a client that dials in. For tests and emulations. */
export interface PeerConfig extends PeerAuthConfig {
  readonly role: 'peer';
  readonly mru: number;
  /** Methods it lets itself be authenticated by; the first is what it Naks others with. Never empty. */
  readonly auth: readonly AuthMethod[];
  /** LCP options besides MRU and Magic-Number. */
  readonly lcpOptions: readonly LcpOption[];
  readonly ipcpOptions: readonly IpcpOption[];
  /** Identifiers of the packets of all its control protocols; without it each protocol counts from 1. */
  readonly nextId?: () => number;
  /** First value of its Restart timers; RFC 1661 §4.6 suggests 3 s. */
  readonly restartMs?: number;
  readonly echoIntervalMs: number;
  readonly echoFailures: number;
  readonly setupTimeoutMs: number;
  /** Its interface identifier, 8 octets; absent: no IPv6. */
  readonly ipv6?: Uint8Array;
  /** It knows of no other peer. */
  readonly interfaceIdTaken?: undefined;
}

/** What a Windows client asks IPCP for: the usual `ipcpOptions`. */
export const CLIENT_IPCP_OPTIONS: readonly IpcpOption[] = (['address', 'dns1', 'nbns1', 'dns2', 'nbns2'] as const).map(
  (name) => ({ name, value: UNSPECIFIED }),
);

/** RFC 1661 §3.2. `Dead` covers before the first lower-up; `Over` is after `down`: the machine is spent. */
export type Phase = 'Dead' | 'Establish' | 'Authenticate' | 'Network' | 'Terminate' | 'Over';

/** Data, and what an authentication that is over left on its way. */
const DISCARDED: readonly number[] = [PROTOCOL.ip, PROTOCOL.pap, PROTOCOL.chap, PROTOCOL.eap];

/** So many in each period, then none until the next. */
class Allowance {
  #from = Number.NEGATIVE_INFINITY;
  #used = 0;

  take(now: Instant): boolean {
    if (now - this.#from >= PERIOD_MS) {
      this.#from = now;
      this.#used = 0;
    }
    this.#used += 1;
    return this.#used <= ANSWERS_PER_PERIOD;
  }
}

export class Link implements Machine<LinkIn, LinkOut> {
  readonly #config: LinkConfig | PeerConfig;
  readonly #out = new Outbox<LinkOut>();
  readonly #lcp: Lcp;
  readonly #answers = new Allowance();
  readonly #notes = new Allowance();
  #phase: Phase = 'Dead';
  #auth: Authentication | undefined;
  #ipcp: Ipcp | undefined;
  #ipv6: Ipv6Layer | undefined;
  #granted: Granted | undefined;
  #ipOpen = false;
  /** Did the peer's LCP say anything at all? Makes the difference between two hints. */
  #heard = false;
  #setupAt: Instant | undefined;
  /** Why we are going down; the first cause stays. */
  #ending: Ending | undefined;
  /** The peer asked to terminate; it may still change its mind and negotiate anew. */
  #peerEnding: Ending | undefined;
  #now: Instant = 0 as Instant;

  constructor(config: LinkConfig | PeerConfig) {
    this.#config = config;
    this.#lcp = new Lcp(lcpConfig(config), {
      ...this.#controlHooks(),
      up: (now) => this.#lcpUp(now),
      down: (now) => this.#lcpDown(now),
      finished: () => this.#lcpFinished(),
      protocolRejected: (now, protocol) => this.#protocolRejected(now, protocol),
      silent: (now) => this.#finish(now, VANISHED),
      sendWhole: (packet) => this.#out.push({ type: 'frame', data: encodeFrame(PROTOCOL.lcp, packet), whole: true }),
      pathMtu: (mtu) => this.#out.push({ type: 'path-mtu', mtu }),
    });
  }

  get phase(): Phase {
    return this.#phase;
  }

  poll(): LinkOut | undefined {
    return this.#out.poll();
  }

  nextTimeout(): Instant | undefined {
    const all = [
      this.#setupAt,
      this.#lcp.nextTimeout(),
      this.#auth?.nextTimeout(),
      ...this.#ncps().map((p) => p.nextTimeout()),
    ];
    return all.reduce((min, at) => (min === undefined || (at !== undefined && at < min) ? at : min), undefined);
  }

  handleTimeout(now: Instant): void {
    this.#now = now;
    if (this.#phase === 'Over') return;
    if (this.#setupAt !== undefined && now >= this.#setupAt) {
      this.#setupAt = undefined;
      this.#finish(now, this.#tooSlow());
    }
    this.#lcp.handleTimeout(now);
    this.#auth?.handleTimeout(now);
    for (const protocol of this.#ncps()) protocol.handleTimeout(now);
    this.#closeIpUnlessAcked();
  }

  handle(now: Instant, input: LinkIn): void {
    this.#now = now;
    if (this.#phase === 'Over') return;
    switch (input.type) {
      case 'lower-up':
        this.#lowerUp(now);
        return;
      case 'lower-down':
        this.#lowerDown(now);
        return;
      case 'frame':
        this.#receive(now, input.data);
        this.#closeIpUnlessAcked();
        return;
      case 'auth-result':
        this.#auth?.result(now, input.result);
        return;
      case 'eap-request':
        this.#auth?.eapRequest?.(now, input.challenge);
        return;
      case 'close':
        this.#finish(now, { by: 'local', reason: input.reason });
        return;
      case 'probe-mtu':
        this.#lcp.startMtuProbe(now, input.sizes);
        return;
      // Exhaustiveness: the compiler proves that nothing gets here.
      /* v8 ignore next 2 */
      default:
        never(input);
    }
  }

  #lowerUp(now: Instant): void {
    if (this.#phase !== 'Dead') return;
    this.#phase = 'Establish';
    this.#armSetup(now);
    this.#lcp.open(now);
    this.#lcp.lowerUp(now);
  }

  #lowerDown(now: Instant): void {
    const ending = this.#ending ?? this.#peerEnding ?? { by: 'lower', reason: 'the tunnel below is gone' };
    if (this.#phase !== 'Dead') this.#lcp.lowerDown(now);
    this.#over(ending);
  }

  /** RFC 1661 §3.4 to §3.7: what may be looked at in which phase; the rest is silently discarded. */
  #receive(now: Instant, bytes: Uint8Array): void {
    const frame = decodeFrame(bytes);
    if (!frame.ok) {
      this.#note('ppp.malformed', { at: frame.at, ref: frame.ref, why: frame.why });
      return;
    }
    const { protocol, information } = frame.value;
    if (protocol === PROTOCOL.lcp) {
      if (this.#lcp.receive(now, information)) this.#heard = true;
      return;
    }
    if (protocol === this.#auth?.protocol) {
      this.#auth.receive(now, information);
      return;
    }
    if (protocol === PROTOCOL.ipcp && this.#phase === 'Authenticate') this.#auth?.ncpHeard?.(now);
    if (this.#phase !== 'Network') return;
    if (protocol === PROTOCOL.ipcp) {
      this.#ipcp?.receive(now, information);
    } else if (protocol === PROTOCOL.ipv6cp && this.#ipv6 !== undefined) {
      this.#ipv6.receive(now, information);
    } else if (!DISCARDED.includes(protocol)) {
      this.#note('ppp.unknown-protocol', { protocol: protocolName(protocol) });
      this.#lcp.rejectProtocol(now, protocol, information);
    }
  }

  /* Up: LCP, authentication, IPCP. */

  #lcpUp(now: Instant): void {
    const { negotiation } = this.#lcp;
    this.#peerEnding = undefined;
    this.#out.push({
      type: 'lcp-up',
      mru: negotiation.accepted('mru') ?? DEFAULT_MRU,
      acfc: negotiation.accepted('acfc') ?? false,
      pfc: negotiation.accepted('pfc') ?? false,
    });
    this.#lcp.startEcho(now);
    this.#phase = 'Authenticate';
    this.#auth = this.#authentication(this.#config);
    if (this.#auth !== undefined) this.#auth.start(now);
    else if ('role' in this.#config) this.#startNetwork(now);
    // LCP's policy never drops the option it starts with; an empty list of methods must not open the door either.
    else this.#finish(now, { by: 'auth', reason: 'no authentication was negotiated' });
  }

  #authentication(config: LinkConfig | PeerConfig): Authentication | undefined {
    const send = (protocol: number, packet: Uint8Array): void => this.#send(protocol, packet);
    const failed = (now: Instant, why: GiveUp): void => this.#finish(now, why);
    if ('role' in config) {
      const agreed = this.#lcp.negotiation.accepted('auth');
      const method = agreed === undefined ? undefined : methodOf(agreed);
      if (method === undefined) return undefined;
      return peerAuthentication(method, config, { send, failed, succeeded: (now) => this.#startNetwork(now) });
    }
    const agreed = this.#lcp.negotiation.own('auth');
    const method = agreed === undefined ? undefined : methodOf(agreed);
    if (method === undefined) return undefined;
    const peerMru = this.#lcp.negotiation.accepted('mru') ?? DEFAULT_MRU;
    return authenticator(
      method,
      { ...config, peerMru },
      {
        send,
        failed,
        note: (event, fields) => this.#note(event, fields),
        authenticate: (request, eap) => this.#out.push({ type: 'authenticate', request, ...(eap && { eap }) }),
        granted: (now, result) => {
          this.#granted = result;
          this.#startNetwork(now);
        },
      },
    );
  }

  #startNetwork(now: Instant): void {
    this.#phase = 'Network';
    const hooks: ControlHooks = {
      ...this.#controlHooks(),
      up: () => this.#ipcpUp(),
      down: () => this.#closeIp(),
      finished: (at) => this.#finish(at, NO_ADDRESS),
      acknowledging: () => this.#openIp(),
    };
    this.#ipcp =
      'role' in this.#config
        ? askingIpcp(this.#config.ipcpOptions, hooks)
        : assigningIpcp(this.#config.localAddress, this.#granted!, hooks);
    this.#ipcp.open(now);
    this.#ipcp.lowerUp(now);
    const { ipv6: ours, interfaceIdTaken: taken } = this.#config;
    if (ours === undefined) return;
    const out = (event: LinkOut): void => this.#out.push(event);
    this.#ipv6 = new Ipv6Layer({ ours, ...(taken && { taken }) }, this.#config.random, this.#controlHooks(), out);
    this.#ipv6.start(now);
  }

  #ncps(): (Ipcp | Ipv6Layer)[] {
    return [this.#ipcp, this.#ipv6].filter((p) => p !== undefined);
  }

  #ipcpUp(): void {
    this.#setupAt = undefined;
    this.#peerEnding = undefined;
    const user = 'role' in this.#config ? this.#config.user : this.#granted!.user;
    this.#out.push({ type: 'up', user, address: this.#address() });
    if ('role' in this.#config) {
      const { negotiation } = this.#ipcp!;
      this.#note('ipcp.assigned', { dns1: negotiation.own('dns1'), dns2: negotiation.own('dns2') });
    }
  }

  /** The peer's address; on the dialling side our own. */
  #address(): string {
    return this.#granted?.address ?? this.#ipcp?.negotiation.own('address') ?? UNSPECIFIED;
  }

  #openIp(): void {
    if (this.#ipOpen) return;
    this.#ipOpen = true;
    this.#out.push({ type: 'ip-open', address: this.#address() });
  }

  #closeIp(): void {
    if (!this.#ipOpen) return;
    this.#ipOpen = false;
    this.#out.push({ type: 'ip-close' });
  }

  /** What an Ack opened stays open only while that Ack stands. */
  #closeIpUnlessAcked(): void {
    const state = this.#ipcp?.state;
    if (state !== 'Ack-Sent' && state !== 'Opened') this.#closeIp();
  }

  #closeIpv6(now: Instant): void {
    this.#ipv6?.lowerDown(now);
    this.#ipv6 = undefined;
  }

  /* Down. */

  #lcpDown(now: Instant): void {
    this.#lcp.stopEcho();
    this.#auth = undefined;
    this.#ipcp?.lowerDown(now);
    this.#closeIp();
    this.#ipcp = undefined;
    this.#closeIpv6(now);
    this.#granted = undefined;
    if (this.#phase === 'Terminate') return;
    this.#phase = 'Establish';
    this.#armSetup(now);
  }

  #protocolRejected(now: Instant, protocol: number): void {
    const name = protocolName(protocol);
    const reason = `the peer rejects ${name}`;
    if (protocol === PROTOCOL.lcp) {
      this.#ending ??= { by: 'protocol', reason };
      this.#lcp.rejectedByPeer(now);
    } else if (protocol === PROTOCOL.ipcp && this.#ipcp !== undefined) {
      this.#finish(now, { by: 'protocol', reason, hint: 'the client has IPv4 turned off for this connection' });
    } else if (protocol === this.#auth?.protocol && this.#phase === 'Authenticate') {
      this.#finish(now, { by: 'auth', reason, hint: 'the client agreed to authenticate, then refused' });
    } else {
      if (protocol === PROTOCOL.ipv6cp) this.#ipv6?.rejectedByPeer(now);
      this.#note('ppp.protocol-rejected', { protocol: name });
    }
  }

  /** The one way down: LCP Terminate, then `down` when it is acknowledged or its two requests timed out. */
  #finish(now: Instant, ending: Ending): void {
    this.#ending ??= this.#peerEnding ?? ending;
    if (this.#phase === 'Dead') {
      this.#over(this.#ending);
      return;
    }
    if (this.#phase === 'Terminate') return;
    this.#phase = 'Terminate';
    this.#setupAt = undefined;
    this.#auth = undefined;
    // RFC 1661 §3.7: closing LCP is enough; the NCPs need not be told. tld takes them down.
    this.#lcp.close(now, terminateData(this.#ending.reason));
  }

  #lcpFinished(): void {
    this.#over(this.#ending ?? this.#peerEnding ?? this.#tooSlow());
  }

  #over(ending: Ending): void {
    this.#closeIp();
    this.#closeIpv6(this.#now);
    this.#phase = 'Over';
    this.#setupAt = undefined;
    this.#auth = undefined;
    this.#ipcp = undefined;
    this.#lcp.stopEcho();
    this.#out.push({ type: 'down', ...ending });
  }

  #armSetup(now: Instant): void {
    this.#setupAt = after(now, this.#config.setupTimeoutMs);
  }

  /** What was being waited for when time or tries ran out. */
  #tooSlow(): Ending {
    if (!this.#heard) return SILENT;
    if (this.#auth !== undefined && this.#phase === 'Authenticate') return authTimedOut(this.#auth.waitingFor());
    return this.#phase === 'Network' ? NO_ADDRESS : NOT_CONVERGED;
  }

  /** What LCP and the NCPs have in common. */
  #controlHooks(): Omit<ControlHooks, 'up' | 'down' | 'finished'> {
    return {
      send: (protocol, packet) => this.#send(protocol, packet),
      note: (event, fields) => this.#note(event, fields),
      giveUp: (now, why) => this.#finish(now, why),
      terminated: (data) => {
        this.#peerEnding = endedByPeer(data);
      },
      codeRejected: (code) => this.#codeRejected(code),
      mayAnswer: (now) => this.#answers.take(now),
      peerMru: () => this.#lcp.negotiation.accepted('mru') ?? DEFAULT_MRU,
      ...('role' in this.#config ? ownHabits(this.#config) : {}),
    };
  }

  #codeRejected(code: number): void {
    this.#note('ppp.code-rejected', { code });
    if (isEchoRequest(code)) this.#lcp.stopEcho();
    // RFC 1661 §5.6: fundamental codes; the automaton is about to give up.
    if (code <= LAST_NCP_CODE) this.#ending ??= { by: 'protocol', reason: `the peer rejects control code ${code}` };
  }

  #send(protocol: number, packet: Uint8Array): void {
    this.#out.push({ type: 'frame', data: encodeFrame(protocol, packet) });
  }

  /** Notes can be provoked by the peer: they have a rate. */
  #note(event: string, fields: Record<string, unknown>): void {
    if (this.#notes.take(this.#now)) this.#out.push({ type: 'note', event, fields });
  }
}

const ownHabits = ({ nextId, restartMs }: PeerConfig): Pick<ControlHooks, 'nextId' | 'restartMs'> => ({
  ...(nextId ? { nextId } : {}),
  ...(restartMs === undefined ? {} : { restartMs }),
});

const lcpConfig = (config: LinkConfig | PeerConfig): LcpConfig => ({
  mru: config.mru,
  echoIntervalMs: config.echoIntervalMs,
  echoFailures: config.echoFailures,
  random: config.random,
  ...('role' in config
    ? { demand: [], submit: config.auth, options: config.lcpOptions, mtuProbeIntervalMs: 0 }
    : { demand: config.auth, submit: [], options: [], mtuProbeIntervalMs: config.mtuProbeIntervalMs }),
});
