/** ChromeOS: strongSwan with GCM first, xl2tpd and pppd: section 6. */
import { doubting, images, variant } from './client.js';
import { nmStrongswan, xl2tpdSccrq } from './nm-strongswan.js';

const base = variant(nmStrongswan, {
  name: 'chromeos',
  title: 'ChromeOS',
  ike: { offers: ['aes128-sha256-modp3072', 'aes128-sha1-modp2048', '3des-sha1-modp1536', '3des-sha1-modp1024'] },
  esp: { offers: ['aes128gcm16', 'aes128-sha256', 'aes128-sha1', '3des-sha1', '3des-md5'] },
  l2tp: {
    images: images(nmStrongswan, {
      SCCRQ: xl2tpdSccrq('0004', 'localhost'),
      ICCN: '8008 0000 0000 000c 800a 0000 0018 000f4240 800a 0000 0013 00000001',
    }),
    window: 4,
  },
  ppp: {
    mru: 1_410,
    ncpsAfter: [],
    connectDelayMs: 5_000,
    auth: ['mschapv2', 'chap-md5'],
    echo: { intervalMs: 30_000, failures: 4 },
  },
  chosen: { suite: 'aes128-sha1-modp2048' },
});

export const chromeos = doubting(base, {
  'length bit = no (6)': { l2tp: { dataLength: false } },
  'MS-CHAPv2 refused: CHAP-MD5 only': { ppp: { auth: ['chap-md5'] } },
});
