import t from 'tap';
import { ipv4 } from '../../packages/l2tp-dataplane/test/packets.js';
import { GRACE_MS } from '../../src/daemon/sa-registry.js';
import { stopCcn } from '../../src/proto/l2tp/handshake.js';
import { encodeControl } from '../../src/wire/l2tp/header.js';
import { encodeMessage } from '../../src/wire/l2tp/message.js';
import { PROTOCOL } from '../../src/wire/ppp/frame.js';
import { fromHex } from '../../src/wire/reader.js';
import { messageName, SERVER } from '../lib/daemon-client.js';
import { NOTHING, RAW, Rig } from '../lib/daemon-rig.js';
import { childDown, childSa, childUp, ikeDown, ikeSa } from '../lib/ike-events.js';
import { sccrq } from '../proto/l2tp/dialogue.js';

const ping = (from: string, to = '192.0.2.1') => ipv4({ from, to, payload: [0, 7, 0, 7, 0, 8, 0, 0] });

t.test('a client connects: SA, tunnel, session, user, address', async (t) => {
  const rig = new Rig();
  const client = await rig.connect({ mark: 1 });
  t.strictSame(client.events, ['tunnel-up', 'session-up', 'up 10.99.0.2']);
  t.strictSame(rig.left, { tunnels: 1, sessions: 1, leased: 1, plane: 1 });
  t.match(rig.events('session.up'), [{ user: 'alice', address: '10.99.0.2', mark: 1, remote: '198.51.100.2' }]);
  client.sendIp(ping('10.99.0.2'));
  t.equal(rig.plane.takeTun().length, 1, 'to the inside');
  rig.plane.receiveTun(ping('192.0.2.1', '10.99.0.2'));
  await rig.settle();
  t.equal(client.events.at(-1), 'ip 28', 'and back');
  client.sendIp(ping('10.99.0.77'));
  t.equal(rig.plane.takeTun().length, 0, 'not with an address of its own choosing');
});

t.test('the order of opening: session before ICRP, IP before the Configure-Ack that may open the peer', async (t) => {
  const rig = new Rig();
  await rig.connect({ mark: 1 });
  const at = (act: string, from = 0) => {
    const index = rig.acts.indexOf(act, from);
    t.not(index, -1, act);
    return index;
  };
  t.ok(at('confirm 1') < at('send 1 SCCRP'), 'the mark is confirmed before anything is sent under it');
  t.ok(at('add') < at('send 1 ICRP'), 'the data plane knows the session before the peer does');
  t.ok(at('send 1 ICRP') < at('frame LCP Configure-Request'));
  const open = at('update open=true prefixes=10.99.0.2/32');
  t.ok(open < at('frame IPCP Configure-Ack'), 'RFC 1332 §3.3: with our Ack the peer may send');
  t.ok(open > at('frame CHAP Success'), 'never before the user is known');
});

t.test('RFC 2661 §5.4: sequence numbers from the first message on, when the call asks for them', async (t) => {
  for (const asked of [false, true]) {
    const rig = new Rig();
    const client = rig.client({ mark: 1 });
    const { arrive } = rig;
    rig.arrive = (path, data) => {
      // ICCN (Message Type 12) with the Sequencing Required AVP, M bit set (RFC 2661 §4.4.4).
      if (!asked || data[0]! < 0x80 || data[19] !== 12) return arrive.call(rig, path, data);
      const iccn = Uint8Array.of(...data, 0x80, 6, 0, 0, 0, 39);
      iccn[3] = iccn.length;
      arrive.call(rig, path, iccn);
    };
    const numbers: (number | undefined)[] = [];
    const { receive } = client;
    client.receive = (data) => {
      if (data[0]! < 0x80) numbers.push(data[0]! & 0x08 ? (data[8]! << 8) | data[9]! : undefined);
      receive.call(client, data);
    };
    rig.childUp(client);
    client.dial();
    await rig.run(2_000);
    t.equal(client.address, '10.99.0.2');
    rig.plane.receiveTun(ping('192.0.2.1', '10.99.0.2'));
    await rig.settle();
    t.equal(client.events.at(-1), 'ip 28');
    t.strictSame(
      numbers,
      numbers.map((_, i) => (asked ? i : undefined)),
    );
    t.ok(numbers.length > 4);
  }
});

t.test('a user has a limit each way, in bits per second', async (t) => {
  const rig = new Rig({
    users: 'users:\n  alice: {password: wonderland, limit: {up: 8000}}\n  bob: {password: builder}\n',
  });
  const alice = await rig.connect({ mark: 1 });
  const bob = await rig.connect({ mark: 2, user: 'bob', passwords: ['builder'] });
  const large = (from: string) => ipv4({ from, to: '192.0.2.1', payload: new Array<number>(980).fill(0) });
  for (let i = 0; i < 200; i++) alice.sendIp(large(alice.address!));
  t.equal(rig.plane.takeTun().length, 131, 'what passes at once');
  for (let i = 0; i < 200; i++) bob.sendIp(large(bob.address!));
  t.equal(rig.plane.takeTun().length, 200);
  for (let i = 0; i < 150; i++) rig.plane.receiveTun(ping('192.0.2.1', alice.address));
  await rig.settle();
  t.equal(alice.events.filter((e) => e.startsWith('ip')).length, 150, 'nothing was said of the other way');
});

t.test('two clients behind one NAT, identical in all but the mark', async (t) => {
  const rig = new Rig({ users: 'users:\n  alice: {password: wonderland}\n  bob: {password: builder}\n' });
  const alice = rig.client({ mark: 1 });
  const bob = rig.client({ mark: 2, user: 'bob', passwords: ['builder'] });
  for (const client of [alice, bob]) rig.childUp(client);
  for (const client of [alice, bob]) client.dial();
  await rig.run(2_000);
  t.same([alice.address, bob.address].sort(), ['10.99.0.2', '10.99.0.3']);
  t.not(alice.address, bob.address);
  rig.plane.receiveTun(ping('192.0.2.1', bob.address));
  await rig.settle();
  t.notMatch(alice.events.at(-1), /^ip/);
  t.match(bob.events.at(-1), /^ip/, 'each gets its own');
  // RFC 3193 §3.3: bob may not speak for alice.
  bob.session = alice.session;
  bob.sendIp(ping(alice.address!));
  await rig.settle();
  t.equal(rig.plane.takeTun().length, 0);
  t.match(rig.events('packet.violation'), [{ mark: 2, tunnelId: alice.session?.peerTunnelId }]);
  t.strictSame(rig.connections.violations, [{ mark: 2, data: 1, control: 0 }]);
  const header = { tunnelId: alice.session!.peerTunnelId, sessionId: 0, Ns: 3, Nr: 3 };
  for (let i = 0; i < 2; i++) rig.arrive(bob.path, encodeControl(header, encodeMessage(stopCcn(9, { result: 1 }))));
  await rig.settle();
  t.strictSame(rig.connections.violations, [{ mark: 2, data: 1, control: 2 }]);
  rig.ike.push(ikeDown(rig.saOf(bob)));
  t.strictSame(rig.connections.violations, []);
});

