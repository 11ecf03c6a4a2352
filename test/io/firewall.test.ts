import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fc from 'fast-check';
import t from 'tap';
import { FirewallError, foreignDropPolicies, openFirewall } from '../../src/io/firewall.js';
import { iptablesRemoval, iptablesRules, nftRemoval, nftRules } from '../../src/io/firewall-rules.js';
import { prefixes } from '../../src/io/prefixes.js';
import type { Ran } from '../../src/io/run.js';

const nftWorks = spawnSync('unshare', ['-n', 'nft', '-c', '-f', '-'], { input: nftRules({}) }).status === 0;

const reachability = { tun: 'lockstep0', accept: true, masquerade: ['10.99.0.2-10.99.0.7', '2001:db8:1::/64'] };

t.test('nft: the guard alone', async (t) => {
  t.equal(
    nftRules({}),
    `table inet lockstep
delete table inet lockstep
table inet lockstep {
  chain guard-in {
    type filter hook input priority -200; policy accept;
    udp dport 1701 meta ipsec missing counter drop
  }
  chain guard-out {
    type filter hook output priority -200; policy accept;
    udp sport 1701 rt ipsec missing counter drop
    icmp type destination-unreachable icmp code port-unreachable @th,136,8 17 @th,240,16 1701 counter drop
    icmpv6 type destination-unreachable icmpv6 code port-unreachable @th,112,8 17 @th,400,16 1701 counter drop
  }
}
`,
  );
});

t.test('routes limit what clients reach, inside limits where they are masqueraded', async (t) => {
  const limited = { ...reachability, routes: ['10.20.0.0/24', '10.30.0.0/16'], inside: 'lan0' };
  const nft = nftRules({ reachability: limited });
  t.match(
    nft,
    /iifname "lockstep0" ip daddr \{ 10\.20\.0\.0\/24, 10\.30\.0\.0\/16 \} accept\n +iifname "lockstep0" counter drop\n +iifname/,
  );
  t.match(nft, /oifname "lan0" masquerade/);
  t.match(
    nftRules({ reachability: { ...limited, accept: false } }),
    /daddr \{ .* \} return\n +iifname "lockstep0" counter drop\n +\}/,
  );
  const legacy = iptablesRules({ reachability: limited }, 4, []).split('\n');
  const at = (line: string) => legacy.indexOf(`-A LOCKSTEP-FWD ${line}`);
  t.ok(at('-i lockstep0 -d 10.20.0.0/24 -j ACCEPT') >= 0 && at('-i lockstep0 -d 10.30.0.0/16 -j ACCEPT') >= 0);
  t.ok(at('-i lockstep0 -j DROP') > at('-i lockstep0 -d 10.30.0.0/16 -j ACCEPT'));
  t.ok(at('-i lockstep0 -j DROP') < at('-i lockstep0 -j ACCEPT'), 'the drop comes first');
  t.ok(legacy.includes('-A LOCKSTEP-NAT -s 10.99.0.2/31 -o lan0 -j MASQUERADE'));
  t.match(iptablesRules({ reachability: limited }, 6, []), /-i lockstep0 -j DROP/, 'and nothing of IPv6');
});

t.test('nft: guard and reachability in one transaction', async (t) => {
  const text = nftRules({ reachability });
  for (const want of [
    'udp dport 1701 meta ipsec missing counter drop',
    'udp sport 1701 rt ipsec missing counter drop',
    'udp dport { 500, 4500 } accept',
    'meta l4proto esp accept',
    'udp dport 1701 meta ipsec exists accept',
    'iifname "lockstep0" accept',
    'oifname "lockstep0" accept',
    'ip saddr { 10.99.0.2/31, 10.99.0.4/30 } oifname != { "lockstep0", "lo" } masquerade',
    'ip6 saddr { 2001:db8:1::/64 } oifname != { "lockstep0", "lo" } masquerade',
  ])
    t.ok(text.includes(want), want);
  t.notMatch(nftRules({ reachability: { ...reachability, accept: false, masquerade: [] } }), /accept$|masquerade/m);
});

