import t from 'tap';
import { type Instant, instant } from '../../../src/proto/machine.js';
import { Automaton, EVENTS, type Event, STATES, type State, TRANSITIONS } from '../../../src/proto/ppp/automaton.js';

/**
 * RFC 1661 §4.1 typed in a second time, by column instead of by row and in words instead of the page's cells: for each
 * state what each event leads to. Absent is the dash.
 */
const EXPECTED: Record<State, Partial<Record<Event, [actions: string, next: State]>>> = {
  Initial: { Up: ['', 'Closed'], Open: ['tls', 'Starting'], Close: ['', 'Initial'] },
  Starting: { Up: ['irc scr', 'Req-Sent'], Open: ['', 'Starting'], Close: ['tlf', 'Initial'] },
  Closed: {
    Down: ['', 'Initial'],
    Open: ['irc scr', 'Req-Sent'],
    Close: ['', 'Closed'],
    'RCR+': ['sta', 'Closed'],
    'RCR-': ['sta', 'Closed'],
    RCA: ['sta', 'Closed'],
    RCN: ['sta', 'Closed'],
    RTR: ['sta', 'Closed'],
    RTA: ['', 'Closed'],
    RUC: ['scj', 'Closed'],
    'RXJ+': ['', 'Closed'],
    'RXJ-': ['tlf', 'Closed'],
    RXR: ['', 'Closed'],
  },
  Stopped: {
    Down: ['tls', 'Starting'],
    Open: ['', 'Stopped'],
    Close: ['', 'Closed'],
    'RCR+': ['irc scr sca', 'Ack-Sent'],
    'RCR-': ['irc scr scn', 'Req-Sent'],
    RCA: ['sta', 'Stopped'],
    RCN: ['sta', 'Stopped'],
    RTR: ['sta', 'Stopped'],
    RTA: ['', 'Stopped'],
    RUC: ['scj', 'Stopped'],
    'RXJ+': ['', 'Stopped'],
    'RXJ-': ['tlf', 'Stopped'],
    RXR: ['', 'Stopped'],
  },
  Closing: {
    Down: ['', 'Initial'],
    Open: ['', 'Stopping'],
    Close: ['', 'Closing'],
    'TO+': ['str', 'Closing'],
    'TO-': ['tlf', 'Closed'],
    'RCR+': ['', 'Closing'],
    'RCR-': ['', 'Closing'],
    RCA: ['', 'Closing'],
    RCN: ['', 'Closing'],
    RTR: ['sta', 'Closing'],
    RTA: ['tlf', 'Closed'],
    RUC: ['scj', 'Closing'],
    'RXJ+': ['', 'Closing'],
    'RXJ-': ['tlf', 'Closed'],
    RXR: ['', 'Closing'],
  },
  Stopping: {
    Down: ['', 'Starting'],
    Open: ['', 'Stopping'],
    Close: ['', 'Closing'],
    'TO+': ['str', 'Stopping'],
    'TO-': ['tlf', 'Stopped'],
    'RCR+': ['', 'Stopping'],
    'RCR-': ['', 'Stopping'],
    RCA: ['', 'Stopping'],
    RCN: ['', 'Stopping'],
    RTR: ['sta', 'Stopping'],
    RTA: ['tlf', 'Stopped'],
    RUC: ['scj', 'Stopping'],
    'RXJ+': ['', 'Stopping'],
    'RXJ-': ['tlf', 'Stopped'],
    RXR: ['', 'Stopping'],
  },
  'Req-Sent': {
    Down: ['', 'Starting'],
    Open: ['', 'Req-Sent'],
    Close: ['irc str', 'Closing'],
    'TO+': ['scr', 'Req-Sent'],
    'TO-': ['tlf', 'Stopped'],
    'RCR+': ['sca', 'Ack-Sent'],
    'RCR-': ['scn', 'Req-Sent'],
    RCA: ['irc', 'Ack-Rcvd'],
    RCN: ['irc scr', 'Req-Sent'],
    RTR: ['sta', 'Req-Sent'],
    RTA: ['', 'Req-Sent'],
    RUC: ['scj', 'Req-Sent'],
    'RXJ+': ['', 'Req-Sent'],
    'RXJ-': ['tlf', 'Stopped'],
    RXR: ['', 'Req-Sent'],
  },
  'Ack-Rcvd': {
    Down: ['', 'Starting'],
    Open: ['', 'Ack-Rcvd'],
    Close: ['irc str', 'Closing'],
    'TO+': ['scr', 'Req-Sent'],
    'TO-': ['tlf', 'Stopped'],
    'RCR+': ['sca tlu', 'Opened'],
    'RCR-': ['scn', 'Ack-Rcvd'],
    RCA: ['scr', 'Req-Sent'],
    RCN: ['scr', 'Req-Sent'],
    RTR: ['sta', 'Req-Sent'],
    RTA: ['', 'Req-Sent'],
    RUC: ['scj', 'Ack-Rcvd'],
    'RXJ+': ['', 'Req-Sent'],
    'RXJ-': ['tlf', 'Stopped'],
    RXR: ['', 'Ack-Rcvd'],
  },
  'Ack-Sent': {
    Down: ['', 'Starting'],
    Open: ['', 'Ack-Sent'],
    Close: ['irc str', 'Closing'],
    'TO+': ['scr', 'Ack-Sent'],
    'TO-': ['tlf', 'Stopped'],
    'RCR+': ['sca', 'Ack-Sent'],
    'RCR-': ['scn', 'Req-Sent'],
    RCA: ['irc tlu', 'Opened'],
    RCN: ['irc scr', 'Ack-Sent'],
    RTR: ['sta', 'Req-Sent'],
    RTA: ['', 'Ack-Sent'],
    RUC: ['scj', 'Ack-Sent'],
    'RXJ+': ['', 'Ack-Sent'],
    'RXJ-': ['tlf', 'Stopped'],
    RXR: ['', 'Ack-Sent'],
  },
  Opened: {
    Down: ['tld', 'Starting'],
    Open: ['', 'Opened'],
    Close: ['tld irc str', 'Closing'],
    'RCR+': ['tld scr sca', 'Ack-Sent'],
    'RCR-': ['tld scr scn', 'Req-Sent'],
    RCA: ['tld scr', 'Req-Sent'],
    RCN: ['tld scr', 'Req-Sent'],
    RTR: ['tld zrc sta', 'Stopping'],
    RTA: ['tld scr', 'Req-Sent'],
    RUC: ['scj', 'Opened'],
    'RXJ+': ['', 'Opened'],
    'RXJ-': ['tld irc str', 'Stopping'],
    RXR: ['ser', 'Opened'],
  },
};

