/**
 * What a gateway must tolerate of native clients and must never do to them: the facts and the checklist of the notes on native
 * clients, a test for each line (1.x: section 1, 9.x: section 9). What is IKE's is in main-mode.test.ts and the lab.
 */
import t from 'tap';
import { encodeFrame, PROTOCOL } from '../../src/wire/ppp/frame.js';
import { fromHex } from '../../src/wire/reader.js';
import { NOTHING } from '../lib/daemon-rig.js';
import { childDown, childSa, childUp, ikeDown, ikeSa } from '../lib/ike-events.js';
import { lnsConfig } from '../lib/ppp-pair.js';
import { Script } from '../lib/ppp-script.js';
import { connected, HELLO, ICCN, icrq, Peer, SCCCN, sccrq } from '../proto/l2tp/dialogue.js';
import { CLIENTS } from './all.js';
import { android7 } from './android7.js';
import { variant } from './client.js';
import { macos14 } from './macos14.js';
import { join, pair } from './pair.js';
import { QUIRKS } from './quirks.js';
import { routeros6 } from './routeros6.js';
import { win11 } from './win11.js';

const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');
const PING = fromHex('4500001c00010000400100000a630002c0000201080000000001ffff');

t.test(
  '1.1 and 9.7: LCP options 5, 7, 8, 13, 17, 19 one by one; all rejected, an empty request, is acknowledged',
  async (t) => {
    const answers: Readonly<Record<string, RegExp>> = {
      '0506 6f3d17a2': /^LCP Configure-Ack 1 <magic/,
      '0702': /^LCP Configure-Ack 1 <pcomp>$/,
      '0802': /^LCP Configure-Ack 1 <accomp>$/,
      '0d0306': /^LCP Configure-Reject 1 <callback 6>$/,
      '1104064e': /^LCP Configure-Reject 1 <mrru 1614>$/,
      '13090300c0ffee0001': /^LCP Configure-Reject 1 <endpoint 3 00c0ffee0001>$/,
    };
    for (const [option, answer] of Object.entries(answers)) {
      const s = new Script(lnsConfig());
      s.tell({ type: 'lower-up' });
      const octets = fromHex(option);
      t.match(s.hear(Uint8Array.of(...fromHex('c0210101'), 0, 4 + octets.length, ...octets)).at(-1), answer, option);
      t.same(s.hear('c021 0102 0004'), ['LCP Configure-Ack 2']);
    }
  },
);

t.test('9.7: Identification and Time-Remaining are ignored, before and after authentication', async (t) => {
  const s = new Script(lnsConfig());
  s.toNetwork();
  for (const frame of ['c021 0c05 000b 00000000 414243', 'c021 0d06 000f 00000000 00000e10 414243'])
    t.strictSame(
      s.hear(frame).filter((said) => !said.startsWith('note')),
      [],
      frame,
    );
});

t.test(
  '1.2: the picture of error 809: no SCCRP arrives, Quick Modes at +7, +15, +25 s, the older SPI deleted each time',
  async (t) => {
    const { rig, client } = pair(win11, { quirks: { loses: (from) => from === 'gateway' } });
    client.dial();
    let n = 1;
    for (const wait of [7_000, 8_000, 10_000]) {
      await rig.run(wait);
      n += 1;
      rig.ike.push(childUp(ikeSa('1', [childSa(`${n - 1}`, 1), childSa(`${n}`, 1)])));
      rig.ike.push(childDown(ikeSa('1', [childSa(`${n - 1}`, 1)])));
      t.notOk(
        rig.acts.some((act) => act.startsWith('terminate')),
        `${rig.clock.now()} ms: nothing is taken down`,
      );
    }
    await rig.run(10_000);
    t.strictSame(
      client.sent.filter((s) => s.data[19] === 1).map((s) => s.at),
      [0, 1_000, 3_000, 7_000, 15_000, 25_000],
    );
    rig.ike.push(childDown(ikeSa('1', [childSa(`${n}`, 1)])), ikeDown(ikeSa('1', [])));
    await rig.run(5_000);
    t.strictSame(rig.left, NOTHING);
  },
);

t.test('1.3: towards Windows no header bits but T, L and S, whatever the call', async (t) => {
  const { rig, client } = pair(win11, { l2tp: { helloIntervalMs: 10_000 } });
  client.dial();
  await rig.run(60_000);
  client.hangUp();
  await rig.run(10_000);
  t.ok(client.received.length > 8, 'SCCRP, ICRP, ZLBs, HELLOs');
  for (const datagram of client.received) t.equal(hex(datagram.subarray(0, 2)), 'c802');
});

