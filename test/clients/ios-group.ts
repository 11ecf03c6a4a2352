/** iOS with a group name: Aggressive Mode with a KEY_ID, the four offers of group 14 (3.1). */
import { apple, GROUP_14 } from './macos14.js';

export const iosGroup = apple({
  name: 'ios-group',
  title: 'iOS with a group name',
  ike: { mode: 'aggressive', offers: GROUP_14, identity: { keyId: 'office' } },
});
