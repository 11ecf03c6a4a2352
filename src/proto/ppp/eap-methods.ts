/**
 * The EAP methods we have ourselves: MD5-Challenge (RFC 3748 §5.4) and EAP-MSCHAPv2 (draft-kamath-pppext-eap-mschapv2), and
 * which of them is asked for. What is sent again, and when, is `auth-eap.ts`'s.
 */
import { CHAP_CODE, decodeChap, encodeChap } from '../../wire/ppp/chap.js';
import {
  decodeMd5Value,
  EAP_TYPE,
  type EapPacket,
  eapTypeName,
  encodeEap,
  encodeMd5Value,
} from '../../wire/ppp/eap.js';
import { Reader } from '../../wire/reader.js';
import { type Malformed, malformed } from '../../wire/result.js';
import { type AuthenticatorConfig, denial, type Granted, type Tries, text } from './auth.js';
import { ChapExchange, type ChapOutcome } from './chap-exchange.js';
import type { AuthRequest, AuthResult, EapChallenge, EapMethod } from './events.js';
import { CHALLENGE_LENGTH } from './limits.js';
import type { GiveUp } from './negotiation.js';

export type EapResponse = Extract<EapPacket, { type: number }>;

/** What follows a Response, or a verdict of the user store. */
export type EapStep =
  | { readonly next: 'wait'; readonly ask: AuthRequest }
  | { readonly next: 'discard'; readonly why?: Malformed }
  /** The whole packet. */
  | { readonly next: 'request'; readonly packet: Uint8Array; readonly retransmitMs?: number; readonly note?: string }
  | { readonly next: 'granted'; readonly granted: Granted }
  | { readonly next: 'denied'; readonly why: GiveUp };

/** What decides the methods: we, or somebody else. */
export interface EapBackend {
  /** The Identity Response. */
  identity(response: EapResponse, user: string): EapStep;
  /** A Response to the last Request. */
  respond(response: EapResponse): EapStep;
  result(result: AuthResult): EapStep;
  /** What somebody else wants to ask; not there when we decide. */
  request?(challenge: EapChallenge): EapStep;
}

interface Method {
  /** Type-Data of the first Request. */
  begin(id: number): Uint8Array;
  respond(response: EapResponse): MethodStep;
  result(result: AuthResult): MethodStep;
}

type MethodStep = Exclude<EapStep, { next: 'request' }> | { next: 'request'; data: Uint8Array; note?: string };

const TYPE: Readonly<Record<EapMethod, number>> = { mschapv2: EAP_TYPE.MSCHAPv2, md5: EAP_TYPE.MD5 };

const DISCARD = { next: 'discard' } as const;

export class EapMethods implements EapBackend {
  readonly #config: AuthenticatorConfig;
  readonly #tries: Tries;
  readonly #allowed: readonly EapMethod[];
  /** Not yet refused. */
  #open: readonly EapMethod[];
  #user = '';
  #type = 0;
  #method: Method | undefined;
  /** The peer has taken part in the method: it may not Nak it any more. */
  #begun = false;
  /** Of the last Response: the Request after it has the next one (RFC 3748 §4.1). */
  #id = 0;

  constructor(allowed: readonly EapMethod[], config: AuthenticatorConfig, tries: Tries) {
    this.#config = config;
    this.#tries = tries;
    this.#allowed = allowed;
    this.#open = allowed;
  }

  identity({ id }: EapResponse, user: string): EapStep {
    this.#user = user;
    return this.#propose(id, this.#open[0]!);
  }

