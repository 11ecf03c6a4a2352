/** OpenWrt: strongSwan and xl2tpd with the user's own proposals (sections 5 and 7, inferred). */
import { images, variant } from './client.js';
import { nmStrongswan, xl2tpdSccrq } from './nm-strongswan.js';

export const openwrt = variant(nmStrongswan, {
  name: 'openwrt',
  title: 'OpenWrt',
  ike: { offers: ['aes256-sha256-modp2048'] },
  esp: { offers: ['aes256-sha256', 'aes128-sha1'] },
  l2tp: {
    images: images(nmStrongswan, {
      SCCRQ: xl2tpdSccrq('0004', 'OpenWrt'),
      ICCN: '8008 0000 0000 000c 800a 0000 0018 00989680 800a 0000 0013 00000001',
    }),
    window: 4,
  },
  ppp: { ncpsAfter: [] },
});