t.test(
  '1.4 and 9.3: the vendor AVP in the ICRQ of Windows is no Result Code, and an unknown one is nothing',
  async (t) => {
    const { rig, client } = pair(win11, { quirks: QUIRKS['an unknown vendor AVP in each message']!() });
    client.dial();
    await rig.run(2_000);
    t.ok(client.up);
  },
);

t.test('1.5: Android’s SCCCN and ICCN are acknowledged at once, by a ZLB', async (t) => {
  const { rig, client } = pair(android7);
  client.dial();
  await rig.run(0);
  t.strictSame(
    client.received.map((d) => (d.length === 12 ? `ZLB ${d[11]}` : `type ${d[19]}`)),
    ['type 2', 'ZLB 2', 'type 11', 'ZLB 4'],
  );
  t.ok(client.up, 'in no time');
});

t.test('1.5: a lost acknowledgement costs Android its 2 s, not the dial', async (t) => {
  const { rig, client } = pair(android7, { quirks: { losesFirstZlb: 'received' } });
  client.dial();
  await rig.run(1_900);
  t.notOk(client.up);
  await rig.run(200);
  t.ok(client.up);
});

t.test('1.6: no Challenge to anyone without a tunnel secret', async (t) => {
  for (const native of CLIENTS) {
    const { rig, client } = pair(native);
    client.dial();
    await rig.run(5_000);
    t.notOk(
      client.complaints.some((c) => c.includes('Challenge')),
      native.name,
    );
  }
});

t.test('1.6: with one, Windows answers, and Apple and Android, which cannot, are told so by a StopCCN', async (t) => {
  const secret = Buffer.from('tunnel secret');
  for (const [native, able] of [
    [win11, true],
    [macos14, false],
    [android7, false],
  ] as const) {
    const { rig, client } = pair(native, { l2tp: { secret: () => secret }, tunnelSecret: 'tunnel secret' });
    client.dial();
    await rig.run(10_000);
    t.equal(client.up, able, native.name);
    // RFC 2661 §4.4.2, StopCCN 4: the requester is not authorized.
    if (!able)
      t.ok(
        client.events.some(({ event }) => event === 'tunnel-down peer 4'),
        native.name,
      );
  }
});

t.test('1.10: who leaves without a word is found out: nobody but RouterOS would ask', async (t) => {
  for (const native of CLIENTS) {
    const { rig, client } = pair(native);
    client.dial();
    await rig.run(10_000);
    client.mute = true;
    await rig.run(240_000);
    t.strictSame(rig.left, NOTHING, native.name);
  }
});

t.test(
  '1.12: DHCPINFORM of Windows and Apple is answered as they take it: unicast, 53 first, 121 and 249 alike, 249 last',
  async (t) => {
    for (const native of [win11, macos14]) {
      const { rig, client } = pair(native);
      client.dial();
      await rig.run(30_000);
      const [reply] = client.ipReceived;
      t.ok(reply, native.name);
      t.equal(client.ipReceived.length, 1, 'answered at once, so it is not repeated');
      t.equal(hex(reply!.subarray(16, 20)), '0a630002', '3.5: to its own address');
      t.equal(hex(reply!.subarray(20, 24)), '00430044', '67 to 68');
      const options = hex(reply!.subarray(28 + 236));
      t.match(options, /^63825363350105/, '3.5: cookie, then ACK');
      // 10.11.11.0/24 via the gateway (section 11).
      const route = '180a0b0b0a630001';
      t.ok(options.includes(`7908${route}`), '121');
      t.ok(options.includes(`f908${route}`), '249');
      t.ok(options.indexOf('f908') > options.indexOf('7908'), 'the last one wins with Windows');
    }
  },
);

t.test('9: a profile that says EAP: Windows comes by EAP-MSCHAPv2 and goes on to its NCPs', async (t) => {
  const { rig, client } = pair(win11, {
    auth: ['eap'],
    link: { auth: ['mschapv2', 'eap'], eap: ['mschapv2'] },
  });
  client.dial();
  await rig.run(5_000);
  t.ok(client.up);
  t.match(rig.events('auth.ok')[0], { method: 'mschapv2' });
});

t.test('9.1: SCCRQs of every shape', async (t) => {
  for (const native of CLIENTS)
    for (const quirk of [
      'NUL in the host name',
      'AVPs in another order',
      'no Bearer, Firmware, Vendor',
      'no Receive Window Size',
      'Receive Window Size 1',
      'Framing Capabilities 0',
    ]) {
      const { rig, client } = pair(native, { quirks: QUIRKS[quirk]!() });
      client.dial();
      await rig.run(5_000);
      t.ok(client.up, `${native.name}: ${quirk}`);
    }
});

