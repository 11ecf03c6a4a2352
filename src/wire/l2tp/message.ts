/** Control messages: which AVPs each must and may carry, and what a bad one does. RFC 2661 §6, §4.1, §7.1. */
import { Writer } from '../reader.js';
import { type Malformed, malformed, type Reaction } from '../result.js';
import {
  AVP,
  type AvpFrame,
  type AvpKey,
  type Avps,
  type AvpValue,
  readAvpFrames,
  recognizeAvps,
  writeAvps,
} from './avp.js';
import { ErrorCode } from './codes.js';

interface MessageSpec {
  readonly type: number;
  /** What a malformed one clears: its session or its tunnel (§4.1). */
  readonly scope: 'tunnel' | 'session';
  readonly required: readonly AvpKey[];
  readonly optional: readonly AvpKey[];
  /** Obeyed whatever its AVPs are worth: answering a goodbye with an error helps nobody. */
  readonly farewell?: true;
  readonly ref: string;
}

/** One row per message. Message Type is first in all, Random Vector may be in all (§4.4.1): neither is listed. */
export const MESSAGE = {
  SCCRQ: {
    type: 1,
    scope: 'tunnel',
    required: ['protocolVersion', 'hostName', 'framingCapabilities', 'assignedTunnelId'],
    optional: ['bearerCapabilities', 'receiveWindowSize', 'challenge', 'tieBreaker', 'firmwareRevision', 'vendorName'],
    ref: 'RFC 2661 §6.1',
  },
  SCCRP: {
    type: 2,
    scope: 'tunnel',
    required: ['protocolVersion', 'framingCapabilities', 'hostName', 'assignedTunnelId'],
    optional: [
      'bearerCapabilities',
      'firmwareRevision',
      'vendorName',
      'receiveWindowSize',
      'challenge',
      'challengeResponse',
    ],
    ref: 'RFC 2661 §6.2',
  },
  SCCCN: { type: 3, scope: 'tunnel', required: [], optional: ['challengeResponse'], ref: 'RFC 2661 §6.3' },
  // §6.4 and §6.12 demand these AVPs; we do without, see `farewell`.
  StopCCN: {
    type: 4,
    scope: 'tunnel',
    required: [],
    optional: ['assignedTunnelId', 'resultCode'],
    farewell: true,
    ref: 'RFC 2661 §6.4',
  },
  HELLO: { type: 6, scope: 'tunnel', required: [], optional: [], ref: 'RFC 2661 §6.5' },
  OCRQ: {
    type: 7,
    scope: 'session',
    required: [
      'assignedSessionId',
      'callSerialNumber',
      'minimumBps',
      'maximumBps',
      'bearerType',
      'framingType',
      'calledNumber',
    ],
    optional: ['subAddress'],
    ref: 'RFC 2661 §6.9',
  },
  OCRP: {
    type: 8,
    scope: 'session',
    required: ['assignedSessionId'],
    optional: ['physicalChannelId'],
    ref: 'RFC 2661 §6.10',
  },
  OCCN: {
    type: 9,
    scope: 'session',
    required: ['txConnectSpeed', 'framingType'],
    optional: ['rxConnectSpeed', 'sequencingRequired'],
    ref: 'RFC 2661 §6.11',
  },
  ICRQ: {
    type: 10,
    scope: 'session',
    required: ['assignedSessionId', 'callSerialNumber'],
    optional: ['bearerType', 'physicalChannelId', 'callingNumber', 'calledNumber', 'subAddress', 'msCorrelationId'],
    ref: 'RFC 2661 §6.6',
  },
  ICRP: { type: 11, scope: 'session', required: ['assignedSessionId'], optional: [], ref: 'RFC 2661 §6.7' },
  // §6.8 demands both speeds' base, (Tx) Connect Speed; Huawei routers leave it out (xl2tpd#201).
  ICCN: {
    type: 12,
    scope: 'session',
    required: ['framingType'],
    optional: [
      'txConnectSpeed',
      'initialReceivedConfReq',
      'lastSentConfReq',
      'lastReceivedConfReq',
      'proxyAuthenType',
      'proxyAuthenName',
      'proxyAuthenChallenge',
      'proxyAuthenId',
      'proxyAuthenResponse',
      'privateGroupId',
      'rxConnectSpeed',
      'sequencingRequired',
    ],
    ref: 'RFC 2661 §6.8',
  },
  CDN: {
    type: 14,
    scope: 'session',
    required: [],
    optional: ['resultCode', 'assignedSessionId', 'q931Cause', 'pppDisconnectCause'],
    farewell: true,
    ref: 'RFC 2661 §6.12',
  },
  WEN: { type: 15, scope: 'session', required: ['callErrors'], optional: [], ref: 'RFC 2661 §6.13' },
  SLI: { type: 16, scope: 'session', required: ['accm'], optional: [], ref: 'RFC 2661 §6.14' },
} as const satisfies Record<string, MessageSpec>;

