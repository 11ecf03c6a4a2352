/**
 * The packet layer: a type octet, for some a name, for some a message. Pure. Read "Packet layer" in the strongSwan VICI
 * README first.
 */
import type { Decoded } from './errors.js';
import { Cursor, decodeMessage, encodeMessage, encodeName, malformed, type Section } from './message.js';

/** The packet table: type octet, and what follows it. Decoder, encoder and types come from here. */
export const PACKET = {
  CMD_REQUEST: { code: 0, named: true, message: true },
  CMD_RESPONSE: { code: 1, named: false, message: true },
  CMD_UNKNOWN: { code: 2, named: false, message: false },
  EVENT_REGISTER: { code: 3, named: true, message: false },
  EVENT_UNREGISTER: { code: 4, named: true, message: false },
  EVENT_CONFIRM: { code: 5, named: false, message: false },
  EVENT_UNKNOWN: { code: 6, named: false, message: false },
  EVENT: { code: 7, named: true, message: true },
} as const satisfies Record<string, { code: number; named: boolean; message: boolean }>;

export type PacketType = keyof typeof PACKET;
type PacketOf<T extends PacketType> = T extends PacketType
  ? { readonly type: T } & ((typeof PACKET)[T]['named'] extends true ? { readonly name: string } : unknown) &
      ((typeof PACKET)[T]['message'] extends true ? { readonly message: Section } : unknown)
  : never;
/** One transport segment: a discriminated union over `type`. */
export type Packet = PacketOf<PacketType>;
/** What charon sends in reply to a request; never an EVENT. */
export type Answer = PacketOf<'CMD_RESPONSE' | 'CMD_UNKNOWN' | 'EVENT_CONFIRM' | 'EVENT_UNKNOWN'>;
/** What a client sends. */
export type Request = PacketOf<'CMD_REQUEST' | 'EVENT_REGISTER' | 'EVENT_UNREGISTER'>;

const TYPES = Object.entries(PACKET) as [PacketType, (typeof PACKET)[PacketType]][];

export function decodePacket(octets: Uint8Array): Decoded<Packet> {
  const r = new Cursor(octets);
  const code = r.number(1);
  if (r.overrun) return malformed(0, 'empty packet');
  const [type, shape] = TYPES.find(([, { code: c }]) => c === code) ?? [];
  if (type === undefined || shape === undefined) return malformed(0, 'unknown packet type');
  const packet: { type: PacketType; name?: string; message?: Section } = { type };
  if (shape.named) packet.name = r.name();
  if (r.overrun) return malformed(1, 'name ends after the packet');
  const start = r.at;
  if (shape.message) {
    const message = decodeMessage(r.rest());
    if (!message.ok) return malformed(start + message.at, message.why);
    packet.message = message.value;
  }
  if (r.at < octets.length) return malformed(r.at, `octets after ${type}`);
  return { ok: true, value: packet as Packet };
}

/** Throws InvalidMessage for names and values that VICI cannot carry. */
export function encodePacket(packet: Packet): Uint8Array {
  const out: Uint8Array[] = [Uint8Array.of(PACKET[packet.type].code)];
  if ('name' in packet) out.push(encodeName(packet.name));
  if ('message' in packet) out.push(encodeMessage(packet.message));
  return Buffer.concat(out);
}
