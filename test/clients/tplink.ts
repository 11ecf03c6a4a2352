/** TP-Link TL-R483G, WAR302: the first phase alone is known (section 7); above it a Linux router's xl2tpd and pppd. */
import { variant } from './client.js';
import { nmStrongswan } from './nm-strongswan.js';

export const tplink = variant(nmStrongswan, {
  name: 'tplink',
  title: 'TP-Link routers',
  ike: {
    offers: ['3des-md5-modp1024', '3des-sha1-modp1024'],
    vendorIds: [],
    lifetime: 28_800,
    dpd: 'none',
  },
  esp: { offers: ['3des-sha1', '3des-md5'] },
  ppp: { ncpsAfter: [] },
  chosen: { suite: '3des-sha1-modp1024', legacy: true },
});