t.test('a packet over which the gateway stumbles costs nobody else one', async (t) => {
  const rig = new Rig();
  const [alice, bob] = [rig.client({ mark: 1 }), rig.client({ mark: 2, user: 'bob', passwords: ['builder'] })];
  for (const client of [alice, bob]) rig.childUp(client);
  const lookup = rig.registry.lookup.bind(rig.registry);
  rig.registry.lookup = (mark) => {
    if (mark === 1) throw new Error('a defect');
    return lookup(mark);
  };
  for (const client of [alice, bob]) client.dial(); // one batch
  await rig.run(2_000);
  t.ok(bob.address);
  t.equal(alice.address, undefined);
  t.match(rig.events('packet.failed'), [{ kind: 'control', mark: 1, error: { message: 'a defect' } }]);
});

t.test('an SCCRQ that is faster than the news of its SA waits for it', async (t) => {
  const rig = new Rig();
  const client = rig.client({ mark: 1 }).dial();
  await rig.run(500);
  t.strictSame(rig.acts, [], 'nothing is answered under a mark nobody stands behind');
  rig.childUp(client);
  await rig.settle();
  t.match(client.events, ['tunnel-up'], 'no retransmission was needed');
  await rig.run(2_000);
  t.equal(client.address, '10.99.0.2');
});

t.test('held packets of a mark that went down are not taken for the next holder’s', async (t) => {
  const rig = new Rig();
  const client = rig.client({ mark: 1 }).dial();
  await rig.run(100);
  rig.connections.abandonMarked('charon ended');
  client.mute = true;
  rig.childUp(client);
  await rig.settle();
  t.strictSame(rig.acts, ['confirm 1'], 'no SCCRP for an SCCRQ of the old mark 1');
});

t.test('who may not connect, and what the log says', async (t) => {
  const denied = [
    ['wrong password', { passwords: ['guess'] }, 'wrong-password', 691],
    ['unknown user', { user: 'mallory' }, 'unknown-user', 691],
    ['disabled', { user: 'carol', passwords: ['christmas'] }, 'disabled', 647],
    ['expired', { user: 'erin', passwords: ['easter'] }, 'expired', 648],
    ['nor that a password has expired', { user: 'erin', passwords: ['guess'] }, 'wrong-password', 691],
    ['a disabled account is told to no stranger', { user: 'carol', passwords: ['guess'] }, 'wrong-password', 691],
    [
      'CHAP-MD5 against an NT hash',
      { user: 'dave', passwords: ['clientPass'], ppp: { auth: ['chap-md5'] } },
      'needs-cleartext',
      691,
    ],
  ] as const;
  for (const [name, who, cause, code] of denied) {
    const rig = new Rig();
    const client = await rig.connect({ mark: 1, ...who });
    const [failure] = rig.events('auth.failed');
    t.match(failure, { cause, code, user: 'user' in who ? who.user : 'alice', remote: '198.51.100.2', mark: 1 }, name);
    if (!('ppp' in who)) {
      const failures = client.frames.filter((f) => f.startsWith('CHAP Failure'));
      t.match(failures, [new RegExp(`E=${code} R=[01] C=[0-9A-F]{32} V=3`)], `${name}: RFC 2759 §6`);
    }
    await rig.run(90_000);
    t.match(rig.events('session.end'), [{ reason: /authentication|refused name or password/ }], name);
    t.strictSame(rig.left, NOTHING, name);
    t.notMatch(JSON.stringify(rig.log), /wonderland|guess|christmas|easter|clientPass/, 'no password is logged');
  }
});

t.test('a user bound to a machine (`identity`): the SA of the packets says which it is', async (t) => {
  const rig = new Rig({ identities: new Map([['alice', ['192.168.77.1']]]) });
  const own = await rig.connect({ mark: 1 });
  const other = await rig.connect({ mark: 2, address: '198.51.100.3' });
  t.strictSame([own.address, other.address], ['10.99.0.2', undefined]);
  t.match(other.frames.filter((f) => f.startsWith('CHAP Failure')).at(0), /E=691 R=1/);
  t.match(rig.events('auth.failed')[0], {
    user: 'alice',
    cause: 'wrong-identity',
    identity: '192.168.77.2',
    proven: true,
    pattern: ['192.168.77.1'],
    hint: /`identity` binds/,
    mark: 2,
  });
  const bob = await rig.connect({ mark: 3, address: '198.51.100.4', user: 'bob', passwords: ['builder'] });
  t.equal(bob.address, '10.99.0.50');
});

t.test(
  'without IPsec no identity is known: a bound user is refused, whatever the pattern; others get in',
  async (t) => {
    const rig = new Rig({ identities: new Map([['alice', ['*', '192.0.2.7']]]) });
    const raw = { mark: 0, address: '192.0.2.7', server: RAW.address };
    const alice = rig.client(raw).dial();
    const dave = rig.client({ ...raw, port: 1702, user: 'dave', passwords: ['clientPass'] }).dial();
    await rig.connect({ mark: 1, user: 'bob', passwords: ['builder'] });
    t.equal(alice.address, undefined);
    t.match(alice.frames.filter((f) => f.startsWith('CHAP Failure')).at(0), /E=691 R=1/);
    const [failure] = rig.events('auth.failed');
    t.match(failure, { user: 'alice', cause: 'wrong-identity', pattern: ['*', '192.0.2.7'], remote: '192.0.2.7' });
    t.equal(failure?.identity, undefined);
    t.match(dave.address, /^10\.99\.0\./);
  },
);

t.test('a user bound to a machine: an identity that the peer only says it has is none', async (t) => {
  const asked: string[] = [];
  const rig = new Rig({
    identities: new Map([['alice', ['192.168.77.1', '*']]]),
    identityProof: ({ name, remoteId }) => (asked.push(`${name} ${remoteId}`) === 0 ? 'key' : undefined),
  });
  t.equal((await rig.connect({ mark: 1 })).address, undefined);
  t.equal(asked[0], 'l2tp 192.168.77.1');
  t.match(rig.events('auth.failed')[0], { cause: 'wrong-identity', identity: '192.168.77.1', proven: false });
});

t.test('a second password on the same link', async (t) => {
  const rig = new Rig();
  const client = await rig.connect({ mark: 1, passwords: ['typo', 'wonderland'] });
  t.equal(rig.events('auth.failed').length, 1);
  t.equal(client.address, '10.99.0.2');
});

