/** What the emulators put on the wire is what the clients do: octet for octet, and at the times they do. */
import t from 'tap';
import { decodePacket } from '../../src/wire/l2tp/header.js';
import { octets, title, vectors } from '../lib/vectors.js';
import { CLIENTS } from './all.js';
import type { NativeClient } from './client.js';
import { octets as hexOctets } from './emulator.js';
import { pair } from './pair.js';
import { GUID } from './windows.js';

const client = (name: string): NativeClient => CLIENTS.find((c) => c.name === name)!;
const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');

/** With our ids as the images have them: tunnel 1111, session 2222. */
function normal(datagram: Uint8Array): string {
  const copy = Uint8Array.from(datagram);
  if (copy[4] || copy[5]) copy.set([0x11, 0x11], 4);
  if (copy[6] || copy[7]) copy.set([0x22, 0x22], 6);
  return hex(copy);
}

/** All control messages of a dial and a "disconnect"; ZLBs are left out. */
async function dialled(native: NativeClient, quirks = {}): Promise<string[]> {
  const { rig, client } = pair(native, { quirks });
  client.dial();
  await rig.run(10_000);
  t.ok(client.up, `${native.name} is up`);
  client.hangUp();
  await rig.run(30_000);
  return client.sent.filter((s) => s.data.length > 12).map((s) => normal(s.data));
}

const IMAGES: Readonly<Record<string, readonly string[]>> = {
  win11: ['Windows 10/11 SCCRQ', 'Windows SCCCN', 'Windows ICRQ', 'Windows ICCN', 'Windows CDN', 'Windows StopCCN'],
  macos14: ['Apple SCCRQ', 'Apple ICRQ', 'Apple ICCN', 'Apple CDN', 'Apple StopCCN'],
  'macos10.11': ['Apple SCCRQ', 'Apple ICRQ', 'Apple ICCN', 'Apple CDN', 'Apple StopCCN'],
  ios: ['Apple SCCRQ', 'Apple ICRQ', 'Apple ICCN', 'Apple CDN', 'Apple StopCCN'],
  android7: ['Android SCCRQ', 'Android ICRQ', 'Android ICCN', 'Android StopCCN'],
  android5: ['Android SCCRQ', 'Android ICRQ', 'Android ICCN', 'Android StopCCN'],
  'nm-kl2tpd': ['kl2tpd SCCRQ'],
  routeros6: ['MikroTik SCCRQ'],
  routeros7: ['MikroTik SCCRQ'],
};

t.test('control messages are those of test/vectors/l2tp-clients.txt, header, numbers and AVPs', async (t) => {
  const all = vectors('l2tp-clients.txt');
  for (const [name, wanted] of Object.entries(IMAGES)) {
    const sent = await dialled(client(name));
    for (const start of wanted) {
      const vector = all.find((v) => v.name.startsWith(start))!;
      t.ok(sent.includes(hex(octets(vector, 'decode'))), `${name}: ${title(vector)}`);
    }
  }
});

t.test('sizes that logs give (2.3, 3.3, 4.2, 7)', async (t) => {
  const sizes = async (name: string) => (await dialled(client(name))).map((datagram) => datagram.length / 2);
  t.strictSame(await sizes('win11'), [108, 20, 70, 48, 38, 38]);
  t.strictSame(await sizes('macos14'), [70, 20, 38, 40, 42, 42]);
  t.strictSame(await sizes('android7'), [69, 20, 38, 40, 36]);
  t.equal((await sizes('routeros6'))[0], 100);
  t.equal((await sizes('win7'))[0], 108);
});

t.test('xl2tpd and go-l2tp: the AVPs in their order (5)', async (t) => {
  const types = (datagram: string) => {
    const packet = decodePacket(Buffer.from(datagram, 'hex'));
    if (!packet.ok) throw new Error(packet.why);
    const list: number[] = [];
    const { payload } = packet.value;
    for (let at = 0; at < payload.length; at += ((payload[at]! & 3) << 8) | payload[at + 1]!)
      list.push(payload[at + 5]!);
    return list;
  };
  const xl2tpd = [[0, 2, 3, 4, 6, 7, 8, 9, 10], [0], [0, 14, 15, 18], [0, 24, 19], [0, 1, 14], [0, 9, 1]];
  for (const name of ['nm-strongswan', 'chromeos', 'openwrt', 'tplink'])
    t.strictSame((await dialled(client(name))).map(types), xl2tpd, name);
  t.strictSame((await dialled(client('nm-kl2tpd'))).map(types), [
    [0, 2, 7, 3, 9],
    [0],
    [0, 14, 15],
    [0, 24, 19],
    [0, 1, 14],
    [0, 9, 1],
  ]);
});

t.test('Apple wakes IPsec with HELLOs to tunnel 0 (3.3)', async (t) => {
  const { rig, client: mac } = pair(client('macos14'));
  const arrived: string[] = [];
  const { arrive } = rig;
  rig.arrive = (path, data) => {
    arrived.push(hex(data));
    arrive.call(rig, path, data);
  };
  mac.dial();
  await rig.run(100);
  t.strictSame(arrived.slice(0, 11), Array(11).fill('c802001400000000000000008008000000000006'));
  t.ok(mac.up);
});

