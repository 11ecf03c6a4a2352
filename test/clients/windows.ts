/** What all Windows clients since Vista have in common: sections 2.1 to 2.5. */
import type { NativeClient } from './client.js';
import { ascii } from './client.js';

const KEY_MODS_AUTHIP = '01528bbbc00696121849ab9a1c5b2a51 00000001';
const RFC_3947 = '4a131c81070358455c5728f20e95452f';
const DRAFT_02_N = '90cb80913ebb696e086381b5ec427b1f';
const FRAGMENTATION = '4048b7d56ebce88525e7de7f00d6c2d3';
const NEGOTIATION_DISCOVERY = 'fb1de3cdf341b7ea16b7e5be0855f120';
const INITIAL_CONTACT = '26244d38eddb61b3172a36e3d0cfb819';
const CGA = 'e3a5966a76379fe707228231e5ce8652';

/** 2.1; `version` is the last octet of the MS NT5 ISAKMPOAKLEY vendor id. */
export const windowsVendorIds = (version: string, authIp: boolean): string[] => [
  ...(authIp ? [KEY_MODS_AUTHIP] : []),
  `1e2b516905991c7d7c96fcbfb587e461 000000${version}`,
  RFC_3947,
  DRAFT_02_N,
  FRAGMENTATION,
  NEGOTIATION_DISCOVERY,
  INITIAL_CONTACT,
  CGA,
];

export const GUID = '00112233445566778899aabbccddeeff';
export const COMPUTER = 'DESKTOP-ABC1234';

/** 2.3; `firmware` is Windows' version, `bearer` the first octet of Bearer Capabilities, whose M bit sources differ about. */
export const windowsSccrq = (firmware: string, bearer: '80' | '00', name = COMPUTER): string =>
  `8008 0000 0000 0001 8008 0000 0002 0100 800a 0000 0003 00000001 ${bearer}0a 0000 0004 00000000 0008 0000 0006 ${firmware}
   80${(name.length + 6).toString(16).padStart(2, '0')} 0000 0007 ${ascii(name)} 000f 0000 0008 ${ascii('Microsoft')}
   8008 0000 0009 <tunnel> 8008 0000 000a 0008`;

export const WINDOWS: NativeClient = {
  name: 'win11',
  title: 'Windows 11',
  ike: {
    mode: 'main',
    offers: [
      'aes256-sha1-ecp384',
      'aes128-sha1-ecp256',
      'aes256-sha1-modp2048',
      '3des-sha1-modp2048',
      '3des-sha1-modp1024',
    ],
    lifetime: 28_800,
    encoding: 'microsoft',
    vendorIds: windowsVendorIds('09', true),
    nonce: 48,
    identity: 'address',
    initialContact: 'none',
    dpd: 'none',
  },
  esp: {
    shape: 'proposals',
    offers: ['aes256-sha1', 'aes128-sha1', '3des-sha1'],
    lifetime: 3_600,
    kilobytes: 250_000,
    natOa: true,
    source: '1701',
  },
  l2tp: {
    port: 1701,
    images: {
      SCCRQ: windowsSccrq('0a00', '80'),
      SCCCN: '8008 0000 0000 0003',
      ICRQ: `8008 0000 0000 000a 8008 0000 000e <session> 800a 0000 000f 00000000 000a 0000 0012 00000002
             0016 0137 0001 ${GUID}`,
      ICCN: '8008 0000 0000 000c 800a 0000 0018 05f5e100 800a 0000 0013 00000001 0008 0000 001d 0004',
      CDN: '8008 0000 0000 000e 8008 0000 000e <session> 800a 0000 0001 00030000',
      StopCCN: '8008 0000 0000 0004 8008 0000 0009 <tunnel> 800a 0000 0001 00010000',
    },
    tunnelId: 1,
    sessionId: 1,
    window: 8,
    stopAndWait: false,
    // 1.2: repeats at +1, +3, +7, +15, +25 s; at +35 s it gives up.
    retransmit: { initialMs: 1_000, capMs: 10_000, tries: 5 },
    setupTimeoutMs: 60_000,
    ackDelayMs: 500,
    helloIntervalMs: 40_000,
    trafficDelaysHello: true,
    hellosToTunnelZero: 0,
    dataLength: true,
    goodbye: ['LCP', 'CDN', 'StopCCN'],
    // MS-L2TPIE 3.1.5.1: no header bits but T, L and S.
    dropsUnless: (datagram) => ((datagram[0]! << 8) | datagram[1]!) === 0xc802,
  },
  ppp: {
    mru: 1_400,
    lcp: [
      { name: 'pfc', value: true },
      { name: 'acfc', value: true },
      { name: 'callback', value: { class: 6, data: new Uint8Array(0) } },
    ],
    ipcp: (['address', 'dns1', 'nbns1', 'dns2', 'nbns2'] as const).map((name) => ({ name, value: '0.0.0.0' })),
    firstId: 0,
    sharedIds: true,
    ncpsBefore: ['8057 01 <id> 000e 010a 0123456789abcdef', '80fd 01 <id> 000a 1206 01000000'],
    ncpsAfter: [],
    identifications: [ascii('MSRASV5.20'), ascii(`MSRAS-0-${COMPUTER}`), GUID],
    // 2.4: it acknowledges the first repeat.
    deafFor: 1,
    connectDelayMs: 0,
    auth: ['mschapv2'],
    echo: { intervalMs: 0, failures: 0 },
    compresses: true,
    terminateData: '003ccd74 00000000',
    dhcpInform: { message: dhcpInform(), times: 3, everyMs: 4_000 },
  },
  otherwise: {},
  chosen: { suite: 'aes256-sha1-modp2048' },
};

/** 2.5: to 255.255.255.255, options 53, 61, 60, 77 and 55; the order of the last two is inferred. */
function dhcpInform(): string {
  const head = `01 08 06 00 1a2b3c4d 0000 0000 <address> 00000000 00000000 00000000 ${'52415320'.padEnd(32, '0')} ${'00'.repeat(192)}`;
  const parameters = '01 0f 03 06 2c 2e 2f 1f 21 79 f9 2b';
  return `${head} 63825363 350108 3d07 08 524153200000 3c08 ${ascii('MSFT 5.0')} 4d0e ${ascii('RRAS.Microsoft')} 370c ${parameters} ff`;
}
