/** MikroTik RouterOS 6: negotiates PFC and cannot read a compressed protocol field; 3DES in the first phase (section 7). */
import { variant } from './client.js';
import { routeros7 } from './routeros7.js';

export const routeros6 = variant(routeros7, {
  name: 'routeros6',
  title: 'MikroTik RouterOS 6',
  ike: { offers: [...routeros7.ike.offers, '3des-sha1-modp2048', '3des-sha1-modp1024'] },
  ppp: {
    lcp: [
      { name: 'pfc', value: true },
      { name: 'acfc', value: true },
    ],
  },
});
