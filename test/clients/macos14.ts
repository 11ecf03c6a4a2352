/** macOS 10.11.4 to 26: section 3. */
import { type Changes, doubting, images, type NativeClient, variant } from './client.js';

const RFC_3947 = '4a131c81070358455c5728f20e95452f';
/** 3.1, in order. */
const VENDOR_IDS = [
  RFC_3947,
  '4df37928e9fc4fd1b3262170d515c662',
  '8f8d83826d246b6fc7a8a6a428c11de8',
  '439b59f8ba676c4c7737ae22eab8f582',
  '4d1e0e136deafa34c4f3ea9f02ec7285',
  '80d0bb3def54565ee84645d4c85ce3ee',
  '9909b64eed937c6573de52ace952fa6b',
  '7d9419a65310ca6f2c179d9215529d56',
  'cd60464335df21f87cfdb2fc68b6a448',
  '90cb80913ebb696e086381b5ec427b1f',
  '4048b7d56ebce88525e7de7f00d6c2d3 80000000',
  'afcad71368a1f1c96b8696fc77570100',
];

const each = (ciphers: readonly string[], hashes: readonly string[], group?: string): string[] =>
  ciphers.flatMap((c) => hashes.map((h) => [c, h, group].filter((part) => part !== undefined).join('-')));

/** 3.1: what a first attempt in Aggressive Mode offers, and a second. */
export const GROUP_14 = each(['aes256'], ['sha256', 'sha1', 'md5', 'sha512'], 'modp2048');
export const GROUP_2 = [
  ...each(['aes256'], ['sha256', 'sha1', 'md5'], 'modp1024'),
  ...each(['aes128', '3des'], ['sha1', 'md5'], 'modp1024'),
];

const base: NativeClient = {
  name: 'macos14',
  title: 'macOS 14',
  ike: {
    mode: 'main',
    offers: [...GROUP_14, ...each(['aes256'], ['sha256', 'sha1', 'md5'], 'modp1536'), ...GROUP_2],
    lifetime: 3_600,
    encoding: 'racoon',
    vendorIds: VENDOR_IDS,
    nonce: 16,
    identity: 'address',
    initialContact: 'with identity',
    dpd: 'announces',
  },
  esp: {
    shape: 'transforms',
    offers: each(['aes256', 'aes128', '3des'], ['sha256', 'sha1', 'md5']),
    lifetime: 3_600,
    natOa: true,
    source: 'ephemeral',
    rekeysAt: 0.8,
  },
  l2tp: {
    port: 0,
    images: {
      // 3.3: the host name has its NUL.
      SCCRQ: `8008 0000 0000 0001 8008 0000 0002 0100 800a 0000 0003 00000003 8010 0000 0007 4d61632e6c6f63616c00
              8008 0000 0009 <tunnel> 8008 0000 000a 0004`,
      SCCCN: '8008 0000 0000 0003',
      ICRQ: '8008 0000 0000 000a 8008 0000 000e <session> 800a 0000 000f 00000001',
      ICCN: '8008 0000 0000 000c 800a 0000 0018 000f4240 800a 0000 0013 00000003',
      // The code in the wrong byte order, six octets of what was there before.
      CDN: '8008 0000 0000 000e 8008 0000 000e <session> 800e 0000 0001 0300 a1b2c3d4e5f6',
      StopCCN: '8008 0000 0000 0004 8008 0000 0009 <tunnel> 800e 0000 0001 0100 a1b2c3d4e5f6',
    },
    tunnelId: 1,
    // The pid of its pppd.
    sessionId: 0x3333,
    window: 4,
    stopAndWait: false,
    retransmit: { initialMs: 1_000, capMs: 4_000, tries: 9 },
    setupTimeoutMs: 20_000,
    ackDelayMs: 500,
    helloIntervalMs: 0,
    trafficDelaysHello: true,
    hellosToTunnelZero: 11,
    dataLength: true,
    goodbye: ['LCP', 'CDN', 'StopCCN'],
    // 3.3: without L and S, or with O, it drops a control packet.
    dropsUnless: (datagram) => (datagram[0]! & 0x4a) === 0x48,
    helloKillsDial: true,
    ignoresChallenge: true,
  },
  ppp: {
    mru: 1_500,
    lcp: [
      { name: 'accm', value: 0 },
      { name: 'pfc', value: true },
      { name: 'acfc', value: true },
    ],
    ipcp: (['address', 'dns1', 'dns2'] as const).map((name) => ({ name, value: '0.0.0.0' })),
    firstId: 1,
    sharedIds: false,
    ncpsBefore: ['8057 01 01 000e 010a 0211 22ff fe33 4455'],
    ncpsAfter: ['8235 01 01 0010 0106 00000001 0206 00000001'],
    identifications: [],
    deafFor: 0,
    connectDelayMs: 0,
    auth: ['mschapv2', 'chap-md5', 'pap'],
    echo: { intervalMs: 10_000, failures: 4, atOnce: true },
    compresses: true,
    dhcpInform: {
      // 3.5: xid 1, chaddr 00000001 00000000 00000000 00000001, the options and nothing else.
      message: `01 08 06 00 00000001 0000 0000 <address> 00000000 00000000 00000000 00000001 00000000 00000000 00000001
                ${'00'.repeat(192)} 63825363 350108 3d07 08000000010000 3706 06 2c 2b 01 f9 0f ff 00`,
      times: 5,
      everyMs: 3_000,
    },
  },
  otherwise: {},
  chosen: { suite: 'aes256-sha256-modp2048' },
};

/** What is doubtful about every Apple. */
export const APPLE_DOUBTS: Readonly<Record<string, Changes>> = {
  'its HELLOs to tunnel 0 never get out (3.3)': { l2tp: { hellosToTunnelZero: 0 } },
  'and all of them do, five tries of 11 (3.3)': { l2tp: { hellosToTunnelZero: 55 } },
  'leaves ff03 and the protocol as they are (3.3)': { ppp: { compresses: false } },
  'with "send all traffic" no ACSCP and no DHCPINFORM (3.4)': {
    ppp: { ncpsAfter: [], dhcpInform: { ...base.ppp.dhcpInform!, times: 0 } },
  },
  'an ICRQ with another pid (3.3)': { l2tp: { sessionId: 0x0101 } },
  'Result Code in the right byte order (14: a release that mends it)': {
    l2tp: {
      images: images(base, {
        CDN: '8008 0000 0000 000e 8008 0000 000e <session> 800a 0000 0001 0003 0000',
        StopCCN: '8008 0000 0000 0004 8008 0000 0009 <tunnel> 800a 0000 0001 0001 0000',
      }),
    },
  },
};

export const macos14 = doubting(base, APPLE_DOUBTS);
/** For the clients that are the same code. */
export const apple = (changes: Changes): NativeClient => variant(base, changes);
export { each };
