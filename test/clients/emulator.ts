/**
 * A native client that dials: our own LAC endpoint and PPP peer decide what is said and when; the client's data (client.ts)
 * says in which octets. It drops what that client's parser drops, and notes whatever of the gateway would trouble it.
 */
import type { Drive, Driven } from '../../src/daemon/drive.js';
import { endpointConfig } from '../../src/proto/l2tp/config.js';
import { Endpoint } from '../../src/proto/l2tp/endpoint.js';
import type { EndpointIn, EndpointOut, LocalTunnelId, Path, SessionIds } from '../../src/proto/l2tp/events.js';
import type { Random } from '../../src/proto/machine.js';
import type { AuthMethod, LinkIn, LinkOut } from '../../src/proto/ppp/events.js';
import { Link } from '../../src/proto/ppp/link.js';
import { readAvpFrames, writeAvpFrame } from '../../src/wire/l2tp/avp.js';
import { type ControlHeader, decodePacket, encodeControl } from '../../src/wire/l2tp/header.js';
import { decodeMessage, type MessageName } from '../../src/wire/l2tp/message.js';
import { encodeFrame, PROTOCOL } from '../../src/wire/ppp/frame.js';
import { fromHex, Writer } from '../../src/wire/reader.js';
import { describeFrame } from '../lib/ppp-text.js';
import type { Image, NativeClient } from './client.js';
import { complaintsAboutControl, complaintsAboutFrame } from './rules.js';

/** What can go wrong with any client, or with the way to it. */
export interface Quirks {
  /** Of the acknowledgements it receives, or sends, the first is lost. */
  readonly losesFirstZlb?: 'received' | 'sent';
  /** So many copies of each control packet it sends. */
  readonly copies?: number;
  /** Every other control packet arrives after the one behind it. */
  readonly reorders?: boolean;
  /** Messages with other octets: `wrong` is given the body as it would go out. */
  readonly rewrites?: (message: Image, body: Uint8Array) => Uint8Array;
  /** HELLOs to tunnel 0 as often. */
  readonly hellosToTunnelZero?: number;
  /** A HELLO of its own between SCCCN and ICRQ. */
  readonly helloDuringSetup?: boolean;
  /** Configure-Requests of ours it leaves unanswered, instead of its own habit. */
  readonly deafFor?: number;
  readonly dhcpInforms?: number;
  /** Packets lost on the way, either way. */
  readonly loses?: (from: 'client' | 'gateway', datagram: Uint8Array) => boolean;
}

export interface EmulatorOptions {
  readonly client: NativeClient;
  readonly path: Path;
  readonly user: string;
  readonly passwords: readonly string[];
  /** Instead of all it can. */
  readonly auth?: readonly AuthMethod[];
  readonly tunnelSecret?: string;
  readonly quirks?: Quirks;
  /** Unpredictable octets, but for the ids, which the client's data fixes. */
  readonly random: Random;
}

/** Milliseconds from one packet to the one that it was overtaken by. */
const OVERTAKEN_MS = 30;
const NCP_RESTART_MS = 3_000;
const NCP_TRIES = 10;
const ZLB_LENGTH = 12;
const UDP = 17;

export class Emulator {
  readonly path: Path;
  /** `tunnel-up`, `session-up`, `up 10.99.0.2`, `down peer ...`, in order, with the time each came. */
  readonly events: { readonly at: number; readonly event: string }[] = [];
  /** What would trouble this client, or makes it drop a packet. */
  readonly complaints: string[] = [];
  /** Control packets sent, as they left, with the time. */
  readonly sent: { readonly at: number; readonly data: Uint8Array }[] = [];
  /** PPP frames sent and received, as they were inside the data messages. */
  readonly framesSent: Uint8Array[] = [];
  readonly framesReceived: Uint8Array[] = [];
  /** Control packets received. */
  readonly received: Uint8Array[] = [];
  readonly ipReceived: Uint8Array[] = [];
  /** Octets that its path carries in one piece. */
  carries = Number.POSITIVE_INFINITY;
  /** Gone without a word. */
  mute = false;
  address: string | undefined;
  session: SessionIds | undefined;
  onEvent: (event: string) => void = () => {};
  readonly #o: EmulatorOptions;
  readonly #drive: Drive;
  readonly #wire: (datagram: Uint8Array) => void;
  readonly #endpoint: Driven<EndpointIn>;
  #link: Driven<LinkIn> | undefined;
  #tunnelId: LocalTunnelId | undefined;
  #ids = 0;
  #magic: Uint8Array = new Uint8Array(4);
  #deafFor = 0;
  #zlbLost = false;
  #heldZlb: (() => void) | undefined;
  #overtaken: Uint8Array | undefined;
  #cancelOvertaken: () => void = () => {};
  /** What to do when the gateway has acknowledged all before this Ns. */
  #afterAck: { readonly Nr: number; readonly act: () => void } | undefined;
  #nextNs = 0;
  /** NCP packets that have no answer yet, by protocol. */
  readonly #pending = new Map<number, () => void>();
  #authenticated = false;

