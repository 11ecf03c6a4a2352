import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { GRACE_MS, type IkeInfo, type RegistryOut, SaRegistry } from '../../src/daemon/sa-registry.js';
import type { ChildSa, IkeEvent, IkeSa } from '../../src/io/ports.js';
import { instant } from '../../src/proto/machine.js';
import { childDown, childSa, childUp, ikeSa } from '../lib/ike-events.js';
import { mapSteps } from '../lib/map-steps.js';
import { viciVectors } from '../lib/vici-vectors.js';

/** What came out, one short line each: `up 5 ike=6 child=7 spi=... 198.51.100.2:4500`. */
function drain(registry: SaRegistry): string[] {
  const lines: string[] = [];
  for (let out = registry.poll(); out; out = registry.poll()) lines.push(line(out));
  return lines;
}

function line(out: RegistryOut): string {
  if (out.type === 'mark-down') {
    return `down ${out.mark} ${out.reason}${out.left ? `, ike=${out.left.uniqueId} stays` : ''}`;
  }
  const { ike, current, children } = out.sa;
  const ids = children.map((c) => c.uniqueId).join(',');
  const what = out.type === 'mark-up' ? 'up' : 'changed';
  return `${what} ${out.mark} ike=${ike.uniqueId} child=${ids || '-'} current=${current.uniqueId} ${ike.remoteHost}:${ike.remotePort}`;
}

/** Feeds a file's parts 100 ms apart; a part longer than the grace is the wait at its end. */
function replay(file: string, registry = new SaRegistry(), partMs = 100): Record<string, string[]> {
  const log: Record<string, string[]> = {};
  let now = 0;
  for (const { name, events } of viciVectors(file)) {
    for (const event of events) registry.handle(instant(now), event);
    now += partMs;
    registry.handleTimeout(instant(now));
    log[name] = drain(registry);
  }
  return log;
}

t.test('IKEv1: every way a client comes, goes and stays, as recorded', async (t) => {
  const registry = new SaRegistry();
  t.strictSame(replay('ikev1', registry, GRACE_MS), {
    connect: ['up 1 ike=1 child=1 current=1 198.51.100.2:4500'],
    'connect-second-behind-nat': ['up 2 ike=2 child=2 current=2 198.51.100.2:22996'],
    'connect-direct': ['up 3 ike=3 child=3 current=3 198.51.100.13:500'],
    'connect-ephemeral-port': ['up 4 ike=4 child=4 current=4 198.51.100.14:500'],
    'client-rekeys-child': ['changed 1 ike=1 child=5 current=5 198.51.100.2:4500'],
    // charon moves the children to the new IKE_SA without an event
    'client-reauthenticates': ['changed 1 ike=5 child=5 current=5 198.51.100.2:4500'],
    'gateway-rekeys-child': ['changed 3 ike=3 child=6 current=6 198.51.100.13:500'],
    'peer-deletes-child': ['down 1 child-deleted, ike=5 stays'], // after the grace
    'peer-deletes-ike': [],
    'returns-after-delete': ['up 5 ike=6 child=7 current=7 198.51.100.2:4500'],
    'crash-and-return-same-endpoint': [
      'changed 5 ike=7 child=7 current=7 198.51.100.2:4500',
      'changed 5 ike=7 child=8 current=8 198.51.100.2:4500',
    ],
    'gateway-terminates-ike': ['down 3 ike-deleted'],
    // The IKE_SA of the client that crashed dies of DPD in here: its mark belongs to the new one.
    'gateway-terminates-child': ['down 4 child-deleted, ike=4 stays'],
    'peer-dead': ['down 2 peer-dead'],
    'no-proposal': [],
    'charon-sigterm': ['down 5 ike-deleted'],
  });
  t.strictSame(registry.all(), []);
  t.equal(registry.nextTimeout(), undefined);
});

t.test('IKEv2: the IKE_SA is rekeyed under the children; the Delete takes them along', async (t) => {
  t.strictSame(replay('ikev2'), {
    connect: ['up 1 ike=1 child=1 current=1 198.51.100.14:4500'],
    'client-rekeys-child': ['changed 1 ike=1 child=2 current=2 198.51.100.14:4500'],
    'client-rekeys-ike': ['changed 1 ike=2 child=2 current=2 198.51.100.14:4500'],
    'peer-deletes-ike': ['down 1 ike-deleted'],
  });
});

