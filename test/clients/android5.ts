/** Android 4 and 5: eight transforms with DES, no SHA-2 (4.1); says nothing to IKE when it goes. */
import { android7 } from './android7.js';
import { variant } from './client.js';
import { each } from './macos14.js';

const CIPHERS = ['aes256', 'aes128', '3des', 'des'];

export const android5 = variant(android7, {
  name: 'android5',
  title: 'Android 4 and 5',
  ike: { offers: each(CIPHERS, ['sha1', 'md5'], 'modp1024') },
  esp: { offers: each(CIPHERS, ['sha1', 'md5']) },
});