  constructor(drive: Drive, options: EmulatorOptions, wire: (datagram: Uint8Array) => void) {
    const { client, tunnelSecret, random } = options;
    const { l2tp } = client;
    this.#o = options;
    this.#drive = drive;
    this.#wire = wire;
    this.path = options.path;
    // The endpoint draws two octets for each id it assigns: those of the client, the next ones counted up.
    let drawn = 0;
    const ids: Random = (n) => {
      if (n !== 2) return random(n);
      const id = drawn === 0 ? l2tp.tunnelId : l2tp.sessionId + drawn - 1;
      drawn += 1;
      return Uint8Array.of(id >> 8, id & 0xff);
    };
    const secret = tunnelSecret === undefined ? undefined : Buffer.from(tunnelSecret);
    const config = endpointConfig({
      hostName: client.name,
      random: ids,
      receiveWindow: l2tp.window,
      retransmit: l2tp.retransmit,
      setupTimeoutMs: l2tp.setupTimeoutMs,
      sessionSetupTimeoutMs: l2tp.setupTimeoutMs,
      helloIntervalMs: l2tp.helloIntervalMs,
      emptyTunnelTimeoutMs: 0,
      ...(secret && !l2tp.ignoresChallenge ? { secret: () => secret } : {}),
    });
    this.#endpoint = drive.add(new Endpoint(config), (out) => this.#onEndpoint(out));
  }

  get up(): boolean {
    return this.address !== undefined;
  }

  /** Its DHCPINFORM was answered. */
  get informed(): boolean {
    return this.ipReceived.some((packet) => packet[9] === UDP);
  }

