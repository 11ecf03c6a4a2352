/** What we want of the link: LCP's policy, its keepalive and its own packets. RFC 1661 §5.7 to §6.6, RFC 1570 §1. */
import { CODE, encodeControl, type LcpOnlyPacket, printable } from '../../wire/ppp/control.js';
import { PROTOCOL } from '../../wire/ppp/frame.js';
import { authName, CHAP_ALGORITHM, LCP, type LcpOption, lcpOptions } from '../../wire/ppp/lcp.js';
import type { Numbered } from '../../wire/ppp/options.js';
import { Reader } from '../../wire/reader.js';
import { after, type Instant, type Random } from '../machine.js';
import { type ControlHooks, ControlProtocol, type LcpOnly } from './control.js';
import type { AuthMethod } from './events.js';
import { DEFAULT_MRU, MAX_LOOPS, MIN_MRU } from './limits.js';
import { MtuProbe, type MtuProbeHooks } from './mtu-probe.js';
import type { Answer, Policy, Verdict } from './negotiation.js';

const AUTH_OPTION: Readonly<Record<AuthMethod, Numbered>> = {
  mschapv2: { protocol: PROTOCOL.chap, data: Uint8Array.of(CHAP_ALGORITHM.mschapv2) },
  'chap-md5': { protocol: PROTOCOL.chap, data: Uint8Array.of(CHAP_ALGORITHM.md5) },
  pap: { protocol: PROTOCOL.pap, data: new Uint8Array(0) },
  eap: { protocol: PROTOCOL.eap, data: new Uint8Array(0) },
};

/** The method an authentication option stands for, if it is one of ours. */
export const methodOf = (option: Numbered): AuthMethod | undefined =>
  (Object.keys(AUTH_OPTION) as AuthMethod[]).find((m) => authName(AUTH_OPTION[m]) === authName(option));

export interface LcpConfig {
  readonly mru: number;
  /** Methods we demand of the peer, in order of preference; none on the side that is authenticated. */
  readonly demand: readonly AuthMethod[];
  /** Methods by which we let ourselves be authenticated. */
  readonly submit: readonly AuthMethod[];
  /** Further options of our Configure-Request. */
  readonly options: readonly LcpOption[];
  readonly echoIntervalMs: number;
  readonly echoFailures: number;
  /** Between two probes of the path MTU; 0: none. */
  readonly mtuProbeIntervalMs: number;
  readonly random: Random;
}

export interface LcpHooks extends ControlHooks {
  protocolRejected(now: Instant, protocol: number): void;
  /** Echo-Requests stay unanswered. */
  silent(now: Instant): void;
  /** Sends a packet that no router may fragment. */
  sendWhole(packet: Uint8Array): void;
  /** Packets of at most so many octets pass now. */
  pathMtu(mtu: number): void;
}

/** What the policy knows of one link. */
class Wants {
  /** Configure-Requests in a row that carried our own Magic-Number. */
  loops = 0;
  readonly config: LcpConfig;
  #magic = 0;
  /** Of ours, by the peer; and what it would rather do. */
  #refused: readonly AuthMethod[] = [];
  #wanted: readonly string[] = [];

  constructor(config: LcpConfig) {
    this.config = config;
  }