t.test('9.1: the window of an SCCRQ is kept to, and an absent one is 4 (RFC 2661 §4.4.3)', async (t) => {
  for (const [avps, most] of [
    [{ receiveWindowSize: undefined }, 4],
    [{ receiveWindowSize: 1 }, 1],
    [{ receiveWindowSize: 8 }, 8],
  ] as const) {
    const peer = connected({}, avps as Parameters<typeof connected>[1]);
    // Each answer acknowledged by the next request: slow start is over (Appendix A).
    for (let n = 1; n <= 40; n++) peer.send(icrq(n));
    // Then the client acknowledges nothing more: what goes out is what the window allows.
    const { Nr } = peer;
    const numbers = new Set<number>();
    for (let n = 41; n <= 80; n++) {
      const before = peer.outs.length;
      peer.Nr = Nr;
      peer.send(icrq(n));
      for (const out of peer.outs.slice(before))
        if (out.type === 'send' && out.data.length > 12) numbers.add((out.data[8]! << 8) | out.data[9]!);
    }
    t.equal(numbers.size, most);
  }
});

t.test(
  '9.2: Result Codes of 8, 10 and 14 octets, in the wrong order, with text; StopCCN without CDN, CDN without StopCCN',
  async (t) => {
    const goodbyes = [['StopCCN'], ['CDN'], ['CDN', 'StopCCN'], ['LCP', 'CDN', 'StopCCN']] as const;
    for (const goodbye of goodbyes)
      for (const quirk of Object.keys(QUIRKS).filter((q) => q.startsWith('Result Code'))) {
        const native = variant(win11, { l2tp: { goodbye } });
        const { rig, client } = pair(native, { quirks: QUIRKS[quirk]!() });
        client.dial();
        await rig.run(5_000);
        client.hangUp();
        await rig.run(1_000);
        t.equal(rig.left.sessions, 0, `${goodbye.join()}: ${quirk}`);
        await rig.run(60_000);
        t.strictSame(rig.left, NOTHING);
      }
  },
);

t.test('9.4: HELLO on tunnel 0, before, during and after a call: never answered, nothing happens', async (t) => {
  const { rig, client } = pair(macos14);
  const hello = fromHex('c8020014 0000 0000 0000 0000 8008 0000 0000 0006');
  rig.arrive(client.path, hello);
  client.dial();
  rig.arrive(client.path, hello);
  await rig.run(1_000);
  const heard = client.received.length;
  rig.arrive(client.path, hello);
  await rig.run(1_000);
  t.equal(client.received.length, heard);
  t.ok(client.up);
  t.strictSame(client.complaints, []);
});

t.test('9.4: HELLO during call setup, ZLB at any time', async (t) => {
  const peer = new Peer();
  peer.zlb();
  peer.send(sccrq());
  peer.zlb();
  t.same(peer.send(HELLO), ['ZLB Ns=1 Nr=2'], 'before SCCCN');
  peer.send(SCCCN);
  peer.zlb();
  peer.send(icrq());
  t.same(peer.send(HELLO), ['ZLB Ns=2 Nr=5'], 'between ICRQ and ICCN');
  peer.zlb();
  t.ok(peer.send(ICCN, peer.last('ICRP').avps.assignedSessionId).includes('session-up'));
});

t.test('no HELLO before ICCN (3.3: it kills Apple’s dial)', async (t) => {
  const peer = connected({ helloIntervalMs: 1_000 });
  peer.send(icrq());
  // The ICRP is acknowledged, so that nothing else would keep a HELLO back.
  peer.zlb();
  t.strictSame(peer.advance(10_000), []);
  peer.send(ICCN, peer.last('ICRP').avps.assignedSessionId);
  t.match(peer.advance(10_000)[0], /^HELLO/, 'afterwards it asks');
});

t.test('9.5: two SCCRQ from one address with the same tunnel id are one tunnel', async (t) => {
  for (const native of CLIENTS) {
    let lost = 0;
    const { rig, client } = pair(native, {
      quirks: { copies: 2, loses: (from, d) => from === 'gateway' && d[19] === 2 && lost++ < 2 },
    });
    client.dial();
    await rig.run(20_000);
    t.equal(rig.left.tunnels, 1, native.name);
    t.ok(client.up, native.name);
  }
});