t.test('NAT rebinding: the mark stays, the port is told', async (t) => {
  const log = replay('nat-rebinding');
  t.match(log.connect, [/^up 3 ike=6 child=\d+ current=\d+ 198\.51\.100\.2:\d+$/]);
  t.match(log.rebinding, [/^changed 3 ike=6 .*:300\d\d$/]);
  t.strictSame(log['peer-dead'], ['down 3 peer-dead']);
});

/* What no recording shows. */

const ike = (uniqueId: string, children: ChildSa[] = [], more: Partial<IkeSa> = {}): IkeSa =>
  ikeSa(uniqueId, children, { remoteId: '192.168.77.11', ...more });

const snapshot = (...sas: IkeSa[]): IkeEvent => ({ type: 'snapshot', sas });

function fed(...events: IkeEvent[]): SaRegistry {
  const registry = new SaRegistry();
  for (const event of events) registry.handle(instant(0), event);
  drain(registry);
  return registry;
}

t.test('the last CHILD_SA goes and another follows within the grace: nothing ends', async (t) => {
  const registry = fed(childUp(ike('1', [childSa('1', 7)])));
  registry.handle(instant(1000), childDown(ike('1', [childSa('1', 7, { state: 'DELETED' })])));
  t.strictSame(drain(registry), []);
  t.equal(registry.nextTimeout(), instant(1000 + GRACE_MS));
  t.strictSame(registry.lookup(7)?.children, []);
  registry.handle(instant(2000), childUp(ike('1', [childSa('2', 7)])));
  registry.handleTimeout(instant(60_000));
  t.strictSame(drain(registry), ['changed 7 ike=1 child=2 current=2 198.51.100.2:4500']);
  t.equal(registry.nextTimeout(), undefined);
});

t.test('in the grace the IKE_SA goes too: at once', async (t) => {
  const registry = fed(childUp(ike('1', [childSa('1', 7)])), childDown(ike('1', [childSa('1', 7)])));
  registry.handle(instant(10), { type: 'ike-updown', up: false, sa: ike('1', [], { state: 'DELETING' }) });
  t.strictSame(drain(registry), ['down 7 ike-deleted']);
});

t.test('the deletion of a replaced child ends nothing', async (t) => {
  const sa = ike('1', [childSa('1', 7), childSa('2', 7)]);
  const registry = fed(childUp(ike('1', [childSa('1', 7)])), {
    type: 'child-rekey',
    sa,
    old: childSa('1', 7),
    new: childSa('2', 7),
  });
  registry.handle(instant(0), childDown(ike('1', [childSa('1', 7)])));
  registry.handleTimeout(instant(60_000));
  t.strictSame(drain(registry), []);
  t.equal(registry.lookup(7)?.current.uniqueId, '2');
});

t.test('another client at the same address with another port or identity adopts nothing', async (t) => {
  for (const other of [{ remotePort: 4501 }, { remoteId: '192.168.77.12' }, { localHost: '198.51.100.9' }]) {
    const registry = fed(childUp(ike('1', [childSa('1', 7)])));
    registry.handle(instant(0), { type: 'ike-updown', up: true, sa: ike('2', [], other) });
    registry.handle(instant(0), { type: 'ike-updown', up: false, sa: ike('1') });
    t.strictSame(drain(registry), ['down 7 peer-dead'], JSON.stringify(other));
  }
});

t.test('a rekeying whose first event was missed makes the mark known', async (t) => {
  const registry = new SaRegistry();
  const sa = ike('1', [childSa('1', 7), childSa('2', 7)]);
  registry.handle(instant(0), { type: 'child-rekey', sa, old: childSa('1', 7), new: childSa('2', 7) });
  t.strictSame(drain(registry), ['up 7 ike=1 child=2 current=2 198.51.100.2:4500']);
});

