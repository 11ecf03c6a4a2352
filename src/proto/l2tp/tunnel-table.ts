/** The control connection state table, as printed. RFC 2661 §7.2.1. */
import { stateTable, type Table } from './table.js';

const vocabulary = {
  /**
   * The RFC's final idle is split by what is still owed to the peer: `closing` until our StopCCN is acknowledged
   * (§5.8), `lingering` to acknowledge repeats of the peer's (§5.7), `gone` when nothing is left.
   */
  states: ['idle', 'wait-ctl-reply', 'wait-ctl-conn', 'established', 'closing', 'lingering', 'gone'],
  /** `+` and `-` are the RFC's "acceptable" and "not acceptable". */
  events: [
    'open',
    'SCCRQ+',
    'SCCRQ',
    'lose-tie',
    'SCCRP+',
    'SCCRP-',
    'SCCRP',
    'SCCCN+',
    'SCCCN-',
    'SCCCN',
    'StopCCN',
    'close',
  ],
  actions: ['SCCRQ', 'SCCRP', 'SCCCN', 'StopCCN'],
} as const;

export type TunnelState = (typeof vocabulary.states)[number];
export type TunnelEvent = (typeof vocabulary.events)[number];
export type TunnelAction = (typeof vocabulary.actions)[number];

/** The idle rows that keep no state (SCCRQ not acceptable, SCCRP) are `refuse` in endpoint.ts. */
export const CONTROL_CONNECTION: Table<TunnelState, TunnelEvent, TunnelAction> = stateTable(
  vocabulary,
  { actions: ['StopCCN'], next: 'closing' },
  `
  idle            open      SCCRQ    wait-ctl-reply
  idle            SCCRQ+    SCCRP    wait-ctl-conn
  wait-ctl-reply  SCCRP+    SCCCN    established
  wait-ctl-reply  SCCRP-    StopCCN  closing
  wait-ctl-reply  lose-tie  -        gone
  wait-ctl-reply  SCCCN     StopCCN  closing
  wait-ctl-reply  StopCCN   -        lingering
  wait-ctl-reply  close     StopCCN  closing
  wait-ctl-conn   SCCCN+    -        established
  wait-ctl-conn   SCCCN-    StopCCN  closing
  wait-ctl-conn   SCCRP     StopCCN  closing
  wait-ctl-conn   SCCRQ     StopCCN  closing
  wait-ctl-conn   StopCCN   -        lingering
  wait-ctl-conn   close     StopCCN  closing
  established     SCCRQ     StopCCN  closing
  established     SCCRP     StopCCN  closing
  established     SCCCN     StopCCN  closing
  established     StopCCN   -        lingering
  established     close     StopCCN  closing
  `,
);