t.test('limits: sessions of a user, sessions in all, addresses', async (t) => {
  await t.test('sessions_per_user', async (t) => {
    const rig = new Rig({ sessionsPerUser: 1 });
    await rig.connect({ mark: 1 });
    await rig.connect({ mark: 2, address: '198.51.100.3' });
    t.match(rig.events('auth.failed'), [{ cause: 'too-many', code: 649, mark: 2 }]);
    t.equal(rig.left.leased, 1);
  });
  await t.test('two who ask in one moment do not both get the last one', async (t) => {
    const rig = new Rig({ sessionsPerUser: 1 });
    const clients = [1, 2].map((mark) => rig.client({ mark, address: `198.51.100.${mark}` }));
    for (const client of clients) rig.childUp(client);
    for (const client of clients) client.dial();
    await rig.run(2_000);
    t.equal(clients.filter((c) => c.address !== undefined).length, 1);
  });
  await t.test('the pool', async (t) => {
    const rig = new Rig({ pool: ['10.99.0.2', '10.99.0.2'] });
    await rig.connect({ mark: 1 });
    await rig.connect({ mark: 2, user: 'dave', passwords: ['clientPass'] });
    t.match(rig.events('auth.failed'), [{ cause: 'no-address', code: 649 }]);
  });
  for (const [name, options] of [
    ['limits.sessions', { connections: { maxSessions: 1 } }],
    ['the room of the data plane', { maxPlaneSessions: 1 }],
  ] as const)
    await t.test(name, async (t) => {
      const rig = new Rig(options);
      await rig.connect({ mark: 1 });
      const late = await rig.connect({ mark: 2 });
      // RFC 2661 §4.4.2: no facilities, temporarily
      t.match(late.events, ['tunnel-up', 'session-up', 'session-down peer 4']);
      t.strictSame(rig.left, { tunnels: 1, sessions: 1, leased: 1, plane: 1 });
    });
});

t.test('limits.sessions with another gateway to go to: who is too many is sent there (RFC 3193 §4)', async (t) => {
  const rig = new Rig({ connections: { maxSessions: 1, redirect: '203.0.113.9' } });
  const first = await rig.connect({ mark: 1 });
  const late = await rig.connect({ mark: 2 });
  t.match(late.events, ['tunnel-up', 'session-up', 'session-down peer 4', 'tunnel-down peer 2 to 203.0.113.9']);
  t.equal(rig.connections.disconnect('alice'), 1);
  await rig.run(1_000);
  t.equal(first.events.at(-1), 'tunnel-down peer 1', 'nobody is sent away by the end of another');
});

const ending = (rig: Rig) => rig.acts.filter((a) => !/ZLB|^update open=false$/.test(a));

t.test('administrative end: from the top down, and the SA last (RFC 3193 §3.1)', async (t) => {
  const rig = new Rig();
  const client = await rig.connect({ mark: 1 });
  rig.acts.length = 0;
  t.equal(rig.connections.disconnect('alice'), 1);
  await rig.run(1_000);
  t.strictSame(ending(rig), [
    'update open=false prefixes=',
    'frame LCP Terminate-Request',
    'remove',
    'send 1 CDN',
    'send 1 StopCCN',
    'flush',
    'terminate 1',
  ]);
  t.match(client.events.slice(3), ['session-down peer 3', 'tunnel-down peer 1']);
  t.match(rig.events('session.end'), [{ reason: 'disconnected by the administrator' }]);
  t.strictSame(rig.left, NOTHING);
});

t.test('a mute peer: the same order, bounded by timeouts', async (t) => {
  const rig = new Rig();
  const client = await rig.connect({ mark: 1 });
  client.mute = true;
  rig.acts.length = 0;
  rig.connections.disconnect('10.99.0.2');
  await rig.run(15_000);
  t.strictSame(
    [...new Set(ending(rig))],
    [
      'update open=false prefixes=',
      'frame LCP Terminate-Request',
      'remove',
      'send 1 CDN',
      'send 1 StopCCN',
      'flush',
      'terminate 1',
    ],
  );
  t.strictSame(rig.left, NOTHING);
});

t.test(
  'administrative end, and the client dials again at once over the same SA: the SA is the new tunnel’s',
  async (t) => {
    const rig = new Rig();
    const client = await rig.connect({ mark: 1 });
    client.lose = (message) => message === 'SCCCN';
    rig.connections.disconnect('alice');
    client.dial();
    await rig.run(3_000);
    t.equal(rig.events('tunnel.down').length, 1, 'the old tunnel is over while the new one is being set up');
    t.strictSame(rig.ike.terminated, []);
    client.lose = () => false;
    await rig.run(60_000);
    t.strictSame(rig.ike.terminated, []);
    t.match(rig.left, { tunnels: 1, sessions: 1 });
  },
);

t.test(
  'a client that crashed comes back while its old tunnel is being closed: its new IKE SA is left alone',
  async (t) => {
    for (const dials of [true, false]) {
      const rig = new Rig();
      const before = await rig.connect({ mark: 1 });
      before.mute = true;
      rig.connections.disconnect('alice'); // nobody answers Terminate-Request, CDN and StopCCN
      while (rig.events('tunnel.down').length === 0) await rig.run(500);
      const old = rig.saOf(before);
      const back = { ...old, uniqueId: '9', remoteId: old.remoteId };
      rig.ike.push({ type: 'ike-updown', up: true, sa: { ...back, children: [] } }); // it adopts the old CHILD_SA
      await rig.run(20_000);
      t.strictSame(rig.ike.terminated, [], 'IKE is under way, L2TP has not begun');
      rig.ike.push({ type: 'child-rekey', sa: back, old: old.children[0]!, new: childSa('11', 1) });
      const after = rig.client({ mark: 1 });
      if (dials) after.dial();
      await rig.run(60_000);
      t.strictSame(
        rig.ike.terminated,
        dials ? [] : ['9'],
        dials ? 'it is the new tunnel’s' : 'one that nobody uses goes',
      );
      t.match(rig.left, dials ? { tunnels: 1, sessions: 1 } : NOTHING);
    }
  },
);

t.test(
  'back under a new mark while the IKE SA still has the old one: it stays until the last tunnel ends',
  async (t) => {
    const rig = new Rig();
    const before = await rig.connect({ mark: 1 });
    const old = rig.saOf(before);
    before.closeTunnel();
    await rig.run(1_000);
    const back = { ...old, uniqueId: '9', remoteId: old.remoteId };
    rig.ike.push({ type: 'ike-updown', up: true, sa: { ...back, children: [] } }); // it adopts the old CHILD_SA
    await rig.run(500);
    rig.ike.push(childUp({ ...back, children: [childSa('12', 2)] })); // other ESP ciphers: not a rekeying of the old one
    const after = rig.client({ mark: 2 }).dial();
    await rig.run(120_000);
    t.strictSame(rig.ike.terminated, []);
    t.ok(after.address);
    t.match(rig.left, { tunnels: 1, sessions: 1 });
    rig.connections.disconnect('alice');
    await rig.run(30_000);
    t.strictSame(rig.ike.terminated, ['9']);
  },
);

t.test(
  'a client that renews everything at once and gets another mark with it: its tunnel follows the newest SA',
  async (t) => {
    for (const end of ['older', 'newer'] as const) {
      const rig = new Rig();
      const client = await rig.connect({ mark: 1 });
      const old = rig.saOf(client);
      const passes = async (mark: number, count: number) => {
        const frame = Uint8Array.of(0, 0x21, ...ping(client.address!));
        client.sendFrame(frame, { ...client.path, mark });
        await rig.settle();
        t.equal(rig.plane.takeTun().length, count, `mark ${mark}`);
      };
      const again = { ...old, uniqueId: '9' };
      const young = childSa('12', 2);
      rig.ike.push(childUp({ ...again, children: [young] }));
      await passes(1, 1); // nobody knows yet that it is the same IKE SA's
      rig.ike.push({ type: 'ike-updown', up: true, sa: { ...again, children: [] } }); // it adopts the old CHILD_SA
      await passes(2, 1);
      await passes(1, 0);
      t.match(rig.events('tunnel.moved'), [{ mark: 2, fromMark: 1 }]);
      rig.ike.push(childDown({ ...again, children: [end === 'newer' ? young : old.children[0]!] }));
      await rig.run(GRACE_MS + 1_000);
      await passes(end === 'newer' ? 1 : 2, 1);
      t.strictSame(rig.ike.terminated, []);
      t.match(rig.left, { tunnels: 1, sessions: 1 });
    }
  },
);

