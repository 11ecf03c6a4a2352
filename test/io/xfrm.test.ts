import { readFileSync } from 'node:fs';
import { chown, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { Ran } from '../../src/io/run.js';
import {
  claimXfrm,
  classify,
  deletions,
  describe,
  inspectXfrm,
  parsePolicies,
  parseStates,
  removeOrphans,
  removeOwn,
  shuntsStand,
  XfrmError,
} from '../../src/io/xfrm.js';

/** Recorded from Linux 6.1 with iproute2 6.1: our charon with five clients, one over IPv6; `-s` with another's tunnel. */
const vector = (name: string) =>
  readFileSync(new URL(`../../../test/vectors/xfrm/${name}.txt`, import.meta.url), 'utf8');
const recorded = { states: parseStates(vector('state-s')), policies: parsePolicies(vector('policy-s')) };

t.test('states are read: marks either way, NAT-T, IPv6', async (t) => {
  t.equal(recorded.states.length, 11);
  t.strictSame(recorded.states[1], {
    src: '198.51.100.1',
    dst: '198.51.100.14',
    proto: 'esp',
    spi: '0xce4945a7',
    reqid: 5,
    mode: 'transport',
    selector: { uid: '0' },
    mark: { value: 5, mask: 0xffffffff },
  });
  t.strictSame(recorded.states[4]?.outputMark, { value: 4, mask: 0xffffffff });
  t.equal(recorded.states[4]?.dst, '2001:db8::1');
});

t.test('-s or not makes no difference but for the entries that were added', async (t) => {
  const brief = { states: parseStates(vector('state')), policies: parsePolicies(vector('policy')) };
  t.strictSame(brief.policies, recorded.policies.slice(2));
  const bare = (list: typeof brief.states) => list.map(({ selector: _, ...s }) => s);
  t.strictSame(bare(brief.states), bare(recorded.states.slice(1)));
});

t.test('policies are read; those of sockets are not ours to see', async (t) => {
  t.equal(recorded.policies.length, 2 + 10 + 6);
  t.strictSame(recorded.policies[2], {
    selector: { src: '198.51.100.1/32', dst: '198.51.100.14/32', proto: 'udp', sport: '1701', dport: '1701' },
    dir: 'out',
    block: false,
    templates: [{ reqid: 5, mode: 'transport' }],
    mark: { value: 5, mask: 0xffffffff },
  });
  t.equal(recorded.policies.filter((p) => p.block).length, 6);
});

t.test('ours and others told apart', async (t) => {
  const { ours, foreign } = classify(recorded);
  t.equal(ours.states.length, 10);
  t.equal(ours.policies.length, 16);
  t.strictSame(describe(foreign), [
    'SA esp tunnel 10.9.9.1 -> 10.9.9.2 spi 0x00001234 reqid 77',
    'policy fwd src 10.1.0.0/24 dst 10.2.0.0/24 proto tcp dport 1701',
    'policy out src 10.1.0.0/24 dst 10.2.0.0/24',
  ]);
});

t.test('SAs whose policies are gone are known by the address we claimed and their mark', async (t) => {
  const { states } = recorded;
  t.equal(classify({ states, policies: [] }).ours.states.length, 0);
  t.equal(classify({ states, policies: [] }, ['198.51.100.1', '2001:db8::1']).ours.states.length, 10);
  t.equal(classify({ states, policies: [] }, ['198.51.100.1']).ours.states.length, 8);
});

t.test('of another: tunnel mode, no mark, part of a mark, another port', async (t) => {
  const state = recorded.states[1]!;
  const { mark: _, ...unmarked } = state;
  for (const s of [{ ...state, mode: 'tunnel' }, unmarked, { ...state, mark: { value: 5, mask: 0xff } }])
    t.equal(classify({ states: [s], policies: [] }, ['198.51.100.1']).ours.states.length, 0);
  const policy = recorded.policies[2]!;
  for (const p of [
    { ...policy, selector: { ...policy.selector, sport: '1702', dport: '1702' } },
    { ...policy, selector: { ...policy.selector, proto: 'tcp' } },
    { ...policy, templates: [{ reqid: 5, mode: 'tunnel' }] },
  ])
    t.equal(classify({ states: [], policies: [p] }).ours.policies.length, 0);
});

t.test('what an acquire for L2TP left is ours', async (t) => {
  const [larval] = parseStates(`src 198.51.100.1 dst 198.51.100.14
\tproto esp spi 0x00000000 reqid 5 mode transport
\treplay-window 0
\tsel src 198.51.100.1/32 dst 198.51.100.14/32 proto udp sport 1701 dport 1701
`);
  t.equal(classify({ states: [larval!], policies: [] }).ours.states.length, 1);
});

t.test('deletions name each one exactly', async (t) => {
  const lines = deletions(classify(recorded).ours).split('\n');
  t.equal(lines.length, 16 + 10 + 1);
  for (const want of [
    'xfrm policy delete src 198.51.100.1/32 dst 198.51.100.14/32 proto udp sport 1701 dport 1701 dir out mark 0x5 mask 0xffffffff',
    'xfrm policy delete src ::/0 dst 2001:db8::1/128 proto udp dport 1701 dir fwd',
    'xfrm state delete src 198.51.100.1 dst 198.51.100.14 proto esp spi 0xce4945a7 mark 0x5 mask 0xffffffff',
    'xfrm state delete src 198.51.100.14 dst 198.51.100.1 proto esp spi 0xc6cb77a1',
  ])
    t.ok(lines.includes(want), want);
  t.notMatch(lines.join('\n'), /flush|10\.9\.9|deleteall/);
});

t.test('text that is none yields nothing', async (t) => {
  for (const text of ['', '\n', 'garbage', 'src 1.2.3.4\n', '\tproto esp spi 0x1\n', 'src a dst b\n\tdir\n']) {
    t.strictSame(parseStates(text), []);
    t.strictSame(parsePolicies(text), []);
  }
});

/** A kernel that answers what `ip` would. */
function kernel(kept: boolean) {
  const calls: string[] = [];
  let full = true;
  const run = async (tool: string, args: readonly string[], input = ''): Promise<Ran> => {
    calls.push([tool, ...args].join(' '));
    if (input !== '') full = kept;
    const stdout = !full || input !== '' ? '' : vector(args[1] === 'state' ? 'state' : 'policy');
    return { status: 0, stdout, stderr: '' };
  };
  return { calls, run };
}

t.test('removal: looks, deletes, looks again; keys are never asked for', async (t) => {
  const record = join(t.testdir(), 'state', 'xfrm-owned.json');
  await claimXfrm(['198.51.100.1'], { record });
  await claimXfrm(['2001:db8::1', '198.51.100.1'], { record });
  t.strictSame(JSON.parse(await readFile(record, 'utf8')), { listen: ['198.51.100.1', '2001:db8::1'] });
  const { calls, run } = kernel(false);
  t.equal(await removeOwn({ record, run }), 26);
  t.strictSame(calls, [
    'ip xfrm policy list nosock',
    'ip xfrm state list nokeys',
    'ip -force -batch -',
    'ip xfrm policy list nosock',
    'ip xfrm state list nokeys',
  ]);
  t.equal(await removeOwn({ record, run }), 0);
  await t.rejects(removeOwn({ record, run: kernel(true).run }), /the kernel kept 10 SAs and 16 policies/);
});

t.test(
  'the record that root writes: the owner of the directory can read it, and no link of his is followed',
  async (t) => {
    const dir = t.testdir({ other: 'kept' });
    const record = join(dir, 'xfrm-owned.json');
    const root = process.getuid?.() === 0;
    if (root) await chown(dir, 4711, 4712);
    await symlink(join(dir, 'other'), `${record}.new`);
    await claimXfrm(['198.51.100.1'], { record });
    t.equal(await readFile(join(dir, 'other'), 'utf8'), 'kept');
    const { uid, gid } = await stat(dir);
    t.match(await stat(record), { uid, gid, mode: 0o100600 });
  },
);

t.test(
  'SAs a running charon does not know, and their policies, go; what it knows, reserves, and the drop policies stay',
  async (t) => {
    const record = join(t.testdir(), 'xfrm-owned.json');
    const state = (spi: string, reqid: number, mark: string, dst = '198.51.100.1') =>
      `src 192.0.2.9 dst ${dst}\n\tproto esp spi ${spi} reqid ${reqid} mode transport\n\t${mark}\n`;
    const out = (reqid: number) =>
      `src 198.51.100.1/32 dst 192.0.2.9/32 proto udp sport 1701 \n\tdir out priority 1 \n\tmark ${reqid}/0xffffffff\n\ttmpl src 0.0.0.0 dst 0.0.0.0\n\t\tproto esp reqid ${reqid} mode transport\n`;
    const block = 'src 198.51.100.1/32 dst 0.0.0.0/0 proto udp sport 1701 \n\tdir out action block priority 9 \n';
    const before = [
      state('0x0c000001', 1, 'output-mark 0x1/0xffffffff'),
      state('0xd0000001', 1, 'mark 0x1/0xffffffff'),
      state('0xc0000002', 2, 'output-mark 0x2/0xffffffff'),
      state('0xc0000003', 2, 'replay-window 0'),
    ];
    let deleted = '';
    const run = (kept: boolean) => async (_: string, args: readonly string[], input?: string) => {
      if (args.includes('-batch')) deleted = input ?? '';
      const states = deleted === '' || kept ? before : before.slice(2);
      return { status: 0, stdout: args[1] === 'state' ? states.join('') : out(1) + out(2) + block, stderr: '' };
    };
    const knows = async () => new Set(['c0000002']);
    await claimXfrm(['198.51.100.1'], { record });
    t.equal(await removeOrphans(knows, { record, run: run(false) }), 2);
    t.strictSame(deleted.trim().split('\n'), [
      'xfrm policy delete src 198.51.100.1/32 dst 192.0.2.9/32 proto udp sport 1701 dir out mark 0x1 mask 0xffffffff',
      'xfrm state delete src 192.0.2.9 dst 198.51.100.1 proto esp spi 0x0c000001',
      'xfrm state delete src 192.0.2.9 dst 198.51.100.1 proto esp spi 0xd0000001 mark 0x1 mask 0xffffffff',
    ]);
    deleted = '';
    t.equal(
      await removeOrphans(async () => new Set(['0c000001', 'd0000001', 'c0000002']), { record, run: run(false) }),
      0,
    );
    t.equal(deleted, '');
    await t.rejects(
      removeOrphans(knows, { record, run: run(true) }),
      /the kernel kept 2 SAs of an earlier charon: SA esp/,
    );
  },
);

t.test('a broken record is as none; a kernel without IPsec says so', async (t) => {
  const record = join(t.testdir({ 'xfrm-owned.json': '{"listen": 5' }), 'xfrm-owned.json');
  t.equal((await inspectXfrm({ record, run: kernel(false).run })).ours.states.length, 10);
  await writeFile(record, '{"listen": [1, null]}');
  t.equal((await inspectXfrm({ record, run: kernel(false).run })).ours.states.length, 10);
  const run = async (): Promise<Ran> => ({
    status: 2,
    stdout: '',
    stderr: 'Cannot open netlink socket: Protocol not supported\n',
  });
  await t.rejects(
    inspectXfrm({ record, run }),
    new XfrmError('ip xfrm policy list: Cannot open netlink socket: Protocol not supported'),
  );
});

t.test('the shunts of each address, in and out, by selector; one that is missing or passes is none', async (t) => {
  const listing = (dir: string, action = ' action block') =>
    `src 0.0.0.0/0 dst 0.0.0.0/0 proto udp uid 0\n\tdir ${dir}${action} index 82 priority 583295 ptype main share any\n`;
  const asked: string[] = [];
  const answering =
    (stdout: string, status = 0, stderr = '') =>
    async (tool: string, args: readonly string[], input?: string) => {
      asked.push([tool, ...args, input].join(' '));
      return { status, stdout, stderr };
    };
  const both = listing('out') + listing('in');
  t.equal(await shuntsStand(['198.51.100.1', '2001:db8::1'], answering(both + both)), true);
  t.strictSame(asked, [
    `ip -batch - ${[
      'xfrm policy get src 198.51.100.1/32 dst 0.0.0.0/0 proto udp sport 1701 dir out',
      'xfrm policy get src 0.0.0.0/0 dst 198.51.100.1/32 proto udp dport 1701 dir in',
      'xfrm policy get src 2001:db8::1/128 dst ::/0 proto udp sport 1701 dir out',
      'xfrm policy get src ::/0 dst 2001:db8::1/128 proto udp dport 1701 dir in',
    ].join('\n')}\n`,
  ]);
  t.equal(
    await shuntsStand(['198.51.100.1'], answering(both, 2, 'RTNETLINK answers: No such file or directory\n')),
    false,
  );
  await t.rejects(
    shuntsStand(['198.51.100.1'], answering('', 1, 'spawn ip EAGAIN')),
    new XfrmError('ip xfrm policy get: spawn ip EAGAIN'),
    'no answer is not "no"',
  );
  t.equal(await shuntsStand(['198.51.100.1'], answering(listing('out'))), false);
  t.equal(await shuntsStand(['198.51.100.1'], answering(listing('out') + listing('in', ''))), false);
});
