/**
 * DHCPv6 for one client: name servers without state, and one delegated prefix for a router. Addresses are not leased, a client
 * makes its own (RFC 4862). RFC 8415 §16, §18.3.
 */
import {
  type Association,
  DHCP6,
  type Dhcp6Message,
  type Dhcp6Option,
  decodeDhcp6,
  dhcp6Options,
  encodeDhcp6,
  MESSAGE,
  STATUS,
} from '../../wire/dhcp6/message.js';
import type { Prefix6 } from '../../wire/ip/address6.js';
import type { RawOption } from '../../wire/ppp/options.js';
import { Reader, sameBytes } from '../../wire/reader.js';
import { type Decoded, malformed, ok } from '../../wire/result.js';
import { after, type Instant } from '../machine.js';

/** Where delegated prefixes come from. */
export interface Delegation {
  acquire(): Prefix6 | undefined;
  release(prefix: Prefix6): void;
}

export interface Dhcp6Config {
  /** DHCP unique identifier, the same over restarts. */
  readonly duid: Uint8Array;
  /** 16 octets each. */
  readonly dns: readonly Uint8Array[];
  readonly domain: string | null;
  /** Absent: no prefixes are delegated. */
  readonly delegation?: Delegation;
  /** The prefix is the client's from now on; it no longer is. */
  readonly delegated: (prefix: Prefix6) => void;
  readonly withdrawn: (prefix: Prefix6) => void;
}

/* Implementation: seconds. */
const T1 = 1_800;
const T2 = 2_880;
const PREFERRED = 3_600;
const VALID = 7_200;
/** Associations of one message that are answered: a client has one prefix and no address here. */
const MAX_ASSOCIATIONS = 8;
/** An advertised prefix waits so long for its Request. */
const OFFER = 60;
/* Specification */
/** RFC 8415 §11.1: a type of 2 octets and at most 128 more. */
const MAX_DUID = 130;

/** Types with a Server Identifier that must be ours (§16.6, §16.7, §16.9); the others must have none. */
const TO_US: readonly number[] = [MESSAGE.request, MESSAGE.renew, MESSAGE.release];
const FROM_A_CLIENT: readonly number[] = [...TO_US, MESSAGE.solicit, MESSAGE.rebind, MESSAGE.informationRequest];

export class Dhcp6Server {
  readonly #config: Dhcp6Config;
  /** The one prefix this client holds or was offered. */
  #lease: { readonly iaid: number; readonly prefix: Prefix6; routed: boolean; until: Instant } | undefined;

  constructor(config: Dhcp6Config) {
    this.#config = config;
  }

  nextTimeout(): Instant | undefined {
    return this.#lease?.until;
  }

