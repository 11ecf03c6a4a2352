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
import { type Authentication, type AuthenticatorHooks, type Granted, Tries } from './auth.js';
import { type PeerAuthConfig, type PeerAuthHooks, peerAuthentication } from './auth-peer.js';
import { authenticator } from './authenticator.js';
import type { ControlHooks } from './control.js';
import {
  authTimedOut,
  type Ending,
  endedByPeer,
  NO_ADDRESS,
  NO_TRIES,
  NOT_CONVERGED,
  SILENT,
  terminateData,
  VANISHED,
} from './ending.js';
import type { AuthMethod, AuthRequest, InterfaceIdTaken, LinkConfig, LinkIn, LinkOut } from './events.js';
import { askingIpcp, assigningIpcp, type Ipcp } from './ipcp.js';
import { Ipv6Layer } from './ipv6-layer.js';
import { isEchoRequest, Lcp, type LcpConfig, type LcpHooks, methodOf } from './lcp.js';
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
  /** What the protocols of a link tell it. Classes, for as closures they were a third of what a session takes. */
  static readonly #Hooks = class {
    readonly link: Link;

    constructor(link: Link) {
      this.link = link;
    }

    send(protocol: number, packet: Uint8Array): void {
      this.link.#send(protocol, packet);
    }

    note(event: string, fields: Record<string, unknown>): void {
      this.link.#note(event, fields);
    }

    giveUp(now: Instant, why: GiveUp): void {
      this.link.#finish(now, why);
    }

    terminated(data: Uint8Array): void {
      this.link.#peerEnding = endedByPeer(data);
    }

    codeRejected(code: number): void {
      this.link.#codeRejected(code);
    }

    mayAnswer(now: Instant): boolean {
      return this.link.#answers.take(now);
    }

    peerMru(): number {
      return this.link.#lcp.negotiation.accepted('mru') ?? DEFAULT_MRU;
    }

    nextId(): number | undefined {
      const config = this.link.#config;
      return 'role' in config ? config.nextId?.() : undefined;
    }

    get restartMs(): number | undefined {
      const config = this.link.#config;
      return 'role' in config ? config.restartMs : undefined;
    }
  };

  static readonly #LcpHooks = class extends this.#Hooks implements LcpHooks {
    up(now: Instant): void {
      this.link.#lcpUp(now);
    }

    down(now: Instant): void {
      this.link.#lcpDown(now);
    }

    finished(): void {
      this.link.#lcpFinished();
    }

    protocolRejected(now: Instant, protocol: number): void {
      this.link.#protocolRejected(now, protocol);
    }

    silent(now: Instant): void {
      this.link.#finish(now, VANISHED);
    }

    sendWhole(packet: Uint8Array): void {
      this.link.#out.push({ type: 'frame', data: encodeFrame(PROTOCOL.lcp, packet), whole: true });
    }

    pathMtu(mtu: number): void {
      this.link.#out.push({ type: 'path-mtu', mtu });
    }
  };

  static readonly #IpcpHooks = class extends this.#Hooks implements ControlHooks {
    up(): void {
      this.link.#ipcpUp();
    }

    down(): void {
      this.link.#closeIp();
    }

    finished(now: Instant): void {
      this.link.#finish(now, NO_ADDRESS);
    }

    acknowledging(): void {
      this.link.#openIp();
    }
  };

  static readonly #AuthHooks = class extends this.#Hooks implements AuthenticatorHooks, PeerAuthHooks {
    get tries(): Tries {
      return this.link.#tries;
    }

    failed(now: Instant, why: GiveUp): void {
      this.link.#finish(now, why);
    }

    authenticate(request: AuthRequest, eap?: true): void {
      this.link.#out.push({ type: 'authenticate', request, ...(eap && { eap }) });
    }

    granted(now: Instant, result: Granted): void {
      this.link.#granted = result;
      this.link.#tries = new Tries();
      this.link.#startNetwork(now);
    }

    succeeded(now: Instant): void {
      this.link.#startNetwork(now);
    }
  };

  readonly #config: LinkConfig | PeerConfig;
  readonly #out = new Outbox<LinkOut>();
  readonly #interfaceIdTaken: InterfaceIdTaken | undefined;
  readonly #lcp: Lcp;
  readonly #answers = new Allowance();
  readonly #notes = new Allowance();
  #phase: Phase = 'Dead';
  #auth: Authentication | undefined;
  #tries = new Tries();
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

  /** `config` is shared by many; `interfaceIdTaken`: absent, each peer has an IPv6 prefix of its own. */
  constructor(config: LinkConfig | PeerConfig, interfaceIdTaken?: InterfaceIdTaken) {
    this.#config = config;
    this.#interfaceIdTaken = interfaceIdTaken;
    this.#lcp = new Lcp(lcpConfig(config), new Link.#LcpHooks(this));
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
    const config = this.#config;
    this.#auth = this.#authentication(config);
    if (!('role' in config) && this.#tries.passwords >= config.authTries) this.#finish(now, NO_TRIES);
    else if (this.#auth !== undefined) this.#auth.start(now);
    else if ('role' in config) this.#startNetwork(now);
    // LCP's policy never drops the option it starts with; an empty list of methods must not open the door either.
    else this.#finish(now, { by: 'auth', reason: 'no authentication was negotiated' });
  }

  #authentication(config: LinkConfig | PeerConfig): Authentication | undefined {
    const { negotiation } = this.#lcp;
    const hooks = new Link.#AuthHooks(this);
    const agreed = 'role' in config ? negotiation.accepted('auth') : negotiation.own('auth');
    const method = agreed === undefined ? undefined : methodOf(agreed);
    if (method === undefined) return undefined;
    return 'role' in config
      ? peerAuthentication(method, config, hooks)
      : authenticator(method, config, negotiation.accepted('mru') ?? DEFAULT_MRU, hooks);
  }

  #startNetwork(now: Instant): void {
    this.#phase = 'Network';
    const config = this.#config;
    const hooks = new Link.#IpcpHooks(this);
    this.#ipcp =
      'role' in config
        ? askingIpcp(config.ipcpOptions, hooks)
        : assigningIpcp(config.localAddress, this.#granted!, hooks);
    this.#ipcp.open(now);
    this.#ipcp.lowerUp(now);
    if (config.ipv6 === undefined) return;
    const ids = { ours: config.ipv6, ...(this.#interfaceIdTaken && { taken: this.#interfaceIdTaken }) };
    this.#ipv6 = new Ipv6Layer(ids, config.random, hooks, this.#out);
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

  /** One time for the whole set-up: an LCP that is negotiated anew before the link is up has what is left of it. */
  #armSetup(now: Instant): void {
    this.#setupAt ??= after(now, this.#config.setupTimeoutMs);
  }

  /** What was being waited for when time or tries ran out. */
  #tooSlow(): Ending {
    if (!this.#heard) return SILENT;
    if (this.#auth !== undefined && this.#phase === 'Authenticate') return authTimedOut(this.#auth.waitingFor());
    return this.#phase === 'Network' ? NO_ADDRESS : NOT_CONVERGED;
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

const NONE: readonly never[] = [];

/** Without spreading objects into each other: V8 gives every result of that a shape of its own. */
function lcpConfig(config: LinkConfig | PeerConfig): LcpConfig {
  const { mru, echoIntervalMs, echoFailures, random } = config;
  const peer = 'role' in config;
  return {
    mru,
    demand: peer ? NONE : config.auth,
    submit: peer ? config.auth : NONE,
    options: peer ? config.lcpOptions : NONE,
    echoIntervalMs,
    echoFailures,
    mtuProbeIntervalMs: peer ? 0 : config.mtuProbeIntervalMs,
    random,
  };
}
