/** Android 7.1.2 to 11: section 4. */
import { doubting, type NativeClient } from './client.js';

const VENDOR_IDS = [
  '4a131c81070358455c5728f20e95452f',
  'cd60464335df21f87cfdb2fc68b6a448',
  '90cb80913ebb696e086381b5ec427b1f',
  '4485152d18b6bbcd0be8a8469579ddcc',
  '4048b7d56ebce88525e7de7f00d6c2d3 80000000',
  'afcad71368a1f1c96b8696fc77570100',
];

const HASHES: Readonly<Record<string, readonly string[]>> = {
  aes256: ['sha384', 'sha256', 'sha512', 'sha1', 'md5'],
  aes128: ['sha512', 'sha384', 'sha256', 'sha1', 'md5'],
  '3des': ['sha256', 'sha1', 'md5'],
  des: ['sha256', 'sha1', 'md5'],
};

export const android7: NativeClient = doubting(
  {
    name: 'android7',
    title: 'Android 7.1 to 11',
    ike: {
      mode: 'main',
      offers: Object.entries(HASHES).flatMap(([cipher, hashes]) => hashes.map((h) => `${cipher}-${h}-modp1024`)),
      lifetime: 28_800,
      encoding: 'racoon',
      vendorIds: VENDOR_IDS,
      nonce: 16,
      identity: 'address',
      initialContact: 'informational',
      dpd: 'announces',
    },
    esp: {
      shape: 'transforms',
      offers: [
        ...['sha512', 'sha384', 'sha1', 'sha256', 'md5'].map((h) => `aes256-${h}`),
        ...['sha512', 'sha384', 'sha1', 'sha256', 'md5'].map((h) => `aes128-${h}`),
        ...['sha1', 'sha256', 'md5'].map((h) => `3des-${h}`),
        ...['sha1', 'sha256', 'md5'].map((h) => `des-${h}`),
      ],
      lifetime: 28_800,
      natOa: false,
      source: 'any',
    },
    l2tp: {
      port: 0,
      images: {
        SCCRQ: `8008 0000 0000 0001 8008 0000 0002 0100 800f 0000 0007 616e6f6e796d6f7573 800a 0000 0003 00000003
                8008 0000 0009 <tunnel> 8008 0000 000a 0001`,
        SCCCN: '8008 0000 0000 0003',
        ICRQ: '8008 0000 0000 000a 8008 0000 000e <session> 800a 0000 000f deadbeef',
        ICCN: '8008 0000 0000 000c 800a 0000 0018 05f5e100 800a 0000 0013 00000003',
        // It never sends one.
        CDN: '8008 0000 0000 000e 8008 0000 000e <session> 8008 0000 0001 0003',
        StopCCN: '8008 0000 0000 0004 8008 0000 0009 <tunnel> 8008 0000 0001 0006',
      },
      tunnelId: 0x4444,
      sessionId: 0x5555,
      window: 1,
      stopAndWait: true,
      // Every 2 s for ever; the user's patience is 60 s.
      retransmit: { initialMs: 2_000, capMs: 2_000, tries: 1_000 },
      setupTimeoutMs: 60_000,
      ackDelayMs: 0,
      helloIntervalMs: 0,
      trafficDelaysHello: true,
      hellosToTunnelZero: 0,
      dataLength: false,
      goodbye: ['StopCCN'],
      // 4.2: its receive filter.
      dropsUnless: (d) =>
        (((d[0]! << 8) | d[1]!) & 0xcb0f) === 0xc802 &&
        (d.length === 12 || Buffer.from(d.subarray(12, 18)).toString('hex') === '800800000000'),
      ignoresChallenge: true,
    },
    ppp: {
      mru: 1_400,
      lcp: [
        { name: 'accm', value: 0 },
        { name: 'pfc', value: true },
        { name: 'acfc', value: true },
      ],
      ipcp: [
        { name: 'compression', value: { protocol: 0x002d, data: Uint8Array.of(0x0f, 0x01) } },
        ...(['address', 'dns1', 'dns2'] as const).map((name) => ({ name, value: '0.0.0.0' })),
      ],
      firstId: 1,
      sharedIds: false,
      ncpsBefore: [],
      // Deflate, its draft number, BSD compress.
      ncpsAfter: ['80fd 01 01 000f 1a04 7800 1804 7800 1503 2f'],
      identifications: [],
      deafFor: 0,
      connectDelayMs: 0,
      auth: ['mschapv2', 'chap-md5', 'pap'],
      echo: { intervalMs: 0, failures: 0 },
      compresses: false,
    },
    otherwise: {},
    chosen: { suite: 'aes256-sha1-modp1024', legacy: true },
  },
  {
    'MRU 1270 as its last releases have it (4.2)': { ppp: { mru: 1_270 } },
    'data messages with Length (4.2)': { l2tp: { dataLength: true } },
    'no ff03, compressed protocol (4.2)': { ppp: { compresses: true } },
    'no VJ in IPCP (4.2)': {
      ppp: { ipcp: (['address', 'dns1', 'dns2'] as const).map((name) => ({ name, value: '0.0.0.0' })) },
    },
  },
);
