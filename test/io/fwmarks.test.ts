import t from 'tap';
import { iptablesRules, markUsers, nftRules, routingRules } from '../../src/io/fwmarks.js';
import type { Run } from '../../src/io/run.js';

t.test('ip rule: what tells one of 1..65535 from no mark, with its mask', async (t) => {
  const rows: [rule: string, found: boolean][] = [
    ['0:	from all lookup local', false],
    ['32765:	from all fwmark 0x1 lookup 100', true],
    ['32765:	from all fwmark 0x1/0xff lookup 100', true],
    ['32765:	from all fwmark 0xffff lookup 100', true],
    ['32765:	from all fwmark 0x10000 lookup 100', false],
    ['5210:	from all fwmark 0x80000/0xff0000 lookup main', false], // Tailscale
    ['32764:	not from all fwmark 0xca6c lookup 51820', true], // wg-quick: 51820
    ['32764:	not from all fwmark 0x20000 lookup 51820', false],
    ['100:	from all fwmark 0/0xff lookup 7', true], // what has a mark of ours no longer matches
    ['100:	from all fwmark 0/0xff0000 lookup 7', false],
    ['100:	from all fwmark 0x4000/0x4000 blackhole', true],
    ['100:	from all fwmark 0x14000/0x14000 blackhole', false],
  ];
  for (const [rule, found] of rows) t.equal(routingRules('ip rule', `${rule}\n`).length, found ? 1 : 0, rule);
  t.strictSame(routingRules('ip -6 rule', '0:	from all lookup local\n32765:	from all fwmark 0x1 lookup 100\n'), [
    'ip -6 rule 32765: from all fwmark 0x1 lookup 100',
  ]);
});

t.test('iptables: marks that are set, restored or matched', async (t) => {
  const rows: [rule: string, found: boolean][] = [
    ['-A OUTPUT -p udp -j MARK --set-xmark 0x7/0xffffffff', true],
    ['-A OUTPUT -j MARK --set-xmark 0x10000/0xffffffff', true], // takes ours away
    ['-A OUTPUT -j MARK --set-xmark 0x10000/0xffff0000', false],
    ['-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000', true],
    ['-A FORWARD -j MARK --set-xmark 0x7/0xffffffff', false],
    ['-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff', true],
    ['-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff0000 --ctmask 0xff0000', false],
    ['-A POSTROUTING -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff', false],
    ['-A INPUT -m mark --mark 0x1 -j DROP', true],
    ['-A INPUT -m mark ! --mark 0x0/0xffff -j DROP', true],
    ['-A INPUT -m mark --mark 0x40000/0xff0000 -j ACCEPT', false],
    ['-A INPUT -m connmark --mark 0x1 -j DROP', false],
    [':OUTPUT ACCEPT [0:0]', false],
  ];
  for (const [rule, found] of rows)
    t.equal(iptablesRules('iptables', `*mangle\n${rule}\n`).length, found ? 1 : 0, rule);
  t.strictSame(
    iptablesRules(
      'iptables-legacy',
      '*filter\n:INPUT ACCEPT\nCOMMIT\n*mangle\n-A OUTPUT -j MARK --set-xmark 0x1/0x1\nCOMMIT',
    ),
    ['iptables-legacy -t mangle -A OUTPUT -j MARK --set-xmark 0x1/0x1'],
  );
});

const META = { meta: { key: 'mark' } };
const rule = (expr: unknown, more = {}) => ({
  rule: { family: 'inet', table: 'other', chain: 'out', handle: 7, expr: [{ counter: null }, expr], ...more },
});
const nft = (...items: unknown[]) => nftRules(JSON.stringify({ nftables: [{ metainfo: {} }, ...items] }));
const mangle = (value: unknown) => ({ mangle: { key: META, value } });
const match = (right: unknown, left: unknown = META, op = '==') => ({ match: { op, left, right } });

