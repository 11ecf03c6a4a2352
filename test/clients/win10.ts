/** Windows 10: as Windows 11, in all that its logs show. */
import { variant } from './client.js';
import { WINDOWS } from './windows.js';

export const win10 = variant(WINDOWS, { name: 'win10', title: 'Windows 10' });