t.test('an SA without a mark is none of ours', async (t) => {
  const registry = new SaRegistry();
  for (const e of [childUp(ike('1', [childSa('1', 0)])), snapshot(ike('1', [childSa('1', 0)]))])
    registry.handle(instant(0), e);
  t.strictSame(drain(registry), []);
});

t.test('snapshot: what we know already is silent, what is new comes up, what is gone goes down', async (t) => {
  const registry = fed(
    childUp(ike('1', [childSa('1', 7)])),
    childUp(ike('2', [childSa('2', 8)])),
    { type: 'lost' },
    { type: 'connected' },
  );
  registry.handle(instant(0), snapshot(ike('1', [childSa('1', 7)]), ike('3', [childSa('3', 9)])));
  t.strictSame(drain(registry), ['down 8 gone', 'up 9 ike=3 child=3 current=3 198.51.100.2:4500']);
});

t.test('snapshot: rekeyed while we could not listen', async (t) => {
  const registry = fed(childUp(ike('1', [childSa('1', 7)])));
  registry.handle(instant(0), snapshot(ike('4', [childSa('2', 7), childSa('1', 7, { state: 'REKEYED' })])));
  t.strictSame(drain(registry), ['changed 7 ike=4 child=2 current=2 198.51.100.2:4500']);
  // and the older one does not keep the mark alive
  registry.handle(instant(0), childDown(ike('4', [childSa('2', 7)])));
  registry.handleTimeout(instant(GRACE_MS));
  t.strictSame(drain(registry), ['down 7 child-deleted, ike=4 stays']);
});

t.test('snapshot: rekeyed while we could not listen, and the older one deleted at once, as Windows does', async (t) => {
  const { spis } = ike('1', [childSa('1', 7)]);
  const registry = fed(childUp(ike('1', [childSa('1', 7)])));
  registry.handle(instant(0), snapshot(ike('1', [childSa('2', 7)], { spis })));
  t.strictSame(drain(registry), ['changed 7 ike=1 child=2 current=2 198.51.100.2:4500'], 'the IKE_SA is the same');
});

t.test('snapshot of a new charon: the mark is given out again, to another client', async (t) => {
  const registry = fed(childUp(ike('1', [childSa('1', 1)])));
  registry.handle(instant(0), snapshot(ike('1', [childSa('1', 1, { spiIn: 'cafe0001' })])));
  t.strictSame(drain(registry), ['down 1 replaced, ike=1 stays', 'up 1 ike=1 child=1 current=1 198.51.100.2:4500']);
});

t.test('snapshot: an IKE_SA on its way out and a child being created count for nothing', async (t) => {
  const registry = fed(childUp(ike('1', [childSa('1', 7)])));
  registry.handle(
    instant(0),
    snapshot(ike('1', [childSa('1', 7)], { state: 'DELETING' }), ike('2', [childSa('2', 8, { state: 'CREATED' })])),
  );
  t.strictSame(drain(registry), ['down 7 gone']);
});

/** Few of everything, so that marks and ids meet again. */
const move = fc.record({
  what: fc.constantFrom('up', 'down', 'rekey', 'ike-up', 'ike-down', 'ike-gone', 'ike-rekey', 'ike-update', 'snapshot'),
  ids: fc.tuple(fc.constantFrom('1', '2', '3', '4'), fc.constantFrom('1', '2', '3', '4')),
  marks: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
  children: fc.tuple(fc.constantFrom('11', '12'), fc.constantFrom('11', '12')),
  more: fc.record({ version: fc.constantFrom(1, 1, 2), remotePort: fc.constantFrom(4500, 4501) }),
});
type Move = typeof move extends fc.Arbitrary<infer M> ? M : never;

function eventOf({ what, ids, marks, children, more }: Move): IkeEvent {
  const [old, young] = [childSa(children[0], marks[0]), childSa(children[1], marks[1])];
  const sa = ike(ids[0], [], more);
  switch (what) {
    case 'up':
      return childUp({ ...sa, children: [old] });
    case 'down':
      return childDown({ ...sa, children: [old] });
    case 'rekey':
      return { type: 'child-rekey', sa: { ...sa, children: [old, young] }, old, new: young };
    case 'ike-up':
      return { type: 'ike-updown', up: true, sa };
    case 'ike-down':
      return { type: 'ike-updown', up: false, sa: { ...sa, state: 'DELETING' } };
    case 'ike-gone':
      return { type: 'ike-updown', up: false, sa };
    case 'ike-rekey':
      return { type: 'ike-rekey', old: sa, new: ike(ids[1], [], more) };
    case 'ike-update':
      return { type: 'ike-update', sa };
    case 'snapshot':
      return snapshot({ ...sa, children: [old] }, ike(ids[1], [young]));
  }
}