  wishes(): LcpOption[] {
    const { mru, demand, options } = this.config;
    this.#magic = this.newMagic();
    this.#refused = [];
    this.#wanted = [];
    const wishes: LcpOption[] = [
      // RFC 1661 §5.1: no options with default values.
      ...(mru === DEFAULT_MRU ? [] : [{ name: 'mru', value: mru } as const]),
      ...demand.slice(0, 1).map((m) => ({ name: 'auth', value: AUTH_OPTION[m] }) as const),
      { name: 'magic', value: this.#magic },
      ...options,
    ];
    // As every implementation we know of lists them.
    return wishes.sort((a, b) => LCP[a.name].type - LCP[b.name].type).slice(); // without room to grow
  }

  /** RFC 1661 §6.4: our own number means a looped-back line; zero MUST be Nak'd. */
  reviewMagic(asked: number): Verdict<number> {
    if (asked === this.#magic) {
      this.loops += 1;
      return { nak: this.newMagic() };
    }
    this.loops = 0;
    return asked === 0 ? { nak: this.newMagic() } : 'ack';
  }

  nakedMagic(): Answer<number> {
    this.#magic = this.newMagic();
    return { ask: this.#magic };
  }

  /** A smaller MRU is fine; a larger one does not fit our path, so the option goes and the default stays. */
  nakedMru(suggested: number | undefined): Answer<number> {
    const { mru } = this.config;
    return suggested !== undefined && suggested >= MIN_MRU && suggested < mru ? { ask: suggested } : 'drop';
  }

  /** RFC 1661 §6.2: a Nak names what the peer would rather do; we take it if it is allowed, else our next choice. */
  nakedAuth(suggested: readonly Numbered[], current: Numbered): Answer<Numbered> {
    this.#refused = [...this.#refused, methodOf(current)!];
    this.#wanted = [...new Set([...this.#wanted, ...suggested.map(authName)])];
    const open = this.config.demand.filter((m) => !this.#refused.includes(m));
    const method = open.find((m) => suggested.some((s) => methodOf(s) === m)) ?? open[0];
    return method === undefined ? { giveUp: this.#noCommonMethod() } : { ask: AUTH_OPTION[method] };
  }

  rejectedAuth(): Answer<Numbered> {
    return {
      giveUp: {
        by: 'auth',
        reason: 'the peer refuses to authenticate itself',
        hint: `the client rejected the authentication option: allow ${this.#offer()} in its profile`,
      },
    };
  }

  /** Of the other end: how we let ourselves be authenticated. */
  reviewAuth(asked: Numbered): Verdict<Numbered> {
    const { submit } = this.config;
    const method = methodOf(asked);
    if (method !== undefined && submit.includes(method)) return 'ack';
    return submit[0] === undefined ? 'reject' : { nak: AUTH_OPTION[submit[0]] };
  }

  #noCommonMethod(): { by: 'auth'; reason: string; hint: string } {
    const wanted = this.#wanted.filter((name) => !this.#offered().includes(name));
    const wants = wanted.length === 0 ? 'none of them' : `${wanted.join(' or ')}, which is off`;
    return {
      by: 'auth',
      reason: 'no authentication method in common',
      hint: `the client wants ${wants}; allowed here: ${this.#offer()}`,
    };
  }

  #offered(): string[] {
    return this.config.demand.map((m) => authName(AUTH_OPTION[m]));
  }

  #offer(): string {
    return this.#offered().join(', ');
  }

  newMagic(): number {
    // §6.4: never zero.
    return new Reader(this.config.random(4)).u32() || 1;
  }
}

const POLICY: Policy<typeof LCP, Wants> = {
  wishes: (w) => w.wishes(),
  peer: {
    mru: { review: (v) => (v >= MIN_MRU ? 'ack' : { nak: MIN_MRU }), prefer: () => DEFAULT_MRU },
    // RFC 1662 §7: means nothing on a packet link, but clients ask (RFC 2661 §5.3 strips the framing).
    accm: { review: () => 'ack', prefer: () => 0 },
    magic: { review: (v, w) => w.reviewMagic(v), prefer: (w) => w.newMagic() },
    pfc: { review: () => 'ack' },
    acfc: { review: () => 'ack' },
    auth: { review: (v, w) => w.reviewAuth(v) },
  },
  own: {
    mru: { naked: (suggested, _, w) => w.nakedMru(suggested[0]) },
    magic: { naked: (_suggested, _current, w) => w.nakedMagic() },
    auth: { naked: (suggested, current, w) => w.nakedAuth(suggested, current), rejected: (_, w) => w.rejectedAuth() },
  },
};

const SPEC = { protocol: PROTOCOL.lcp, codec: lcpOptions, policy: POLICY };

/** LCP: the control protocol plus Echo keepalive and the packets only LCP has. */
export class Lcp extends ControlProtocol<typeof LCP> implements LcpOnly, MtuProbeHooks {
  declare protected readonly hooks: LcpHooks;
  readonly #wants: Wants;
  #echoAt: Instant | undefined;
  #unanswered = 0;
  /** Absent while there is nothing to watch. */
  #mtuProbe: MtuProbe | undefined;
  /** Identifier -> size of the last probes. */
  #probes: Map<number, number> | undefined;

  constructor(config: LcpConfig, hooks: LcpHooks) {
    const wants = new Wants(config);
    super(SPEC, wants, hooks);
    this.lcp = this;
    this.#wants = wants;
  }