t.test(
  '9.6: data with and without L and S, PFC and ACFC or not; of us always the whole protocol field, ff03 on LCP',
  async (t) => {
    for (const dataLength of [true, false])
      for (const compresses of [true, false]) {
        const { rig, client } = pair(variant(win11, { l2tp: { dataLength }, ppp: { compresses } }));
        client.dial();
        await rig.run(2_000);
        client.sendIp(PING);
        t.equal(rig.plane.takeTun().length > 0, true, `L ${dataLength}, PFC and ACFC ${compresses}`);
        t.strictSame(client.complaints, []);
      }
    const { rig, client } = pair(win11);
    client.dial();
    await rig.run(20_000);
    rig.plane.takeTun();
    const { peerTunnelId, peerSessionId } = client.session!;
    const ids = [peerTunnelId >> 8, peerTunnelId & 255, peerSessionId >> 8, peerSessionId & 255];
    rig.arrive(client.path, Uint8Array.of(0x08, 0x02, ...ids, 0, 0, 0, 0, ...encodeFrame(PROTOCOL.ip, PING)));
    t.equal(rig.plane.takeTun().length, 1, 'S');
  },
);

t.test(
  '9.10: the older SPI is deleted after a rekeying, or while another CHILD_SA lives: the tunnel stays',
  async (t) => {
    const { rig, client } = pair(win11);
    client.dial();
    await rig.run(2_000);
    const [old, young] = [childSa('1', 1), childSa('2', 1)];
    // RFC 3193 §3.1; first the new one, then the Delete of the old.
    rig.ike.push({ type: 'child-rekey', sa: ikeSa('1', [old, young]), old, new: young });
    await rig.run(500);
    rig.ike.push(childDown(ikeSa('1', [old])));
    await rig.run(20_000);
    t.strictSame(rig.left, { tunnels: 1, sessions: 1, leased: 1, plane: 1 });
    // The Delete first, and a Quick Mode that was on its way, a second later.
    rig.ike.push(childDown(ikeSa('1', [young])));
    await rig.run(1_000);
    rig.ike.push(childUp(ikeSa('1', [childSa('3', 1)])));
    await rig.run(20_000);
    t.strictSame(rig.left, { tunnels: 1, sessions: 1, leased: 1, plane: 1 });
    client.sendIp(PING);
    t.ok(client.up);
  },
);

t.test('9.10: the last CHILD_SA gone and none new: the client has left (RFC 3193 §3.1)', async (t) => {
  const { rig, client } = pair(win11);
  client.dial();
  await rig.run(2_000);
  rig.ike.push(childDown(ikeSa('1', [childSa('1', 1)])));
  await rig.run(10_000);
  t.strictSame(rig.left, NOTHING);
});

t.test('2.4: callback is rejected, and CCP never begun; CCP and MPLSCP of RouterOS delay nothing (7)', async (t) => {
  const { rig, client } = pair(win11);
  client.dial();
  await rig.run(2_000);
  t.ok(
    client.framesReceived.some((f) => hex(f) === 'c021040000070d0306'),
    'Configure-Reject of option 13',
  );
  const mikrotik = pair(routeros6);
  mikrotik.client.dial();
  await mikrotik.rig.run(0);
  t.ok(mikrotik.client.up, 'its address, in no time');
  const rejects = mikrotik.client.framesReceived.map(hex).filter((f) => f.startsWith('c02108'));
  t.match(rejects[0], /^c02108......80fd/);
  t.match(rejects[1], /^c02108......8281/);
  t.notOk(
    mikrotik.client.framesReceived.map(hex).some((f) => f.startsWith('802106')),
    'no Term-Ack to IPCP',
  );
});

t.test('3.4: ACSCP gets a Protocol-Reject, CCP of Android too, and IPV6CP unless it is on', async (t) => {
  for (const [native, protocol] of [
    [macos14, '8235'],
    [macos14, '8057'],
    [android7, '80fd'],
    [win11, '80fd'],
    [win11, '8057'],
  ] as const) {
    const { rig, client } = pair(native);
    client.dial();
    await rig.run(2_000);
    const rejects = client.framesReceived.map(hex).filter((f) => new RegExp(`^c02108......${protocol}`).test(f));
    t.equal(rejects.length, 1, `${native.name}: ${protocol}`);
  }
});

t.test('1.7: clients with one address, name and tunnel id, each under its own mark', async (t) => {
  const { rig, client } = pair(win11);
  const twin = join(rig, win11, { mark: 2, seed: 2, user: 'bob', passwords: ['builder'] });
  client.dial();
  twin.dial();
  await rig.run(3_000);
  t.strictSame([client.up, twin.up], [true, true]);
  t.equal(rig.left.sessions, 2);
});

t.test('3.3: Apple’s SCCCN and ICRQ come together', async (t) => {
  const { rig, client } = pair(macos14);
  const arrived: number[] = [];
  const { arrive } = rig;
  rig.arrive = (path, data) => {
    if (data[0]! >= 0x80 && data.length > 12 && data[19] !== 6) arrived.push(data[19]!);
    arrive.call(rig, path, data);
  };
  client.dial();
  await rig.run(0);
  t.strictSame(arrived, [1, 3, 10, 12]);
});
