/** Windows 11, and what is doubtful about all of Windows. */
import { doubting, images } from './client.js';
import { COMPUTER, GUID, WINDOWS, windowsSccrq } from './windows.js';

const { ppp } = WINDOWS;

export const win11 = doubting(WINDOWS, {
  'the M bit of Bearer Capabilities is clear (2.3: MS-L2TPIE against a log)': {
    l2tp: { images: images(WINDOWS, { SCCRQ: windowsSccrq('0a00', '00') }) },
  },
  'HELLO every 40 s, whatever comes from the gateway (2.3)': { l2tp: { trafficDelaysHello: false } },
  'the third Identification is not the GUID of its ICRQ (2.4)': {
    ppp: { identifications: [...ppp.identifications.slice(0, 2), 'ffeeddccbbaa99887766554433221100'] },
  },
  'asks for echoes (2.4)': { ppp: { echo: { intervalMs: 10_000, failures: 4 } } },
  'leaves ff03 and the protocol as they are (2.4)': { ppp: { compresses: false } },
  'data messages without Length (14.4)': { l2tp: { dataLength: false } },
  'DHCPINFORM as Apple words the list of RAS (2.5)': {
    ppp: {
      dhcpInform: {
        ...ppp.dhcpInform!,
        message: ppp.dhcpInform!.message.replace('370c 01 0f 03 06 2c 2e 2f 1f 21 79 f9 2b', '3706 06 2c 2b 01 f9 0f'),
      },
    },
  },
  'host name of a machine in a domain (2.3)': {
    l2tp: { images: images(WINDOWS, { SCCRQ: windowsSccrq('0a00', '80', `${COMPUTER}.corp.example`) }) },
  },
  'optional encryption: five Quick Mode proposals (2.2)': {
    esp: { offers: ['aes256-sha1', 'aes128-sha1', '3des-sha1', 'des-sha1', 'null-sha1'] },
  },
  'its GUID all zero (2.3)': {
    l2tp: { images: images(WINDOWS, { ICRQ: WINDOWS.l2tp.images.ICRQ.replace(GUID, '00'.repeat(16)) }) },
  },
});
