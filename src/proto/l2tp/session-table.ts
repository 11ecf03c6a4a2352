/** The incoming-call state tables of LAC and LNS, as printed. RFC 2661 §7.4.1, §7.4.2. */
import { stateTable, type Table } from './table.js';

const vocabulary = {
  states: ['idle', 'wait-tunnel', 'wait-reply', 'wait-connect', 'established'],
  /** `+` and `-` are the RFC's "acceptable" and "not acceptable"; outgoing calls (§7.5) are never acceptable. */
  events: [
    'open',
    'tunnel-open',
    'close',
    'ICRQ+',
    'ICRQ-',
    'ICRQ',
    'ICRP+',
    'ICRP-',
    'ICRP',
    'ICCN',
    'OCRQ-',
    'OCRP',
    'OCCN',
    'CDN',
  ],
  actions: ['ICRQ', 'ICRP', 'ICCN', 'CDN'],
} as const;

export type SessionState = (typeof vocabulary.states)[number];
export type SessionEvent = (typeof vocabulary.events)[number];
export type SessionAction = (typeof vocabulary.actions)[number];
export type SessionTable = Table<SessionState, SessionEvent, SessionAction>;

/** A message out of sequence, an outgoing call included: §7.1, §7.5.1. */
const otherwise = { actions: ['CDN'], next: 'idle' } as const;

export const LAC_INCOMING: SessionTable = stateTable(
  vocabulary,
  otherwise,
  `
  idle         open         -     wait-tunnel
  idle         ICCN         -     idle
  idle         ICRP         -     idle
  idle         OCCN         -     idle
  idle         CDN          -     idle
  wait-tunnel  close        -     idle
  wait-tunnel  tunnel-open  ICRQ  wait-reply
  wait-reply   ICRP+        ICCN  established
  wait-reply   ICRP-        CDN   idle
  wait-reply   ICRQ         CDN   idle
  wait-reply   CDN          -     idle
  wait-reply   ICCN         -     idle
  wait-reply   close        CDN   idle
  established  CDN          -     idle
  established  ICRQ         CDN   idle
  established  ICRP         CDN   idle
  established  ICCN         CDN   idle
  established  close        CDN   idle
  `,
);

/** Every ICCN is acceptable: nothing in it obliges us (§7.4.2 lets an LNS refuse one). */
export const LNS_INCOMING: SessionTable = stateTable(
  vocabulary,
  otherwise,
  `
  idle          ICRQ+  ICRP  wait-connect
  idle          ICRQ-  CDN   idle
  idle          ICRP   CDN   idle
  idle          ICCN   -     idle
  idle          OCCN   -     idle
  idle          CDN    -     idle
  wait-connect  ICCN   -     established
  wait-connect  ICRQ   CDN   idle
  wait-connect  ICRP   CDN   idle
  wait-connect  CDN    -     idle
  wait-connect  close  CDN   idle
  established   close  CDN   idle
  established   CDN    -     idle
  established   ICRQ   CDN   idle
  established   ICRP   CDN   idle
  established   ICCN   CDN   idle
  `,
);