t.test('a raw listener is the only exception, and comes before the drop', async (t) => {
  const raw = [{ interface: 'isp0', addresses: ['192.0.2.1', '2001:db8::1'], peers: ['192.0.2.7'] }];
  t.match(
    nftRules({ raw }),
    /iifname "isp0" ip saddr { 192\.0\.2\.7\/32 } ip daddr { 192\.0\.2\.1\/32 } udp dport 1701 accept\n.*missing.*drop/,
  );
  t.match(
    nftRules({ raw }),
    /oifname "isp0" ip saddr { 192\.0\.2\.1\/32 } ip daddr { 192\.0\.2\.7\/32 } udp sport 1701 accept\n.*missing.*drop/,
  );
  t.match(
    iptablesRules({ raw }, 4, []),
    /-A LOCKSTEP-IN -i isp0 -s 192\.0\.2\.7\/32 -d 192\.0\.2\.1\/32 -p udp --dport 1701 -j ACCEPT\n.*--pol none -j DROP/,
  );
  t.notMatch(nftRules({ raw }), /2001:db8/, 'an address without a peer of its family');
});

t.test('raw only: no way in for IKE and ESP, the clients’ packets pass', async (t) => {
  const raw = [{ interface: 'isp0', addresses: ['192.0.2.1'], peers: ['192.0.2.7'] }];
  const rules = { raw, reachability: { ...reachability, rawOnly: true } };
  t.notMatch(nftRules(rules), /500|esp accept|ipsec exists/);
  t.match(nftRules(rules), /udp dport 1701 meta ipsec missing counter drop/);
  t.match(nftRules(rules), /iifname "lockstep0" accept/);
  t.notMatch(iptablesRules(rules, 4, []), /500|-p esp|--pol ipsec/);
  t.match(iptablesRules(rules, 4, []), /-A LOCKSTEP-FWD -i lockstep0 -j ACCEPT/);
});

t.test('iptables-legacy: one commit per table, our jumps first', async (t) => {
  t.equal(
    iptablesRules({}, 4, []),
    `*filter
:LOCKSTEP-IN - [0:0]
:LOCKSTEP-OUT - [0:0]
:LOCKSTEP-FWD - [0:0]
-A LOCKSTEP-IN -p udp --dport 1701 -m policy --dir in --pol none -j DROP
-A LOCKSTEP-OUT -p udp --sport 1701 -m policy --dir out --pol none -j DROP
-A LOCKSTEP-OUT -p icmp --icmp-type port-unreachable -j DROP
-I INPUT 1 -j LOCKSTEP-IN
-I OUTPUT 1 -j LOCKSTEP-OUT
-I FORWARD 1 -j LOCKSTEP-FWD
COMMIT
`,
  );
  const again = iptablesRules({ reachability }, 4, ['-A INPUT -j LOCKSTEP-IN', '-A INPUT -j ACCEPT']);
  t.match(again, /-D INPUT -j LOCKSTEP-IN\n-I INPUT 1 -j LOCKSTEP-IN/);
  t.match(
    again,
    /\*nat\n:LOCKSTEP-NAT[\s\S]*-s 10\.99\.0\.2\/31 -j MASQUERADE[\s\S]*-I POSTROUTING 1 -j LOCKSTEP-NAT\nCOMMIT/,
  );
  t.notMatch(again, /2001:db8/);
  t.match(iptablesRules({ reachability }, 6, []), /-s 2001:db8:1::\/64 -j MASQUERADE/);
});

