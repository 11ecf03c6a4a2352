/** One link against a script: octets in, everything that comes out as words. */

import { instant } from '../../src/proto/machine.js';
import type { Granted } from '../../src/proto/ppp/auth.js';
import type {
  AuthRequest,
  AuthResult,
  InterfaceIdTaken,
  LinkConfig,
  LinkIn,
  LinkOut,
} from '../../src/proto/ppp/events.js';
import { Link, type PeerConfig } from '../../src/proto/ppp/link.js';
import { generateNtResponse, ntPasswordHash } from '../../src/proto/ppp/mschap.js';
import { decodeChap, encodeChap, encodeMsChapV2Value } from '../../src/wire/ppp/chap.js';
import { decodeEap, type EapPacket, encodeEap } from '../../src/wire/ppp/eap.js';
import { decodeFrame, encodeFrame, PROTOCOL } from '../../src/wire/ppp/frame.js';
import { fromHex, toHex } from '../../src/wire/reader.js';
import { decide } from './ppp-pair.js';
import { describeFrame } from './ppp-text.js';

export class Script {
  readonly link: Link;
  readonly outputs: LinkOut[] = [];
  now = 0;
  /** The last Challenge that came out. */
  challenge: { id: number; value: Uint8Array } = { id: 0, value: new Uint8Array(0) };
  lastRequest: AuthRequest | undefined;
  readonly #store: ((r: AuthRequest) => AuthResult) | 'mute';

  constructor(
    config: LinkConfig | PeerConfig,
    store: ((r: AuthRequest) => AuthResult) | 'mute' = decide,
    interfaceIdTaken?: InterfaceIdTaken,
  ) {
    this.link = new Link(config, interfaceIdTaken);
    this.#store = store;
  }

  tell(input: LinkIn): string[] {
    this.link.handle(instant(this.now), input);
    return this.#drain();
  }

  /** A frame from the peer; hex or octets. */
  hear(frame: string | Uint8Array): string[] {
    return this.tell({ type: 'frame', data: typeof frame === 'string' ? fromHex(frame) : frame });
  }

