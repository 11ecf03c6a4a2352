/**
 * The option negotiation automaton. The table below is the one printed in RFC 1661 §4.1, rows and cells as they stand
 * there, parsed when the module loads; the interpreter beneath knows actions, the Restart counter and nothing else.
 */
import { after, type Instant } from '../machine.js';
import { MAX_CONFIGURE, MAX_TERMINATE, RESTART_INITIAL_MS, RESTART_MS } from './limits.js';

export const STATES = [
  'Initial',
  'Starting',
  'Closed',
  'Stopped',
  'Closing',
  'Stopping',
  'Req-Sent',
  'Ack-Rcvd',
  'Ack-Sent',
  'Opened',
] as const;
export type State = (typeof STATES)[number];

export const EVENTS = [
  'Up',
  'Down',
  'Open',
  'Close',
  'TO+',
  'TO-',
  'RCR+',
  'RCR-',
  'RCA',
  'RCN',
  'RTR',
  'RTA',
  'RUC',
  'RXJ+',
  'RXJ-',
  'RXR',
] as const;
export type Event = (typeof EVENTS)[number];

export const ACTIONS = [
  'tlu',
  'tld',
  'tls',
  'tlf',
  'irc',
  'zrc',
  'scr',
  'sca',
  'scn',
  'str',
  'sta',
  'scj',
  'ser',
] as const;
export type Action = (typeof ACTIONS)[number];

/**
 * RFC 1661 §4.1. Footnotes: [p] passive option, not taken: a tunnel is a switched circuit, tlf is used. [r] restart
 * option, not taken: Open never means "renegotiate" here. [x] crossed connection.
 */
const TABLE = `
      |    0         1         2         3         4         5
 Up   |    2     irc,scr/6     -         -         -         -
 Down |    -         -         0       tls/1       0         1
 Open |  tls/1       1     irc,scr/6     3r        5r        5r
 Close|    0       tlf/0       2         2         4         4
      |
  TO+ |    -         -         -         -       str/4     str/5
  TO- |    -         -         -         -       tlf/2     tlf/3
      |
 RCR+ |    -         -       sta/2 irc,scr,sca/8   4         5
 RCR- |    -         -       sta/2 irc,scr,scn/6   4         5
 RCA  |    -         -       sta/2     sta/3       4         5
 RCN  |    -         -       sta/2     sta/3       4         5
      |
 RTR  |    -         -       sta/2     sta/3     sta/4     sta/5
 RTA  |    -         -         2         3       tlf/2     tlf/3
      |
 RUC  |    -         -       scj/2     scj/3     scj/4     scj/5
 RXJ+ |    -         -         2         3         4         5
 RXJ- |    -         -       tlf/2     tlf/3     tlf/2     tlf/3
      |
 RXR  |    -         -         2         3         4         5

      |    6         7         8           9
 Up   |    -         -         -           -
 Down |    1         1         1         tld/1
 Open |    6         7         8           9r
 Close|irc,str/4 irc,str/4 irc,str/4 tld,irc,str/4
      |
  TO+ |  scr/6     scr/6     scr/8         -
  TO- |  tlf/3p    tlf/3p    tlf/3p        -
      |
 RCR+ |  sca/8   sca,tlu/9   sca/8   tld,scr,sca/8
 RCR- |  scn/6     scn/7     scn/6   tld,scr,scn/6
 RCA  |  irc/7     scr/6x  irc,tlu/9   tld,scr/6x
 RCN  |irc,scr/6   scr/6x  irc,scr/8   tld,scr/6x
      |
 RTR  |  sta/6     sta/6     sta/6   tld,zrc,sta/5
 RTA  |    6         6         8       tld,scr/6
      |
 RUC  |  scj/6     scj/7     scj/8       scj/9
 RXJ+ |    6         6         8           9
 RXJ- |  tlf/3     tlf/3     tlf/3   tld,irc,str/5
      |
 RXR  |    6         7         8         ser/9
`;

export interface Transition {
  readonly actions: readonly Action[];
  readonly next: State;
}