t.test('two SAs of one peer for different ports have nothing to do with each other', async (t) => {
  const rig = new Rig();
  const client = await rig.connect({ mark: 1 });
  const other = { ...childSa('12', 2), remoteTs: ['198.51.100.2/32[udp/40000]'] };
  rig.ike.push(childUp({ ...rig.saOf(client), children: [other] }));
  await rig.settle();
  t.strictSame(rig.events('tunnel.moved'), []);
  client.sendIp(ping(client.address!));
  t.equal(rig.plane.takeTun().length, 1);
});

t.test('administrative end, and a new tunnel that never comes up: then the SA goes', async (t) => {
  const rig = new Rig();
  const client = await rig.connect({ mark: 1 });
  client.lose = (message) => message === 'SCCCN';
  rig.connections.disconnect('alice');
  client.dial();
  await rig.run(3_000);
  client.mute = true;
  await rig.run(60_000);
  t.strictSame(rig.ike.terminated, ['1']);
  t.strictSame(rig.left, NOTHING);
});

t.test('the peer’s StopCCN: acknowledged, repeated acknowledgements possible, then the SA', async (t) => {
  const rig = new Rig();
  const client = await rig.connect({ mark: 1 });
  rig.acts.length = 0;
  client.closeTunnel();
  await rig.settle();
  t.strictSame(rig.acts, ['update open=false', 'remove', 'send 1 ZLB']);
  t.strictSame(rig.left, NOTHING, 'everything of the session is given back at once');
  t.strictSame(rig.ike.terminated, [], 'while our ZLB may be lost the SA stays (RFC 2661 §5.7)');
  await rig.run(6_500);
  t.strictSame(rig.acts.slice(3), [], "and while the client's last LCP Terminate-Request may come (RFC 1661 §4.6)");
  await rig.run(1_000);
  t.strictSame(rig.acts.slice(3), ['flush', 'terminate 1']);
});

t.test('the peer’s CDN alone: the tunnel may take another call, and ends empty after a while', async (t) => {
  const rig = new Rig();
  const client = await rig.connect({ mark: 1 });
  rig.acts.length = 0;
  client.closeSession();
  await rig.run(1_000);
  t.strictSame(rig.left, { ...NOTHING, tunnels: 1 });
  client.openSession();
  await rig.run(1_000);
  t.equal(rig.left.sessions, 1, 'another call');
  client.closeSession();
  await rig.run(70_000);
  t.strictSame(rig.left, NOTHING);
  t.strictSame(rig.ike.terminated, ['1']);
});

t.test('LCP Terminate by the peer and its CDN right behind: what the first said is the reason', async (t) => {
  const rig = new Rig();
  const client = await rig.connect({ mark: 1 });
  // RFC 1661 §5.5; Windows: Magic-Number, signature, 738 (no address).
  client.sendFrame(fromHex('c021 0509 0010 00000000 003ccd74 000002e2'));
  client.closeSession();
  await rig.run(1_000);
  t.match(rig.events('session.end'), [{ reason: 'the client got no address (error 738)' }]);
});

t.test('LCP Terminate by the peer: CDN, StopCCN, SA', async (t) => {
  const rig = new Rig();
  const client = await rig.connect({ mark: 1 });
  rig.acts.length = 0;
  client.terminateLink();
  await rig.run(10_000);
  t.match(rig.events('session.end'), [{ reason: /^the peer hung up/ }]);
  t.strictSame(
    ending(rig).filter((a) => !a.startsWith('frame')),
    ['remove', 'send 1 CDN', 'send 1 StopCCN', 'flush', 'terminate 1'],
  );
  t.strictSame(rig.left, NOTHING);
});

t.test('the SA is gone: everything is given back at once and nothing is sent (RFC 3193 §3.1)', async (t) => {
  const rig = new Rig();
  const up = await rig.connect({ mark: 1 });
  const closing = await rig.connect({ mark: 1, port: 1702, user: 'dave', passwords: ['clientPass'] });
  closing.mute = true;
  rig.connections.disconnect(`${closing.session?.peerTunnelId}/${closing.session?.peerSessionId}`);
  await rig.run(7_000);
  t.ok(rig.acts.includes('send 1 StopCCN'), 'one of its tunnels waits for an acknowledgement');
  const halfOpen = rig.client({ mark: 1, port: 1703 }).dial();
  halfOpen.mute = true;
  await rig.settle();
  rig.acts.length = 0;
  rig.ike.push(ikeDown(rig.saOf(up)));
  await rig.run(120_000);
  t.strictSame(rig.acts, ['forget 1', 'remove']);
  t.strictSame(rig.left, NOTHING);
  t.equal(rig.clock.armed, undefined, 'no timer is left');
  t.match(rig.events('session.end').at(-1), { reason: 'ike-deleted' });
});

t.test(
  'a client that dials again with the same tunnel id and then no more: its SA goes like any that nobody uses',
  async (t) => {
    const rig = new Rig();
    const client = await rig.connect({ mark: 1 });
    await rig.run(5_000);
    const again = sccrq({ assignedTunnelId: client.session!.tunnelId });
    client.mute = true;
    rig.arrive(client.path, encodeControl({ tunnelId: 0, sessionId: 0, Ns: 0, Nr: 0 }, encodeMessage(again)));
    await rig.run(10_000);
    t.match(rig.events('tunnel.down'), [{ by: 'abandoned' }]);
    t.strictSame(rig.ike.terminated, []);
    await rig.run(120_000);
    t.strictSame(rig.ike.terminated, ['1']);
  },
);

t.test('what came before its SA went and is handed up after it begins nothing', async (t) => {
  const rig = new Rig();
  const client = rig.client({ mark: 1 });
  rig.childUp(client);
  await rig.settle();
  client.mute = true;
  const message = encodeMessage(sccrq({ assignedTunnelId: 7 }));
  rig.arrive(client.path, encodeControl({ tunnelId: 0, sessionId: 0, Ns: 0, Nr: 0 }, message));
  rig.ike.push(ikeDown(rig.saOf(client)));
  await rig.run(1_000);
  t.strictSame(
    rig.acts.filter((act) => act.startsWith('send')),
    [],
  );
});

