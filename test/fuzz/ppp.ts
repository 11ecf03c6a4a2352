/**
 * Fuzz target: a PPP link, as server and as client, fed with changed copies of the golden frames in every phase.
 * `node dist/test/fuzz/ppp.js [runs] [seed]`; the seed of a failing run is printed, and runs are repeatable.
 */
import { pathToFileURL } from 'node:url';
import { instant } from '../../src/proto/machine.js';
import type { LinkOut } from '../../src/proto/ppp/events.js';
import { Link, type Phase } from '../../src/proto/ppp/link.js';
import { toHex } from '../../src/wire/reader.js';
import { decide, lnsConfig, peerConfig, seeded } from '../lib/ppp-pair.js';
import { Script } from '../lib/ppp-script.js';
import { describeFrame } from '../lib/ppp-text.js';
import { vectors } from '../lib/ppp-vectors.js';

const CORPUS = ['ppp-options.txt', 'ppp-packets.txt', 'ppp-captures.txt'].flatMap(vectors).map((v) => v.bytes);
/** More for one input than any rule of RFC 1661 asks for. */
const MAX_OUTPUTS = 12;

/**
 * One run: frames, replies to what the link said, and pauses. Throws when the link throws or breaks a bound; gives the
 * number of steps the link lived in each phase. A third of the runs are clients, a quarter begin
 * with EAP, and a quarter with a link that is up.
 */
export function fuzz(seed: number, steps = 300): Partial<Record<Phase, number>> {
  const random = seeded(seed);
  const below = (n: number): number => ((random(1)[0]! << 8) | random(1)[0]!) % n;
  const eap = seed % 4 === 2 ? { auth: ['eap' as const] } : {};
  const server = new Script(lnsConfig({ random, setupTimeoutMs: 600_000, ...eap }));
  const link = seed % 3 === 0 ? new Link(peerConfig({ random, setupTimeoutMs: 600_000, ...eap })) : server.link;
  const lived: Partial<Record<Phase, number>> = {};
  if (seed % 3 === 1 && seed % 4 !== 2) server.toUp();
  let now = instant(0);
  let said: Uint8Array[] = [];
  let downs = 0;

  const drain = (): void => {
    let count = 0;
    for (let out: LinkOut | undefined = link.poll(); out !== undefined; out = link.poll()) {
      if (++count > MAX_OUTPUTS) throw new Error(`${count} outputs for one input`);
      if (out.type === 'frame') said = [...said.slice(-8), out.data];
      if (out.type === 'frame' && describeFrame(out.data).includes('malformed')) throw new Error('it sent a bad frame');
      if (out.type === 'authenticate') link.handle(now, { type: 'auth-result', result: decide(out.request) });
      if (out.type === 'down' && ++downs > 1) throw new Error('down twice');
    }
  };

  link.handle(now, { type: 'lower-up' });
  drain();
  for (let step = 0; step < steps && downs === 0; step++) {
    const last = said.at(below(9) - 8);
    const frame =
      below(2) === 0 && last !== undefined ? reply(last, below) : mutate(CORPUS[below(CORPUS.length)]!, below);
    // An open link would not live long: most frames that end one, or begin LCP anew, are left out.
    if (link.phase !== 'Establish' && deadly(frame) && below(16) > 0) continue;
    lived[link.phase] = (lived[link.phase] ?? 0) + 1;
    link.handle(now, { type: 'frame', data: frame });
    drain();
    now = instant(now + below(below(10) === 0 ? 5_000 : 50));
    link.handleTimeout(now);
    drain();
  }
  link.handle(now, { type: 'close', reason: 'end of the run' });
  for (let at = link.nextTimeout(); at !== undefined; at = link.nextTimeout()) {
    link.handleTimeout(at);
    drain();
  }
  drain();
  if (downs !== 1 || link.phase !== 'Over') throw new Error(`the link did not go down: ${link.phase}`);
  return lived;
}

/** LCP's Configure, Terminate and Reject packets, and IPCP's Terminate-Request. */
const deadly = (frame: Uint8Array): boolean => /^(ff03)?(c0210[1-8]|80210[57])/.test(toHex(frame));

/** What a peer might make of our own frame: a request acknowledged, a Challenge answered, or nearly so. */
function reply(frame: Uint8Array, below: (n: number) => number): Uint8Array {
  const bytes = frame.slice();
  bytes[2] = bytes[2] === 1 && below(4) > 0 ? 2 : 1 + below(14);
  return below(4) === 0 ? mutate(bytes, below) : bytes;
}

function mutate(original: Uint8Array, below: (n: number) => number): Uint8Array {
  const bytes = original.slice(0, below(4) === 0 ? below(original.length + 1) : original.length);
  for (let n = below(4); n > 0 && bytes.length > 0; n--) bytes[below(bytes.length)] = below(256);
  return bytes;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const runs = Number(process.argv[2] ?? 1_000);
  const total: Record<string, number> = {};
  const first = Number(process.argv[3] ?? 1);
  for (let seed = first; seed < first + runs; seed++) {
    try {
      for (const [phase, n] of Object.entries(fuzz(seed))) total[phase] = (total[phase] ?? 0) + n;
    } catch (error) {
      console.error(`seed ${seed}:`, error);
      process.exit(1);
    }
  }
  console.log(`${runs} runs, no failure; steps lived:`, total);
}
