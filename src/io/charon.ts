/**
 * charon behind IkeMonitor, over VICI: events, the policy, termination. Decides nothing. Read strongSwan's VICI README
 * and ports.ts first.
 */
import { Client, CommandFailed, type EventUnknown, type Section, type Session } from 'vici-client';
import type { IkeEvent, IkeMonitor, IkePolicy, IkeSa } from './ports.js';
import { EVENTS, type EventName, ikeEvent, listedSas } from './vici-sa.js';

/** charon takes an SA's lock for each one it lists. */
const LIST_TIMEOUT_MS = 60_000;
/** A reload or a stop waits for each command of a policy: here the wait behind other commands counts. */
const POLICY_TIMEOUT_MS = 10_000;
/** charon is on this machine and its return is waited for. */
const BACKOFF = { firstMs: 50, maxMs: 1_000 };

export interface CharonMonitorOptions {
  /** `unix:///path`, or a path. */
  readonly endpoint: string;
  /** Limit in ms of a command of loadPolicy() and changePolicy(); 10 000. */
  readonly policyTimeoutMs?: number;
  /** Called when a connection attempt failed; for the log. */
  readonly onRetry?: (why: unknown, delayMs: number) => void;
  /** A message charon should not have sent; for the log. */
  readonly onOddity?: (what: string) => void;
}

export class CharonMonitor implements IkeMonitor {
  readonly #options: CharonMonitorOptions;
  #listener: (event: IkeEvent) => void = () => {};
  #client: Client | undefined;
  #policy: IkePolicy | undefined;
  /** What charon has: its connections as they were sent, and the policy whose certificates and keys it holds. */
  readonly #loaded = new Map<string, string>();
  #credentials: IkePolicy | undefined;
  /** Events that arrive between the registrations and the snapshot; undefined once it was delivered. */
  #early: IkeEvent[] | undefined;
  /** By IKE SA: asked of charon and not answered. Bounds what waits for it, which a second request for one SA joins. */
  readonly #terminating = new Map<string, Promise<void>>();
  #snapshot: readonly IkeSa[] = [];

  constructor(options: CharonMonitorOptions) {
    this.#options = options;
  }

  onEvent(listener: (event: IkeEvent) => void): void {
    this.#listener = listener;
  }