t.test('charon died: all are abandoned, in whatever state', async (t) => {
  const rig = new Rig();
  for (const mark of [1, 2, 3]) await rig.connect({ mark, address: `198.51.100.1${mark}` });
  const leaving = rig.clients[2]!;
  leaving.closeTunnel();
  const unused = rig.client({ mark: 4 });
  rig.childUp(unused);
  await rig.settle();
  rig.acts.length = 0;
  rig.plane.unlisten();
  rig.connections.abandonMarked('charon ended: SIGKILL');
  await rig.run(120_000);
  t.strictSame(rig.acts, ['remove', 'remove']);
  t.strictSame(rig.left, NOTHING);
  t.strictSame(rig.ike.terminated, []);
  t.strictSame(rig.events('ike.no-l2tp'), [], 'no hint about an SA that is void');
  t.equal(rig.clock.armed, undefined);
});

t.test('without IPsec: a session like any other, which charon’s death does not touch', async (t) => {
  const rig = new Rig();
  const raw = (port: number, user: string, passwords: string[]) =>
    rig.client({ mark: 0, address: '192.0.2.7', server: RAW.address, port, user, passwords });
  const alice = raw(1701, 'alice', ['wonderland']).dial();
  const bob = raw(1702, 'bob', ['builder']).dial();
  const stranger = rig.client({ mark: 0, address: '203.0.113.9', server: RAW.address }).dial();
  await rig.connect({ mark: 1 });
  t.match(alice.address, /^10\.99\.0\./);
  t.equal(bob.address, '10.99.0.50');
  t.equal(stranger.events.length, 0, 'a peer that is not named');
  bob.closeTunnel();
  rig.connections.abandonMarked('charon ended: SIGKILL');
  rig.acts.length = 0;
  alice.sendIp(ping(alice.address!));
  await rig.run(60_000);
  t.equal(rig.plane.takeTun().length, 1);
  t.strictSame(rig.left, { tunnels: 1, sessions: 1, leased: 1, plane: 1 });
  t.notMatch(rig.acts.join(), /terminate/);
  rig.connections.disconnect('alice');
  await rig.run(10_000);
  t.strictSame(rig.left, NOTHING);
});

t.test(
  'without IPsec: another call of the same user from one LAC replaces nothing, an older tunnel is asked',
  async (t) => {
    const rig = new Rig();
    const at = (port: number) => rig.client({ mark: 0, address: '192.0.2.7', server: RAW.address, port }).dial();
    const first = at(1701);
    await rig.run(2_000);
    rig.acts.length = 0;
    const second = at(1702);
    await rig.run(2_000);
    t.equal(rig.left.sessions, 2);
    t.not(first.address, second.address);
    t.equal(rig.acts.filter((a) => a === 'send 0 HELLO').length, 1);
  },
);

t.test('RFC 3193 §3.3: nobody without IPsec speaks for a tunnel with it, nor the other way round', async (t) => {
  const rig = new Rig();
  const marked = await rig.connect({ mark: 1, address: '192.0.2.7' });
  const bare = rig
    .client({ mark: 0, address: '192.0.2.7', server: RAW.address, user: 'bob', passwords: ['builder'] })
    .dial();
  await rig.run(2_000);
  const before = rig.left;
  t.match(before, { tunnels: 2, sessions: 2 });
  for (const [victim, path] of [
    [marked, { ...marked.path, mark: 0, local: RAW.address }],
    [marked, { ...marked.path, mark: 0 }],
    [bare, { ...bare.path, mark: 1, local: SERVER }],
  ] as const) {
    // LCP Terminate-Request, a ping and StopCCN in each place of the sequence, with the victim's ids.
    victim.sendFrame(Uint8Array.of(0xc0, 0x21, 5, 1, 0, 4), path);
    victim.sendFrame(Uint8Array.of(0, 0x21, ...ping(victim.address!)), path);
    for (let Ns = 0; Ns < 8; Ns++) {
      const header = { tunnelId: victim.session!.peerTunnelId, sessionId: 0, Ns, Nr: Ns };
      rig.arrive(path, encodeControl(header, encodeMessage(stopCcn(9, { result: 1 }))));
    }
  }
  await rig.run(2_000);
  t.strictSame(rig.left, before);
  t.equal(rig.plane.takeTun().length, 0);
  t.ok(rig.events('packet.violation').length > 0);
  t.ok(rig.events('l2tp.path.mismatch').length > 0);
});

t.test(
  'a new charon counts marks from 1 again: the old mark’s tunnel ends before the new one is confirmed',
  async (t) => {
    const rig = new Rig();
    const before = await rig.connect({ mark: 1 });
    rig.acts.length = 0;
    const other = ikeSa('1', [childSa('1', 1, { spiIn: 'cafe0001' })], { remoteHost: '198.51.100.9' });
    rig.ike.push({ type: 'lost' }, { type: 'connected' }, { type: 'snapshot', sas: [other] });
    t.strictSame(rig.acts, ['forget 1', 'remove', 'confirm 1']);
    t.strictSame(rig.left, NOTHING);
    const after = rig.client({ mark: 1, address: '198.51.100.9' }).dial();
    before.mute = true;
    await rig.run(2_000);
    t.match(after.address, /^10\.99\.0\./);
    t.equal(rig.events('session.end').length, 1);
  },
);

t.test('a new charon, the same client before and after: it is not believed to be the old tunnel’s', async (t) => {
  const rig = new Rig();
  const before = await rig.connect({ mark: 1 });
  rig.connections.abandonMarked('charon ended');
  rig.ike.push({ type: 'lost' }, { type: 'connected' });
  rig.ike.push({ type: 'snapshot', sas: [ikeSa('1', [childSa('1', 1, { spiIn: 'cafe0001' })])] });
  rig.acts.length = 0;
  before.sendFrame(Uint8Array.of(0xc0, 0x21, 9, 1, 0, 8, 0, 0, 0, 0));
  before.closeTunnel();
  await rig.settle();
  t.strictSame(rig.acts, [], 'what the old tunnel still sends finds nothing');
});

t.test('a rekeying, and the delete of the older SA, touch nothing', async (t) => {
  const rig = new Rig();
  const client = await rig.connect({ mark: 1 });
  rig.acts.length = 0;
  const [old, young] = [childSa('1', 1), childSa('2', 1)];
  const sa = ikeSa('1', [old, young]);
  rig.ike.push({ type: 'child-rekey', sa, old, new: young }, childDown(ikeSa('1', [old])));
  await rig.run(20_000);
  t.strictSame(rig.acts, []);
  t.strictSame(rig.left, { tunnels: 1, sessions: 1, leased: 1, plane: 1 });
  client.sendIp(ping('10.99.0.2'));
  t.equal(rig.plane.takeTun().length, 1);
});

t.test(
  'RFC 3193 §3.1: the peer deletes its last CHILD_SA and keeps the IKE SA: that goes, too, after the grace',
  async (t) => {
    const rig = new Rig();
    const client = await rig.connect({ mark: 1 });
    rig.acts.length = 0;
    rig.ike.push(childDown(rig.saOf(client)));
    await rig.run(GRACE_MS - 100);
    t.strictSame(rig.acts, []);
    await rig.run(200);
    t.strictSame(rig.left, NOTHING);
    t.strictSame(rig.ike.terminated, ['1']);
    t.notOk(
      rig.acts.some((act) => act.startsWith('send')),
      'nothing is sent without the SA',
    );
  },
);

