/** What charon tells of clients, made by hand. */
import type { ChildSa, IkeEvent, IkeSa } from '../../src/io/ports.js';

export const childSa = (uniqueId: string, mark: number, more: Partial<ChildSa> = {}): ChildSa => ({
  uniqueId,
  name: 'l2tp',
  reqid: mark,
  state: 'INSTALLED',
  mode: 'TRANSPORT',
  encap: true,
  spiIn: `c0${uniqueId.padStart(6, '0')}`,
  spiOut: `d0${uniqueId.padStart(6, '0')}`,
  markIn: mark,
  markOut: mark,
  encrAlg: 'AES_CBC',
  encrKeysize: 256,
  integAlg: 'HMAC_SHA1_96',
  bytesIn: 0,
  bytesOut: 0,
  packetsIn: 0,
  packetsOut: 0,
  localTs: ['198.51.100.1/32[udp/l2f]'],
  remoteTs: ['198.51.100.2/32[udp/l2f]'],
  ...more,
});

export const ikeSa = (uniqueId: string, children: readonly ChildSa[], more: Partial<IkeSa> = {}): IkeSa => ({
  uniqueId,
  name: 'l2tp',
  version: 1,
  spis: `i${uniqueId} r${children.map((c) => c.spiIn).join('')}`,
  state: 'ESTABLISHED',
  localHost: '198.51.100.1',
  localPort: 4500,
  remoteHost: '198.51.100.2',
  remotePort: 4500,
  localId: '198.51.100.1',
  remoteId: `192.168.77.${uniqueId}`,
  cipher: '',
  children,
  ...more,
});

export const childUp = (sa: IkeSa): IkeEvent => ({ type: 'child-updown', up: true, sa });
export const childDown = (sa: IkeSa): IkeEvent => ({ type: 'child-updown', up: false, sa });
/** The peer's Delete of the IKE_SA. */
export const ikeDown = (sa: IkeSa): IkeEvent => ({
  type: 'ike-updown',
  up: false,
  sa: { ...sa, state: 'DELETING', children: [] },
});
