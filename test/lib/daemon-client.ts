/** A client of the gateway under test: our own LAC endpoint and PPP peer, behind a mark. RFC 2661 §2 (topology). */
import { Drive, type Driven } from '../../src/daemon/drive.js';
import { endpointConfig } from '../../src/proto/l2tp/config.js';
import { Endpoint } from '../../src/proto/l2tp/endpoint.js';
import type { EndpointIn, EndpointOut, LocalTunnelId, Path, SessionIds } from '../../src/proto/l2tp/events.js';
import type { LinkIn, LinkOut } from '../../src/proto/ppp/events.js';
import { Link, type PeerConfig } from '../../src/proto/ppp/link.js';
import { decodePacket, encodeData } from '../../src/wire/l2tp/header.js';
import { decodeMessage } from '../../src/wire/l2tp/message.js';
import { decodeFrame, PROTOCOL } from '../../src/wire/ppp/frame.js';
import { seededRandom } from './pair.js';
import { peerConfig } from './ppp-pair.js';
import { describeFrame } from './ppp-text.js';
import type { VirtualClock } from './virtual-clock.js';

export const SERVER = '198.51.100.1';

export interface ClientOptions {
  readonly mark: number;
  readonly address?: string;
  /** Where it dials. */
  readonly server?: string;
  readonly port?: number;
  readonly user?: string;
  readonly passwords?: readonly string[];
  readonly ppp?: Partial<PeerConfig>;
}

/** What it sends goes to `wire`, with the path as the gateway sees it. */
export class Client {
  readonly path: Path;
  /** `tunnel-up`, `session-up`, `up 10.99.0.2`, `down peer ...`, `tunnel-down peer`, in order. */
  readonly events: string[] = [];
  /** IP packets received. */
  readonly packets: Uint8Array[] = [];
  /** PPP frames received, described. */
  readonly frames: string[] = [];
  /** Hears nothing and says nothing: asleep, or gone without a word. */
  mute = false;
  /** Octets of L2TP that its path carries without fragmenting. */
  carries = Number.POSITIVE_INFINITY;
  /** PPP frames it says nothing to, though L2TP lives. */
  deafToPpp = false;
  /** Control messages it loses on the way out, by name. */
  lose?: (message: string) => boolean;
  address: string | undefined;
  session: SessionIds | undefined;
  readonly #endpoint: Driven<EndpointIn>;
  readonly #drive: Drive;
  readonly #ppp: PeerConfig;
  readonly #wire: (path: Path, data: Uint8Array) => void;
  #link: Driven<LinkIn> | undefined;
  #tunnelId: LocalTunnelId | undefined;

  constructor(
    clock: VirtualClock | Drive,
    seed: number,
    {
      mark,
      address = '198.51.100.2',
      server = SERVER,
      port = 1701,
      user = 'alice',
      passwords = ['wonderland'],
      ppp,
    }: ClientOptions,
    wire: (path: Path, data: Uint8Array) => void,
  ) {
    this.path = { mark, local: server, remote: address, remotePort: port };
    this.#wire = wire;
    this.#drive = clock instanceof Drive ? clock : new Drive(clock);
    this.#ppp = peerConfig({ user, passwords, random: seededRandom(seed + 1_000), ...ppp });
    const config = endpointConfig({ hostName: 'client', random: seededRandom(seed), helloIntervalMs: 0 });
    this.#endpoint = this.#drive.add(new Endpoint(config), (out) => this.#onEndpoint(out));
  }

