// Whole session set-ups: tunnel (SCCRQ, SCCRP, SCCCN), call (ICRQ, ICRP, ICCN) and PPP (LCP, MS-CHAPv2, IPCP), our LAC and
// client against our LNS in memory, next to the limit: as many datagrams through Node's event loop. RFC 2661 §7, RFC 1661 §3.
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { endpointConfig } from '../src/proto/l2tp/config.js';
import { Endpoint } from '../src/proto/l2tp/endpoint.js';
import type { EndpointIn, EndpointOut, Path } from '../src/proto/l2tp/events.js';
import { instant, type Machine } from '../src/proto/machine.js';
import type { LinkIn, LinkOut } from '../src/proto/ppp/events.js';
import { Link } from '../src/proto/ppp/link.js';
import { ntPasswordHash, verify } from '../src/proto/ppp/mschap.js';
import { GRANT, lnsConfig, peerConfig } from '../test/lib/ppp-pair.js';
import { type Bench, type Row, ratio, show, spread } from './measure.js';

const TURNS = 15;
const SETUPS = 200;
/** Datagrams under way in the echo. */
const WINDOW = 32;
const ECHOES = 5_000;
const NOW = instant(0);
const HASH = ntPasswordHash('wonderland');
const random = (n: number): Uint8Array => randomBytes(n);

export const setupRate: Bench = async () => {
  // Turn by turn; the first turn of each only warms up.
  const turns: { both: number; lns: number; packets: number; echo: number }[] = [];
  for (let i = 0; i <= TURNS; i++) {
    const round = new Round();
    const began = performance.now();
    for (let mark = 1; mark <= SETUPS; mark++) round.setUp(mark);
    const both = performance.now() - began;
    const packets = round.packets / SETUPS;
    turns.push({ both: (SETUPS * 1_000) / both, lns: (SETUPS * 1_000) / round.lnsMs, packets, echo: await echo() });
  }
  turns.shift();
  const { packets } = turns[0]!;
  const limit = turns.map((t) => t.echo / t.packets);
  const row = (what: string, rate: readonly number[]): Row => ({
    what,
    figure: `${show(spread(rate))} set-ups/s`,
    limit: `${show(spread(limit))} set-ups/s if only ${packets} datagrams each passed the event loop`,
    ratio: `${ratio(rate, limit).toFixed(2)} of the limit`,
  });
  return [
    row(
      'LNS and client',
      turns.map((t) => t.both),
    ),
    row(
      'LNS alone',
      turns.map((t) => t.lns),
    ),
  ];
};

/** One LNS, one LAC that dials a tunnel with one session per client, and a PPP link at either end of each. */
class Round {
  /** Datagrams in both directions. */
  packets = 0;
  /** Time spent in the machines of the LNS. */
  lnsMs = 0;
  readonly #lns = new Endpoint(endpointConfig({ hostName: 'lns', random }));
  readonly #lac = new Endpoint(endpointConfig({ hostName: 'lac', random }));
  #wire: (() => void)[] = [];
  #serving: Link | undefined;
  #dialling: Link | undefined;
  #up = 0;

  setUp(mark: number): void {
    this.#up = 0;
    const path: Path = { mark, local: '198.51.100.2', remote: '192.0.2.1', remotePort: 1701 };
    this.#toLac({ type: 'open-tunnel', path, ref: '' });
    for (let deliver = this.#wire.shift(); deliver; deliver = this.#wire.shift()) deliver();
    if (this.#up !== 2) throw new Error(`set-up ${mark} did not come to its end`);
  }

  #carry(deliver: () => void): void {
    this.packets++;
    this.#wire.push(deliver);
  }

  #toLac(input: EndpointIn): void {
    for (const out of step(this.#lac, input)) this.#ofLac(out);
  }

  #toLns(input: EndpointIn): void {
    for (const out of this.#timed(this.#lns, input)) this.#ofLns(out);
  }

  #timed<In, Out>(machine: Machine<In, Out>, input: In): Out[] {
    const began = performance.now();
    const outs = step(machine, input);
    this.lnsMs += performance.now() - began;
    return outs;
  }

  #ofLac(out: EndpointOut): void {
    if (out.type === 'send') {
      const path = { ...out.path, local: out.path.remote, remote: out.path.local };
      this.#carry(() => this.#toLns({ type: 'datagram', path, data: out.data }));
    } else if (out.type === 'tunnel-up') {
      this.#toLac({ type: 'open-session', tunnelId: out.tunnelId, ref: '' });
    } else if (out.type === 'session-up') {
      this.#dialling = new Link(peerConfig({ random, lcpOptions: [] }));
      this.#toClient({ type: 'lower-up' });
    }
  }

  #ofLns(out: EndpointOut): void {
    if (out.type === 'send') {
      const path = { ...out.path, local: out.path.remote, remote: out.path.local };
      this.#carry(() => this.#toLac({ type: 'datagram', path, data: out.data }));
    } else if (out.type === 'session-up') {
      this.#serving = new Link(lnsConfig({ random }));
      this.#toServer({ type: 'lower-up' });
    }
  }

  #toClient(input: LinkIn): void {
    for (const out of step(this.#dialling!, input)) {
      if (out.type === 'frame') this.#carry(() => this.#toServer({ type: 'frame', data: out.data }));
      else if (out.type === 'up') this.#up++;
    }
  }

  #toServer(input: LinkIn): void {
    if (!this.#serving) return; // a frame that was faster than the ICCN is lost, as in the data plane
    for (const out of this.#timed<LinkIn, LinkOut>(this.#serving, input)) {
      if (out.type === 'frame') this.#carry(() => this.#toClient({ type: 'frame', data: out.data }));
      else if (out.type === 'up') this.#up++;
      else if (out.type === 'authenticate' && out.request.method === 'mschapv2') {
        const began = performance.now();
        const authenticatorResponse = verify(out.request, HASH);
        this.lnsMs += performance.now() - began;
        if (!authenticatorResponse) throw new Error('the client failed to authenticate');
        this.#toServer({ type: 'auth-result', result: { ...GRANT, authenticatorResponse } });
      }
    }
  }
}

function step<In, Out>(machine: Machine<In, Out>, input: In): Out[] {
  const outs: Out[] = [];
  machine.handle(NOW, input);
  for (let out = machine.poll(); out !== undefined; out = machine.poll()) outs.push(out);
  return outs;
}

/** Datagrams of 100 octets that pass one direction of the loop per second: each echo is two. */
async function echo(): Promise<number> {
  const server = createSocket('udp4');
  const client = createSocket('udp4');
  server.on('message', (data, from) => server.send(data, from.port, from.address));
  server.bind(0, '127.0.0.1');
  client.bind(0, '127.0.0.1');
  await Promise.all([once(server, 'listening'), once(client, 'listening')]);
  const { port } = server.address();
  const data = Buffer.alloc(100);
  const began = performance.now();
  await new Promise<void>((done) => {
    let sent = 0;
    let back = 0;
    const send = () => {
      sent++;
      client.send(data, port, '127.0.0.1');
    };
    client.on('message', () => {
      if (++back === ECHOES) done();
      else if (sent < ECHOES) send();
    });
    while (sent < WINDOW) send();
  });
  const ms = performance.now() - began;
  server.close();
  client.close();
  return (2 * ECHOES * 1_000) / ms;
}