/** First octets of each PPP frame sent, Magic-Numbers as `MMMMMMMM`. */
async function frames(native: NativeClient): Promise<string[]> {
  const { rig, client } = pair(native);
  client.dial();
  await rig.run(10_000);
  t.ok(client.up, native.name);
  return client.framesSent.map((f) =>
    hex(f).replace(/^(c021010.00..(?:0104....)?(?:0206........)?0506)......../, '$1MMMMMMMM'),
  );
}

t.test('the first LCP Configure-Request, and the first after what we reject (2.4, 3.4, 4.2, 5, 6)', async (t) => {
  const wanted: Readonly<Record<string, readonly string[]>> = {
    win11: ['c021 0100 0015 01040578 0506MMMMMMMM 0702 0802 0d0306', 'c021 0101 0012 01040578 0506MMMMMMMM 0702 0802'],
    win7: [
      'c021 0100 0030 01040578 0506MMMMMMMM 0702 0802 0d0306 1104064e 131701 29f76a9077f1472c835247f271d656070000000c',
      'c021 0101 0012 01040578 0506MMMMMMMM 0702 0802',
    ],
    'winxp-l2tp': [
      'c021 0100 002c 0506MMMMMMMM 0702 0802 0d0306 1104064e 131701 29f76a9077f1472c835247f271d656070000000c',
      'c021 0101 000e 0506MMMMMMMM 0702 0802',
    ],
    macos14: ['c021 0101 0014 020600000000 0506MMMMMMMM 0702 0802'],
    android7: ['c021 0101 0018 01040578 020600000000 0506MMMMMMMM 0702 0802'],
    'nm-strongswan': ['c021 0101 0018 01040578 020600000000 0506MMMMMMMM 0702 0802'],
    chromeos: ['c021 0101 0018 01040582 020600000000 0506MMMMMMMM 0702 0802'],
  };
  for (const [name, requests] of Object.entries(wanted)) {
    const sent = (await frames(client(name))).filter((f) => f.startsWith('c02101'));
    t.strictSame(
      [...new Set(sent)],
      requests.map((r) => r.replaceAll(' ', '')),
      name,
    );
  }
});

t.test('Windows: one counter of Identifiers from LCP to IPCP (2.4)', async (t) => {
  const sent = await frames(client('win11'));
  const after = (start: string) => sent.filter((f) => f.startsWith(start));
  t.match(after('c0210c02')[0], /^c0210c020012.{8}4d535241535635/, 'MSRASV5.20');
  t.match(
    after('c0210c03')[0],
    /^c0210c03001f.{8}4d535241532d302d4445534b544f502d41424331323334$/,
    'MSRAS-0-<COMPUTERNAME>',
  );
  t.ok(after('c0210c04')[0]?.endsWith(GUID), 'the GUID of its ICRQ');
  t.equal(after('805701')[0]?.slice(0, 8), '80570105', 'IPV6CP');
  t.equal(after('80fd01')[0], '80fd0106000a120601000000', 'CCP');
  t.equal(after('802101')[0], '80210107' + '0022030600000000810600000000820600000000830600000000840600000000', 'IPCP');
  const order = ['c0210c02', 'c22302', '805701', '80fd01', '802101'].map((start) =>
    sent.findIndex((f) => f.startsWith(start)),
  );
  t.strictSame(
    order,
    [...order].sort((a, b) => a - b),
    'Identification, Response, IPV6CP, CCP, IPCP',
  );
});

t.test('IPCP and what is asked beside it (3.4, 4.2, 5, 7)', async (t) => {
  const has = async (name: string, ...wanted: string[]) => {
    const sent = await frames(client(name));
    for (const frame of wanted) t.ok(sent.includes(frame.replaceAll(' ', '')), `${name}: ${frame}`);
  };
  await has(
    'macos14',
    '8021 0101 0016 030600000000 810600000000 830600000000',
    '8235 0101 0010 0106 00000001 0206 00000001',
  );
  await has('android7', '8021 0101 001c 0206002d0f01 030600000000 810600000000 830600000000');
  await has('nm-strongswan', '8021 0101 0016 030600000000 810600000000 830600000000');
  await has('routeros6', '80fd 0101 000a 1206 01000060', '8281 0101 0004');
});

t.test('Windows says why it goes (2.4): signature and error in its Terminate-Request', async (t) => {
  const { rig, client: win } = pair(client('win11'));
  win.dial();
  await rig.run(5_000);
  win.hangUp();
  await rig.run(5_000);
  t.match(hex(win.framesSent.findLast((f) => hex(f).startsWith('c02105'))!), /^c02105..0010.{8}003ccd7400000000$/);
  t.match(rig.events('session.end')[0], { reason: 'the client disconnected' });
});

