/** What whoever decides EAP owes the gateway, whether it is our twin in memory or a RADIUS client. RFC 3579 §2, RFC 3748 §4. */
import type { Test } from 'tap';
import type { Aaa, AuthContext } from '../../src/daemon/aaa.js';
import { instant } from '../../src/proto/machine.js';
import { EapPeer } from '../../src/proto/ppp/auth-peer-eap.js';
import type { AuthRequest, EapMethod } from '../../src/proto/ppp/events.js';
import { decodeEap, EAP_TYPE, encodeEap } from '../../src/wire/ppp/eap.js';
import { seeded } from './ppp-pair.js';

const CONTEXT: AuthContext = {
  remote: '198.51.100.2',
  identity: undefined,
  claimedIdentity: undefined,
  sessionId: 1,
  tunnelId: 1,
  claim: () => {},
};
const MTU = 1_020;
const NOW = instant(0);
const MOST_ROUNDS = 64;

interface Talk {
  readonly ok: boolean;
  readonly user?: string;
  readonly rounds: number;
}

/** A peer at one end, the server at the other, nothing lost. Throws when the server breaks a rule. */
class Conversation {
  readonly #server: Aaa;
  readonly #user: string;
  readonly #peer: EapPeer;
  #said: Uint8Array | undefined;
  #id = 7;
  #state: Uint8Array | undefined;
  rounds = 0;

  constructor(server: Aaa, user: string, passwords: string[], eap: EapMethod[]) {
    this.#server = server;
    this.#user = user;
    this.#peer = new EapPeer(
      { user, passwords, eap, random: seeded(9) },
      {
        send: (_protocol, packet) => {
          this.#said = packet;
        },
        succeeded: () => {},
        failed: () => {},
      },
    );
    const identity = encodeEap({ code: 'Request', id: this.#id, type: EAP_TYPE.Identity, data: new Uint8Array(0) });
    this.#peer.receive(NOW, identity);
  }

  /** One Response to the server; the verdict, if that was the last. */
  async step(): Promise<Talk | undefined> {
    const packet = this.#said;
    if (packet === undefined) throw new Error('the peer has no answer to the last Request');
    this.rounds += 1;
    const state = this.#state === undefined ? {} : { state: this.#state };
    const request: AuthRequest = { method: 'eap', user: this.#user, packet, mtu: MTU, ...state };
    const answer = await this.#server.authenticate(request, CONTEXT);
    if (answer.challenge === undefined) {
      const { result } = answer;
      return result.ok ? { ok: true, user: result.user, rounds: this.rounds } : { ok: false, rounds: this.rounds };
    }
    const { challenge } = answer;
    const decoded = decodeEap(challenge.packet);
    if (!decoded.ok || decoded.value.code !== 'Request') throw new Error('RFC 3579 §2.2: a challenge is a Request');
    if (decoded.value.id === this.#id) throw new Error('RFC 3748 §4.1: a new Request has a new Identifier');
    if (challenge.packet.length > MTU) throw new Error('RFC 3579 §2.4: longer than Framed-MTU');
    this.#id = decoded.value.id;
    this.#state = challenge.state;
    this.#said = undefined;
    this.#peer.receive(NOW, challenge.packet);
    return undefined;
  }

  async run(): Promise<Talk> {
    while (this.rounds < MOST_ROUNDS) {
      const verdict = await this.step();
      if (verdict !== undefined) return verdict;
    }
    throw new Error('no verdict');
  }
}

/** `make`: a server that knows alice with the password `wonderland`, and has EAP-MSCHAPv2, then EAP-MD5. */
export async function eapContract(t: Test, make: () => Aaa): Promise<void> {
  const both: EapMethod[] = ['mschapv2', 'md5'];
  await t.test('it says that it decides EAP', async (t) => t.equal(make().decidesEap, true));
  await t.test('the right password, by either method, the second by Nak', async (t) => {
    t.match(await new Conversation(make(), 'alice', ['wonderland'], ['mschapv2']).run(), { ok: true, user: 'alice' });
    t.match(await new Conversation(make(), 'alice', ['wonderland'], ['md5']).run(), { ok: true, user: 'alice' });
  });
  await t.test('a wrong password, an unknown user: a refusal, after a second try at most', async (t) => {
    t.match(await new Conversation(make(), 'alice', ['x'], both).run(), { ok: false });
    t.match(await new Conversation(make(), 'nobody', ['wonderland'], both).run(), { ok: false });
    t.match(await new Conversation(make(), 'alice', ['x', 'wonderland'], both).run(), { ok: true });
    t.match(await new Conversation(make(), 'alice', ['x'], ['md5']).run(), { ok: false });
  });
  await t.test('a peer with no method in common is refused', async (t) => {
    t.match(await new Conversation(make(), 'alice', ['wonderland'], []).run(), { ok: false });
  });
  await t.test('conversations at one time do not mix: State tells them apart', async (t) => {
    const server = make();
    const talks = [
      new Conversation(server, 'alice', ['wonderland'], ['mschapv2']),
      new Conversation(server, 'alice', ['x'], ['md5']),
      new Conversation(server, 'alice', ['wonderland'], ['md5']),
    ];
    const verdicts: (Talk | undefined)[] = talks.map(() => undefined);
    while (verdicts.includes(undefined)) for (const [i, talk] of talks.entries()) verdicts[i] ??= await talk.step();
    t.same(
      verdicts.map((v) => v?.ok),
      [true, false, true],
    );
  });
  await t.test('nonsense and a State it never gave are refused, not thrown at', async (t) => {
    const base = { method: 'eap', user: 'alice', mtu: MTU } as const;
    const response = encodeEap({ code: 'Response', id: 1, type: 26, data: Uint8Array.of(3) });
    for (const request of [
      { ...base, packet: Uint8Array.of(2, 1, 0) },
      { ...base, packet: encodeEap({ code: 'Success', id: 1 }) },
      { ...base, packet: response, state: Uint8Array.of(1, 2, 3) },
    ])
      t.match(await make().authenticate(request, CONTEXT), { result: { ok: false } });
  });
}
