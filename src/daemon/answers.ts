/** What a client asks the gateway itself over an open session, and is answered from here: DHCPINFORM, and what IPv6 asks of a router. */
import type { Dataplane } from '../io/dataplane.js';
import { answerInform, type InformFacts } from '../proto/inside/inform.js';
import { encodeFrame, PROTOCOL } from '../wire/ppp/frame.js';
import { Reader } from '../wire/reader.js';
import { idFields } from './facts.js';
import type { Ipv6 } from './ipv6.js';
import type { Log } from './log.js';
import type { Session } from './registry.js';

/** Of the gateway; `routes` for users without their own. */
export type InformSettings = Omit<InformFacts, 'address' | 'mtu'>;

export interface AnswersOptions {
  readonly dataplane: Dataplane;
  readonly log: Log;
  /** In force now. */
  readonly inform: () => InformSettings;
}

export class Answers {
  readonly #o: AnswersOptions;
  readonly #ipv6: Ipv6;

  constructor(options: AnswersOptions, ipv6: Ipv6) {
    this.#o = options;
    this.#ipv6 = ipv6;
  }

  /** An IP packet that the packet thread did not forward. Rates are its matter. */
  packet(session: Session, packet: Uint8Array): void {
    if (new Reader(packet).u8() >> 4 === 6) this.#ipv6.packet(session, packet);
    else this.#inform(session, packet);
  }

  #inform(session: Session, packet: Uint8Array): void {
    const { dataplane, log, inform } = this.#o;
    const { ids, address, mtu, routes } = session;
    if (address === undefined) return;
    const settings = inform();
    const answer = answerInform(packet, { ...settings, address, mtu, routes: routes ?? settings.routes });
    if (!answer.ok) {
      log.debug('dhcp.ignored', { ...idFields(session), ref: answer.ref, why: answer.why });
      return;
    }
    const { packet: data, ...told } = answer.value;
    dataplane.sendFrame(ids.tunnelId, ids.sessionId, encodeFrame(PROTOCOL.ip, data));
    log.debug('dhcp.informed', { ...idFields(session), ...told });
  }
}