  respond(response: EapResponse): EapStep {
    // RFC 3748 §2.1: no Nak after a Response of the method's own type; §4.1: another type is silently discarded.
    if (response.type === EAP_TYPE.Nak) return this.#begun ? DISCARD : this.#naked(response);
    if (response.type !== this.#type) return DISCARD;
    const step = this.#method!.respond(response);
    if (step.next === 'discard') return step;
    this.#begun = true;
    this.#id = response.id;
    return this.#carried(step);
  }

  result(result: AuthResult): EapStep {
    return this.#carried(this.#method!.result(result));
  }

  #carried(step: MethodStep): EapStep {
    return step.next === 'request' && 'data' in step
      ? { ...step, packet: this.#request(step.data) }
      : (step as EapStep);
  }

  #propose(id: number, method: EapMethod): EapStep {
    this.#id = id;
    this.#type = TYPE[method];
    this.#method =
      method === 'md5' ? new Md5(this.#user, this.#config, this.#tries) : new MsChapV2(this.#config, this.#tries);
    return { next: 'request', packet: this.#request(this.#method.begin((id + 1) & 0xff)) };
  }

  #request(data: Uint8Array): Uint8Array {
    return encodeEap({ code: 'Request', id: (this.#id + 1) & 0xff, type: this.#type, data });
  }

  /** RFC 3748 §5.3.1: a list of the types the peer would rather have; 0: none. */
  #naked({ id, data }: EapResponse): EapStep {
    const wanted = [...data];
    this.#open = this.#open.filter((m) => TYPE[m] !== this.#type);
    const method = this.#open.find((m) => wanted.includes(TYPE[m]));
    return method === undefined ? { next: 'denied', why: this.#nothingInCommon(wanted) } : this.#propose(id, method);
  }

  #nothingInCommon(wanted: readonly number[]): GiveUp {
    const ours = this.#allowed.map((m) => TYPE[m]);
    const off = [...new Set(wanted)].filter((type) => type !== 0 && !ours.includes(type)).slice(0, MAX_NAMED);
    const wants = off.length === 0 ? 'none of them' : `${off.map(eapTypeName).join(' or ')}, which is off`;
    return {
      by: 'auth',
      reason: 'no EAP method in common',
      hint: `within EAP the client wants ${wants}; allowed here: ${ours.map(eapTypeName).join(', ')}`,
    };
  }
}

const MAX_NAMED = 4;

class Md5 implements Method {
  readonly #user: string;
  readonly #config: AuthenticatorConfig;
  readonly #tries: Tries;
  readonly #challenge: Uint8Array;

  constructor(user: string, config: AuthenticatorConfig, tries: Tries) {
    this.#user = user;
    this.#config = config;
    this.#tries = tries;
    this.#challenge = config.random(CHALLENGE_LENGTH);
  }

  begin(): Uint8Array {
    return encodeMd5Value({ value: this.#challenge, name: Buffer.from(this.#config.name, 'utf8') });
  }

  /** The user is who the Identity says; a peer that told nothing there is asked by the Name here. */
  respond({ id, data }: EapResponse): MethodStep {
    const decoded = decodeMd5Value(data);
    if (!decoded.ok) return { next: 'discard', why: decoded };
    const { value, name } = decoded.value;
    if (value.length !== 16) return { next: 'discard', why: malformed(5, 'RFC 3748 §5.4', 'MD5 Value-Size') };
    const user = this.#user === '' ? text(name) : this.#user;
    this.#tries.passwords += 1;
    return {
      next: 'wait',
      ask: { method: 'chap-md5', user, id, challenge: this.#challenge, response: value.slice() },
    };
  }

  result(result: AuthResult): MethodStep {
    return result.ok ? { next: 'granted', granted: result } : { next: 'denied', why: denial(result) };
  }
}

/** CHAP packets in Type-Data; the user is whom the Response names, for that name is in its hash. */
class MsChapV2 implements Method {
  readonly #exchange: ChapExchange;
  #id = 0;
  #outcome: ChapOutcome | undefined;

  constructor(config: AuthenticatorConfig, tries: Tries) {
    this.#exchange = new ChapExchange('mschapv2', config, tries);
  }

  begin(id: number): Uint8Array {
    return encodeChap(this.#exchange.challenge(id));
  }

  respond({ data }: EapResponse): MethodStep {
    const opCode = new Reader(data).u8();
    if (this.#outcome !== undefined && (opCode === CHAP_CODE.Success || opCode === CHAP_CODE.Failure))
      return this.#acknowledged(opCode === CHAP_CODE.Success, this.#outcome);
    const packet = decodeChap(data);
    if (!packet.ok) return { next: 'discard', why: packet };
    if (packet.value.code !== this.#expected() || 'message' in packet.value) return DISCARD;
    const request = this.#exchange.request(packet.value);
    if (!request.ok) return { next: 'discard', why: request };
    this.#id = packet.value.id;
    return { next: 'wait', ask: request.value };
  }

  /** What may come but an OpCode alone. */
  #expected(): 'Response' | 'Change-Password' | undefined {
    switch (this.#outcome?.next) {
      case undefined:
      case 'retry':
        return 'Response';
      case 'change':
        return 'Change-Password';
      default:
        return undefined;
    }
  }

  /** The peer has read our reply: it is satisfied, or tries no more. */
  #acknowledged(satisfied: boolean, { granted, why }: ChapOutcome): MethodStep {
    if (granted === undefined) return satisfied ? DISCARD : { next: 'denied', why };
    return satisfied ? { next: 'granted', granted } : { next: 'denied', why };
  }

  result(result: AuthResult): MethodStep {
    this.#outcome = this.#exchange.outcome(this.#id, result);
    const { reply, note } = this.#outcome;
    return { next: 'request', data: encodeChap(reply), ...(note === undefined ? {} : { note }) };
  }
}