t.test('data messages: header and framing (2.4, 3.3, 4.2)', async (t) => {
  const shapes = async (name: string) => {
    const { rig, client: native } = pair(client(name));
    const seen: string[] = [];
    const { arrive } = rig;
    rig.arrive = (path, data) => {
      if (data[0]! < 0x80) {
        const header = data[0]! & 0x40 ? 8 : 6;
        seen.push(`${hex(data.subarray(0, 2))} ${hex(data.subarray(header, header + 4))}`);
      }
      arrive.call(rig, path, data);
    };
    native.dial();
    await rig.run(5_000);
    native.sendIp(Uint8Array.of(0x45, 0));
    return { lcp: seen[0], ip: seen.at(-1) };
  };
  t.strictSame(await shapes('win11'), { lcp: '4002 ff03c021', ip: '4002 214500' });
  t.strictSame(await shapes('macos14'), { lcp: '4002 ff03c021', ip: '4002 214500' });
  t.strictSame(await shapes('android7'), { lcp: '0002 ff03c021', ip: '0002 ff030021' });
});

t.test('a gateway that never answers: when each asks again, and when it gives up (1.2, 3.3, 4.2, 5, 7)', async (t) => {
  const wanted: Readonly<Record<string, { at: number[]; ends: number }>> = {
    win11: { at: [0, 1, 3, 7, 15, 25], ends: 35 },
    macos14: { at: [0, 1, 3, 7, 11, 15, 19], ends: 20 },
    android7: { at: Array.from({ length: 30 }, (_, n) => 2 * n), ends: 60 },
    'nm-strongswan': { at: [0, 1, 3, 7, 15, 31], ends: 47 },
    'nm-kl2tpd': { at: [0, 1, 3, 7], ends: 11 },
    routeros7: { at: Array.from({ length: 21 }, (_, n) => n), ends: 21 },
  };
  for (const [name, { at, ends }] of Object.entries(wanted)) {
    const { rig, client: native } = pair(client(name));
    rig.arrive = () => {};
    native.dial();
    await rig.run(120_000);
    const sccrqs = native.sent.filter((s) => s.data[19] === 1).map((s) => s.at / 1000);
    t.strictSame(
      sccrqs.filter((s) => s < ends),
      at,
      name,
    );
    t.equal(native.events.find((e) => e.event.startsWith('tunnel-down'))?.at, ends * 1000, `${name} gives up`);
  }
});

t.test('an answer that is owed waits for company up to 500 ms (2.3, 3.3), or goes at once (4.2)', async (t) => {
  const ackOfHello = async (name: string) => {
    const { rig, client: native } = pair(client(name), { l2tp: { helloIntervalMs: 7_000 } });
    native.dial();
    await rig.run(5_000);
    const before = native.sent.length;
    const heard = native.received.length;
    while (native.received.length === heard) await rig.run(10);
    const at = rig.clock.now();
    await rig.run(1_000);
    return native.sent[before]!.at - at;
  };
  t.ok(Math.abs((await ackOfHello('win11')) - 500) <= 10);
  t.ok(Math.abs((await ackOfHello('macos14')) - 500) <= 10);
  t.ok(Math.abs(await ackOfHello('android7')) <= 10);
});

t.test(
  'HELLO every 40 s of silence (Windows), 60 s (xl2tpd), never (Apple, Android, kl2tpd) (2.3, 3.3, 5)',
  async (t) => {
    const hellos = async (native: NativeClient) => {
      const { rig, client } = pair(native, { link: { echoIntervalMs: 0 }, l2tp: { helloIntervalMs: 0 } });
      client.dial();
      await rig.run(130_000);
      t.ok(client.up);
      return client.sent.filter((s) => s.data[19] === 6).map((s) => s.at / 1_000);
    };
    t.strictSame((await hellos(client('win11'))).map(Math.round), [41, 81, 121]);
    t.strictSame((await hellos(client('nm-strongswan'))).map(Math.round), [60, 120]);
    for (const name of ['macos14', 'android7', 'nm-kl2tpd']) t.strictSame(await hellos(client(name)), [], name);
  },
);

t.test('Apple’s DHCPINFORM, as it stands in section 3.5', async (t) => {
  const { rig, client: mac } = pair(client('macos14'), { quirks: { dhcpInforms: 1 } });
  const sent: Uint8Array[] = [];
  const send = mac.sendIp.bind(mac);
  mac.sendIp = (packet) => {
    sent.push(packet);
    send(packet);
  };
  mac.dial();
  await rig.run(1_000);
  const packet = hex(sent[0]!);
  t.equal(packet.slice(0, 8), '45000121'.slice(0, 4) + packet.slice(4, 8));
  t.equal(packet.slice(16, 20), '4011', 'TTL 64, UDP');
  t.equal(packet.slice(24, 40), `${hex(Uint8Array.of(10, 99, 0, 2))}ffffffff`);
  t.equal(packet.slice(40, 48), '00440043', '68 to 67');
  t.ok(packet.endsWith(hex(hexOctets('63825363 350108 3d07 08000000010000 3706 06 2c 2b 01 f9 0f ff 00'))));
});
