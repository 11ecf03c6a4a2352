/**
 * Fuzz target: an LNS endpoint fed with changed copies of the golden messages, in sequence and out of it.
 * `node dist/test/fuzz/l2tp.js [runs] [seed]`; the seed of a failing run is printed, and runs are repeatable.
 */
import { pathToFileURL } from 'node:url';
import { defaultLimits, endpointConfig } from '../../src/proto/l2tp/config.js';
import { Endpoint } from '../../src/proto/l2tp/endpoint.js';
import type { EndpointOut, Path } from '../../src/proto/l2tp/events.js';
import { instant } from '../../src/proto/machine.js';
import { decodePacket, encodeControl } from '../../src/wire/l2tp/header.js';
import { decodeMessage } from '../../src/wire/l2tp/message.js';
import { seeded, seededRandom } from '../lib/pair.js';
import { octets, vectors } from '../lib/vectors.js';

const CORPUS = ['rfc2661-message.txt', 'l2tp-clients.txt', 'l2tp-captures.txt']
  .flatMap(vectors)
  .map((v) => octets(v, 'decode'));
const path: Path = { mark: 1, local: '192.0.2.1', remote: '192.0.2.2', remotePort: 1701 };
const LIMITS = { ...defaultLimits, maxTunnels: 50, maxHalfOpenPerAddress: 20, maxSessionsPerTunnel: 20 };

/** One run: `steps` packets and pauses at one endpoint. Throws when the endpoint throws or breaks a bound. */
export function fuzz(seed: number, steps = 300): void {
  const chance = seeded(seed);
  const below = (n: number) => Math.floor(chance() * n);
  const config = endpointConfig({
    hostName: 'fuzz',
    random: seededRandom(seed),
    limits: LIMITS,
    ...(seed % 2 === 0 ? { secret: () => Uint8Array.of(1, 2, 3) } : {}),
  });
  const endpoint = new Endpoint(config);
  // What the endpoint said last: ids and numbers a peer would use, so that packets get past the header.
  let heard = { tunnelId: 0, sessionId: 0, Ns: 0, Nr: 0 };
  let now = instant(0);

  const drain = () => {
    let count = 0;
    for (let out: EndpointOut | undefined = endpoint.poll(); out; out = endpoint.poll()) {
      if (++count > 2_000) throw new Error(`${count} outputs for one input`);
      if (out.type === 'send') heard = learn(out.data, heard);
    }
    const { tunnels, sessions } = endpoint.totals;
    if (tunnels > LIMITS.maxTunnels || sessions > tunnels * LIMITS.maxSessionsPerTunnel)
      throw new Error('over a limit');
  };

  for (let step = 0; step < steps; step++) {
    const packet = mutate(CORPUS[below(CORPUS.length)]!, below);
    endpoint.handle(now, { type: 'datagram', path, data: below(3) === 0 ? packet : address(packet, heard, below) });
    drain();
    now = instant(now + below(below(10) === 0 ? 20_000 : 100));
    const due = endpoint.nextTimeout();
    if (due !== undefined && due <= now) endpoint.handleTimeout(now);
    drain();
  }
  for (let at = endpoint.nextTimeout(), n = 0; at !== undefined; at = endpoint.nextTimeout(), n++) {
    now = instant(Math.max(now, at));
    endpoint.handleTimeout(now);
    drain();
    // Established sessions live on; without a peer their HELLO ends them.
    if (n > 20_000) throw new Error('never comes to rest');
  }
  if (endpoint.totals.tunnels > 0) throw new Error('at rest with tunnels left');
}

type Numbers = { tunnelId: number; sessionId: number; Ns: number; Nr: number };

function learn(data: Uint8Array, heard: Numbers): Numbers {
  const packet = decodePacket(data);
  if (!packet.ok || packet.value.header.kind !== 'control') throw new Error('the endpoint sent a malformed header');
  const { header, payload } = packet.value;
  const next = { ...heard, Ns: header.Nr, Nr: header.Ns };
  if (payload.length === 0) return next;
  const m = decodeMessage(payload);
  if (!m.ok || m.ignored.length > 0) throw new Error(`the endpoint sent a malformed message: ${JSON.stringify(m)}`);
  next.Nr = (header.Ns + 1) & 0xffff;
  if (m.value.type === 'SCCRP') next.tunnelId = m.value.avps.assignedTunnelId;
  if (m.value.type === 'ICRP') next.sessionId = m.value.avps.assignedSessionId;
  return next;
}

/** The body of a packet under a header the endpoint will accept, more or less. */
function address(packet: Uint8Array, heard: Numbers, below: (n: number) => number): Uint8Array {
  const off = () => (below(20) === 0 ? below(5) - 2 : 0);
  const numbers = { Ns: (heard.Ns + off()) & 0xffff, Nr: (heard.Nr + off()) & 0xffff };
  return encodeControl({ ...heard, ...numbers }, packet.subarray(12));
}

function mutate(original: Uint8Array, below: (n: number) => number): Uint8Array {
  const bytes = original.slice();
  for (let n = below(4); n > 0 && bytes.length > 0; n--) {
    const at = below(bytes.length);
    bytes[at] = below(2) === 0 ? below(256) : bytes[at]! ^ (1 << below(8));
  }
  return below(8) === 0 ? bytes.subarray(0, below(bytes.length + 1)) : bytes;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const runs = Number(process.argv[2] ?? 2_000);
  const first = Number(process.argv[3] ?? 1);
  for (let seed = first; seed < first + runs; seed++) {
    try {
      fuzz(seed);
    } catch (error) {
      console.error(`seed ${seed}`);
      throw error;
    }
  }
  console.log(`${runs} runs from seed ${first}: no failure`);
}