  override receive(now: Instant, bytes: Uint8Array): boolean {
    const accepted = super.receive(now, bytes);
    if (this.#wants.loops >= MAX_LOOPS) {
      this.#wants.loops = 0;
      this.hooks.giveUp(now, {
        by: 'protocol',
        reason: 'the link is looped back',
        hint: 'our own Magic-Number comes back: something echoes our packets',
      });
    }
    return accepted;
  }

  /** RFC 1661 §5.7; only in Opened, and not more often than the hooks allow. */
  rejectProtocol(now: Instant, protocol: number, information: Uint8Array): void {
    if (!this.opened || !this.hooks.mayAnswer(now)) return;
    const copy = information.subarray(0, this.hooks.peerMru() - 6);
    this.send({ code: 'Protocol-Reject', id: this.nextId(), protocol, information: copy });
  }

  /** Starts the keepalive; 0 turns it off. */
  startEcho(now: Instant): void {
    this.#unanswered = 0;
    this.#echoAt = this.#wants.config.echoIntervalMs > 0 ? after(now, this.#wants.config.echoIntervalMs) : undefined;
  }

  stopEcho(): void {
    this.#echoAt = undefined;
    this.#mtuProbe = undefined;
    this.#probes = undefined;
  }

  /** Watches the path: `sizes` as in MtuProbe. */
  startMtuProbe(now: Instant, sizes: readonly number[]): void {
    if (!this.opened) return;
    const { mtuProbeIntervalMs } = this.#wants.config;
    const watch = mtuProbeIntervalMs > 0 && sizes.length > 0;
    this.#mtuProbe = watch ? new MtuProbe(now, sizes, mtuProbeIntervalMs, this) : undefined;
  }

  /** Echo-Requests go out in Opened only, and only there the Restart timer rests. */
  override nextTimeout(): Instant | undefined {
    const [echo, probe] = [this.#echoAt, this.#mtuProbe?.nextTimeout()];
    if (echo === undefined || probe === undefined) return echo ?? probe ?? super.nextTimeout();
    return probe < echo ? probe : echo;
  }

  override handleTimeout(now: Instant): void {
    super.handleTimeout(now);
    this.#mtuProbe?.handleTimeout(now);
    if (this.#echoAt === undefined || now < this.#echoAt) return;
    if (this.#unanswered >= this.#wants.config.echoFailures) {
      this.stopEcho();
      this.hooks.silent(now);
      return;
    }
    this.#unanswered += 1;
    this.#echoAt = after(now, this.#wants.config.echoIntervalMs);
    const id = this.nextId();
    // Identifiers come round: a probe that was never answered had this one.
    this.#probes?.delete(id);
    this.send({ code: 'Echo-Request', id, magic: this.magic(), data: new Uint8Array(0) });
  }

  /** The path probe's. */
  probe(size: number): void {
    const id = this.nextId();
    this.#probes ??= new Map();
    this.#probes.set(id, size);
    // Code, identifier, length and Magic-Number are octets of the packet too.
    const data = new Uint8Array(size - 8);
    this.hooks.sendWhole(encodeControl({ code: 'Echo-Request', id, magic: this.magic(), data }));
  }

  /** The path probe's. */
  changed(mtu: number): void {
    this.hooks.pathMtu(mtu);
  }

  magic(): number {
    // §5.8: zero until (and unless) the option was negotiated.
    return this.negotiation.own('magic') ?? 0;
  }

  #echoReply(now: Instant, id: number): void {
    this.#unanswered = 0;
    const size = this.#probes?.get(id);
    if (size === undefined) return;
    this.#probes?.delete(id);
    this.#mtuProbe?.answered(now, size);
  }

  special(now: Instant, packet: LcpOnlyPacket): void {
    switch (packet.code) {
      case 'Protocol-Reject':
        this.hooks.protocolRejected(now, packet.protocol);
        return;
      case 'Echo-Reply':
        // Our own number in a reply: the line is looped back, nobody is there (§6.4).
        if (packet.magic === 0 || packet.magic !== this.magic()) this.#echoReply(now, packet.id);
        return;
      case 'Identification':
        // RFC 1570 §1.1: MUST NOT affect operation; Windows sends three of them.
        this.hooks.note('lcp.identification', { text: printable(packet.message) });
        return;
      case 'Echo-Request': // answered by the automaton's ser
      case 'Discard-Request':
      case 'Time-Remaining':
        return;
    }
  }
}

/** RFC 1661 §5.6: a peer that does not know Echo-Request is asked no more. */
export const isEchoRequest = (code: number): boolean => code === CODE['Echo-Request'];
