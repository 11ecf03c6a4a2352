/** PAP packets. RFC 1334 §2. */
import { Reader, Writer } from '../reader.js';
import { type Decoded, malformed, ok } from '../result.js';

export type PapPacket =
  | {
      readonly code: 'Authenticate-Request';
      readonly id: number;
      readonly peerId: Uint8Array;
      readonly password: Uint8Array;
    }
  | { readonly code: 'Authenticate-Ack' | 'Authenticate-Nak'; readonly id: number; readonly message: Uint8Array };

export const PAP_CODE = { 'Authenticate-Request': 1, 'Authenticate-Ack': 2, 'Authenticate-Nak': 3 } as const;

const HEADER = 4;

export function decodePap(bytes: Uint8Array): Decoded<PapPacket> {
  const header = new Reader(bytes);
  const code = header.u8();
  const id = header.u8();
  const length = header.u16();
  if (header.overrun || length < HEADER || length > bytes.length) return malformed(2, 'RFC 1334 §2.2', 'Length');
  const r = new Reader(bytes.subarray(HEADER, length));
  switch (code) {
    case PAP_CODE['Authenticate-Request']: {
      const peerId = r.bytes(r.u8());
      const password = r.bytes(r.u8());
      if (r.overrun) return malformed(HEADER + r.at, 'RFC 1334 §2.2.1', 'Peer-ID or Passwd Length');
      return ok({ code: 'Authenticate-Request', id, peerId, password });
    }
    case PAP_CODE['Authenticate-Ack']:
    case PAP_CODE['Authenticate-Nak']: {
      // Some peers leave out Msg-Length when there is no message.
      const message = r.left === 0 ? new Uint8Array(0) : r.bytes(r.u8());
      if (r.overrun) return malformed(HEADER, 'RFC 1334 §2.2.2', 'Msg-Length');
      return ok({ code: code === PAP_CODE['Authenticate-Ack'] ? 'Authenticate-Ack' : 'Authenticate-Nak', id, message });
    }
    default:
      return malformed(0, 'RFC 1334 §2.2', 'Code');
  }
}

/** Strings longer than their one-octet length are cut: the caller bounds them. */
export function encodePap(packet: PapPacket): Uint8Array {
  const w = new Writer().u8(PAP_CODE[packet.code]).u8(packet.id).u16(0);
  const counted = (b: Uint8Array): void => {
    w.u8(Math.min(b.length, 255)).bytes(b.subarray(0, 255));
  };
  if (packet.code === 'Authenticate-Request') {
    counted(packet.peerId);
    counted(packet.password);
  } else {
    counted(packet.message);
  }
  return w.patch16(2, w.length).done();
}
