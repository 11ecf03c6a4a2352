import t from 'tap';
import { LAC_INCOMING, LNS_INCOMING } from '../../../src/proto/l2tp/session-table.js';
import { stateTable } from '../../../src/proto/l2tp/table.js';
import { CONTROL_CONNECTION } from '../../../src/proto/l2tp/tunnel-table.js';

const vocabulary = { states: ['off', 'on'], events: ['press', 'pull'], actions: ['ring', 'blink'] } as const;
const otherwise = { actions: ['ring'], next: 'off' } as const;

t.test('a table is what is printed, and total', async (t) => {
  const table = stateTable(vocabulary, otherwise, `off press ring,blink on\n\n  on press - off`);
  t.strictSame(table('off', 'press'), { actions: ['ring', 'blink'], next: 'on' });
  t.strictSame(table('on', 'press'), { actions: [], next: 'off' });
  t.strictSame(table('on', 'pull'), otherwise);
});

t.test('a misprint is found at load', async (t) => {
  const load = (rows: string) => () => stateTable(vocabulary, otherwise, rows);
  t.throws(load('of press ring on'), { message: 'state table: of is none of off on' });
  t.throws(load('off press bang on'), { message: 'state table: bang is none of ring blink' });
  t.throws(load('off press'), { message: 'state table:  is none of ring blink' });
  t.throws(load('off press ring'), { message: 'state table: undefined is none of off on' });
  t.throws(load('off press ring on\noff press - on'), { message: 'state table: off press twice' });
});

t.test('§7: StopCCN, CDN and close end in every state they are listed in; nothing leaves an end', async (t) => {
  for (const state of ['wait-ctl-reply', 'wait-ctl-conn', 'established'] as const) {
    t.equal(CONTROL_CONNECTION(state, 'StopCCN').next, 'lingering');
    t.strictSame(CONTROL_CONNECTION(state, 'close'), { actions: ['StopCCN'], next: 'closing' });
    t.strictSame(CONTROL_CONNECTION(state, 'SCCRQ'), { actions: ['StopCCN'], next: 'closing' });
  }
  for (const table of [LAC_INCOMING, LNS_INCOMING]) {
    for (const state of ['wait-reply', 'wait-connect', 'established'] as const) {
      t.equal(table(state, 'close').next, 'idle');
      t.strictSame(table(state, 'OCRP'), { actions: ['CDN'], next: 'idle' });
    }
    t.strictSame(table('idle', 'OCRQ-'), { actions: ['CDN'], next: 'idle' }, '§7.5.1');
  }
});
