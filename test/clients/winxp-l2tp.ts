/** Windows XP and 2000: firmware 0500, 3DES only, no MRU in LCP; asks for option 249 alone. */
import { variant } from './client.js';
import { win7 } from './win7.js';
import { WINDOWS, windowsSccrq, windowsVendorIds } from './windows.js';

export const winxpL2tp = variant(win7, {
  name: 'winxp-l2tp',
  title: 'Windows XP',
  ike: {
    // Its vendor ids but the version are not in any log read; the offers are the 3DES ones of its successors.
    offers: ['3des-sha1-modp2048', '3des-sha1-modp1024'],
    vendorIds: windowsVendorIds('02', false).slice(0, 4),
    nonce: 20,
  },
  esp: { offers: ['3des-sha1'] },
  l2tp: { images: { ...win7.l2tp.images, SCCRQ: windowsSccrq('0500', '80') } },
  ppp: {
    // pcap windows2000-pptp-lcp: no MRU.
    mru: 1_500,
    dhcpInform: {
      ...WINDOWS.ppp.dhcpInform!,
      message: WINDOWS.ppp.dhcpInform!.message.replace('370c 01 0f 03 06 2c 2e 2f 1f 21 79 f9 2b', '3701 f9'),
    },
  },
  chosen: { suite: '3des-sha1-modp2048' },
});