  /** Time passes; what came out on the way. */
  wait(ms: number): string[] {
    const end = this.now + ms;
    const said: string[] = [];
    for (;;) {
      const next = this.link.nextTimeout();
      if (next === undefined || next > end) break;
      this.now = next;
      this.link.handleTimeout(instant(this.now));
      said.push(...this.#drain());
    }
    this.now = end;
    this.link.handleTimeout(instant(this.now));
    return [...said, ...this.#drain()];
  }

  /** Acks our own request as the peer: the option octets come back as they are. */
  ackLast(protocol: 'c021' | '8021' | '8057'): string[] {
    return this.hear(this.reply(protocol, 0x02));
  }

  /** The last EAP packet that came out. */
  get eap(): EapPacket {
    const sent = this.outputs.findLast(
      (o): o is Extract<LinkOut, { type: 'frame' }> => o.type === 'frame' && o.data[0] === 0xc2 && o.data[1] === 0x27,
    );
    const packet = sent === undefined ? undefined : decodeEap(sent.data.subarray(2));
    if (packet?.ok !== true) throw new Error('no EAP packet was sent');
    return packet.value;
  }

  /** An EAP Response, to the last Request unless `id` says otherwise. */
  respond(type: number, data: Uint8Array | string, id = this.eap.id): string[] {
    const octets = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
    return this.hear(encodeFrame(PROTOCOL.eap, encodeEap({ code: 'Response', id, type, data: octets })));
  }

  /** A reply of `code` to our last Configure-Request, with `options` (hex) or the request's own. */
  reply(protocol: 'c021' | '8021' | '8057', code: number, options?: string): Uint8Array {
    const sent = this.outputs.findLast(
      (o): o is Extract<LinkOut, { type: 'frame' }> =>
        o.type === 'frame' && Buffer.from(o.data).toString('hex').startsWith(`${protocol}01`),
    );
    if (sent === undefined) throw new Error(`no ${protocol} Configure-Request was sent`);
    const id = sent.data[3]!;
    const data = options === undefined ? sent.data.subarray(6) : fromHex(options);
    return Uint8Array.of(...fromHex(protocol), code, id, 0, data.length + 4, ...data);
  }

  /** An MS-CHAP-V2 Response to the last Challenge. */
  msChapV2(name: string, password: string, id = this.challenge.id): Uint8Array {
    const peerChallenge = new Uint8Array(16).fill(0x5a);
    const ntResponse = generateNtResponse(this.challenge.value, peerChallenge, name, ntPasswordHash(password));
    const value = encodeMsChapV2Value({ peerChallenge, ntResponse });
    return encodeFrame(PROTOCOL.chap, encodeChap({ code: 'Response', id, value, name: Buffer.from(name) }));
  }

  find<T extends LinkOut['type']>(type: T): Extract<LinkOut, { type: T }> | undefined {
    return this.outputs.findLast((o): o is Extract<LinkOut, { type: T }> => o.type === type);
  }

  /** The peer negotiates LCP, asking for nothing; anew where it was open. */
  negotiateLcp(): string[] {
    return [...this.hear('c021 01 01 0004'), ...this.ackLast('c021')];
  }

  /** Into the network phase: the peer asks for nothing, authenticates as alice. */
  toNetwork(): string[] {
    this.tell({ type: 'lower-up' });
    this.negotiateLcp();
    return this.hear(this.msChapV2('alice', 'wonderland'));
  }

  /** Up, with the leased address asked for at once. */
  toUp(): string[] {
    this.toNetwork();
    this.ackLast('8021');
    return this.hear('8021 01 01 000a 03 06 0a400007');
  }

  #drain(): string[] {
    const said: string[] = [];
    for (let out = this.link.poll(); out !== undefined; out = this.link.poll()) {
      this.outputs.push(out);
      said.push(words(out));
      if (out.type === 'frame') this.#remember(out.data);
      if (out.type === 'authenticate') {
        this.lastRequest = out.request;
        if (this.#store !== 'mute') said.push(...this.tell({ type: 'auth-result', result: this.#store(out.request) }));
      }
    }
    return said;
  }

  #remember(data: Uint8Array): void {
    const frame = decodeFrame(data);
    const packet = frame.ok && frame.value.protocol === PROTOCOL.chap ? decodeChap(frame.value.information) : undefined;
    if (packet?.ok === true && packet.value.code === 'Challenge') {
      this.challenge = { id: packet.value.id, value: packet.value.value };
    }
  }
}

/** Random values are out of the way: magic numbers, challenges. */
function words(out: LinkOut): string {
  switch (out.type) {
    case 'frame':
      return describeFrame(out.data)
        .replace(/<magic 0x[0-9a-f]{8}>/g, '<magic>')
        .replace(/value=[0-9a-f]{32,}/, 'value')
        .replace(/CHAP (\w+(?:-\w+)?) \d+/, 'CHAP $1')
        .replace(/EAP (\w+) \d+/, 'EAP $1')
        .replace(/(Terminate-Request \d+) [0-9a-f]+ (?=")/, '$1 ')
        .replace(/[CS]=[0-9A-F]{32,40}/, (m) => m.slice(0, 2));
    case 'path-mtu':
      return `path-mtu ${out.mtu}`;
    case 'lcp-up':
      return `lcp-up mru=${out.mru}${out.acfc ? ' acfc' : ''}${out.pfc ? ' pfc' : ''}`;
    case 'authenticate':
      return `authenticate ${out.eap === true ? 'eap ' : ''}${out.request.method} ${out.request.user}`;
    case 'ip-open':
      return `ip-open ${out.address}`;
    case 'up':
      return `up ${out.user} ${out.address}`;
    case 'ip-close':
    case 'ipv6-up':
    case 'ipv6-close':
      return out.type;
    case 'ipv6-open':
      return `ipv6-open ${toHex(out.interfaceId)}`;
    case 'down':
      return `down ${out.by}: ${out.reason}${out.hint === undefined ? '' : ` [${out.hint}]`}`;
    case 'note':
      return `note ${out.event} ${Object.values(out.fields).join(' ')}`;
  }
}

export const granted = (over: Partial<Granted>, base: AuthResult): AuthResult =>
  base.ok ? { ...base, ...over } : base;