export type MessageName = keyof typeof MESSAGE;
type Required<T extends MessageName> = (typeof MESSAGE)[T]['required'][number];
type Optional<T extends MessageName> = (typeof MESSAGE)[T]['optional'][number] | 'randomVector';

/** The AVPs of a message after its Message Type. */
export type AvpsOf<T extends MessageName> = { readonly [K in Required<T>]: AvpValue<K> } & {
  readonly [K in Optional<T>]?: AvpValue<K>;
};
export type MessageOf<T extends MessageName> = T extends MessageName
  ? { readonly type: T; readonly avps: AvpsOf<T> }
  : never;
export type ControlMessage = MessageOf<MessageName>;

/** A message that must not be processed, with what is needed to answer it. */
export interface BadMessage extends Malformed {
  /** General Error Code for the CDN or StopCCN (§4.4.2). */
  readonly error: number;
  readonly type?: MessageName;
  /** What could be read before it went wrong. */
  readonly avps: Avps;
}

export type DecodedMessage =
  | {
      readonly ok: true;
      readonly value: ControlMessage /** Problems without consequence, for the log. */;
      readonly ignored: readonly string[];
    }
  | BadMessage;

const BY_TYPE: ReadonlyMap<number, MessageName> = new Map(
  (Object.entries(MESSAGE) as [MessageName, MessageSpec][]).map(([name, s]) => [s.type, name]),
);

/** Decodes a control message's body (not a ZLB's, which is empty). `secret` unhides AVPs (§4.3). */
export function decodeMessage(body: Uint8Array, secret?: Uint8Array): DecodedMessage {
  const { frames, bad } = readAvpFrames(body);
  const avps: Record<string, unknown> = {};
  const first = messageType(frames);
  if (!first.ok) return first;
  const { name } = first;
  const spec: MessageSpec = MESSAGE[name];
  const allowed = new Set<AvpKey>([...spec.required, ...spec.optional, 'randomVector']);
  const ignored: string[] = [];
  const fail = (at: number, ref: string, why: string, error: number): BadMessage => ({
    ...malformed(at, ref, `${name}: ${why}`, spec.scope === 'tunnel' ? 'clear-tunnel' : 'clear-session'),
    error,
    type: name,
    avps,
  });

  let failure: BadMessage | undefined;
  for (const avp of recognizeAvps(frames.slice(1), secret)) {
    if (avp.problem) {
      // §4.1, §7.1 MUST: the M bit decides between clearing and ignoring.
      if (avp.frame.M) failure ??= fail(avp.frame.at, avp.problem.ref, avp.problem.why, avp.problem.error);
      ignored.push(avp.problem.why);
    } else if (!allowed.has(avp.key)) ignored.push(`${AVP[avp.key].name}: not of this message`);
    else if (avp.key in avps) ignored.push(`${AVP[avp.key].name}: repeated`);
    else avps[avp.key] = avp.value;
  }
  if (bad !== undefined) {
    const why = 'AVP Length beyond the message or below 6';
    failure ??= fail(bad, 'RFC 2661 §4.1', why, ErrorCode.length);
    ignored.push(why);
  }
  const missing = spec.required.find((key) => !(key in avps));
  if (missing) failure ??= fail(body.length, spec.ref, `${AVP[missing].name} missing`, ErrorCode.value);
  if (failure && !spec.farewell) return failure;
  return { ok: true, value: { type: name, avps } as unknown as ControlMessage, ignored };
}

/** §4.4.1 MUST: the Message Type AVP is first; an unknown type clears the tunnel only with its M bit set. */
function messageType(frames: readonly AvpFrame[]): { readonly ok: true; readonly name: MessageName } | BadMessage {
  const bad = (why: string, error: number, reaction: Reaction): BadMessage => ({
    ...malformed(0, 'RFC 2661 §4.4.1', why, reaction),
    error,
    avps: {},
  });
  const frame = frames[0];
  const [avp] = recognizeAvps(frames.slice(0, 1));
  if (!frame || !avp || avp.problem || avp.key !== 'messageType') {
    return bad('Message Type is not the first AVP', ErrorCode.value, 'clear-tunnel');
  }
  const type = avp.value as AvpValue<'messageType'>;
  const name = BY_TYPE.get(type);
  if (!name) return bad(`unknown Message Type ${type}`, ErrorCode.value, frame.M ? 'clear-tunnel' : 'drop');
  return { ok: true, name };
}

/** A control message's body: Message Type first, then `avps` in the order of their keys. */
export function encodeMessage(message: ControlMessage): Uint8Array {
  const w = new Writer();
  writeAvps(w, { messageType: MESSAGE[message.type].type, ...message.avps });
  return w.done();
}