/** [event][state]; undefined is the dash, an illegal transition. */
export const TRANSITIONS: Readonly<Record<Event, Readonly<Record<State, Transition | undefined>>>> = parse(TABLE);

function parse(text: string): Record<Event, Record<State, Transition | undefined>> {
  const rows = {} as Record<Event, Record<State, Transition | undefined>>;
  let columns: State[] = [];
  for (const line of text.split('\n')) {
    const [head = '', body = ''] = line.split('|');
    const cells = body.trim().split(/\s+/);
    const event = head.trim();
    if (body.trim() === '') continue;
    if (event === '') {
      columns = cells.map((n) => STATES[Number(n)]!);
      continue;
    }
    const row = rows[event as Event] ?? ({} as Record<State, Transition | undefined>);
    for (const [i, cell] of cells.entries()) row[columns[i]!] = parseCell(cell);
    rows[event as Event] = row;
  }
  return rows;
}

/** `irc,scr/6x`, `5r` or `-`. */
function parseCell(cell: string): Transition | undefined {
  if (cell === '-') return undefined;
  const slash = cell.indexOf('/');
  const actions = slash < 0 ? [] : (cell.slice(0, slash).split(',') as Action[]);
  return { actions, next: STATES[Number.parseInt(cell.slice(slash + 1), 10)]! };
}

/** §4.1: "identifiable by the presence of TO events". */
const restartRuns = (state: State): boolean => TRANSITIONS['TO+'][state] !== undefined;

/** What the automaton asks of its protocol; `irc` and `zrc` it does itself. */
export interface Effects {
  act(now: Instant, action: Exclude<Action, 'irc' | 'zrc'>): void;
  /** A dash of the table: an error of ours, to be reported (§4.4, Illegal-Event). */
  illegal(event: Event, state: State): void;
}

export class Automaton {
  readonly #effects: Effects;
  readonly #initialMs: number;
  #state: State = 'Initial';
  #restartCount = 0;
  #period: number;
  #restartAt: Instant | undefined;

  /** `initialMs`: the Restart timer's first value. */
  constructor(effects: Effects, initialMs = RESTART_INITIAL_MS) {
    this.#effects = effects;
    this.#initialMs = initialMs;
    this.#period = initialMs;
  }

  get state(): State {
    return this.#state;
  }

  nextTimeout(): Instant | undefined {
    return this.#restartAt;
  }

  handleTimeout(now: Instant): void {
    if (this.#restartAt === undefined || now < this.#restartAt) return;
    this.#restartAt = undefined;
    // §4.6: begin small, at least double, end at the configured value.
    this.#period = Math.min(this.#period * 2, RESTART_MS);
    this.event(now, this.#restartCount > 0 ? 'TO+' : 'TO-');
  }

  event(now: Instant, event: Event): void {
    const transition = TRANSITIONS[event][this.#state];
    if (transition === undefined) {
      this.#effects.illegal(event, this.#state);
      return;
    }
    // The new state first: an upper layer told `tlu` or `tlf` may come straight back with a command.
    this.#state = transition.next;
    if (!restartRuns(transition.next)) this.#restartAt = undefined;
    for (const action of transition.actions) this.#perform(now, action, transition.actions);
  }

  #perform(now: Instant, action: Action, cell: readonly Action[]): void {
    switch (action) {
      case 'irc':
        this.#restartCount = cell.includes('str') ? MAX_TERMINATE : MAX_CONFIGURE;
        this.#period = this.#initialMs;
        return;
      case 'zrc':
        // §4.4: pause for the peer to process our Terminate-Ack.
        this.#restartCount = 0;
        this.#period = RESTART_MS;
        this.#startTimer(now);
        return;
      case 'scr':
      case 'str':
        this.#restartCount -= 1;
        this.#startTimer(now);
        this.#effects.act(now, action);
        return;
      default:
        this.#effects.act(now, action);
    }
  }

  #startTimer(now: Instant): void {
    this.#restartAt = after(now, this.#period);
  }
}
