/** LCP's option table. RFC 1661 §6, RFC 1570 §2, RFC 1990 §5.1, RFC 2153 §2.2, RFC 1663 §3; numbers: IANA ppp-numbers. */
import { toHex } from '../reader.js';
import { PROTOCOL, protocolName } from './frame.js';
import {
  classed8,
  flag,
  type Numbered,
  numbered16,
  OptionCodec,
  type Option as OptionOf,
  type OptionTable,
  octets,
  spec,
  u8,
  u16,
  u32,
} from './options.js';

/** CHAP algorithms in the authentication option. RFC 1994 §3, RFC 2433 §3, RFC 2759 §3. */
export const CHAP_ALGORITHM = { md5: 5, mschap: 0x80, mschapv2: 0x81 } as const;

const ALGORITHM_NAMES = new Map<number, string>([
  [CHAP_ALGORITHM.md5, 'MD5'],
  [CHAP_ALGORITHM.mschap, 'MS'],
  [CHAP_ALGORITHM.mschapv2, 'MS-v2'],
]);

/** `PAP`, `CHAP MD5`, `CHAP MS-v2`, `EAP`; hex for what has no name. */
export function authName(v: Numbered): string {
  const algorithm =
    v.protocol === PROTOCOL.chap && v.data.length === 1 ? ALGORITHM_NAMES.get(v.data.at(0)!) : undefined;
  return [protocolName(v.protocol), algorithm ?? toHex(v.data)].filter((s) => s !== '').join(' ');
}

const quality = (v: Numbered): string => `${protocolName(v.protocol)} ${toHex(v.data)}`;

export const LCP = {
  vendorSpecific: spec(0, 'vendor', octets(4), 'RFC 2153 §2.2'),
  mru: spec(1, 'mru', u16, 'RFC 1661 §6.1'),
  accm: spec(2, 'asyncmap', u32, 'RFC 1662 §7.1'),
  auth: spec(3, 'auth', numbered16(authName), 'RFC 1661 §6.2'),
  quality: spec(4, 'quality', numbered16(quality), 'RFC 1661 §6.3'),
  magic: spec(5, 'magic', u32, 'RFC 1661 §6.4'),
  pfc: spec(7, 'pcomp', flag, 'RFC 1661 §6.5'),
  acfc: spec(8, 'accomp', flag, 'RFC 1661 §6.6'),
  fcsAlternatives: spec(9, 'fcs', u8, 'RFC 1570 §2.1'),
  selfDescribingPad: spec(10, 'pad', u8, 'RFC 1570 §2.2'),
  numberedMode: spec(11, 'numbered', octets(1), 'RFC 1663 §3'),
  multiLinkProcedure: spec(12, 'mlp', octets(), 'IANA (obsolete)'),
  callback: spec(13, 'callback', classed8, 'RFC 1570 §2.3'),
  connectTime: spec(14, 'connect-time', octets(), 'IANA (obsolete)'),
  compoundFrames: spec(15, 'compound', flag, 'RFC 1570 §2.4'),
  nominalDataEncapsulation: spec(16, 'nominal-data', octets(), 'IANA (obsolete)'),
  mrru: spec(17, 'mrru', u16, 'RFC 1990 §5.1.1'),
  ssnhf: spec(18, 'ssnhf', flag, 'RFC 1990 §5.1.2'),
  endpoint: spec(19, 'endpoint', classed8, 'RFC 1990 §5.1.3'),
  proprietary: spec(20, 'proprietary', octets(), 'IANA'),
  dceIdentifier: spec(21, 'dce', octets(), 'RFC 1976 §2'),
  multiLinkPlusProcedure: spec(22, 'mlplus', octets(), 'RFC 1934'),
  linkDiscriminator: spec(23, 'link-discriminator', u16, 'RFC 2125 §7'),
  lcpAuthentication: spec(24, 'lcp-auth', octets(), 'IANA'),
  cobs: spec(25, 'cobs', octets(), 'IANA'),
  prefixElision: spec(26, 'prefix-elision', octets(), 'RFC 2686 §5.2'),
  multilinkHeaderFormat: spec(27, 'multilink-header', octets(), 'RFC 2686 §5.1'),
  internationalization: spec(28, 'charset', octets(4), 'RFC 2484 §2'),
  sdlSonet: spec(29, 'sdl', octets(), 'RFC 2823 §7'),
} as const satisfies OptionTable;

export type LcpOption = OptionOf<typeof LCP>;
export const lcpOptions = new OptionCodec(LCP);