t.test('nft: marks that are set or matched', async (t) => {
  const rows: [expr: unknown, found: boolean][] = [
    [mangle(1), true],
    [mangle(0x10000), true],
    [mangle({ '|': [META, 0x10000] }), false],
    [mangle({ '|': [{ '&': [META, 0xffff] }, 0x20000] }), false],
    [mangle({ '|': [{ '&': [META, 0xffff0000] }, 0x20] }), true],
    [mangle({ ct: { key: 'mark' } }), true],
    [mangle({ map: { key: META, data: '@x' } }), true],
    [{ mangle: { key: { ct: { key: 'mark' } }, value: META } }, false],
    [match(1), true],
    [match(0x10000), false],
    [match(0, META, '!='), true],
    [match(0x10000, META, '<'), false],
    [match(0x100, META, '>='), true],
    [match({ range: [0x300, 0x310] }), true],
    [match({ range: [0x10000, 0x20000] }), false],
    [match({ set: [0x10000, 77] }), true],
    [match({ set: [0x10000, { range: [0x20000, 0x30000] }] }), false],
    [match('@marks'), true],
    [match(0x80000, { '&': [META, 0xff0000] }), false],
    [match(0x4000, { '&': [META, 0x4000] }), true],
    [match(1, { ct: { key: 'mark' } }), false],
    [{ vmap: { key: META, data: { set: [[1, { drop: null }]] } } }, true],
    [{ accept: null }, false],
  ];
  for (const [expr, found] of rows) t.equal(nft(rule(expr)).length, found ? 1 : 0, JSON.stringify(expr));
  t.strictSame(nft(rule(mangle(5))), ['nft inet other out handle 7: sets meta mark']);
});

t.test('nft: not ours, not what is forwarded, not bridges; and anything at all is no reason to fail', async (t) => {
  t.strictSame(nft(rule(mangle(1), { table: 'lockstep' })), []);
  t.strictSame(nft(rule(mangle(1), { family: 'bridge' })), []);
  const forward = { chain: { family: 'inet', table: 'other', name: 'out', hook: 'forward' } };
  t.strictSame(nft(forward, rule(mangle(1))), []);
  for (const text of [
    '',
    'x',
    'null',
    '[]',
    '{}',
    '{"nftables":5}',
    '{"nftables":[null,1,"x",{"rule":{}},{"chain":null}]}',
  ])
    t.strictSame(nftRules(text), [], text);
  t.strictSame(nft(rule({ match: null }), rule({ mangle: 5 }), rule(null), rule([mangle(1)])), []);
});

t.test('on a host: every tool is asked; missing ones, and too much text, say nothing', async (t) => {
  const asked: string[] = [];
  const run: Run = async (tool, args) => {
    asked.push([tool, ...args].join(' '));
    if (tool === 'nft') return { status: 127, stdout: '', stderr: 'not found' };
    if (tool === 'iptables-nft-save')
      return { status: 0, stdout: `${'-A X -m mark --mark 0x1 '.repeat(1_000_000)}`, stderr: '' };
    if (tool !== 'ip')
      return {
        status: 0,
        stdout: `*mangle\n-A OUTPUT -m comment --comment ${'x'.repeat(999)} -j MARK --set-xmark 0x1/0x1\n`,
        stderr: '',
      };
    return { status: args[0] === '-6' ? 255 : 0, stdout: '9: from all fwmark 0x1 lookup 7\n', stderr: '' };
  };
  const found = await markUsers(run);
  t.match(asked, ['ip -4 rule show', 'ip -6 rule show', 'nft -j -s -t list ruleset', /^iptables-legacy-save/]);
  t.match(
    found.map((f) => f.slice(0, 25)),
    [
      'ip rule 9: from all fwmar',
      'iptables-legacy -t mangle',
      'ip6tables-legacy -t mangl',
      'ip6tables-nft -t mangle -',
    ],
  );
  t.equal(Math.max(...found.map((f) => f.length)), 303);
});
