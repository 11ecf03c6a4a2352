/** Two PPP links, one virtual clock, a wire that loses, doubles and reorders by a seeded plan. */

import { type Instant, instant, type Random } from '../../src/proto/machine.js';
import type { Granted } from '../../src/proto/ppp/auth.js';
import type { AuthRequest, AuthResult, LinkConfig, LinkOut } from '../../src/proto/ppp/events.js';
import { CLIENT_IPCP_OPTIONS, Link, type PeerConfig } from '../../src/proto/ppp/link.js';
import { ntPasswordHash, verify, verifyChapMd5, verifyPap } from '../../src/proto/ppp/mschap.js';
import { newPassword } from '../../src/proto/ppp/password-change.js';

import { describeFrame } from './ppp-text.js';

/** Deterministic octets (mulberry32). */
export function seeded(seed: number): Random {
  let a = seed >>> 0;
  const next = (): number => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) & 0xff;
  };
  return (n) => Uint8Array.from({ length: n }, next);
}

export const LEASE = '10.64.0.7';
export const GRANT: Granted = {
  ok: true,
  user: 'alice',
  address: LEASE,
  dns: ['10.64.0.53', '10.64.0.54'],
  nbns: [],
};

export const lnsConfig = (over: Partial<LinkConfig> = {}): LinkConfig => ({
  localAddress: '10.64.0.1',
  mru: 1400,
  auth: ['mschapv2', 'chap-md5', 'pap'],
  eap: ['mschapv2', 'md5'],
  name: 'lockstep',
  echoIntervalMs: 30_000,
  echoFailures: 3,
  mtuProbeIntervalMs: 0,
  setupTimeoutMs: 60_000,
  authTries: 3,
  random: seeded(1),
  ...over,
});

export const peerConfig = (over: Partial<PeerConfig> = {}): PeerConfig => ({
  role: 'peer',
  mru: 1400,
  user: 'alice',
  passwords: ['wonderland'],
  auth: ['mschapv2', 'chap-md5', 'pap'],
  lcpOptions: [
    { name: 'pfc', value: true },
    { name: 'acfc', value: true },
  ],
  ipcpOptions: CLIENT_IPCP_OPTIONS,
  echoIntervalMs: 0,
  echoFailures: 3,
  setupTimeoutMs: 60_000,
  random: seeded(2),
  ...over,
});

/** A user store of one user, as the daemon's would decide. */
export function decide(request: AuthRequest, secret = 'wonderland'): AuthResult {
  const denied: AuthResult = { ok: false, code: 691, retry: true, message: 'wrong name or password' };
  switch (request.method) {
    case 'pap':
      return verifyPap(request, secret) ? GRANT : denied;
    case 'chap-md5':
      return verifyChapMd5(request, secret) ? GRANT : denied;
    case 'mschapv2': {
      const authenticatorResponse = verify(request, ntPasswordHash(secret));
      return authenticatorResponse === undefined ? denied : { ...GRANT, authenticatorResponse };
    }
    case 'mschapv2-change': {
      const changed = newPassword(request, ntPasswordHash(secret));
      return changed === undefined ? denied : { ...GRANT, authenticatorResponse: changed.authenticatorResponse };
    }
    case 'eap':
      return denied;
  }
}

export interface Wire {
  /** Latencies at which copies arrive; none is a loss. */
  copies(): number[];
}

export const perfect: Wire = { copies: () => [5] };

/** Loses, doubles and delays (so that it reorders), each with probability `p`. */
export function lossy(seed: number, p: number): Wire {
  const random = seeded(seed);
  const chance = (): boolean => random(1)[0]! < p * 256;
  const delay = (): number => 5 + (chance() ? random(1)[0]! * 4 : 0);
  return {
    copies: () => {
      if (chance()) return [];
      return chance() ? [delay(), delay()] : [delay()];
    },
  };
}

interface Flight {
  readonly at: number;
  readonly order: number;
  readonly to: 'lns' | 'peer';
  readonly data: Uint8Array;
}

export class Pair {
  readonly lns: Link;
  readonly peer: Link;
  readonly events: { lns: LinkOut[]; peer: LinkOut[] } = { lns: [], peer: [] };
  readonly trace: string[] = [];
  now = 0;
  readonly #wire: Wire;
  readonly #store: (request: AuthRequest) => AuthResult;
  #flights: Flight[] = [];
  #order = 0;

  constructor(
    lns: LinkConfig,
    peer: PeerConfig,
    { wire = perfect, store = decide }: { wire?: Wire; store?: (r: AuthRequest) => AuthResult } = {},
  ) {
    this.lns = new Link(lns);
    this.peer = new Link(peer);
    this.#wire = wire;
    this.#store = store;
  }

  get #at(): Instant {
    return instant(this.now);
  }

  start(): this {
    for (const side of ['lns', 'peer'] as const) {
      this[side].handle(this.#at, { type: 'lower-up' });
      this.#drain(side);
    }
    return this;
  }

  /** Input to one side, with its outputs carried away. */
  tell(side: 'lns' | 'peer', input: Parameters<Link['handle']>[1]): void {
    this[side].handle(this.#at, input);
    this.#drain(side);
  }

  /** Lets time pass until `until` holds or `limit` ms are over. */
  run(until: () => boolean, limit = 600_000): boolean {
    const end = this.now + limit;
    while (!until()) {
      const next = this.#nextAt();
      if (next === undefined || next > end) {
        this.now = Math.min(end, next ?? end);
        return until();
      }
      this.now = Math.max(this.now, next);
      this.#step();
    }
    return true;
  }

  has(side: 'lns' | 'peer', type: LinkOut['type']): boolean {
    return this.events[side].some((e) => e.type === type);
  }

  find<T extends LinkOut['type']>(side: 'lns' | 'peer', type: T): Extract<LinkOut, { type: T }> | undefined {
    return this.events[side].findLast((e): e is Extract<LinkOut, { type: T }> => e.type === type);
  }

  #nextAt(): number | undefined {
    const times = [this.lns.nextTimeout(), this.peer.nextTimeout(), ...this.#flights.map((f) => f.at)];
    return times.reduce<number | undefined>(
      (m, t) => (m === undefined || (t !== undefined && t < m) ? t : m),
      undefined,
    );
  }

  #step(): void {
    const due = this.#flights.filter((f) => f.at <= this.now).sort((a, b) => a.at - b.at || a.order - b.order);
    this.#flights = this.#flights.filter((f) => f.at > this.now);
    for (const f of due) this.tell(f.to, { type: 'frame', data: f.data });
    for (const side of ['lns', 'peer'] as const) {
      this[side].handleTimeout(this.#at);
      this.#drain(side);
    }
  }

  #drain(side: 'lns' | 'peer'): void {
    for (let out = this[side].poll(); out !== undefined; out = this[side].poll()) {
      this.events[side].push(out);
      if (out.type === 'frame') this.#carry(side, out.data);
      else if (out.type !== 'note' && out.type !== 'authenticate') this.trace.push(`${side}: ${out.type}`);
      if (out.type === 'authenticate')
        this[side].handle(this.#at, { type: 'auth-result', result: this.#store(out.request) });
    }
  }

  #carry(side: 'lns' | 'peer', data: Uint8Array): void {
    const copies = this.#wire.copies();
    this.trace.push(`${side === 'lns' ? '<' : '>'} ${describeFrame(data)}${copies.length === 0 ? ' LOST' : ''}`);
    for (const latency of copies) {
      this.#flights.push({ at: this.now + latency, order: this.#order++, to: side === 'lns' ? 'peer' : 'lns', data });
    }
  }
}
