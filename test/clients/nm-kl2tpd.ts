/** NetworkManager-l2tp with kl2tpd (go-l2tp): host name before framing, no window, no bearer (section 5). */
import { variant } from './client.js';
import { nmStrongswan } from './nm-strongswan.js';

export const nmKl2tpd = variant(nmStrongswan, {
  name: 'nm-kl2tpd',
  title: 'NetworkManager-l2tp, strongSwan, kl2tpd',
  l2tp: {
    images: {
      SCCRQ: `8008 0000 0000 0001 8008 0000 0002 0100 800a 0000 0007 6c616331 800a 0000 0003 00000003
              8008 0000 0009 <tunnel>`,
      SCCCN: '8008 0000 0000 0003',
      ICRQ: '8008 0000 0000 000a 8008 0000 000e <session> 800a 0000 000f 00000001',
      ICCN: '8008 0000 0000 000c 800a 0000 0018 00000000 800a 0000 0013 00000003',
      CDN: '8008 0000 0000 000e 800a 0000 0001 0003 0000 8008 0000 000e <session>',
      StopCCN: '8008 0000 0000 0004 8008 0000 0009 <tunnel> 800a 0000 0001 0001 0000',
    },
    tunnelId: 0x1234,
    window: 4,
    retransmit: { initialMs: 1_000, capMs: 4_000, tries: 3 },
    ackDelayMs: 100,
    helloIntervalMs: 0,
    dataLength: false,
  },
});