t.test('law: the marks of an IKE_SA are those that a walk through all finds, whatever happens', async () => {
  const peer = (i: IkeInfo) => `${i.version} ${i.remoteId} ${i.remotePort}`;
  fc.assert(
    fc.property(fc.array(move, { maxLength: 30 }), (moves) => {
      const registry = new SaRegistry();
      for (const [n, made] of moves.entries()) {
        registry.handleTimeout(instant(n * 1_000));
        const before = registry.all();
        const event = eventOf(made);
        registry.handle(instant(n * 1_000), event);
        const all = registry.all();
        for (const id of ['1', '2', '3', '4'])
          assert.deepEqual(
            registry.marksOf(id),
            all.filter((m) => m.ike.uniqueId === id).map((m) => m.mark),
          );
        if (event.type !== 'ike-updown') continue;
        const { uniqueId, version } = event.sa;
        const now = new Map(all.map((m) => [m.mark, m.ike]));
        // Up: all of the same peer are adopted. Down: only by a peer that is the same, and only in IKEv1.
        if (event.up && version === 1)
          for (const m of before) if (peer(m.ike) === peer(event.sa)) assert.equal(now.get(m.mark)?.uniqueId, uniqueId);
        if (event.up) continue;
        for (const m of before) {
          const heir = now.get(m.mark);
          if (m.ike.uniqueId !== uniqueId || heir === undefined) continue;
          assert.notEqual(heir.uniqueId, uniqueId);
          assert.equal(peer(heir), peer(m.ike));
          assert.equal(heir.version, 1);
        }
      }
    }),
    { numRuns: 1_000 },
  );
});

t.test('an event costs what it is about, however many clients there are', async (t) => {
  const clients = Array.from({ length: 1_000 }, (_, n) => n + 1);
  const of = (id: number, n = id) => ike(`${id}`, [childSa(`${n}`, n)], { remotePort: 10_000 + n });
  const registry = fed(...clients.map((n) => childUp(of(n))));
  const steps = mapSteps(() => {
    registry.marksOf('500');
    registry.handle(instant(0), { type: 'ike-updown', up: true, sa: of(1_001, 500) });
    registry.handle(instant(0), { type: 'ike-updown', up: false, sa: of(500) });
    registry.handle(instant(0), { type: 'ike-updown', up: false, sa: of(501) });
    registry.handle(instant(0), { type: 'ike-rekey', old: of(502), new: of(1_002, 502) });
    registry.handle(instant(0), { type: 'ike-update', sa: { ...of(503), remotePort: 9 } });
  });
  t.strictSame(drain(registry), [
    'changed 500 ike=1001 child=500 current=500 198.51.100.2:10500',
    'down 501 peer-dead',
    'changed 502 ike=1002 child=502 current=502 198.51.100.2:10502',
    'changed 503 ike=503 child=503 current=503 198.51.100.2:9',
  ]);
  t.ok(steps < 100, `${steps} elements were visited`);
});

t.test('marks are told in the order they came up, wherever they have been', async (t) => {
  const [one, two] = [ike('1', [childSa('1', 7)], { version: 2 }), ike('2', [childSa('2', 8)], { version: 2 })];
  const registry = fed(childUp(one), childUp(two), { type: 'ike-rekey', old: one, new: { ...two, children: [] } });
  t.strictSame(registry.marksOf('2'), [7, 8]);
  t.strictSame(registry.marksOf('1'), []);
  registry.handle(instant(0), { type: 'ike-updown', up: false, sa: two });
  t.strictSame(drain(registry), ['down 7 peer-dead', 'down 8 peer-dead']);
  t.strictSame([registry.marksOf('2'), registry.all()], [[], []]);
});