  start(): void {
    if (this.#client) return;
    this.#early = [];
    const receive = (name: EventName) => (message: Section) => this.#receive(name, message);
    this.#client = new Client({
      endpoint: this.#options.endpoint,
      backoff: BACKOFF,
      events: Object.fromEntries((Object.keys(EVENTS) as EventName[]).map((name) => [name, receive(name)])),
      onEventUnknown: (why) => this.#lacks(why),
      resync: async (session) => {
        this.#early = [];
        this.#snapshot = await sas(session);
      },
      onConnected: () => this.#connected(),
      onLost: () => {
        this.#early = [];
        this.#listener({ type: 'lost' });
      },
      onRetry: (why, delayMs) => this.#options.onRetry?.(why, delayMs),
    });
  }

  async loadPolicy(policy: IkePolicy): Promise<void> {
    this.#loaded.clear();
    this.#credentials = undefined;
    await this.changePolicy(policy);
  }

  /** Secrets are loaded each time: of those that fit a peer equally well charon takes the one it was given first. */
  async changePolicy(policy: IkePolicy): Promise<void> {
    if (this.#credentials === undefined || !sameCredentials(policy, this.#credentials))
      await this.#loadCredentials(policy);
    for (const { id, owners, secret } of policy.secrets) {
      const request = { id, type: 'IKE', data: secret.reveal(), ...(owners.length === 0 ? {} : { owners }) };
      await this.#ask('load-shared', request, `the pre-shared key ${id}`);
    }
    for (const [name, connection] of Object.entries(policy.connections)) {
      const text = JSON.stringify(connection);
      if (this.#loaded.get(name) === text) continue;
      await this.#ask('load-conn', { [name]: connection }, `the connection ${name}`);
      this.#loaded.set(name, text);
    }
    await this.#unloadOthers(policy);
    this.#policy = policy;
  }

  /** charon forgets certificates only all at once; the secrets that go with them are loaded next. */
  async #loadCredentials(policy: IkePolicy): Promise<void> {
    this.#credentials = undefined;
    await this.#ask('clear-creds', {}, 'to forget its credentials');
    for (const { type, flag, data } of policy.certificates)
      await this.#ask('load-cert', { type, flag, data }, type === 'X509' ? 'a certificate' : 'a revocation list');
    for (const key of policy.keys) await this.#ask('load-key', { type: 'any', data: key.reveal() }, 'a private key');
    this.#credentials = policy;
  }

  async policiesConfirmed(): Promise<boolean> {
    if (!this.#policy) return false;
    const events = await this.#connection.list('list-policies', { drop: 'yes' }, { timeoutMs: LIST_TIMEOUT_MS });
    const found = new Set<string | undefined>();
    for (const [, p] of events.flatMap((event) => event.sections())) {
      const l2tp = p.list('local-ts')?.every((ts) => /\[udp\/(l2f|1701)\]$/.test(ts)) ?? false;
      if (p.text('mode') === 'DROP' && l2tp) found.add(p.text('child'));
    }
    return this.#policy.shunts.every((s) => found.has(s.name));
  }

  terminate(ikeUniqueId: string): Promise<void> {
    const asked = this.#terminating.get(ikeUniqueId);
    if (asked) return asked;
    const answered = this.#terminate(ikeUniqueId).finally(() => this.#terminating.delete(ikeUniqueId));
    this.#terminating.set(ikeUniqueId, answered);
    return answered;
  }

  /** charon looks through all SAs for each. Of thousands that end together the last wait long; a limit begins when one is sent. */
  async #terminate(ikeUniqueId: string): Promise<void> {
    try {
      // timeout -1: charon answers when it has queued the deletion; its events say when it is done.
      await this.#connection.request('terminate', { 'ike-id': ikeUniqueId, timeout: '-1' });
    } catch (error) {
      if (error instanceof CommandFailed && error.response.text('matches') === '0') return;
      throw error;
    }
  }

  listSas(): Promise<readonly IkeSa[]> {
    return sas(this.#connection);
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#listener = () => {};
    await client?.close();
  }

  get #connection(): Client {
    if (!this.#client) throw new Error('CharonMonitor: not started');
    return this.#client;
  }

  #receive(name: EventName, message: Section): void {
    const event = ikeEvent(name, message.toStrings(), Date.now());
    if (!event) this.#options.onOddity?.(`charon sent a ${name} event without the SA it is about`);
    else if (this.#early) this.#early.push(event);
    else this.#listener(event);
  }

  /**
   * What happened while charon listed its SAs comes after the list: an SA that is in both is told twice, one that went
   * away meanwhile still goes.
   */
  #connected(): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    const [first, snapshot] = [{ type: 'connected' } as const, { type: 'snapshot', sas: this.#snapshot } as const];
    this.#snapshot = [];
    for (const event of [first, snapshot, ...early]) this.#listener(event);
  }

  #lacks(why: EventUnknown): void {
    const known = EVENTS[why.event as EventName];
    if (known && !known.optional) throw why;
    this.#options.onOddity?.(`this charon has no ${why.event} event: upgrade to strongSwan 5.9.8 or later`);
  }

  async #ask(command: string, request: Parameters<Client['request']>[1], what: string): Promise<void> {
    try {
      await this.#request(command, request);
    } catch (error) {
      if (!(error instanceof CommandFailed)) throw error;
      throw new Error(`charon refused ${what}: ${error.errmsg}`);
    }
  }

  #request(command: string, request?: Parameters<Client['request']>[1]): Promise<Section> {
    const signal = AbortSignal.timeout(this.#options.policyTimeoutMs ?? POLICY_TIMEOUT_MS);
    return this.#connection.request(command, request, { signal, timeoutMs: Number.POSITIVE_INFINITY });
  }

  /** It is our private charon: what an earlier configuration left in it must not go on working. */
  async #unloadOthers(policy: IkePolicy): Promise<void> {
    const ids = new Set(policy.secrets.map((s) => s.id));
    const keys = await this.#request('get-shared');
    for (const id of keys.list('keys') ?? [])
      if (!ids.has(id)) await this.#ask('unload-shared', { id }, `to forget the pre-shared key ${id}`);
    const conns = await this.#request('get-conns');
    for (const name of conns.list('conns') ?? []) {
      if (name in policy.connections) continue;
      await this.#ask('unload-conn', { name }, `to forget the connection ${name}`);
      this.#loaded.delete(name);
    }
  }
}

const sameCredentials = (a: IkePolicy, b: IkePolicy): boolean => fingerprint(a) === fingerprint(b);
const fingerprint = ({ certificates, keys }: IkePolicy): string =>
  JSON.stringify([certificates, keys.map((key) => key.reveal())]);

async function sas(commands: Pick<Session, 'list'>): Promise<IkeSa[]> {
  const events = await commands.list('list-sas', {}, { timeoutMs: LIST_TIMEOUT_MS });
  const at = Date.now();
  return events.flatMap((event) => listedSas(event.toStrings(), at));
}
