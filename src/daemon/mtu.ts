/**
 * How large an IP packet inside the tunnel may be, from the SA that carries it. Pure. RFC 3193 §3.2 asks for the choice
 * before LCP starts; RFC 4303 §2 has ESP's layout, RFC 3948 §2.1 its UDP encapsulation.
 */
import type { ChildSa } from '../io/ports.js';

type Sa = Pick<ChildSa, 'encap' | 'encrAlg' | 'integAlg'>;

/** Of IPv6: RFC 8200 §5. */
export const LEAST_IPV6_MTU = 1_280;

export interface Outer {
  /** What the path carries, outer IP header included; 1500 unless known better. */
  readonly pathMtu?: number;
  readonly ipv6: boolean;
  /** Data messages have Ns and Nr: RFC 2661 §5.4. */
  readonly numbered?: boolean;
}

/** Octets around the inner IP packet, from the inside out. */
const PPP = 4; // ff 03 and the protocol field: we never compress either
const L2TP = 8; // flags, Length, tunnel id, session id: RFC 2661 §3.1
const NUMBERS = 4; // Ns, Nr
const UDP = 8;
const ESP_HEADER = 8; // SPI, sequence number
const ESP_TRAILER = 2; // pad length, next header

export const ETHERNET_MTU = 1500;
/** RFC 791: every IPv4 host takes this much; less would be of no use to anyone. */
export const LEAST_MTU = 576;
/** Marked SAs learn no path MTU from ICMP, so we stay below what a PPPoE or mobile path takes. */
export const CAUTIOUS_MTU = 1400;

/** What paths usually carry: Ethernet, PPPoE, tunnels, mobile networks, the least of IPv6, of X.25 and of IPv4. */
const PATHS = [1_492, 1_480, 1_460, 1_430, 1_400, 1_358, 1_280, 1_180, 1_006, LEAST_MTU];

/** Block (padding granularity, at least 4: RFC 4303 §2.4), IV and, for AEAD, ICV; octets; by charon's names. */
const CIPHERS: Readonly<Record<string, { readonly block: number; readonly iv: number; readonly icv?: number }>> = {
  AES_CBC: { block: 16, iv: 16 },
  CAMELLIA_CBC: { block: 16, iv: 16 },
  '3DES_CBC': { block: 8, iv: 8 },
  AES_CTR: { block: 4, iv: 8 },
  AES_GCM_8: { block: 4, iv: 8, icv: 8 },
  AES_GCM_12: { block: 4, iv: 8, icv: 12 },
  AES_GCM_16: { block: 4, iv: 8, icv: 16 },
  AES_CCM_8: { block: 4, iv: 8, icv: 8 },
  AES_CCM_12: { block: 4, iv: 8, icv: 12 },
  AES_CCM_16: { block: 4, iv: 8, icv: 16 },
  CHACHA20_POLY1305: { block: 4, iv: 8, icv: 16 },
  NULL_AES_GMAC: { block: 4, iv: 8, icv: 16 },
  NULL: { block: 4, iv: 0 },
};

/** ICV octets. */
const INTEGRITY: Readonly<Record<string, number>> = {
  HMAC_MD5_96: 12,
  HMAC_SHA1_96: 12,
  HMAC_SHA2_256_96: 12,
  HMAC_SHA2_256_128: 16,
  HMAC_SHA2_384_192: 24,
  HMAC_SHA2_512_256: 32,
  AES_XCBC_96: 12,
  AES_CMAC_96: 12,
};

/** For a name we do not know: the most any cipher takes. */
const WORST = { block: 16, iv: 16, icv: 32 };

/** The largest inner IP packet that fits one outer packet, at most `ceiling`. Serves as our MTU and the MRU we ask for. */
export function innerMtu(sa: Sa, outer: Outer, ceiling: number = CAUTIOUS_MTU): number {
  const { block, iv, icv } = CIPHERS[sa.encrAlg] ?? WORST;
  const auth = icv ?? INTEGRITY[sa.integAlg ?? ''] ?? WORST.icv;
  const around = (outer.ipv6 ? 40 : 20) + (sa.encap ? UDP : 0) + ESP_HEADER + iv + auth;
  const room = (outer.pathMtu ?? ETHERNET_MTU) - around;
  const encrypted = Math.floor(room / block) * block;
  const fits = encrypted - ESP_TRAILER - UDP - L2TP - (outer.numbered === true ? NUMBERS : 0) - PPP;
  return Math.max(LEAST_MTU, Math.min(fits, ceiling));
}

/** Sizes worth trying when `mtu` no longer passes, largest first, `mtu` itself at the head. */
export function probeSizes(sa: Sa, outer: Outer, mtu: number): number[] {
  const usual = PATHS.map((pathMtu) => innerMtu(sa, { ...outer, pathMtu }));
  return [...new Set([mtu, ...usual.filter((size) => size < mtu)])];
}
