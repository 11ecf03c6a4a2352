/** Packets of a capture in test/captures (pcap, or pcapng with what its tests need), down to UDP. */
import { readFileSync } from 'node:fs';

export interface Captured {
  /** The link layer's frame. */
  readonly data: Uint8Array;
  /** From the network header on, without Ethernet. */
  readonly network: Uint8Array;
  readonly udp?: { readonly from: number; readonly to: number; readonly payload: Uint8Array };
}

export interface Capture {
  /** LINKTYPE: 1 Ethernet, 50 PPP_SERIAL. */
  readonly linkType: number;
  readonly packets: readonly Captured[];
}

const root = new URL('../../../test/captures/', import.meta.url);
const ETHERNET = 1;
const PCAPNG = 0x0a0d0d0a;

export function capture(file: string): Capture {
  const bytes = readFileSync(new URL(file, root));
  const { linkType, frames } = bytes.readUInt32LE(0) === PCAPNG ? pcapng(bytes) : pcap(bytes);
  return { linkType, packets: frames.map((data) => dissect(linkType, data)) };
}

function pcap(bytes: Buffer): { linkType: number; frames: Buffer[] } {
  const little = bytes[0] === 0xd4;
  const u32 = (at: number) => (little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  const frames: Buffer[] = [];
  for (let at = 24; at + 16 <= bytes.length; at += 16 + u32(at + 8))
    frames.push(bytes.subarray(at + 16, at + 16 + u32(at + 8)));
  // What is above 16 bits says how long an FCS is.
  return { linkType: u32(20) & 0xffff, frames };
}

/** Interface and Enhanced Packet Blocks, little endian. */
function pcapng(bytes: Buffer): { linkType: number; frames: Buffer[] } {
  const frames: Buffer[] = [];
  let linkType = 0;
  for (let at = 0; at + 12 <= bytes.length; at += bytes.readUInt32LE(at + 4)) {
    const type = bytes.readUInt32LE(at);
    if (type === 1) linkType = bytes.readUInt16LE(at + 8);
    if (type === 6) frames.push(bytes.subarray(at + 28, at + 28 + bytes.readUInt32LE(at + 20)));
  }
  return { linkType, frames };
}

function dissect(linkType: number, data: Buffer): Captured {
  let network = data;
  if (linkType === ETHERNET && data.length >= 20) {
    let at = 12;
    while (data.readUInt16BE(at) === 0x8100) at += 4;
    network = data.subarray(at + 2);
  }
  const header = (network[0]! & 15) * 4;
  if (network.length < 20 || network[0]! >> 4 !== 4 || network[9] !== 17 || network.length < header + 8)
    return { data, network };
  const udp = network.subarray(header);
  const end = Math.min(udp.length, udp.readUInt16BE(4));
  return { data, network, udp: { from: udp.readUInt16BE(0), to: udp.readUInt16BE(2), payload: udp.subarray(8, end) } };
}
