/** Every client there is a file for. */
import { android5 } from './android5.js';
import { android7 } from './android7.js';
import { chromeos } from './chromeos.js';
import type { NativeClient } from './client.js';
import { ios } from './ios.js';
import { iosGroup } from './ios-group.js';
import { macos1011 } from './macos10.11.js';
import { macos14 } from './macos14.js';
import { nmKl2tpd } from './nm-kl2tpd.js';
import { nmStrongswan } from './nm-strongswan.js';
import { openwrt } from './openwrt.js';
import { routeros6 } from './routeros6.js';
import { routeros7 } from './routeros7.js';
import { tplink } from './tplink.js';
import { win7 } from './win7.js';
import { win10 } from './win10.js';
import { win11 } from './win11.js';
import { winxpL2tp } from './winxp-l2tp.js';

export const CLIENTS: readonly NativeClient[] = [
  win11,
  win10,
  win7,
  winxpL2tp,
  macos14,
  macos1011,
  ios,
  iosGroup,
  android7,
  android5,
  nmStrongswan,
  nmKl2tpd,
  chromeos,
  routeros6,
  routeros7,
  tplink,
  openwrt,
];
