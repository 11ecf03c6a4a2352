/**
 * The answer to a client's DHCPINFORM: routes of a split tunnel, DNS suffix, name servers. It has its address by IPCP and
 * leases nothing here. RFC 2131 §3.4, §4.3.5; MS-DHCPE §3.2.5 (Windows); pppd/acsp.c (macOS, iOS).
 */
import {
  BOOTREPLY,
  BOOTREQUEST,
  DHCP_HEADER,
  type DhcpMessage,
  decodeDhcp,
  encodeDhcp,
  MESSAGE_TYPE,
} from '../../wire/dhcp/message.js';
import { DHCP, type DhcpOption, dhcpOptions } from '../../wire/dhcp/options.js';
import { writeRoutes } from '../../wire/dhcp/routes.js';
import { decodeUdp4, encodeUdp4 } from '../../wire/ip/udp4.js';
import type { OptionName, RawOption } from '../../wire/ppp/options.js';
import { type Decoded, malformed, ok } from '../../wire/result.js';

/** What the client may know. */
export interface InformFacts {
  /** The session's own, from IPCP. */
  readonly address: string;
  /** Our end's: where its routes lead, and who answers. */
  readonly gateway: string;
  readonly dns: readonly string[];
  readonly nbns: readonly string[];
  readonly domain: string | null;
  /** Networks behind the gateway, `a.b.c.d/n`. */
  readonly routes: readonly string[];
  /** Of the session, octets: the answer is one packet. */
  readonly mtu: number;
}

export interface Informed {
  /** The IP packet to send into the session. */
  readonly packet: Uint8Array;
  /** For the log. */
  readonly asks: string;
  readonly vendorClass: string | undefined;
  readonly userClass: string | undefined;
  /** Networks told. */
  readonly routes: number;
}

const SERVER_PORT = 67;
const CLIENT_PORT = 68;
/** RFC 2131 §2: what every client takes, the IP header included. */
const MAX_SIZE = 576;
const HEADERS = 28 + DHCP_HEADER; // IPv4, UDP
const END = 1;
/** A client has one neighbour, us. */
const ALONE = '255.255.255.255';

/** Whoever asks for nothing in particular is told everything (RFC 2131 §4.3.1). */
const EVERYTHING = Uint8Array.of(1, 6, 15, 44, 121, 249);

/** An IP packet to port 67; what is no DHCPINFORM of this very client has no answer, and the reason is in the value. */
export function answerInform(bytes: Uint8Array, facts: InformFacts): Decoded<Informed> {
  const datagram = decodeUdp4(bytes);
  if (!datagram.ok) return datagram;
  const { source, sourcePort, destinationPort, payload } = datagram.value;
  if (source !== facts.address || sourcePort !== CLIENT_PORT || destinationPort !== SERVER_PORT)
    return malformed(12, 'RFC 2131 §4.1', 'not from port 68 of the client’s own address');
  const message = decodeDhcp(payload);
  if (!message.ok) return message;
  const request = message.value;
  if (
    request.op !== BOOTREQUEST ||
    request.giaddr !== UNSPECIFIED ||
    dhcpOptions.find(request.options, 'messageType') !== MESSAGE_TYPE.inform
  )
    return malformed(0, 'RFC 2131 §4.3.5', 'not a DHCPINFORM of the client itself');
  if (request.ciaddr !== facts.address && request.ciaddr !== UNSPECIFIED)
    return malformed(12, 'RFC 2131 §4.4.3', 'ciaddr is not the client’s own address');
  const asked = dhcpOptions.find(request.options, 'parameters') ?? EVERYTHING;
  const options = fitting(
    optionsFor(request, asked, facts),
    roomFor(dhcpOptions.find(request.options, 'maxSize'), facts.mtu),
  );
  const reply: DhcpMessage = { ...request, op: BOOTREPLY, ciaddr: facts.address, options };
  return ok({
    // §4.3.5: unicast, whatever the broadcast flag says.
    packet: encodeUdp4({
      source: facts.gateway,
      destination: facts.address,
      sourcePort: SERVER_PORT,
      destinationPort: CLIENT_PORT,
      payload: encodeDhcp(reply),
    }),
    asks: asked.join(' '),
    vendorClass: dhcpOptions.find(request.options, 'vendorClass'),
    userClass: dhcpOptions.find(request.options, 'userClass'),
    routes: options.some(({ type }) => ROUTES.includes(type)) ? facts.routes.length : 0,
  });
}

/**
 * What the answer says, in its order: Apple wants the message type right behind the cookie, and Windows takes of 121 and 249
 * the one that comes last. Which of the two Apple reads depends on the release, not on what it asks for: who asks for one
 * gets both. No lease time (§4.3.5 MUST NOT).
 */
function optionsFor(request: DhcpMessage, asked: Uint8Array, facts: InformFacts): RawOption[] {
  const { gateway, dns, nbns, domain } = facts;
  const routes = facts.routes.map((network) => ({ network, gateway }));
  const wanted = (name: OptionName<typeof DHCP>): boolean => asked.includes(DHCP[name].type);
  const options: DhcpOption[] = [
    { name: 'messageType', value: MESSAGE_TYPE.ack },
    { name: 'serverId', value: gateway },
  ];
  if (wanted('subnetMask')) options.push({ name: 'subnetMask', value: ALONE });
  if (wanted('dns') && dns.length > 0) options.push({ name: 'dns', value: dns });
  if (wanted('domain') && domain !== null) options.push({ name: 'domain', value: domain });
  if (wanted('nbns') && nbns.length > 0) options.push({ name: 'nbns', value: nbns });
  // RFC 6842 §3 MUST: as it came. One that takes several options (RFC 3396) is left out.
  const clientId = dhcpOptions.find(request.options, 'clientId');
  if (clientId !== undefined && clientId.length <= 0xff) options.push({ name: 'clientId', value: clientId });
  if (routes.length > 0 && ROUTES.some((type) => asked.includes(type)))
    options.push({ name: 'routes', value: routes }, { name: 'microsoftRoutes', value: routes });
  return options.map((option) => dhcpOptions.encode(option));
}

/** All, or all but what can be done without: the client's own identifier, then one of the two copies of the routes. */
function fitting(options: readonly RawOption[], room: number): readonly RawOption[] {
  let left = options;
  for (const type of [DHCP.clientId.type, DHCP.routes.type, DHCP.microsoftRoutes.type]) {
    if (left.reduce((size, { data }) => size + 2 + data.length, END) <= room) break;
    left = left.filter((option) => option.type !== type);
  }
  return left;
}

const roomFor = (maxSize: number | undefined, mtu: number): number =>
  Math.min(Math.max(maxSize ?? MAX_SIZE, MAX_SIZE), mtu) - HEADERS;

/** How many octets of an option 121 or 249 these networks take. */
export const routeOctets = (networks: readonly string[]): number =>
  writeRoutes(networks.map((network) => ({ network, gateway: UNSPECIFIED }))).length;

const UNSPECIFIED = '0.0.0.0';
const ROUTES: readonly number[] = [DHCP.routes.type, DHCP.microsoftRoutes.type];
