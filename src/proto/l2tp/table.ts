/** Reads state tables printed as RFC 2661 §7 prints them: state, event, actions, new state. */

export interface Row<State, Action> {
  readonly actions: readonly Action[];
  readonly next: State;
}
/** Total: a pair the table does not list takes its `otherwise` row. */
export type Table<State extends string, Event extends string, Action extends string> = (
  state: State,
  event: Event,
) => Row<State, Action>;

/** Parses rows of `state event actions next` (`-` for no action, `a,b` for several); throws on a word it does not know. */
export function stateTable<State extends string, Event extends string, Action extends string>(
  vocabulary: {
    readonly states: readonly State[];
    readonly events: readonly Event[];
    readonly actions: readonly Action[];
  },
  otherwise: Row<State, Action>,
  rows: string,
): Table<State, Event, Action> {
  const { states, events, actions } = vocabulary;
  const cells = new Map<string, Row<State, Action>>();
  for (const line of rows.split('\n').filter((l) => l.trim() !== '')) {
    const [state, event, action = '', next] = line.trim().split(/\s+/);
    const key = `${known(states, state)} ${known(events, event)}`;
    if (cells.has(key)) throw new Error(`state table: ${key} twice`);
    const list = action === '-' ? [] : action.split(',').map((a) => known(actions, a));
    cells.set(key, { actions: list, next: known(states, next) });
  }
  return (state, event) => cells.get(`${state} ${event}`) ?? otherwise;
}

function known<T extends string>(words: readonly T[], word: string | undefined): T {
  const found = words.find((w) => w === word);
  if (found === undefined) throw new Error(`state table: ${word} is none of ${words.join(' ')}`);
  return found;
}