t.test(
  'no ICMP error quotes what came for 1701, on this kernel',
  { skip: !nftWorks && 'no nft inet here' },
  async (t) => {
    // Cleartext gets as far as the closed port only where a raw listener may be.
    const rules = nftRules({
      raw: [
        { interface: 'lo', addresses: ['127.0.0.1'], peers: ['127.0.0.2'] },
        { interface: 'lo', addresses: ['::1'], peers: ['::1'] },
      ],
    });
    // What the kernel answers to a datagram sent there: ECONNREFUSED is "port unreachable".
    const asks = `const { createSocket } = require('dgram');
    const ask = ([type, from, to, port]) => new Promise((resolve) => {
      const socket = createSocket(type).on('error', (error) => resolve(error.code));
      socket.bind(0, from, () => socket.connect(port, to, () => {
        socket.send('x');
        setTimeout(() => resolve('nothing'), 300);
      }));
    });
    const all = [['udp4', '127.0.0.2', '127.0.0.1'], ['udp6', '::1', '::1']].flatMap((a) => [1701, 1702].map((port) => [...a, port]));
    Promise.all(all.map(ask)).then((said) => { console.log(said.join()); process.exit(); });`;
    const said = spawnSync(
      'unshare',
      ['-n', 'sh', '-c', `ip link set lo up && nft -f - && exec "$0" -e "$1"`, process.execPath, asks],
      { input: rules, encoding: 'utf8' },
    );
    t.equal(said.stdout, 'nothing,ECONNREFUSED,nothing,ECONNREFUSED\n', said.stderr);
  },
);

t.test('back to the guard alone empties the nat chain that was used', async (t) => {
  t.match(iptablesRules({}, 4, ['-A POSTROUTING -j LOCKSTEP-NAT']), /\*nat\n:LOCKSTEP-NAT - \[0:0\]\n-D POSTROUTING/);
});

t.test('removal takes what exists and nothing else', async (t) => {
  t.equal(nftRemoval(), 'table inet lockstep\ndelete table inet lockstep\n');
  t.equal(iptablesRemoval(['-P INPUT ACCEPT', '-N DOCKER', '-A INPUT -j DOCKER']), '');
  t.equal(
    iptablesRemoval(['-N LOCKSTEP-IN', '-A INPUT -j LOCKSTEP-IN', '-N LOCKSTEP-NAT', '-A POSTROUTING -j LOCKSTEP-NAT']),
    `*filter
-D INPUT -j LOCKSTEP-IN
-F LOCKSTEP-IN
-X LOCKSTEP-IN
COMMIT
*nat
-D POSTROUTING -j LOCKSTEP-NAT
-F LOCKSTEP-NAT
-X LOCKSTEP-NAT
COMMIT
`,
  );
});

t.test('nothing but names and addresses reaches a rule', async (t) => {
  for (const bad of ['eth0"; flush ruleset; "', 'a b', '', 'x'.repeat(16), '-o'.concat('\n')])
    t.throws(() => nftRules({ reachability: { ...reachability, tun: bad } }), /not an interface name/, bad);
  for (const bad of ['10.0.0.0/33', '10.0.0/24', '::1/129', 'fe80::1%eth0', '10.0.0.1-', '10.0.0.0/8/8', 'any'])
    t.throws(() => prefixes([bad]), /not an address, prefix or range/, bad);
});

t.test('law: the prefixes of a range cover it exactly, in order, and are the fewest', async (t) => {
  t.strictSame(prefixes(['0.0.0.0-255.255.255.255']), ['0.0.0.0/0']);
  t.strictSame(prefixes(['10.0.0.1-10.0.0.1', '192.0.2.1', '2001:db8::1']), [
    '10.0.0.1/32',
    '192.0.2.1/32',
    '2001:db8::1/128',
  ]);
  const dotted = (n: number) => [24, 16, 8, 0].map((s) => (n >>> s) & 255).join('.');
  const value = (a: string) => a.split('.').reduce((n, o) => n * 256 + Number(o), 0);
  fc.assert(
    fc.property(fc.nat(0xffffffff), fc.nat(5000), (a, more) => {
      const b = Math.min(a + more, 0xffffffff);
      let next = a;
      const parts = prefixes([`${dotted(a)}-${dotted(b)}`]);
      for (const p of parts) {
        const [base = '', bits = ''] = p.split('/');
        const size = 2 ** (32 - Number(bits));
        if (value(base) !== next || next % size !== 0) return false;
        next += size;
      }
      return next === b + 1 && parts.length <= 2 * Math.ceil(Math.log2(more + 2));
    }),
  );
});

