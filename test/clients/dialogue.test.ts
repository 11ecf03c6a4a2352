/** Every client through a whole life with the gateway's own decisions, on the virtual clock: plain, and with every quirk. */
import t, { type Test } from 'tap';
import { NOTHING } from '../lib/daemon-rig.js';
import { CLIENTS } from './all.js';
import type { NativeClient } from './client.js';
import { type PairOptions, pair } from './pair.js';
import { QUIRKS } from './quirks.js';

const PING = Uint8Array.from(Buffer.from('4500001c00010000400100000a630002c0000201080000000001ffff', 'hex'));

/** Dials, is up within `withinMs`, passes traffic, hangs up; nothing is left and nothing troubled it. */
async function life(
  t: Test,
  native: NativeClient,
  options: PairOptions & { readonly withinMs: number },
): Promise<void> {
  const { rig, client } = pair(native, options);
  client.dial();
  await rig.run(options.withinMs);
  t.ok(client.up, `up within ${options.withinMs} ms`);
  t.strictSame(rig.left, { tunnels: 1, sessions: 1, leased: 1, plane: 1 }, 'one tunnel, one session');
  // DHCPINFORMs are over.
  await rig.run(20_000);
  rig.plane.takeTun();
  client.sendIp(PING);
  const inside = rig.plane.takeTun();
  // Lost on the way, or there.
  if (!options.quirks?.loses) t.equal(inside.length, 1, 'its packet is inside');
  client.hangUp();
  await rig.run(120_000);
  // A client that leaves without a word the gateway hears is found out by echoes.
  t.strictSame(rig.left, NOTHING, 'nothing is left');
  t.strictSame(client.complaints, [], 'nothing it could not take');
  t.strictSame(
    rig.log.filter((l) => l.level === 'error'),
    [],
  );
}

for (const native of CLIENTS) {
  t.test(`${native.name}: ${native.title}`, async (t) => {
    // 2.4: Windows answers our repeat, after 1 s; 6: ChromeOS waits until it hears of us. Nobody else waits for anything.
    const atOnce = native.ppp.deafFor > 0 ? 1_000 : 0;
    await t.test('plain: up without waiting for any timer', (t) => life(t, native, { withinMs: atOnce }));
    for (const method of native.ppp.auth)
      await t.test(`authenticated by ${method}`, async (t) => {
        const link = { auth: [method] };
        await life(t, native, { withinMs: atOnce, auth: [method], link });
      });
    for (const [fact, other] of Object.entries(native.otherwise))
      await t.test(`otherwise: ${fact}`, (t) => life(t, other, { withinMs: 1_000 }));
    for (const [quirk, make] of Object.entries(QUIRKS))
      await t.test(quirk, (t) => life(t, native, { withinMs: 30_000, quirks: make() }));
  });
}
