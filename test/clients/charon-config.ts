/** A client's offers, ports and lifetimes as connections of a charon (swanctl.conf(5)) that stands for its IKE and ESP. */
import type { SectionInput } from 'vici-client';
import type { NativeClient } from './client.js';

export interface CharonPlace {
  readonly gateway: string;
  /** UDP port its L2TP comes from. */
  readonly port: number;
  /** Instead of its own address, as its identity. */
  readonly identity?: string;
}

export const CONNECTION = 'l2tp';

export function charonConnection({ ike, esp }: NativeClient, { gateway, port, identity }: CharonPlace): SectionInput {
  const id = typeof ike.identity === 'object' ? `keyid:${ike.identity.keyId}` : identity;
  const local = esp.source === 'any' ? 'dynamic[udp]' : `dynamic[udp/${port}]`;
  return {
    version: '1',
    aggressive: ike.mode === 'aggressive' ? 'yes' : 'no',
    remote_addrs: [gateway],
    proposals: [...ike.offers],
    rekey_time: `${ike.lifetime}s`,
    reauth_time: '0s',
    ...(ike.dpd === 'probes' ? { dpd_delay: '120s' } : {}),
    local: { auth: 'psk', ...(id === undefined ? {} : { id }) },
    remote: { auth: 'psk', id: '%any' },
    children: {
      [CONNECTION]: {
        mode: 'transport',
        esp_proposals: esp.offers.map((suite) => (esp.pfs === undefined ? suite : `${suite}-${esp.pfs}`)),
        local_ts: [local],
        remote_ts: ['dynamic[udp/1701]'],
        life_time: `${esp.lifetime}s`,
        rekey_time: '0s',
        // Or charon 5.9.8 takes the default jitter off nothing, and rekeys every second.
        rand_time: '0s',
        ...(esp.kilobytes === undefined
          ? {}
          : { life_bytes: `${esp.kilobytes * 1_024}`, rekey_bytes: '0', rand_bytes: '0' }),
      },
    },
  };
}
