/** MikroTik RouterOS 7: section 7. Its ICRQ, ICCN and option lists are in no log read: the plainest there are. */
import { ascii, doubting, variant } from './client.js';
import { nmStrongswan } from './nm-strongswan.js';

const base = variant(nmStrongswan, {
  name: 'routeros7',
  title: 'MikroTik RouterOS 7',
  ike: {
    offers: ['aes128-sha1-modp2048', 'aes128-sha1-modp1024'],
    lifetime: 86_400,
    vendorIds: ['4a131c81070358455c5728f20e95452f', 'afcad71368a1f1c96b8696fc77570100'],
    dpd: 'probes',
  },
  esp: {
    offers: ['aes256-sha1', 'aes192-sha1', 'aes128-sha1'],
    lifetime: 1_800,
    pfs: 'modp1024',
  },
  l2tp: {
    images: {
      SCCRQ: `8008 0000 0000 0001 8008 0000 0002 0100 800a 0000 0003 00000001 800a 0000 0004 00000000 0008 0000 0006 0001
              800e 0000 0007 ${ascii('MikroTik')} 000e 0000 0008 ${ascii('MikroTik')} 8008 0000 0009 <tunnel>
              8008 0000 000a 0004`,
      SCCCN: '8008 0000 0000 0003',
      ICRQ: '8008 0000 0000 000a 8008 0000 000e <session> 800a 0000 000f 00000001',
      ICCN: '8008 0000 0000 000c 800a 0000 0018 00000000 800a 0000 0013 00000001',
      CDN: '8008 0000 0000 000e 8008 0000 0001 0003 8008 0000 000e <session>',
      StopCCN: '8008 0000 0000 0004 8008 0000 0009 <tunnel> 8008 0000 0001 0006',
    },
    tunnelId: 5,
    sessionId: 1,
    window: 4,
    retransmit: { initialMs: 1_000, capMs: 1_000, tries: 20 },
    helloIntervalMs: 60_000,
  },
  ppp: {
    mru: 1_450,
    lcp: [],
    ipcp: [{ name: 'address', value: '0.0.0.0' }],
    ncpsBefore: ['80fd 01 01 000a 1206 01000060', '8281 01 01 0004'],
    ncpsAfter: [],
    auth: ['mschapv2', 'chap-md5', 'pap'],
    compresses: false,
  },
  // aes128-sha1-modp2048 is what its profile offers first.
  chosen: { suite: 'aes128-sha1-modp2048' },
});

export const routeros7 = doubting(base, {
  'asks for name servers (use-peer-dns)': {
    ppp: { ipcp: (['address', 'dns1', 'dns2'] as const).map((name) => ({ name, value: '0.0.0.0' })) },
  },
  'HELLO never': { l2tp: { helloIntervalMs: 0 } },
});
