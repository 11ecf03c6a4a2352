/** iOS: the tree of macOS (3, inferred); on a cellular network without IPv4 its identity is 0.0.0.0. */
import { doubting } from './client.js';
import { APPLE_DOUBTS, apple } from './macos14.js';

export const ios = doubting(apple({ name: 'ios', title: 'iOS' }), APPLE_DOUBTS);
