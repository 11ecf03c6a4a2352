/** First Main Mode packets, octet for octet, to a real charon with the gateway's configuration and connections: sections 1, 2.1, 3.1, 9. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { IpsecSettings } from '../../src/daemon/ipsec-policy.js';
import { capture } from '../lib/pcap.js';
import { CLIENTS } from './all.js';
import type { Job } from './charon-child.js';
import type { NativeClient } from './client.js';
import { octets } from './emulator.js';
import { answerOf, mainMode1 } from './main-mode.js';

const RFC_3947 = '4a131c81070358455c5728f20e95452f';
const COOKIE = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');
const named = (name: string): NativeClient => CLIENTS.find((c) => c.name === name)!;

/** Section 2.1, as it stands there but for the cookie. */
const WINDOWS_MM1 = `0102030405060708 0000000000000000 01100200 00000000 00000198
0d0000d4 00000001 00000001 000000c8 01010005
03000028 01010000 80010007 800e0100 80020002 80040014 80030001 800b0001 000c0004 00007080
03000028 02010000 80010007 800e0080 80020002 80040013 80030001 800b0001 000c0004 00007080
03000028 03010000 80010007 800e0100 80020002 8004000e 80030001 800b0001 000c0004 00007080
03000024 04010000 80010005 80020002 8004000e 80030001 800b0001 000c0004 00007080
00000024 05010000 80010005 80020002 80040002 80030001 800b0001 000c0004 00007080
0d000018 01528bbbc00696121849ab9a1c5b2a51 00000001
0d000018 1e2b516905991c7d7c96fcbfb587e461 00000009
0d000014 4a131c81070358455c5728f20e95452f   0d000014 90cb80913ebb696e086381b5ec427b1f
0d000014 4048b7d56ebce88525e7de7f00d6c2d3   0d000014 fb1de3cdf341b7ea16b7e5be0855f120
0d000014 26244d38eddb61b3172a36e3d0cfb819   00000014 e3a5966a76379fe707228231e5ce8652`;

t.test('2.1, 3.1: the packets are those of the notes: 408 octets, Windows 7 384, Apple 788', async (t) => {
  t.equal(hex(mainMode1(named('win11').ike, COOKIE)), hex(octets(WINDOWS_MM1)));
  t.equal(mainMode1(named('win10').ike, COOKIE).length, 408);
  t.equal(mainMode1(named('win7').ike, COOKIE).length, 384);
  const apple = hex(mainMode1(named('macos14').ike, COOKIE));
  t.equal(apple.length / 2, 788);
  t.ok(apple.includes('030000200d010000800b0001800c0e1080010005800300018002000280040002'), 'transform 13');
  // Real octets of a Windows: the order of attributes, and of the vendor ids.
  const authIp = hex(capture('windows2008-authip-mm1.pcap').packets[0]!.data);
  t.ok(authIp.includes('80010007800e008080020002800400' + '00800b0001000c000400007080'));
  const ids = named('win11')
    .ike.vendorIds.map((id) => authIp.indexOf(id.replace(/ .*/, '')))
    .filter((at) => at >= 0);
  t.equal(ids.length, 5);
  t.strictSame(
    ids,
    [...ids].sort((a, b) => a - b),
  );
});

interface Sent {
  readonly title: string;
  readonly packet: Uint8Array;
  readonly settings?: Partial<IpsecSettings>;
  readonly wanted: ((answer: string | null) => void) | { readonly suite: string; readonly lifetime?: number };
}

/** Packets of a capture, from the UDP payload on. */
const payloads = (file: string): Uint8Array[] => capture(file).packets.flatMap(({ udp }) => (udp ? [udp.payload] : []));