t.test('the last CHILD_SA of one mark goes, another mark of the same IKE SA is in use: the IKE SA stays', async (t) => {
  const rig = new Rig();
  const before = await rig.connect({ mark: 1 });
  const sa = rig.saOf(before);
  const other = { ...childSa('12', 2), remoteTs: ['198.51.100.2/32[udp/40000]'] };
  rig.ike.push(childUp({ ...sa, children: [other] }));
  const after = rig.client({ mark: 2, user: 'bob', passwords: ['builder'] }).dial();
  await rig.run(2_000);
  t.ok(after.address);
  rig.ike.push(childDown(sa));
  await rig.run(GRACE_MS + 100);
  t.match(rig.left, { tunnels: 1, sessions: 1 });
  t.strictSame(rig.ike.terminated, []);
  rig.ike.push(childDown({ ...sa, children: [other] }));
  await rig.run(GRACE_MS + 100);
  t.strictSame(rig.ike.terminated, [sa.uniqueId]);
});

t.test('the peer’s address changes under the SA: tunnel and sessions move along', async (t) => {
  const rig = new Rig();
  const client = await rig.connect({ mark: 1 });
  rig.acts.length = 0;
  rig.ike.push({ type: 'ike-update', sa: rig.saOf(client, { remoteHost: '203.0.113.7', remotePort: 61_000 }) });
  t.strictSame(rig.acts, ['move 203.0.113.7']);
  t.match(rig.events('tunnel.moved'), [{ from: '198.51.100.2', remote: '203.0.113.7' }]);
  client.sendFrame(Uint8Array.of(0, PROTOCOL.ip, ...ping('10.99.0.2')), { ...client.path, remote: '203.0.113.7' });
  t.equal(rig.plane.takeTun().length, 1, 'data from there');
  rig.connections.disconnect('203.0.113.7');
  await rig.settle();
  t.ok(rig.plane.globalCounters());
  t.ok(rig.acts.includes('frame LCP Terminate-Request'));
});

t.test('a client that crashed and is back under its SA is served at once, with its fixed address', async (t) => {
  const rig = new Rig({ sessionsPerUser: 1 });
  const who = { mark: 1, user: 'bob', passwords: ['builder'] };
  const before = await rig.connect(who);
  t.equal(before.address, '10.99.0.50');
  before.mute = true;
  const after = rig.client(who).dial();
  await rig.run(2_000);
  t.equal(after.address, '10.99.0.50', 'the address follows it');
  t.match(rig.events('session.end'), [{ user: 'bob', reason: 'replaced by a new connection of the same client' }]);
  await rig.run(60_000);
  t.strictSame(rig.left, { tunnels: 1, sessions: 1, leased: 1, plane: 1 });
  t.strictSame(rig.ike.terminated, [], 'the SA belongs to the new tunnel');
});

t.test(
  'the same user from the same address under another mark: a second machine, or a leftover, which is asked',
  async (t) => {
    const rig = new Rig();
    const first = await rig.connect({ mark: 1 });
    rig.acts.length = 0;
    const second = await rig.connect({ mark: 2 });
    t.ok(rig.acts.includes('send 1 HELLO'));
    await rig.run(60_000);
    t.strictSame([first.address, second.address], ['10.99.0.2', '10.99.0.3'], 'both live');
    t.equal(rig.left.sessions, 2);
    first.mute = true;
    await rig.connect({ mark: 3 });
    await rig.run(60_000);
    t.equal(rig.left.sessions, 2, 'who does not answer is gone');
    t.match(rig.events('session.end'), [{ mark: 1, reason: 'the client no longer answers L2TP' }]);
  },
);

t.test('a machine that crashed and is back from another NAT port: known by the address it calls itself', async (t) => {
  const behindNat = (rig: Rig, mark: number, remoteId: string, address?: string) => {
    const client = rig.client({ mark, user: 'bob', passwords: ['builder'], ...(address && { address }) });
    rig.ike.push(childUp(rig.saOf(client, { remoteId })));
    return client.dial();
  };
  const cases = [
    ['the same', '192.168.77.11', undefined, '10.99.0.50'],
    ['its neighbour', '192.168.77.12', undefined, undefined],
    ['the same private address behind another NAT', '192.168.77.11', '203.0.113.9', undefined],
    ['a name that a whole company shares', 'vpn.example', undefined, undefined],
  ] as const;
  for (const [name, id, address, lease] of cases) {
    const rig = new Rig();
    const first = behindNat(rig, 1, id.includes('vpn') ? id : '192.168.77.11');
    await rig.run(2_000);
    t.equal(first.address, '10.99.0.50');
    first.mute = true;
    const second = behindNat(rig, 2, id, address);
    await rig.run(2_000);
    t.equal(second.address, lease, name);
    const ended = rig.events('session.end').filter((e) => e.mark === 1);
    t.equal(ended.length, lease === undefined ? 0 : 1);
    if (lease === undefined) continue;
    await rig.run(10_000);
    t.strictSame(rig.ike.terminated, ['1'], 'the old SA goes too');
  }
});

t.test('a machine with a certificate is known by it, wherever it comes back from', async (t) => {
  for (const proof of ['certificate', 'key'] as const) {
    const rig = new Rig({ identityProof: () => proof });
    const dial = (mark: number, address: string) => {
      const client = rig.client({ mark, user: 'bob', passwords: ['builder'], address });
      rig.ike.push(childUp(rig.saOf(client, { remoteId: 'CN=laptop' })));
      return client.dial();
    };
    const first = dial(1, '198.51.100.2');
    await rig.run(2_000);
    t.equal(first.address, '10.99.0.50');
    first.mute = true;
    rig.acts.length = 0;
    const second = dial(2, '203.0.113.9');
    await rig.run(2_000);
    t.equal(second.address, proof === 'certificate' ? '10.99.0.50' : undefined, proof);
    if (proof === 'key') t.ok(rig.acts.includes('send 1 HELLO'), 'a group may share it: the old one is asked');
  }
});

t.test('a peer that answers no HELLO stays while its data comes', async (t) => {
  const rig = new Rig({ link: { echoIntervalMs: 0 } });
  const client = await rig.connect({ mark: 1 });
  await rig.run(50_000);
  client.lose = () => true;
  for (let s = 0; s < 120; s += 5) {
    // Data just after each look at the counters, none while the silence that leads to a HELLO lasts.
    if (s > 20) client.sendIp(ping('10.99.0.2'));
    await rig.run(5_000);
  }
  t.ok(rig.acts.filter((a) => a === 'send 1 HELLO').length > 6, 'one cycle is over');
  t.equal(rig.left.sessions, 1);
  await rig.run(130_000);
  t.match(rig.events('session.end'), [{ reason: 'the client no longer answers L2TP' }], 'data ended, too');
  t.strictSame(rig.left, NOTHING);
});

