/** macOS up to 10.11.3: six transforms, all of group 2 (3.1); no SHA-256 in ESP (3.2). */
import { apple, each } from './macos14.js';

export const macos1011 = apple({
  name: 'macos10.11',
  title: 'macOS 10.11.3 and older',
  ike: { offers: each(['aes256', 'aes128', '3des'], ['sha1', 'md5'], 'modp1024') },
  esp: { offers: each(['aes256', 'aes128', '3des'], ['sha1', 'md5']) },
  chosen: { suite: 'aes256-sha1-modp1024', legacy: true },
});
