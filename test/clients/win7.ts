/** Windows 7: no AuthIP vendor id, DES in Quick Mode, multilink negotiated. */
import { fromHex } from '../../src/wire/reader.js';
import { doubting, images, variant } from './client.js';
import { WINDOWS, windowsSccrq, windowsVendorIds } from './windows.js';

const base = variant(WINDOWS, {
  name: 'win7',
  title: 'Windows 7',
  ike: { vendorIds: windowsVendorIds('08', false) },
  // 2.2: as charon lists them (kitten#27).
  esp: { offers: ['aes128-sha1', '3des-sha1', 'des-sha1'] },
  l2tp: { images: images(WINDOWS, { SCCRQ: windowsSccrq('0601', '80') }) },
  ppp: {
    lcp: [
      ...WINDOWS.ppp.lcp,
      { name: 'mrru', value: 1_614 },
      { name: 'endpoint', value: { class: 1, data: fromHex('29f76a9077f1472c835247f271d656070000000c') } },
    ],
  },
});

export const win7 = doubting(base, {
  'vendor id 07, before the service pack (2.1)': { ike: { vendorIds: windowsVendorIds('07', false) } },
  'no multilink (2.4)': { ppp: { lcp: WINDOWS.ppp.lcp } },
});