const answer = (status: number, stdout = '', stderr = ''): Ran => ({ status, stdout, stderr });

t.test('nft where it works', async (t) => {
  const calls: string[] = [];
  const firewall = await openFirewall({
    run: async (tool, args, input = '') => {
      calls.push(
        `${tool} ${args.join(' ')} ${/masquerade/.test(input) ? 'all' : /drop/.test(input) ? 'guard' : 'none'}`,
      );
      return answer(0);
    },
  });
  await firewall.apply(reachability);
  await firewall.removeReachability();
  await firewall.removeAll();
  t.equal(firewall.backend, 'nft');
  const loads = calls.filter((call) => call.startsWith('nft -f'));
  t.strictSame(loads, ['nft -f - guard', 'nft -f - all', 'nft -f - guard', 'nft -f - none']);
});

t.test('iptables-legacy where the kernel has no nft inet, both families where there is IPv6', async (t) => {
  for (const ipv6 of [false, true]) {
    const calls: string[] = [];
    const firewall = await openFirewall({
      ipv6,
      run: async (tool, args) => {
        calls.push(`${tool} ${args.join(' ')}`);
        return tool === 'nft' ? answer(1, '', '/dev/stdin:1:1-20: Error: Operation not supported\n') : answer(0);
      },
    });
    t.equal(firewall.backend, 'iptables-legacy');
    t.strictSame(
      calls.filter((c) => c.includes('restore')),
      ipv6
        ? ['iptables-legacy-restore --noflush -w 5', 'ip6tables-legacy-restore --noflush -w 5']
        : ['iptables-legacy-restore --noflush -w 5'],
    );
  }
});

t.test(
  'whether they stand is what the kernel says of them, compared with what it said when they were put there',
  async (t) => {
    const nftTable = 'table inet lockstep {\n}\n';
    const legacy = '-P INPUT ACCEPT\n-N LOCKSTEP-IN\n-A INPUT -j LOCKSTEP-IN\n-A INPUT -p tcp -j ACCEPT\n';
    for (const [backend, whole, others, part] of [
      ['nft', nftTable, nftTable, 'table inet lockstep {\n  chain guard-in {\n}\n'],
      ['iptables-legacy', legacy, `${legacy}-A INPUT -p udp -j ACCEPT\n`, '-P INPUT ACCEPT\n-N LOCKSTEP-IN\n'],
    ] as const) {
      let listing: string = whole;
      let broken = false;
      const firewall = await openFirewall({
        ipv6: false,
        run: async (tool, args) => {
          if (tool === 'nft' && backend !== 'nft') return answer(1, '', 'Error: Operation not supported\n');
          if (tool === 'cat') return answer(1);
          if (!args.includes('list') && !args.includes('-S')) return answer(0);
          if (broken) return answer(1, '', `spawn ${tool} EAGAIN`);
          return listing === '' && tool === 'nft' ? answer(1, '', 'No such file or directory\n') : answer(0, listing);
        },
      });
      t.equal(firewall.backend, backend);
      t.equal(await firewall.stands(), true);
      listing = others;
      t.equal(await firewall.stands(), true, 'rules of others are theirs');
      for (const now of [part, '']) {
        listing = now;
        t.equal(await firewall.stands(), false);
      }
      listing = whole;
      broken = true;
      await t.rejects(firewall.stands(), { name: 'FirewallError', message: /EAGAIN/ }, 'nobody knows');
      broken = false;
      await firewall.apply(reachability);
      t.equal(await firewall.stands(), true);
    }
  },
);

