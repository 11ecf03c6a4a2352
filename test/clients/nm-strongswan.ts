/** NetworkManager-l2tp with strongSwan and xl2tpd: section 5. */
import { ascii, doubting, images, type NativeClient } from './client.js';

/** Vendor ids that charon sends as initiator. */
const STRONGSWAN_IDS = [
  '09002689dfd6b712',
  'afcad71368a1f1c96b8696fc77570100',
  '4048b7d56ebce88525e7de7f00d6c2d3 80000000',
  '4a131c81070358455c5728f20e95452f',
  '90cb80913ebb696e086381b5ec427b1f',
];

export const xl2tpdSccrq = (window: string, name = 'linux'): string =>
  `8008 0000 0000 0001 8008 0000 0002 0100 800a 0000 0003 00000003 800a 0000 0004 00000000 0008 0000 0006 0690
   80${(name.length + 6).toString(16).padStart(2, '0')} 0000 0007 ${ascii(name)} 0013 0000 0008 ${ascii('xelerance.com')}
   8008 0000 0009 <tunnel> 8008 0000 000a ${window}`;

const base: NativeClient = {
  name: 'nm-strongswan',
  title: 'NetworkManager-l2tp, strongSwan, xl2tpd',
  ike: {
    mode: 'main',
    offers: [
      ...['modp2048', 'modp1536', 'modp1024'].map((g) => `aes256-sha256-${g}`),
      ...['modp2048', 'modp1536', 'modp1024', 'ecp384'].map((g) => `aes256-sha1-${g}`),
      ...['modp1024', 'ecp256'].map((g) => `aes128-sha1-${g}`),
      ...['modp2048', 'modp1024'].map((g) => `3des-sha1-${g}`),
    ],
    lifetime: 14_400,
    encoding: 'racoon',
    vendorIds: STRONGSWAN_IDS,
    nonce: 32,
    identity: 'address',
    initialContact: 'with identity',
    dpd: 'announces',
  },
  esp: {
    shape: 'transforms',
    offers: ['aes256-sha1', 'aes128-sha1', '3des-sha1'],
    lifetime: 3_600,
    natOa: true,
    source: '1701',
  },
  l2tp: {
    port: 1701,
    images: {
      SCCRQ: xl2tpdSccrq('0008'),
      SCCCN: '8008 0000 0000 0003',
      ICRQ: '8008 0000 0000 000a 8008 0000 000e <session> 800a 0000 000f 00000001 800a 0000 0012 00000000',
      ICCN: '8008 0000 0000 000c 800a 0000 0018 05f5e100 800a 0000 0013 00000001',
      CDN: '8008 0000 0000 000e 800a 0000 0001 0001 0000 8008 0000 000e <session>',
      StopCCN: `8008 0000 0000 0004 8008 0000 0009 <tunnel> 8012 0000 0001 0001 0000 ${ascii('Goodbye!')}`,
    },
    tunnelId: 0x8b31,
    sessionId: 0x0437,
    window: 8,
    stopAndWait: false,
    retransmit: { initialMs: 1_000, capMs: 16_000, tries: 5 },
    setupTimeoutMs: 60_000,
    ackDelayMs: 0,
    helloIntervalMs: 60_000,
    trafficDelaysHello: true,
    hellosToTunnelZero: 0,
    dataLength: true,
    goodbye: ['LCP', 'CDN', 'StopCCN'],
  },
  ppp: {
    mru: 1_400,
    lcp: [
      { name: 'accm', value: 0 },
      { name: 'pfc', value: true },
      { name: 'acfc', value: true },
    ],
    ipcp: (['address', 'dns1', 'dns2'] as const).map((name) => ({ name, value: '0.0.0.0' })),
    firstId: 1,
    sharedIds: false,
    ncpsBefore: [],
    ncpsAfter: ['8057 01 01 000e 010a 0211 22ff fe33 4455'],
    identifications: [],
    deafFor: 0,
    connectDelayMs: 0,
    auth: ['mschapv2', 'chap-md5', 'pap'],
    echo: { intervalMs: 0, failures: 0 },
    compresses: true,
  },
  otherwise: {},
  chosen: { suite: 'aes256-sha256-modp2048' },
};

export const nmStrongswan = doubting(base, {
  '1701 is busy: a port of its own (5)': { l2tp: { port: 0 }, esp: { source: 'any' } },
  'an older xl2tpd: Rx Connect Speed too, speeds of 0 (5)': {
    l2tp: {
      images: images(base, {
        ICCN: '8008 0000 0000 000c 800a 0000 0018 00000000 800a 0000 0013 00000001 000a 0000 0026 00000000',
      }),
    },
  },
  'IPv6 is off (5)': { ppp: { ncpsAfter: [] } },
  'no compression of headers': { ppp: { compresses: false } },
  'data messages without Length': { l2tp: { dataLength: false } },
});