  dial(): this {
    const { mark, local, remote } = this.path;
    this.#endpoint.input({
      type: 'open-tunnel',
      path: { mark, local: remote, remote: local, remotePort: 1701 },
      ref: 'dial',
    });
    return this;
  }

  /** A datagram of the gateway arrives. */
  receive(data: Uint8Array): void {
    if (this.mute) return;
    const packet = decodePacket(data);
    if (!packet.ok) throw new Error(`the gateway sent ${packet.why}`);
    const { header, payload } = packet.value;
    if (header.kind === 'control') {
      const { mark, local, remote } = this.path;
      const path = { mark, local: remote, remote: local, remotePort: 1701 };
      return this.#endpoint.input({ type: 'datagram', path, data });
    }
    if (header.tunnelId !== this.session?.tunnelId || header.sessionId !== this.session.sessionId) return;
    const frame = payload[0] === 0xff ? payload.subarray(2) : payload;
    const decoded = decodeFrame(frame);
    if (decoded.ok && decoded.value.protocol === PROTOCOL.ipv6) this.packets.push(decoded.value.information);
    else if (decoded.ok && decoded.value.protocol === PROTOCOL.ip) {
      this.packets.push(decoded.value.information);
      this.events.push(`ip ${decoded.value.information.length}`);
    } else {
      this.frames.push(describeFrame(frame));
      if (!this.deafToPpp) this.#link?.input({ type: 'frame', data: frame });
    }
  }

  /** A PPP frame of the test's own choosing. */
  sendFrame(frame: Uint8Array, path: Path = this.path): void {
    if (this.session === undefined) throw new Error('no session');
    const { peerTunnelId: tunnelId, peerSessionId: sessionId } = this.session;
    this.#send(encodeData({ tunnelId, sessionId }, Uint8Array.of(0xff, 0x03, ...frame)), path);
  }

  sendIpv6(packet: Uint8Array): void {
    this.sendFrame(Uint8Array.of(0x00, PROTOCOL.ipv6, ...packet));
  }

  sendIp(packet: Uint8Array): void {
    this.sendFrame(Uint8Array.of(0x00, PROTOCOL.ip, ...packet));
  }

  /** LCP Terminate, as a user who clicks "disconnect". */
  terminateLink(): void {
    this.#link?.input({ type: 'close', reason: 'User request' });
  }

  /** CDN. */
  closeSession(): void {
    const { session } = this;
    if (session === undefined) return;
    this.#endpoint.input({
      type: 'close-session',
      tunnelId: session.tunnelId,
      sessionId: session.sessionId,
      result: { result: 3 },
    });
  }

  /** StopCCN. */
  closeTunnel(): void {
    if (this.#tunnelId !== undefined)
      this.#endpoint.input({ type: 'close-tunnel', tunnelId: this.#tunnelId, result: { result: 1 } });
  }

  openSession(): void {
    if (this.#tunnelId !== undefined)
      this.#endpoint.input({ type: 'open-session', tunnelId: this.#tunnelId, ref: 'again' });
  }

  /** Negotiates the link anew from the dead phase, in the same session. */
  restartLink(): void {
    this.#link?.remove();
    this.address = undefined;
    this.#startLink();
  }

  #send(data: Uint8Array, path: Path = this.path): void {
    if (!this.mute) this.#wire(path, data);
  }

  #onEndpoint(out: EndpointOut): void {
    switch (out.type) {
      case 'send':
        if (this.lose?.(messageName(out.data)) !== true) this.#send(out.data);
        return;
      case 'tunnel-up':
        this.events.push('tunnel-up');
        this.#tunnelId = out.tunnelId;
        return this.#endpoint.input({ type: 'open-session', tunnelId: out.tunnelId, ref: 'call' });
      case 'tunnel-down':
        this.events.push(
          `tunnel-down ${out.by} ${out.result?.result ?? '-'}${out.redirect ? ` to ${out.redirect}` : ''}`,
        );
        this.#tunnelId = undefined;
        return;
      case 'session-open':
        this.session = out.session;
        return;
      case 'session-up':
        this.events.push('session-up');
        return this.#startLink();
      case 'session-down':
        this.events.push(`session-down ${out.by} ${out.result?.result ?? '-'}`);
        this.#link?.remove();
        this.#link = undefined;
        return;
      case 'tunnel-gone':
      case 'note':
        return;
    }
  }

  #startLink(): void {
    this.#link = this.#drive.add(new Link(this.#ppp), (out) => this.#onLink(out));
    this.#link.input({ type: 'lower-up' });
  }

  #onLink(out: LinkOut): void {
    switch (out.type) {
      case 'frame':
        if (!this.deafToPpp) this.sendFrame(out.data);
        return;
      case 'up':
        this.address = out.address;
        this.events.push(`up ${out.address}`);
        return;
      case 'down':
        this.events.push(`down ${out.by} ${out.reason}`);
        return;
      default:
        return;
    }
  }
}

/** SCCRQ, StopCCN, ZLB, ... */
export function messageName(data: Uint8Array): string {
  const packet = decodePacket(data);
  if (!packet.ok || packet.value.payload.length === 0) return packet.ok ? 'ZLB' : 'malformed';
  const message = decodeMessage(packet.value.payload);
  return message.ok ? message.value.type : 'malformed';
}