t.test('LCP negotiated anew: one lease, one session, and no more time than it had', async (t) => {
  const rig = new Rig({
    connections: { sessionTimeoutMs: 60_000 },
    users: 'users:\n  bob: {password: builder, address: 10.99.0.50}\n',
  });
  const client = await rig.connect({ mark: 1, user: 'bob', passwords: ['builder'] });
  rig.acts.length = 0;
  client.restartLink();
  await rig.run(10_000);
  t.equal(client.address, '10.99.0.50', 'its own fixed address is not in its way');
  t.strictSame(rig.left, { tunnels: 1, sessions: 1, leased: 1, plane: 1 });
  const [closed, opened] = ['update open=false prefixes=', 'update open=true prefixes=10.99.0.50/32'].map((a) =>
    rig.acts.indexOf(a),
  );
  t.ok(closed !== -1 && closed! < opened!, 'no IP while it is nobody');
  await rig.run(47_500);
  t.equal(rig.left.sessions, 1);
  await rig.run(1_500);
  t.match(rig.events('session.end'), [{ reason: 'session timeout', upSeconds: 60 }]);
  await rig.run(5_000);
  t.strictSame(rig.left, NOTHING);
});

t.test('idle timeout: traffic counts, echoes do not', async (t) => {
  const rig = new Rig({ connections: { idleTimeoutMs: 60_000 } });
  const client = await rig.connect({ mark: 1 });
  await rig.run(50_000);
  client.sendIp(ping('10.99.0.2'));
  await rig.run(55_000);
  t.equal(rig.left.sessions, 1);
  await rig.run(10_000);
  t.match(rig.events('session.end'), [{ reason: 'idle timeout', packetsIn: 1, octetsIn: 28 }]);
});

t.test('session timeout', async (t) => {
  const rig = new Rig({ connections: { sessionTimeoutMs: 90_000 } });
  await rig.connect({ mark: 1 });
  await rig.run(80_000);
  t.equal(rig.left.sessions, 1);
  await rig.run(20_000);
  t.match(rig.events('session.end'), [{ reason: 'session timeout' }]);
  t.strictSame(rig.left, NOTHING);
});

t.test('drain: everyone is told, nobody new is let in, the SAs are deleted before it resolves', async (t) => {
  const rig = new Rig();
  const clients = [await rig.connect({ mark: 1 }), await rig.connect({ mark: 2 })];
  const empty = await rig.connect({ mark: 3 });
  empty.closeSession();
  await rig.settle();
  let drained = false;
  const done = rig.connections.drain('SIGTERM').then(() => {
    drained = true;
  });
  t.equal(drained, false);
  const late = await rig.connect({ mark: 4 });
  await rig.run(10_000);
  await done;
  for (const client of clients) t.match(client.events.at(-1), /^tunnel-down peer/);
  t.equal(empty.events.at(-1), 'tunnel-down peer 6', 'RFC 2661 §4.4.2: requester is being shut down');
  t.equal(late.events.at(-1), 'tunnel-down peer 6');
  t.equal(late.address, undefined);
  t.same([...rig.ike.terminated].sort(), ['1', '2', '3', '4']);
  t.strictSame(rig.left, NOTHING);
});

t.test('drain with another gateway to go to: everyone is sent there (RFC 3193 §4)', async (t) => {
  const rig = new Rig({ connections: { redirect: '203.0.113.9' } });
  const clients = [await rig.connect({ mark: 1 }), await rig.connect({ mark: 2 })];
  clients[1]!.closeSession();
  await rig.settle();
  const done = rig.connections.drain('SIGTERM');
  const late = await rig.connect({ mark: 3 });
  await rig.run(10_000);
  await done;
  for (const client of [...clients, late]) t.equal(client.events.at(-1), 'tunnel-down peer 2 to 203.0.113.9');
  t.strictSame(rig.left, NOTHING);
});

t.test('refuse: what is up stays, whoever comes is sent away, until accept', async (t) => {
  const rig = new Rig();
  const up = await rig.connect({ mark: 1 });
  rig.connections.refuse('for repair', '203.0.113.9');
  t.equal(rig.connections.draining, 'for repair');
  const late = await rig.connect({ mark: 2, user: 'bob', passwords: ['builder'] });
  t.equal(late.events.at(-1), 'tunnel-down peer 2 to 203.0.113.9');
  t.equal(late.address, undefined);
  t.not(up.address, undefined);
  t.equal(rig.left.sessions, 1);
  rig.connections.accept();
  t.equal(rig.connections.draining, undefined);
  const later = await rig.connect({ mark: 3, user: 'bob', passwords: ['builder'] });
  t.equal(later.address, '10.99.0.50');
});

t.test('refuse with another gateway to go to, then drain: everyone is sent there', async (t) => {
  const rig = new Rig();
  const client = await rig.connect({ mark: 1 });
  rig.connections.refuse('for repair', '203.0.113.9');
  const done = rig.connections.drain('SIGTERM');
  await rig.run(10_000);
  await done;
  t.equal(client.events.at(-1), 'tunnel-down peer 2 to 203.0.113.9');
});

t.test('drain waits for charon, which may refuse', async (t) => {
  for (const refuse of [false, true]) {
    const rig = new Rig();
    await rig.connect({ mark: 1 });
    let answer!: () => void;
    rig.ike.terminate = () =>
      new Promise((resolve, reject) => {
        answer = refuse ? () => reject(new Error('no such SA')) : resolve;
      });
    let drained = false;
    const done = rig.connections.drain('SIGTERM').then(() => {
      drained = true;
    });
    await rig.run(5_000);
    t.strictSame(rig.left, NOTHING);
    t.equal(drained, false, 'the IKE SA is not deleted yet');
    answer();
    await done;
    t.equal(rig.events(refuse ? 'ike.terminate-failed' : 'ike.terminated').length, 1);
  }
});

t.test('the timers of a session end with it', async (t) => {
  const rig = new Rig({ connections: { idleTimeoutMs: 600_000, sessionTimeoutMs: 900_000 } });
  const client = await rig.connect({ mark: 1 });
  rig.ike.push(ikeDown(rig.saOf(client)));
  await rig.run(60_000);
  t.equal(rig.clock.armed, undefined, 'long before they would have been due');
});

t.test('drain with nobody there resolves', async () => {
  await new Rig().connections.drain('SIGTERM');
});

t.test('an LCP frame that is faster than our ICCN handling is held', async (t) => {
  const rig = new Rig();
  const client = rig.client({ mark: 1 });
  rig.childUp(client);
  // The ICCN is lost; its sender starts PPP at once all the same.
  client.lose = (message) => message === 'ICCN';
  client.dial();
  await rig.run(100);
  t.strictSame(client.frames, []);
  t.equal(rig.left.sessions, 1);
  delete client.lose;
  await rig.run(950);
  t.match(client.frames.slice(0, 2), [/^LCP Configure-Request/, /^LCP Configure-Ack 1 /], 'answered after the ICCN');
  await rig.run(5_000);
  t.equal(client.address, '10.99.0.2');
});

t.test('an SA without L2TP is worth a hint, once; one with L2TP is not', async (t) => {
  const rig = new Rig();
  rig.childUp(rig.client({ mark: 1 }));
  await rig.connect({ mark: 2 });
  await rig.run(60_000);
  t.match(rig.events('ike.no-l2tp'), [{ mark: 1, hint: /AssumeUDPEncapsulation/ }]);
});

