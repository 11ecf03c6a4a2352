import t from 'tap';
import { Registry, type Session } from '../../src/daemon/registry.js';
import { findSessions } from '../../src/daemon/view.js';

const USERS = 1_000;
const table = () => {
  const registry = new Registry();
  for (let n = 1; n <= USERS; n++) {
    const path = { mark: n, local: '198.51.100.1', remote: `203.0.113.${n % 250}`, remotePort: 1701 };
    const peer = { hostName: `PC-${n}`, ...(n === 7 ? { vendorName: 'Microsoft', firmware: 0x0a00 } : {}) };
    const session = { ids: { tunnelId: n, sessionId: 5 }, tunnel: { path, peer, sessions: new Map() }, mtu: 1400 };
    registry.addSession(session as unknown as Session);
    registry.identify(session as unknown as Session, `User${n}`, `10.99.${n >> 8}.${n & 255}`);
  }
  let looks = 0;
  const dataplane = { sessionCounters: () => void looks++ };
  const find = (text: string, limit = 200) => {
    looks = 0;
    const { sessions, found } = findSessions(registry, dataplane as never, () => undefined, text, limit);
    return { users: sessions.map((s) => s.user), found, looks };
  };
  return find;
};

t.test('sessions are found by what a person sees of them, in no matter which case', async (t) => {
  const find = table();
  for (const [text, users] of [
    ['user1000', ['User1000']],
    [' 10.99.3.200 ', ['User968']],
    ['pc-33', ['User33', ...Array.from({ length: 10 }, (_, i) => `User${330 + i}`)]],
    ['12/5', ['User12', ...Array.from({ length: 9 }, (_, i) => `User${112 + 100 * i}`)]],
    ['windows 10', ['User7']],
    ['203.0.113.249:1701', ['User249', 'User499', 'User749', 'User999']],
    ['nobody', []],
  ] as const)
    t.strictSame(find(text).users, users, text);
});

t.test('no more than the limit are looked up in the dataplane, and all are counted', async (t) => {
  const find = table();
  t.match(find(''), { found: USERS, looks: 200, users: { length: 200, 0: 'User1' } });
  t.match(find('user1', 3), { found: 112, looks: 3, users: ['User1', 'User10', 'User11'] });
  t.match(find('User1000'), { found: 1, looks: 1 });
});