  dial(): this {
    const { l2tp } = this.#o.client;
    const hellos = this.#o.quirks?.hellosToTunnelZero ?? l2tp.hellosToTunnelZero;
    for (let n = 0; n < hellos; n++) this.#put(fromHex('c8020014000000000000000080080000 00000006'.replace(' ', '')));
    const { mark, local, remote } = this.path;
    this.#endpoint.input({
      type: 'open-tunnel',
      path: { mark, local: remote, remote: local, remotePort: 1701 },
      ref: 'dial',
    });
    return this;
  }

  get #goodbye(): readonly string[] {
    return this.#o.client.l2tp.goodbye;
  }

  /** What its user's "disconnect" does; the last message of a client that says no more is not repeated. */
  hangUp(): void {
    const first = this.#goodbye[0];
    if (first === 'LCP') this.#link?.input({ type: 'close', reason: 'User request' });
    else if (first === 'CDN') this.#closeSession();
    else this.#closeTunnel();
  }

  sendIp(packet: Uint8Array): void {
    this.#sendFrame(encodeFrame(PROTOCOL.ip, packet));
  }

  /** A datagram of the gateway. */
  receive(datagram: Uint8Array): void {
    const { quirks = {} } = this.#o;
    if (this.mute || quirks.loses?.('gateway', datagram)) return;
    const packet = decodePacket(datagram);
    if (!packet.ok) return this.#complain(`the gateway sent ${packet.why}`);
    if (packet.value.header.kind === 'data') return this.#data(packet.value.header, packet.value.payload, datagram);
    this.#control(packet.value.header, packet.value.payload, datagram);
  }

  #control(header: ControlHeader, payload: Uint8Array, datagram: Uint8Array): void {
    const { client, quirks = {}, tunnelSecret } = this.#o;
    if (payload.length === 0 && quirks.losesFirstZlb === 'received' && !this.#zlbLost) {
      this.#zlbLost = true;
      return;
    }
    this.received.push(datagram);
    for (const why of complaintsAboutControl(datagram, tunnelSecret !== undefined)) this.#complain(why);
    if (client.l2tp.dropsUnless?.(datagram) === false) return this.#complain('dropped by its parser');
    const message = payload.length === 0 ? undefined : decodeMessage(payload);
    if (client.l2tp.helloKillsDial && !this.session && message?.ok && message.value.type === 'HELLO') {
      this.#complain('a HELLO while it dials: protocol error');
      this.mute = true;
      return;
    }
    const { mark, local, remote } = this.path;
    const path = { mark, local: remote, remote: local, remotePort: 1701 };
    this.#endpoint.input({
      type: 'datagram',
      path,
      data: client.l2tp.ignoresChallenge ? withoutChallenge(header, payload) : datagram,
    });
    const waiting = this.#afterAck;
    if (waiting !== undefined && ((header.Nr - waiting.Nr) & 0xffff) < 0x8000) {
      this.#afterAck = undefined;
      waiting.act();
    }
  }

  #data(ids: { tunnelId: number; sessionId: number }, payload: Uint8Array, datagram: Uint8Array): void {
    if (ids.tunnelId !== this.session?.tunnelId || ids.sessionId !== this.session.sessionId) return;
    for (const why of complaintsAboutFrame(datagram, payload)) this.#complain(why);
    if (this.#tunnelId !== undefined && this.#o.client.l2tp.trafficDelaysHello)
      this.#endpoint.input({ type: 'traffic', tunnelId: this.#tunnelId });
    const frame = payload[0] === 0xff ? payload.subarray(2) : payload;
    const protocol = (frame[0]! << 8) | frame[1]!;
    const information = frame.subarray(2);
    if (protocol === PROTOCOL.ip) return void this.ipReceived.push(Uint8Array.from(information));
    this.framesReceived.push(Uint8Array.from(frame));
    this.#frame(protocol, information, frame);
  }

  #frame(protocol: number, information: Uint8Array, frame: Uint8Array): void {
    const code = information[0];
    if (protocol === PROTOCOL.lcp) {
      this.#startLink();
      if (code === 1 && this.#deafFor > 0) {
        this.#deafFor -= 1;
        return;
      }
      // Protocol-Reject: the protocol is given up.
      if (code === 8) this.#answered((information[4]! << 8) | information[5]!);
    } else this.#answered(protocol);
    // What makes it go on to its NCPs: CHAP Success, PAP Ack, EAP Success.
    const success = protocol === PROTOCOL.pap ? 2 : 3;
    const isAuth = protocol === PROTOCOL.chap || protocol === PROTOCOL.pap || protocol === PROTOCOL.eap;
    const granted = isAuth && code === success && !this.#authenticated;
    if (granted) {
      this.#authenticated = true;
      for (const ncp of this.#o.client.ppp.ncpsBefore) this.#askNcp(ncp);
    }
    this.#link?.input({ type: 'frame', data: Uint8Array.from(frame) });
    if (granted) for (const ncp of this.#o.client.ppp.ncpsAfter) this.#askNcp(ncp);
  }

  /** A Configure-Request of a protocol we have no machine for: until it is rejected or answered. */
  #askNcp(hex: string): void {
    const id = (hex.includes('<id>') ? this.#nextId() : 0).toString(16).padStart(2, '0');
    const frame = octets(hex, { id });
    const protocol = (frame[0]! << 8) | frame[1]!;
    let tries = 0;
    const ask = () => {
      this.#sendFrame(frame);
      tries += 1;
      if (tries < NCP_TRIES) this.#pending.set(protocol, this.#drive.after(NCP_RESTART_MS, ask));
    };
    ask();
  }

  #answered(protocol: number): void {
    this.#pending.get(protocol)?.();
    this.#pending.delete(protocol);
  }

  #nextId(): number {
    const id = (this.#o.client.ppp.firstId + this.#ids) & 0xff;
    this.#ids += 1;
    return id;
  }

  #closeSession(): void {
    const { session } = this;
    if (session === undefined) return;
    const { tunnelId, sessionId } = session;
    this.#endpoint.input({ type: 'close-session', tunnelId, sessionId, result: { result: 3 } });
  }

  #closeTunnel(): void {
    if (this.#tunnelId === undefined) return;
    this.#endpoint.input({ type: 'close-tunnel', tunnelId: this.#tunnelId, result: { result: 1 } });
  }

  #onEndpoint(out: EndpointOut): void {
    switch (out.type) {
      case 'send':
        return this.#sendControl(out.data);
      case 'tunnel-up':
        this.#note('tunnel-up');
        this.#tunnelId = out.tunnelId;
        if (this.#o.quirks?.helloDuringSetup) this.#endpoint.input({ type: 'probe', tunnelId: out.tunnelId });
        return this.#whenAcknowledged(() =>
          this.#endpoint.input({ type: 'open-session', tunnelId: out.tunnelId, ref: 'call' }),
        );
      case 'session-open':
        this.session = out.session;
        return;
      case 'session-up':
        this.#note('session-up');
        return this.#whenAcknowledged(() => this.#prepareLink());
      case 'session-down':
        this.#note(`session-down ${out.by} ${out.result?.result ?? '-'}`);
        this.#endLink();
        if (out.by === 'local' && this.#goodbye.includes('CDN') && this.#goodbye.includes('StopCCN'))
          this.#closeTunnel();
        return;
      case 'tunnel-down':
        this.#note(`tunnel-down ${out.by} ${out.result?.result ?? '-'}`);
        this.#tunnelId = undefined;
        // Said once.
        if (out.by === 'local' && this.#goodbye.length === 1) this.mute = true;
        return;
      case 'tunnel-gone':
        return this.#note('tunnel-gone');
      case 'note':
        return;
    }
  }

  /** At once, or, for a client that stops and waits, when the gateway has all there is. */
  #whenAcknowledged(act: () => void): void {
    if (!this.#o.client.l2tp.stopAndWait) return act();
    this.#afterAck = { Nr: this.#nextNs, act };
  }

  #prepareLink(): void {
    const { ppp } = this.#o.client;
    this.#deafFor = this.#o.quirks?.deafFor ?? ppp.deafFor;
    if (ppp.connectDelayMs === 0) return this.#startLink();
    this.#drive.after(ppp.connectDelayMs, () => this.#startLink());
  }

  #startLink(): void {
    const { client, user, passwords, auth, random } = this.#o;
    const { ppp } = client;
    if (this.#link !== undefined || this.#tunnelId === undefined) return;
    this.#authenticated = false;
    const link = new Link({
      role: 'peer',
      mru: ppp.mru,
      user,
      passwords,
      auth: auth ?? ppp.auth,
      lcpOptions: ppp.lcp,
      ipcpOptions: ppp.ipcp,
      ...(ppp.sharedIds ? { nextId: () => this.#nextId() } : {}),
      echoIntervalMs: ppp.echo.intervalMs,
      echoFailures: ppp.echo.failures,
      setupTimeoutMs: 60_000,
      restartMs: 3_000,
      random,
    });
    this.#link = this.#drive.add(link, (out) => this.#onLink(out));
    this.#link.input({ type: 'lower-up' });
  }

  #endLink(): void {
    this.#link?.remove();
    this.#link = undefined;
    this.address = undefined;
    for (const cancel of this.#pending.values()) cancel();
    this.#pending.clear();
  }

  #onLink(out: LinkOut): void {
    switch (out.type) {
      case 'frame':
        return this.#sendFrame(this.#windowsTerminate(out.data));
      case 'lcp-up':
        return this.#lcpUp();
      case 'up':
        this.address = out.address;
        this.#note(`up ${out.address}`);
        return this.#dhcpInform();
      case 'down':
        this.#note(`down ${out.by} ${out.reason}`);
        return this.#closeSession();
      default:
        return;
    }
  }

  #lcpUp(): void {
    const { identifications, echo } = this.#o.client.ppp;
    for (const text of identifications) {
      const body = fromHex(text);
      const w = new Writer()
        .u8(12)
        .u8(this.#nextId())
        .u16(8 + body.length);
      this.#sendFrame(encodeFrame(PROTOCOL.lcp, w.bytes(this.#magic).bytes(body).done()));
    }
    // An Identifier that the keepalive comes to much later.
    if (echo.atOnce)
      this.#sendFrame(octets('c021 09 f0 0008 <magic>', { magic: Buffer.from(this.#magic).toString('hex') }));
  }

  /** Its Terminate-Request says why in its own way. */
  #windowsTerminate(frame: Uint8Array): Uint8Array {
    const { terminateData } = this.#o.client.ppp;
    if (terminateData === undefined || frame[0] !== 0xc0 || frame[1] !== 0x21 || frame[2] !== 5) return frame;
    return Uint8Array.of(...frame.subarray(0, 4), 0, 16, ...this.#magic, ...octets(terminateData));
  }

  #dhcpInform(): void {
    const { dhcpInform } = this.#o.client.ppp;
    if (dhcpInform === undefined || this.address === undefined) return;
    const times = this.#o.quirks?.dhcpInforms ?? dhcpInform.times;
    const { address } = this;
    const hex = address.split('.').map((n) => Number(n).toString(16).padStart(2, '0'));
    const packet = ipUdp(address, '255.255.255.255', 68, 67, octets(dhcpInform.message, { address: hex.join('') }));
    for (let n = 0; n < times; n++)
      this.#drive.after(n * dhcpInform.everyMs, () => {
        if (this.address === address && !this.informed) this.sendIp(packet);
      });
  }

  #sendFrame(frame: Uint8Array): void {
    const { session } = this;
    if (session === undefined) return;
    const isLcp = frame[0] === 0xc0 && frame[1] === 0x21;
    if (isLcp && frame[2] === 1) this.#magic = magicOf(frame) ?? this.#magic;
    this.framesSent.push(frame);
    const short = this.#o.client.ppp.compresses && !isLcp;
    const payload = short ? frame.subarray(frame[0] === 0 ? 1 : 0) : Uint8Array.of(0xff, 0x03, ...frame);
    const withLength = this.#o.client.l2tp.dataLength;
    const w = new Writer().u16(withLength ? 0x4002 : 0x0002);
    if (withLength) w.u16(8 + payload.length);
    this.#put(w.u16(session.peerTunnelId).u16(session.peerSessionId).bytes(payload).done());
  }

  #sendControl(data: Uint8Array): void {
    const { client, quirks = {} } = this.#o;
    const datagram = this.#image(data);
    if (datagram.length === ZLB_LENGTH) {
      if (quirks.losesFirstZlb === 'sent' && !this.#zlbLost) {
        this.#zlbLost = true;
        return;
      }
      if (client.l2tp.ackDelayMs > 0) {
        this.#heldZlb?.();
        this.#heldZlb = this.#drive.after(client.l2tp.ackDelayMs, () => this.#putControl(datagram));
        return;
      }
    } else {
      // It carries the acknowledgement.
      this.#heldZlb?.();
      const Ns = (datagram[8]! << 8) | datagram[9]!;
      if (((Ns + 1 - this.#nextNs) & 0xffff) < 0x8000) this.#nextNs = (Ns + 1) & 0xffff;
    }
    this.#putControl(datagram);
  }

  #putControl(datagram: Uint8Array): void {
    const { quirks = {} } = this.#o;
    if (this.mute) return;
    this.sent.push({ at: this.#drive.now(), data: datagram });
    const send = (d: Uint8Array) => {
      for (let n = 0; n < (quirks.copies ?? 1); n++) this.#put(d);
    };
    const held = this.#overtaken;
    if (held !== undefined) {
      this.#overtaken = undefined;
      this.#cancelOvertaken();
      send(datagram);
      send(held);
    } else if (quirks.reorders && datagram[8] === 0 && datagram[9] !== 0) {
      this.#overtaken = datagram;
      this.#cancelOvertaken = this.#drive.after(OVERTAKEN_MS, () => {
        this.#overtaken = undefined;
        send(datagram);
      });
    } else send(datagram);
  }

  #put(datagram: Uint8Array): void {
    if (!this.mute && !this.#o.quirks?.loses?.('client', datagram)) this.#wire(datagram);
  }

  /** Header and moment are the endpoint's, the AVPs the client's. */
  #image(data: Uint8Array): Uint8Array {
    const { client, quirks = {} } = this.#o;
    const packet = decodePacket(data);
    if (!packet.ok || packet.value.header.kind !== 'control' || packet.value.payload.length === 0) return data;
    const { header, payload } = packet.value;
    const message = decodeMessage(payload);
    const name: MessageName | undefined = message.ok ? message.value.type : undefined;
    if (name === undefined || !(name in client.l2tp.images)) return data;
    const image = name as Image;
    const own = messageIds(payload);
    const body = new Writer().bytes(octets(client.l2tp.images[image], own));
    // Challenge and Challenge Response: of the secret, not of the client.
    for (const { M, H, reserved, vendor, type, value } of readAvpFrames(payload).frames)
      if (type === 11 || type === 13) writeAvpFrame(body, { M, H, reserved, vendor, type, value });
    const bytes = body.done();
    return encodeControl(header, quirks.rewrites?.(image, bytes) ?? bytes);
  }

  #note(event: string): void {
    this.events.push({ at: this.#drive.now(), event });
    this.onEvent(event);
  }

  #complain(why: string): void {
    this.complaints.push(why);
  }

  /** For a person: PPP frames in words. */
  get dialogue(): string[] {
    return this.framesReceived.map(describeFrame);
  }
}