t.test('an SA under which nobody dials goes after ten minutes; one that dials meanwhile stays', async (t) => {
  const rig = new Rig();
  for (const mark of [1, 2]) rig.childUp(rig.client({ mark }));
  await rig.run(600_000);
  t.strictSame(rig.ike.terminated, []);
  rig.clients[1]!.dial();
  await rig.run(20_000);
  t.strictSame(rig.ike.terminated, ['1']);
  t.equal(rig.left.sessions, 1);
});

t.test('a dial that was begun and not finished leaves no SA for hours', async (t) => {
  const rig = new Rig();
  const client = rig.client({ mark: 1 });
  rig.childUp(client);
  client.lose = () => true;
  client.dial();
  await rig.run(700_000);
  t.strictSame(rig.ike.terminated, ['1']);
});

t.test('an SA that charon would not delete is asked for again', async (t) => {
  const rig = new Rig();
  const client = await rig.connect({ mark: 1 });
  const { terminate } = rig.ike;
  rig.ike.terminate = async () => Promise.reject(new Error('not connected'));
  client.closeTunnel();
  await rig.run(20_000);
  t.equal(rig.events('ike.terminate-failed').length, 1);
  rig.ike.terminate = terminate;
  await rig.run(60_000);
  t.strictSame(rig.ike.terminated, ['1']);
});

t.test('a session whose messages are numbered has four octets less (RFC 2661 §5.4)', async (t) => {
  const mtu = async (numbered: boolean) => {
    const rig = new Rig({ connections: { maxMtu: 1_500 } });
    const arrive = rig.arrive.bind(rig);
    rig.arrive = (path, data) => {
      // The Sequencing Required AVP, §4.4.6, behind the others.
      const iccn = Buffer.concat([data, Buffer.from('800600000027', 'hex')]);
      iccn.writeUInt16BE(iccn.length, 2);
      arrive(path, numbered && messageName(data) === 'ICCN' ? iccn : data);
    };
    await rig.connect({ mark: 1, ppp: { mru: 1_500 } });
    t.equal(rig.acts.includes('update sequencing=true mtu=1398'), numbered);
    return rig.events('session.up')[0]?.mtu;
  };
  t.strictSame([await mtu(false), await mtu(true)], [1_402, 1_398]);
});

t.test('marks beyond those that were looked for in the rules of others: said once', async (t) => {
  const rig = new Rig();
  for (const mark of [0xffff, 0x1_0000, 0x1_0001]) rig.childUp(rig.client({ mark }));
  t.match(rig.events('ike.marks-beyond'), [{ mark: 0x1_0000, hint: /65535/ }]);
  t.equal(rig.events('ike.marks-beyond').length, 1);
});

t.test('who has not authenticated has so many sessions from one address, under however many SAs', async (t) => {
  const rig = new Rig({
    connections: { maxStrangers: 2 },
    aaa: (local) => ({
      authenticate: (r, c) => (r.user === 'stuck' ? new Promise(() => {}) : local.authenticate(r, c)),
      release: (address) => local.release(address),
    }),
  });
  const clients = [1, 2, 3].map((mark) => rig.client({ mark, address: '198.51.100.9', user: 'stuck' }));
  for (const client of clients) {
    rig.childUp(client);
    client.dial();
  }
  await rig.run(2_000);
  t.match(rig.events('session.end'), [{ cause: 'gateway-full', reason: 'limits.half_open_per_address is reached' }]);
  t.match((await rig.connect({ mark: 4 })).address, /^10/, 'another address has room');
  const friend = await rig.connect({ mark: 5, address: '198.51.100.9' });
  t.equal(friend.address, undefined, 'here there is none yet');
  clients[0]!.closeTunnel();
  await rig.run(1_000);
  t.match((await rig.connect({ mark: 6, address: '198.51.100.9' })).address, /^10/);
  t.match(
    (await rig.connect({ mark: 7, address: '198.51.100.9', user: 'bob', passwords: ['builder'] })).address,
    /^10/,
    'users do not count',
  );
});

t.test('the user store fails: the session ends, also when it is already gone', async (t) => {
  for (const gone of [false, true]) {
    const rig = new Rig({ failAuth: true });
    const client = rig.client({ mark: 1 });
    rig.childUp(client);
    client.dial();
    if (gone) rig.onAuth = () => rig.ike.push(ikeDown(rig.saOf(client)));
    await rig.run(20_000);
    t.equal(rig.events('auth.error').length, 1);
    t.strictSame(rig.left, NOTHING);
    t.match(rig.events('session.end'), [{ reason: gone ? 'ike-deleted' : 'authentication is not available' }]);
  }
});

t.test('a verdict that comes when the session is gone gives its address back', async (t) => {
  const rig = new Rig();
  const client = rig.client({ mark: 1 });
  rig.childUp(client);
  client.dial();
  rig.onAuth = () => rig.ike.push(ikeDown(rig.saOf(client)));
  await rig.run(2_000);
  t.strictSame(rig.left, NOTHING);
  t.strictSame(rig.events('auth.ok'), []);
});

t.test('RFC 3193 §3.2: the path gets narrower: the session, the inside and new connections learn of it', async (t) => {
  const rig = new Rig({ link: { mtuProbeIntervalMs: 60_000 } });
  const client = await rig.connect({ mark: 1 });
  const [session] = [...rig.connections.registry.sessions()];
  await rig.run(10_000);
  t.equal(session?.mtu, 1400);
  client.carries = 1300 + 8 + 4;
  await rig.run(80_000);
  // AES-CBC with HMAC-SHA1-96 behind a NAT: paths of 1400, 1358 and 1280 octets take 1306, 1258 and 1194.
  t.match(rig.events('session.mtu'), [{ user: 'alice', mark: 1, mtu: 1258, was: 1400 }]);
  t.equal(session?.mtu, 1258);
  rig.plane.receiveTun(
    ipv4({ from: '192.0.2.1', to: '10.99.0.2', payload: new Array(1_239).fill(0), dontFragment: true }),
  );
  const [error] = rig.plane.takeTun();
  t.same([error?.[20], error?.[21], (error?.[26] ?? 0) * 256 + (error?.[27] ?? 0)], [3, 4, 1258]);
  rig.plane.receiveTun(
    ipv4({ from: '192.0.2.1', to: '10.99.0.2', payload: new Array(1_238).fill(0), dontFragment: true }),
  );
  await rig.settle();
  t.equal(client.events.at(-1), 'ip 1258');
});

t.test('IPCP negotiated anew over a path that was narrow: it may carry more again', async (t) => {
  const rig = new Rig({ link: { mtuProbeIntervalMs: 60_000 } });
  const client = await rig.connect({ mark: 1 });
  const [session] = [...rig.connections.registry.sessions()];
  await rig.run(10_000);
  client.carries = 1300 + 8 + 4;
  await rig.run(80_000);
  t.equal(session?.mtu, 1258);
  client.sendFrame(Uint8Array.of(0x80, 0x21, 1, 99, 0, 10, 3, 6, 0, 0, 0, 0));
  await rig.run(10_000);
  t.equal(rig.events('session.up').length, 2);
  client.carries = 1500;
  await rig.run(700_000);
  t.equal(session?.mtu, 1400);
});
