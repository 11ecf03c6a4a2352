/** A client's offers, ports and lifetimes as connections of a charon (swanctl.conf(5)) that stands for its IKE and ESP. */
import type { SectionInput } from 'vici-client';
import { type NativeClient, variant } from './client.js';

export interface CharonPlace {
  readonly gateway: string;
  /** UDP port its L2TP comes from. */
  readonly port: number;
  /** Instead of its own address, as its identity. */
  readonly identity?: string;
  /** Its ESP SA is renewed before its lifetime is over, by itself, not only when told. */
  readonly renews?: boolean;
}

export const CONNECTION = 'l2tp';

/**
 * When a client renews its SAs, in parts of their lifetimes: Apple waits 80 or 90 % for the IKE SA (3.1), of the others only "before
 * it is over" is known (10). Not both at once: this charon loses an ESP SA whose time comes while the IKE SA is renewed.
 */
const IKE_RENEWED_AT = 0.9;
const ESP_RENEWED_AT = 0.8;

/** The client with lifetimes as much shorter as makes its ESP SA live so many seconds. */
export function shortLived(client: NativeClient, seconds: number): NativeClient {
  const { ike, esp } = client;
  return variant(client, {
    ike: { lifetime: Math.round((ike.lifetime * seconds) / esp.lifetime) },
    esp: { lifetime: seconds },
  });
}

export function charonConnection(
  { ike, esp }: NativeClient,
  { gateway, port, identity, renews = false }: CharonPlace,
): SectionInput {
  const id = typeof ike.identity === 'object' ? `keyid:${ike.identity.keyId}` : identity;
  const ikeRenewal = renews ? Math.round(ike.lifetime * IKE_RENEWED_AT) : ike.lifetime;
  const local = esp.source === 'any' ? 'dynamic[udp]' : `dynamic[udp/${port}]`;
  return {
    version: '1',
    aggressive: ike.mode === 'aggressive' ? 'yes' : 'no',
    remote_addrs: [gateway],
    proposals: [...ike.offers],
    rekey_time: `${ikeRenewal}s`,
    ...(renews ? { over_time: `${ike.lifetime - ikeRenewal}s`, rand_time: '0s' } : {}),
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
        rekey_time: renews ? `${Math.round(esp.lifetime * (esp.rekeysAt ?? ESP_RENEWED_AT))}s` : '0s',
        // Or charon 5.9.8 takes the default jitter off nothing, and rekeys every second.
        rand_time: '0s',
        ...(esp.kilobytes === undefined
          ? {}
          : { life_bytes: `${esp.kilobytes * 1_024}`, rekey_bytes: '0', rand_bytes: '0' }),
      },
    },
  };
}