/** Events that lead from Initial to each state. */
const PATHS: Record<State, Event[]> = {
  Initial: [],
  Starting: ['Open'],
  Closed: ['Up'],
  Stopped: ['Open', 'Up', 'RXJ-'],
  Closing: ['Open', 'Up', 'Close'],
  Stopping: ['Open', 'Up', 'RCR+', 'RCA', 'RTR'],
  'Req-Sent': ['Open', 'Up'],
  'Ack-Rcvd': ['Open', 'Up', 'RCA'],
  'Ack-Sent': ['Open', 'Up', 'RCR+'],
  Opened: ['Open', 'Up', 'RCR+', 'RCA'],
};

function machine(state: State = 'Initial') {
  const acts: string[] = [];
  const illegal: string[] = [];
  const automaton = new Automaton({
    act: (_, action) => acts.push(action),
    illegal: (event, at) => illegal.push(`${event} in ${at}`),
  });
  for (const event of PATHS[state]) automaton.event(instant(0), event);
  acts.length = 0;
  return { automaton, acts, illegal };
}

t.test('RFC 1661 §4.1: all 160 cells as printed', async (t) => {
  let cells = 0;
  for (const state of STATES) {
    for (const event of EVENTS) {
      const want = EXPECTED[state][event];
      const cell = TRANSITIONS[event][state];
      t.same(cell && [cell.actions.join(' '), cell.next], want, `${event} in ${state}`);
      cells += 1;
    }
  }
  t.equal(cells, 160);
});

t.test('RFC 1661 §4.1: all 160 cells as performed', async (t) => {
  for (const state of STATES) {
    for (const event of EVENTS) {
      const { automaton, acts, illegal } = machine(state);
      t.equal(automaton.state, state);
      automaton.event(instant(0), event);
      const [actions, next] = EXPECTED[state][event] ?? ['', state];
      // The Restart counter is the automaton's own: irc and zrc are not asked of anyone.
      t.equal(acts.join(' '), actions.replace(/[iz]rc ?/g, '').trim(), `${event} in ${state}`);
      t.equal(automaton.state, next, `${event} in ${state}`);
      t.same(illegal, EXPECTED[state][event] === undefined ? [`${event} in ${state}`] : []);
    }
  }
});

t.test('RFC 1661 §4.1: the Restart timer runs in the states with TO events, and in no other', async (t) => {
  for (const state of STATES) {
    const { automaton } = machine(state);
    t.equal(automaton.nextTimeout() !== undefined, EXPECTED[state]['TO+'] !== undefined, state);
  }
});

/** Lets the Restart timer expire until it no longer runs; the times at which it did. */
function expire(automaton: Automaton): number[] {
  const times: number[] = [];
  for (let at: Instant | undefined = automaton.nextTimeout(); at !== undefined; at = automaton.nextTimeout()) {
    automaton.handleTimeout(instant(at - 1));
    times.push(at);
    automaton.handleTimeout(at);
  }
  return times;
}

t.test('RFC 1661 §4.6: Max-Configure requests, 1 s apart at first, then 2, then 3', async (t) => {
  const { automaton, acts } = machine('Req-Sent');
  t.same(
    expire(automaton),
    [1, 3, 6, 9, 12, 15, 18, 21, 24, 27].map((s) => s * 1000),
  );
  t.equal(acts.filter((a) => a === 'scr').length, 9, 'ten with the first');
  t.equal(acts.at(-1), 'tlf');
  t.equal(automaton.state, 'Stopped');
});

t.test('RFC 1661 §4.6: Max-Terminate requests', async (t) => {
  const { automaton, acts } = machine('Closing');
  t.same(expire(automaton), [1000, 3000]);
  t.same(acts, ['str', 'tlf'], 'two with the first');
});

t.test('RFC 1661 §4.4 zrc: after a Terminate-Request of the peer a pause of one period, nothing sent', async (t) => {
  const { automaton, acts } = machine('Stopping');
  t.same(expire(automaton), [3000]);
  t.same(acts, ['tlf']);
  t.equal(automaton.state, 'Stopped');
});
