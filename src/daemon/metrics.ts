/**
 * What Prometheus is told. Counts come from the log's events and from what is asked at each scrape; label values are of fixed
 * sets, never a user's name or address, so the number of series is bounded.
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { ADVICE, type Cause } from './advice.js';

/** What is true at the moment of a scrape. */
export interface Snapshot {
  readonly listening: boolean;
  readonly draining: boolean;
  readonly sas: number;
  readonly tunnels: number;
  readonly sessions: { readonly setup: number; readonly up: number };
  readonly pool: { readonly size: number; readonly leased: number };
  /** Of the sessions that live. */
  readonly octets: { readonly in: number; readonly out: number };
  /** Of no session, by reason. */
  readonly drops: Readonly<Record<string, number>>;
  /** Of the sessions that live, by reason. */
  readonly sessionDrops: Readonly<Record<string, number>>;
  /** Control messages without effect, by reason. */
  readonly controlDrops: Readonly<Record<string, number>>;
  /** Control packets that wait for the mark of their SA to be confirmed. */
  readonly controlHeld: number;
}

/** Events of the log that are steps of a set-up. */
const STEPS: Readonly<Record<string, string>> = {
  'ike.child-up': 'esp',
  'tunnel.up': 'l2tp',
  'session.lcp': 'lcp',
  'session.auth': 'auth',
  'auth.ok': 'ipcp',
  'session.up': 'up',
};

export class Metrics {
  readonly #registry = new Registry();
  readonly #ask: () => Snapshot;
  #snapshot: Snapshot | undefined;
  readonly #steps: Counter<'stage'>;
  readonly #failures: Counter<'cause'>;
  readonly #ends: Counter<'cause'>;
  readonly #upcalls: Counter;
  readonly #informed: Counter;
  /** Of sessions that ended. */
  readonly #past = { in: 0, out: 0, drops: new Map<string, number>() };

  constructor(look: () => Snapshot) {
    this.#ask = look;
    const registers = [this.#registry];
    const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
      new Counter({ name, help, labelNames, registers });
    this.#steps = counter('lockstep_setup_stage_total', 'Attempts that reached a stage of the set-up', ['stage']);
    this.#failures = counter('lockstep_failures_total', 'Attempts and sessions that failed, by cause', ['cause']);
    this.#ends = counter('lockstep_sessions_ended_total', 'Sessions that ended, by cause', ['cause']);
    this.#upcalls = counter('lockstep_upcalls_total', 'Packets handed to the control plane', []);
    this.#informed = counter('lockstep_dhcp_informed_total', 'DHCPINFORMs of clients that were answered', []);
    for (const stage of Object.values(STEPS)) this.#steps.inc({ stage }, 0);
    this.#gauges();
    this.#totals();
    // Event-loop lag, memory, CPU and garbage collection of the process.
    collectDefaultMetrics({ register: this.#registry });
  }

  /** An event of the log. */
  event(event: string, fields: Readonly<Record<string, unknown>>): void {
    const stage = STEPS[event];
    if (stage !== undefined) this.#steps.inc({ stage });
    if (event === 'ike.no-l2tp') this.#failures.inc({ cause: 'no-l2tp' });
    if (event === 'dhcp.informed') this.#informed.inc();
    if (event === 'session.end') this.#ended(fields);
  }

  /** charon gave up on a client. */
  ikeFailed(cause: Cause): void {
    this.#failures.inc({ cause });
  }

  /** A batch from the packet thread. */
  upcalls(count: number): void {
    this.#upcalls.inc(count);
  }

  /** In Prometheus' text format. */
  text(): Promise<string> {
    this.#snapshot = this.#ask();
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  get names(): string[] {
    return this.#registry.getMetricsAsArray().map((m) => m.name);
  }

  /** The same for every metric of a scrape. */
  #now(): Snapshot {
    this.#snapshot ??= this.#ask();
    return this.#snapshot;
  }

  #ended({ cause, octetsIn, octetsOut, drops }: Readonly<Record<string, unknown>>): void {
    const known = typeof cause === 'string' && Object.hasOwn(ADVICE, cause) ? (cause as Cause) : 'protocol-error';
    this.#ends.inc({ cause: known });
    if (ADVICE[known].shows.length > 0 || known === 'vanished') this.#failures.inc({ cause: known });
    this.#past.in += Number(octetsIn ?? 0);
    this.#past.out += Number(octetsOut ?? 0);
    for (const [why, n] of Object.entries((drops as object | undefined) ?? {}))
      this.#past.drops.set(why, (this.#past.drops.get(why) ?? 0) + Number(n));
  }

  /** One value, or one per label value, as of now. */
  #gauge<L extends string>(
    name: string,
    help: string,
    label: L | undefined,
    values: (s: Snapshot) => Record<string, number>,
  ): void {
    const look = () => this.#now();
    new Gauge<string>({
      name,
      help,
      labelNames: label === undefined ? [] : [label],
      registers: [this.#registry],
      collect() {
        for (const [key, value] of Object.entries(values(look()))) {
          if (label === undefined) this.set(value);
          else this.set({ [label]: key }, value);
        }
      },
    });
  }

  #gauges(): void {
    const one = (name: string, help: string, value: (s: Snapshot) => number) =>
      this.#gauge(name, help, undefined, (s) => ({ value: value(s) }));
    one('lockstep_listening', '1 while UDP 1701 is open inside its policies', (s) => Number(s.listening));
    one('lockstep_draining', '1 while nobody new is let in', (s) => Number(s.draining));
    one('lockstep_sas', 'Clients with an ESP SA', (s) => s.sas);
    one('lockstep_tunnels', 'L2TP tunnels', (s) => s.tunnels);
    one('lockstep_pool_addresses', 'Addresses of the pool', (s) => s.pool.size);
    one('lockstep_pool_leased', 'Addresses of the pool that are leased', (s) => s.pool.leased);
    one('lockstep_control_held', 'Control packets that wait for their SA to be confirmed', (s) => s.controlHeld);
    this.#gauge('lockstep_sessions', 'Sessions', 'state', (s) => s.sessions);
  }

  /** Counters of the packet thread: what lives now, and what the ended sessions had. */
  #totals(): void {
    const look = () => this.#now();
    const past = this.#past;
    new Counter<'direction'>({
      name: 'lockstep_octets_total',
      help: 'Octets of inner IP packets; in is from the clients',
      labelNames: ['direction'],
      registers: [this.#registry],
      collect() {
        const { octets } = look();
        this.reset();
        this.inc({ direction: 'in' }, octets.in + past.in);
        this.inc({ direction: 'out' }, octets.out + past.out);
      },
    });
    new Counter<'scope' | 'reason'>({
      name: 'lockstep_dropped_packets_total',
      help: 'Packets dropped, of a session, of none, or control messages, by reason',
      labelNames: ['scope', 'reason'],
      registers: [this.#registry],
      collect() {
        const { drops, sessionDrops, controlDrops } = look();
        this.reset();
        for (const [reason, n] of Object.entries(controlDrops)) this.inc({ scope: 'control', reason }, n);
        for (const [reason, n] of Object.entries(drops)) this.inc({ scope: 'none', reason }, n);
        for (const [reason, n] of past.drops) this.inc({ scope: 'session', reason }, n);
        for (const [reason, n] of Object.entries(sessionDrops)) this.inc({ scope: 'session', reason }, n);
      },
    });
  }
}