/** `<tunnel>` and `<session>`: what the endpoint assigned in this message. */
function messageIds(payload: Uint8Array): Record<string, string> {
  const ids: Record<string, string> = {};
  for (const { type, value } of readAvpFrames(payload).frames) {
    if (type === 9) ids.tunnel = Buffer.from(value).toString('hex');
    if (type === 14) ids.session = Buffer.from(value).toString('hex');
  }
  return ids;
}

/** Hex with spaces, and words in angle brackets for what is known only now. */
export function octets(hex: string, words: Readonly<Record<string, string>> = {}): Uint8Array {
  const text = hex.replace(/<(\w+)>/g, (_, word: string) => {
    const value = words[word];
    if (value === undefined) throw new Error(`<${word}> is not known here`);
    return value;
  });
  return fromHex(text.replace(/\s/g, ''));
}

/** The message as a client reads it that knows no Challenge. */
function withoutChallenge({ tunnelId, sessionId, Ns, Nr }: ControlHeader, payload: Uint8Array): Uint8Array {
  const w = new Writer();
  for (const frame of readAvpFrames(payload).frames) if (frame.type !== 11) writeAvpFrame(w, frame);
  return encodeControl({ tunnelId, sessionId, Ns, Nr }, w.done());
}

/** The Magic-Number in a Configure-Request. */
function magicOf(frame: Uint8Array): Uint8Array | undefined {
  for (let at = 6; at + 1 < frame.length; at += Math.max(2, frame[at + 1]!))
    if (frame[at] === 5) return frame.slice(at + 2, at + 6);
  return undefined;
}

/** An IPv4 packet with a UDP datagram; no UDP checksum, as Apple sends it. */
export function ipUdp(from: string, to: string, fromPort: number, toPort: number, data: Uint8Array): Uint8Array {
  const udp = new Writer()
    .u16(fromPort)
    .u16(toPort)
    .u16(8 + data.length)
    .u16(0)
    .bytes(data)
    .done();
  return ipv4(UDP, from, to, udp);
}

/** RFC 791 §3.1, TTL 64. */
export function ipv4(protocol: number, from: string, to: string, payload: Uint8Array): Uint8Array {
  const address = (a: string) => Uint8Array.from(a.split('.'), Number);
  const header = new Writer()
    .u16(0x4500)
    .u16(20 + payload.length)
    .u16(1)
    .u16(0)
    .u8(64)
    .u8(protocol)
    .u16(0)
    .bytes(address(from))
    .bytes(address(to))
    .done();
  const sum = checksum(header);
  header.set([sum >> 8, sum & 0xff], 10);
  return Uint8Array.of(...header, ...payload);
}

/** RFC 1071. */
export function checksum(data: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < data.length; i += 2) sum += (data[i]! << 8) | (data[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}
