/** What a client probably is, from what its SCCRQ says of itself (RFC 2661 §4.4.3): for people, never for a decision. */
import type { TunnelPeer } from '../proto/l2tp/events.js';

type Introduction = Pick<TunnelPeer, 'hostName' | 'nulName' | 'vendorName' | 'firmware'>;

export function clientType({ hostName, nulName, vendorName, firmware }: Introduction): string {
  if (vendorName !== undefined) return ofVendor(vendorName, firmware);
  if (hostName === 'anonymous') return 'Android';
  return nulName === true ? 'Apple' : 'unknown';
}

const ofVendor = (vendor: string, firmware: number | undefined): string => {
  switch (vendor) {
    case 'Microsoft':
      return `Windows${WINDOWS.get(firmware ?? 0) ?? ''}`;
    case 'MikroTik':
      return 'RouterOS';
    case 'xelerance.com':
      return 'xl2tpd';
    default:
      return 'unknown';
  }
};

const WINDOWS = new Map([
  [0x0500, ' 2000'],
  [0x0600, ' Vista'],
  [0x0601, ' 7'],
  [0x0a00, ' 10 or 11'],
]);