  handleTimeout(now: Instant): void {
    if (this.#lease !== undefined && now >= this.#lease.until) this.stop();
  }

  /** What is delegated is given back. */
  stop(): void {
    const lease = this.#lease;
    this.#lease = undefined;
    if (lease === undefined) return;
    if (lease.routed) this.#config.withdrawn(lease.prefix);
    this.#config.delegation?.release(lease.prefix);
  }

  /** The payload of a datagram to port 547; the reply's, or why there is none. */
  receive(now: Instant, payload: Uint8Array): Decoded<Uint8Array> {
    const decoded = decodeDhcp6(payload);
    if (!decoded.ok) return decoded;
    const { type, transaction, options } = decoded.value;
    const wrong = this.#problem(decoded.value);
    if (wrong !== undefined) return malformed(0, 'RFC 8415 §16', wrong);
    const committed = type !== MESSAGE.solicit || dhcp6Options.find(options, 'rapidCommit') !== undefined;
    const answer: Dhcp6Option[] = [];
    const clientId = dhcp6Options.find(options, 'clientId');
    if (clientId !== undefined) answer.push({ name: 'clientId', value: clientId });
    answer.push({ name: 'serverId', value: this.#config.duid });
    if (type === MESSAGE.solicit && committed) answer.push({ name: 'rapidCommit', value: new Uint8Array(0) });
    answer.push(...this.#associations(now, type, options, committed), ...this.#names(options));
    return ok(
      encodeDhcp6({
        type: committed ? MESSAGE.reply : MESSAGE.advertise,
        transaction,
        options: answer.map((option) => dhcp6Options.encode(option)),
      }),
    );
  }

  /** §16: messages that must be discarded. */
  #problem({ type, options }: Dhcp6Message): string | undefined {
    if (!FROM_A_CLIENT.includes(type)) return `message type ${type}`;
    const clientId = dhcp6Options.find(options, 'clientId');
    const serverId = dhcp6Options.find(options, 'serverId');
    if (type === MESSAGE.informationRequest) {
      if (options.some((o) => o.type === DHCP6.addresses.type || o.type === DHCP6.prefixes.type))
        return 'an association in an Information-request';
      if (serverId !== undefined && !sameBytes(serverId, this.#config.duid)) return 'for another server';
      return clientId !== undefined && clientId.length > MAX_DUID ? 'Client Identifier' : undefined;
    }
    if (clientId === undefined || clientId.length > MAX_DUID) return 'Client Identifier';
    if (!TO_US.includes(type)) return serverId === undefined ? undefined : 'a Server Identifier';
    return serverId !== undefined && sameBytes(serverId, this.#config.duid) ? undefined : 'for another server';
  }

  /** §18.3.1 to §18.3.7: one answer for each association asked about, up to a limit. */
  #associations(now: Instant, type: number, options: readonly RawOption[], commit: boolean): Dhcp6Option[] {
    const answer: Dhcp6Option[] = [];
    const asking = type === MESSAGE.solicit || type === MESSAGE.request;
    for (const option of options) {
      if (answer.length === MAX_ASSOCIATIONS) break;
      const asked = dhcp6Options.decode(option);
      if (asked.kind !== 'value') continue;
      if (asked.name === 'addresses') {
        const code = asking ? STATUS.noAddrsAvail : STATUS.noBinding;
        answer.push({ name: 'addresses', value: refusal(asked.value.iaid, code) });
      } else if (asked.name === 'prefixes') {
        const value =
          type === MESSAGE.release
            ? this.#released(asked.value.iaid)
            : this.#granted(now, asked.value.iaid, asking, commit);
        if (value !== undefined) answer.push({ name: 'prefixes', value });
      }
    }
    if (type === MESSAGE.release) answer.push({ name: 'status', value: STATUS.success });
    return answer;
  }

  #released(iaid: number): Association | undefined {
    if (this.#lease?.iaid !== iaid) return refusal(iaid, STATUS.noBinding);
    this.stop();
    return undefined;
  }

  #granted(now: Instant, iaid: number, asking: boolean, commit: boolean): Association {
    if (this.#lease === undefined && asking) {
      const prefix = this.#config.delegation?.acquire();
      if (prefix !== undefined) this.#lease = { iaid, prefix, routed: false, until: after(now, OFFER * 1_000) };
    }
    const lease = this.#lease;
    if (lease?.iaid !== iaid) return refusal(iaid, asking ? STATUS.noPrefixAvail : STATUS.noBinding);
    if (commit) {
      lease.until = after(now, VALID * 1_000);
      if (!lease.routed) this.#config.delegated(lease.prefix);
      lease.routed = true;
    }
    const prefix = { ...lease.prefix, preferred: PREFERRED, valid: VALID };
    return { iaid, t1: T1, t2: T2, options: [dhcp6Options.encode({ name: 'prefix', value: prefix })] };
  }

  /** §18.3: what is asked for; whoever asks for nothing is told all. */
  #names(options: readonly RawOption[]): Dhcp6Option[] {
    const { dns, domain } = this.#config;
    const requested = dhcp6Options.find(options, 'requested');
    const asks = (type: number): boolean => requested === undefined || u16s(requested).includes(type);
    const names: Dhcp6Option[] = [];
    if (dns.length > 0 && asks(DHCP6.dns.type)) names.push({ name: 'dns', value: dns });
    if (domain !== null && asks(DHCP6.domains.type)) names.push({ name: 'domains', value: domain });
    return names;
  }
}

const refusal = (iaid: number, code: number): Association => ({
  iaid,
  t1: 0,
  t2: 0,
  options: [dhcp6Options.encode({ name: 'status', value: code })],
});

const u16s = (data: Uint8Array): number[] => {
  const r = new Reader(data);
  return Array.from({ length: Math.floor(data.length / 2) }, () => r.u16());
};