t.test(
  'iptables-legacy: who may not see which tables are loaded asks for nat itself; where there is none, that is fine',
  async (t) => {
    const none = "iptables v1.8.9 (legacy): can't initialize iptables table `nat': Table does not exist";
    for (const [cat, natAnswer, put, asked] of [
      [answer(1, '', 'cat: /proc/net/ip_tables_names: Permission denied'), answer(0, '-N LOCKSTEP-NAT\n'), true, true],
      [answer(1, '', 'cat: /proc/net/ip_tables_names: Permission denied'), answer(3, '', none), true, true],
      [answer(1, '', 'cat: /proc/net/ip_tables_names: Permission denied'), answer(4, '', 'Another app'), false, true],
      [answer(1, '', 'cat: /proc/net/ip_tables_names: No such file or directory'), answer(9), true, false],
      [answer(0, 'filter\n'), answer(9), true, false],
      [answer(0, 'filter\nnat\n'), answer(3, '', none), false, true],
    ] as const) {
      let nat = false;
      const opened = openFirewall({
        ipv6: false,
        run: async (tool, args) => {
          if (tool === 'nft') return answer(1, '', 'Error: Operation not supported\n');
          if (tool === 'cat') return cat;
          if (!args.includes('nat')) return answer(0, args.includes('-S') ? '-P INPUT ACCEPT\n' : '');
          nat = true;
          return natAnswer;
        },
      });
      if (put) t.equal((await opened).backend, 'iptables-legacy');
      else await t.rejects(opened, { name: 'FirewallError' });
      t.equal(nat, asked);
    }
  },
);

t.test(
  'nft itself: the same answer twice, and another one after a flush',
  { skip: !nftWorks && 'no nft inet here' },
  async (t) => {
    const host = spawn('unshare', ['-n', 'sh', '-c', 'echo; exec sleep 600']);
    t.teardown(() => host.kill());
    await once(host.stdout, 'data');
    const inside = (tool: string, args: readonly string[], input?: string) =>
      spawnSync('nsenter', [`--net=/proc/${host.pid}/ns/net`, tool, ...args], { input, encoding: 'utf8' });
    const firewall = await openFirewall({
      run: async (tool, args, input) => {
        const { status, stdout, stderr } = inside(tool, args, input);
        return answer(status ?? 1, stdout, stderr);
      },
    });
    await firewall.apply({ ...reachability, routes: ['10.20.0.0/24', '10.30.0.0/16'] });
    t.equal(firewall.backend, 'nft');
    for (let i = 0; i < 2; i++) t.equal(await firewall.stands(), true);
    inside('nft', ['add table inet other']);
    t.equal(await firewall.stands(), true);
    inside('nft', ['flush chain inet lockstep guard-out']);
    t.equal(await firewall.stands(), false);
    await firewall.apply(reachability);
    t.equal(await firewall.stands(), true);
    inside('nft', ['flush ruleset']);
    t.equal(await firewall.stands(), false);
  },
);

t.test('neither: a clear refusal with what each said', async (t) => {
  await t.rejects(
    openFirewall({ run: async (tool) => answer(127, '', `spawn ${tool} ENOENT`), ipv6: false }),
    new FirewallError(
      'cannot install the rules that keep L2TP from leaving unencrypted: nft: spawn nft ENOENT; iptables-legacy: spawn iptables-legacy ENOENT',
    ),
  );
});

t.test('the drop policies of others are found', async (t) => {
  const chain = (table: string, name: string, hook: string, policy: string) => ({
    chain: { family: 'inet', table, name, type: 'filter', hook, prio: 0, policy },
  });
  const nftables = [
    { metainfo: {} },
    chain('filter', 'input', 'input', 'drop'),
    chain('filter', 'output', 'output', 'drop'),
    chain('lockstep', 'guard-in', 'input', 'drop'),
    chain('host', 'fwd', 'forward', 'accept'),
  ];
  t.strictSame(await foreignDropPolicies(async () => answer(0, JSON.stringify({ nftables }))), ['inet filter input']);
  t.strictSame(await foreignDropPolicies(async () => answer(127)), []);
});