const sent: Sent[] = [];
for (const native of CLIENTS) {
  if (native.ike.mode !== 'main') continue;
  const packet = mainMode1(native.ike, COOKIE);
  const { suite, legacy } = native.chosen;
  const { lifetime } = native.ike;
  // RFC 2409 §5: the transform goes back as it came, lifetime and all.
  sent.push({ title: `${native.name}, ike.legacy`, packet, settings: { legacy: true }, wanted: { suite, lifetime } });
  sent.push({
    title: `${native.name}, as configured by default`,
    packet,
    // Group 2 alone (1.1 to 4.1): NO-PROPOSAL-CHOSEN, 14.
    wanted: legacy
      ? (answer) => t.match(answerOf(Buffer.from(answer ?? '', 'hex')), { notify: 14 })
      : { suite, lifetime },
  });
}
sent.push(
  {
    title: 'a VID before the SA (ikev1-vid-before-sa.pcap): order does not matter, 3DES with group 2 or 5 or none',
    packet: payloads('ikev1-vid-before-sa.pcap')[0]!,
    settings: { legacy: true },
    wanted: (answer) => t.ok(answer, 'an answer'),
  },
  {
    title: 'Main Mode between routers (ikev1-main-mode-psk.pcap)',
    packet: payloads('ikev1-main-mode-psk.pcap')[0]!,
    settings: { legacy: true },
    wanted: (answer) => t.ok(answer, 'an answer'),
  },
  {
    title: 'Main Mode with NAT-T (ikev1-main-mode-natt-4500.pcap)',
    packet: payloads('ikev1-main-mode-natt-4500.pcap')[0]!,
    settings: { legacy: true },
    wanted: (answer) => t.ok(answer, 'an answer'),
  },
  // These come before the last packet, which shows that charon lived through them.
  {
    title: 'AuthIP, exchange type 243 of a real Windows (windows2008-authip-mm1.pcap): ignored',
    packet: payloads('windows2008-authip-mm1.pcap')[0]!,
    wanted: (answer) => t.notMatch(answerOf(Buffer.from(answer ?? '', 'hex')), { suite: String }),
  },
  ...payloads('ikev1-malformed-next-payload.pcapng').map((packet, n) => ({
    title: `a payload chain without end (ikev1-malformed-next-payload.pcapng, ${n}): ignored`,
    packet,
    wanted: (answer: string | null) => t.notMatch(answerOf(Buffer.from(answer ?? '', 'hex')), { suite: String }),
  })),
  {
    title: 'Windows after all these',
    packet: mainMode1(named('win11').ike, COOKIE),
    settings: { legacy: true, dpdDelay: 60 },
    wanted: { suite: 'aes256-sha1-modp2048' },
  },
);

t.test('charon takes the documented transform of each client, and malformed captures change nothing', async (t) => {
  const child = fileURLToPath(new URL('charon-child.js', import.meta.url));
  const jobs: Job[] = sent.map(({ packet, settings = {} }) => ({ packet: hex(packet), settings }));
  const namespace = process.getuid?.() === 0 ? ['-n'] : ['-r', '-n'];
  const run = spawnSync(
    'unshare',
    [
      ...namespace,
      'setpriv',
      '--pdeathsig',
      'KILL',
      'sh',
      '-c',
      'ip link set lo up && exec "$0" "$1"',
      process.execPath,
      child,
    ],
    {
      input: JSON.stringify(jobs),
      encoding: 'utf8',
      timeout: 120_000,
      env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
    },
  );
  t.equal(run.status, 0, run.stderr);
  const { answers, running, log } = JSON.parse(run.stdout) as {
    answers: (string | null)[];
    running: boolean;
    log: string[];
  };
  t.ok(running, 'charon still runs');
  sent.forEach(({ title, packet, wanted }, n) => {
    const answer = answers[n] ?? null;
    t.comment(title);
    if (typeof wanted === 'function') {
      wanted(answer);
      return;
    }
    if (answer === null) {
      t.fail(`${title}: no answer\n${log.slice(-30).join('\n')}`);
      return;
    }
    const said = answerOf(Buffer.from(answer, 'hex'));
    t.match(said, wanted, title);
    // 2.1: neither NLBS_PRESENT nor MS NT5.
    for (const id of said.vendorIds) t.notMatch(id, /^(72872b95fcda2eb7|1e2b516905991c7d)/, `${title}: vendor ids`);
    if (hex(packet).includes(RFC_3947)) t.ok(said.vendorIds.includes(RFC_3947), `${title}: NAT traversal, RFC 3947`);
  });
});
