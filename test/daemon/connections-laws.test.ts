import fc from 'fast-check';
import t from 'tap';
import type { Client } from '../lib/daemon-client.js';
import { NOTHING, Rig } from '../lib/daemon-rig.js';
import { childDown, ikeDown } from '../lib/ike-events.js';

/** Everything that can befall a connection, at any time. */
const BLOWS: Record<string, (rig: Rig, client: Client) => void> = {
  admin: (rig, c) => void rig.connections.disconnect(c.address ?? 'alice'),
  stopCcn: (_, c) => c.closeTunnel(),
  cdn: (_, c) => c.closeSession(),
  lcpTerminate: (_, c) => c.terminateLink(),
  relink: (_, c) => (c.session === undefined ? undefined : c.restartLink()),
  mute: (_, c) => {
    c.mute = true;
  },
  saGone: (rig, c) => rig.ike.push(ikeDown(rig.saOf(c))),
  childGone: (rig, c) => rig.ike.push(childDown(rig.saOf(c))),
  saBack: (rig, c) => rig.childUp(c),
  abandonMarked: (rig) => rig.connections.abandonMarked('charon ended'),
  callAgain: (_, c) => c.openSession(),
  redial: (_, c) => void c.dial(),
};

t.test('law: after any sequence of endings nothing is left, and nothing was given back twice', async () => {
  const blow = fc.tuple(fc.constantFrom(...Object.keys(BLOWS)), fc.nat(2), fc.constantFrom(0, 1, 900, 4_000, 31_000));
  await fc.assert(
    fc.asyncProperty(fc.array(blow, { maxLength: 10 }), fc.nat(3), async (blows, connectMs) => {
      const rig = new Rig();
      // Two under one mark, one under another, all behind one address.
      const clients = [1, 1, 2].map((mark, i) => rig.client({ mark, port: 1701 + i }));
      for (const client of clients) rig.childUp(client);
      for (const client of clients) client.dial();
      await rig.run(connectMs);
      for (const [name, who, ms] of blows) {
        BLOWS[name]!(rig, clients[who]!);
        await rig.run(ms);
        const { sessions, leased, plane } = rig.left;
        if (plane !== sessions || leased! > sessions!) throw new Error(JSON.stringify(rig.left));
      }
      for (const client of clients) client.mute = true;
      const done = rig.connections.drain('end');
      await rig.run(20_000);
      await done;
      for (const client of clients) rig.ike.push(ikeDown(rig.saOf(client)));
      await rig.run(60_000);
      for (const [what, n] of Object.entries(rig.left))
        if (n !== NOTHING[what as 'leased']) throw new Error(`${what}: ${n}`);
      if (rig.clock.armed !== undefined) throw new Error(`a timer is left for ${rig.clock.armed}`);
    }),
    { numRuns: 100, seed: 20_260_101 },
  );
});
