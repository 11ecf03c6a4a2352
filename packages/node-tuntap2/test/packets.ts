// The few packets the tests need, by hand: RFC 791 (IPv4), RFC 768 (UDP), RFC 792 (ICMP echo), RFC 826 (ARP).

export const HOST = '10.9.0.1';
export const PEER = '10.9.0.2';
export const PORT = 7000;
export const VNET_HEADER = 10;

/** RFC 1071. */
export function checksum(octets: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < octets.length; i += 2) sum += (octets[i]! << 8) | (octets[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export const octets = (address: string): number[] => address.split('.').map(Number);

export function ipv4(protocol: number, from: string, to: string, body: Uint8Array): Buffer {
  const head = Buffer.alloc(20);
  head[0] = 0x45;
  head.writeUInt16BE(20 + body.length, 2);
  head[8] = 64;
  head[9] = protocol;
  head.set(octets(from), 12);
  head.set(octets(to), 16);
  head.writeUInt16BE(checksum(head), 10);
  return Buffer.concat([head, body]);
}

/** RFC 768: checksum 0 = not computed. */
export function udp(from: string, to: string, payload: string, port = PORT): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt16BE(port, 0);
  head.writeUInt16BE(port, 2);
  head.writeUInt16BE(8 + Buffer.byteLength(payload), 4);
  return ipv4(17, from, to, Buffer.concat([head, Buffer.from(payload)]));
}

/** The payload of an IPv4 UDP packet to PORT; the kernel's own chatter (MLD, router solicitation) gives undefined. */
export function udpPayload(packet: Uint8Array): string | undefined {
  const view = Buffer.from(packet.buffer, packet.byteOffset, packet.byteLength);
  if (view.length < 28 || view[0] !== 0x45 || view[9] !== 17 || view.readUInt16BE(22) !== PORT) return undefined;
  return view.toString('utf8', 28, 20 + view.readUInt16BE(24));
}

/** ICMP type 8 (echo request) or 0 (reply). */
export function icmpEcho(type: number, from: string, to: string, id: number, data: string): Buffer {
  const body = Buffer.concat([Buffer.from([type, 0, 0, 0, id >> 8, id & 0xff, 0, 1]), Buffer.from(data)]);
  body.writeUInt16BE(checksum(body), 2);
  return ipv4(1, from, to, body);
}
