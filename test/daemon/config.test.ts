import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Config, loadConfig } from '../../src/daemon/config.js';
import { configWarnings, excludedAddresses, listenAddresses, rawListener } from '../../src/daemon/config-check.js';
import { envName, leaves } from '../../src/daemon/config-schema.js';
import { ConfigError } from '../../src/daemon/errors.js';
import { ipv6Settings } from '../../src/daemon/ipv6.js';
import { routesToTell } from '../../src/daemon/split-tunnel.js';
import { numberToIpv4 } from '../../src/proto/aaa/address.js';

/** A directory with a key and the given lockstep.yaml. */
function write(test: { testdir(d: Record<string, string>): string }, yaml: string): string {
  const dir = test.testdir({ 'lockstep.yaml': yaml, psk: 'a-key-of-more-than-20-characters\n' });
  chmodSync(join(dir, 'psk'), 0o600);
  return join(dir, 'lockstep.yaml');
}

const MANY = Array.from({ length: 26 }, (_, i) => `10.20.${i}.0/24`).join();

function mistake(f: () => unknown): ConfigError {
  try {
    f();
  } catch (e) {
    if (e instanceof ConfigError) return e;
    throw e;
  }
  throw new Error('nothing was refused');
}

t.test('an empty file is a complete configuration', async (t) => {
  const path = write(t, '');
  const config = loadConfig(path, {});
  t.match(config, {
    listen: { addresses: 'auto' },
    ike: { pskRanges: [], legacy: false, proposals: 'auto', charon: 'spawn', vici: '/run/lockstep/charon.vici' },
    pool: { gateway: '10.99.0.1' },
    ppp: {
      auth: ['mschapv2', 'eap'],
      eap: ['mschapv2'],
      realms: 'any',
      passwordChange: false,
      mtu: 'auto',
      echoInterval: 30_000,
      setupTimeout: 60_000,
    },
    l2tp: { helloInterval: 60_000, retransmissions: 5, closeTimeout: 5_000, secret: null, redirect: null },
    limits: { idleTimeout: 0, sessionTimeout: 0 },
    reachability: { nat: 'auto', proxyArp: false, ipForward: true, accept: true, interface: null },
    control: { socket: '/run/lockstep/control.sock' },
    usersFile: join(path, '../users.yaml'),
    stateDir: '/var/lib/lockstep',
    log: { level: 'info', format: 'pretty' },
  });
  t.equal(config.ike?.psk?.reveal(), 'a-key-of-more-than-20-characters', 'without the line end');
  t.strictSame(excludedAddresses(config), ['10.99.0.1', '10.99.0.0', '10.99.0.255']);
  t.strictSame(configWarnings(config), []);
});

t.test('every default is a value its own format accepts, and has a documented key', async (t) => {
  for (const [key, leaf] of leaves()) {
    t.doesNotThrow(() => leaf.format(leaf.default), key);
    t.match(leaf.doc, /\.$/, `${key} has a sentence`);
  }
});

t.test('values: YAML spelling in, typed value out', async (t) => {
  const rows: [yaml: string, get: (c: Config) => unknown, want: unknown][] = [
    ['ppp: {echo_interval: 90}', (c) => c.ppp.echoInterval, 90_000],
    ['ppp: {echo_interval: 1.5}', (c) => c.ppp.echoInterval, 1_500],
    ['ppp: {echo_interval: 2500ms}', (c) => c.ppp.echoInterval, 2_500],
    ['ppp: {echo_interval: 0}', (c) => c.ppp.echoInterval, 0],
    ['limits: {session_timeout: 8h}', (c) => c.limits.sessionTimeout, 28_800_000],
    ['limits: {session_timeout: 2d}', (c) => c.limits.sessionTimeout, 172_800_000],
    ['ppp: {mtu: 1280}', (c) => c.ppp.mtu, 1_280],
    ['ppp: {auth: [chap-md5, pap]}', (c) => c.ppp.auth, ['chap-md5', 'pap']],
    ['reachability: {nat: off}', (c) => c.reachability.nat, 'off'],
    ['listen: {addresses: [192.0.2.1, "2001:DB8::0:1"]}', (c) => c.listen.addresses, ['192.0.2.1', '2001:db8::1']],
    ['listen: {addresses: 192.0.2.1}', (c) => c.listen.addresses, ['192.0.2.1']],
    ['dns:', (c) => c.dns, []],
    ['ppp:', (c) => c.ppp.auth, ['mschapv2', 'eap']],
    ['ppp: {eap: [md5, mschapv2]}', (c) => c.ppp.eap, ['md5', 'mschapv2']],
    ['ppp: {realms: [CORP, example.com]}', (c) => c.ppp.realms, ['CORP', 'example.com']],
    ['ppp: {realms: []}', (c) => c.ppp.realms, []],
    ['routes: [10.0.0.0/8, 192.0.2.7]', (c) => c.routes, ['10.0.0.0/8', '192.0.2.7/32']],
    ['routes: [0.0.0.0/0]', (c) => c.routes, ['0.0.0.0/0']],
    ['dhcp: {domain: Corp.Example}', (c) => c.dhcp.domain, 'corp.example'],
    ['dhcp: {routes: []}', routesToTell, []],
    ['dhcp: {routes: [10.11.11.0/24]}', routesToTell, ['10.11.11.0/24']],
    ['dhcp: {routes: 0.0.0.0/0}', routesToTell, ['0.0.0.0/0']],
    ['routes: [10.11.0.0/16]', routesToTell, ['10.11.0.0/16']],
    ['routes: [10.11.0.0/16]\ndhcp: {routes: [10.11.11.0/24]}', routesToTell, ['10.11.11.0/24']],
    ['routes: [0.0.0.0/0]', routesToTell, []],
    ['', ipv6Settings, undefined],
    [
      'ipv6: {prefix: "2001:db8::/64"}',
      (c) => ipv6Settings(c)?.network,
      { prefix: 0x20010db8_00000000_00000000_00000000n, length: 64 },
    ],
    [
      'ipv6: {prefix: "2001:db8::/56", delegate: "2001:db8:1::/48", delegate_length: 60}',
      (c) => ipv6Settings(c)?.delegate,
      { network: { prefix: 0x20010db8_00010000_00000000_00000000n, length: 48 }, length: 60 },
    ],
    [`routes: [${MANY}]`, routesToTell, []],
    ['pool: {ipv4: 10.9.0.10-10.9.0.20}', (c) => c.pool.gateway, '10.9.0.9'],
    ['pool: {ipv4: 10.9.0.0/16}', (c) => c.pool.gateway, '10.9.0.1'],
    ['pool: {ipv4: 10.9.0.0/16, gateway: 10.9.8.7}', (c) => c.pool.gateway, '10.9.8.7'],
    ['pool: {ipv4: 10.9.0.0/16, gateway: 192.0.2.1}', (c) => c.pool.gateway, '192.0.2.1'],
    [
      'pool: {ipv4: [10.9.0.0/24, 10.8.0.4 - 10.8.0.9]}',
      (c) => c.pool.ranges.map((r) => numberToIpv4(r.last)),
      ['10.9.0.255', '10.8.0.9'],
    ],
    ['run_dir: /tmp/x', (c) => [c.ike!.vici, c.control.socket], ['/tmp/x/charon.vici', '/tmp/x/control.sock']],
    [
      'identity: {alice: "C=DE, O=Example, CN=a", b.ob: [10.0.0.1, "*.example.com"], "constructor": "*"}',
      (c) => [...c.identity],
      [
        ['alice', ['C=DE, O=Example, CN=a']],
        ['b.ob', ['10.0.0.1', '*.example.com']],
        ['constructor', ['*']],
      ],
    ],
    ['identity:', (c) => c.identity.size, 0],
    ['ike: {proposals: [aes256-sha1-modp2048]}', (c) => c.ike!.proposals, ['aes256-sha1-modp2048']],
  ];
  for (const [yaml, get, want] of rows) t.strictSame(get(loadConfig(write(t, yaml), {})), want, yaml);
});

t.test('a mistake is one sentence with file, line, key, value and what is allowed', async (t) => {
  const rows: [yaml: string, want: string][] = [
    ['log:\n  level: loud', ':2: log.level: loud is not allowed; allowed: error or warn or info or debug'],
    ['\n\nppp:\n  mtu: 9000', ':4: ppp.mtu: 9000 is not allowed; allowed: auto, or a whole number from 576 to 1500'],
    ['ppp: {mtu: true}', ':1: ppp.mtu: true is not allowed; allowed: auto, or a whole number from 576 to 1500'],
    ['ppp: {echo_failures: 4x}', ':1: ppp.echo_failures: 4x is not allowed; allowed: a whole number from 1 to 100'],
    ['ike: {legacy: maybe}', ':1: ike.legacy: maybe is not allowed; allowed: true or false'],
    [
      'l2tp:\n  hello_interval: soon',
      ':2: l2tp.hello_interval: soon is not allowed; allowed: a duration such as 30s, 5m or 2h from 1s to 1h',
    ],
    [
      'l2tp:\n  hello_interval: 0',
      ':2: l2tp.hello_interval: 0 is not allowed; allowed: a duration such as 30s, 5m or 2h from 1s to 1h',
    ],
    [
      'ppp: {echo_interval: 2h}',
      ':1: ppp.echo_interval: 2h is not allowed; allowed: a duration such as 30s, 5m or 2h from 1s to 1h, or 0 = none',
    ],
    [
      'dns:\n  - 192.0.2.1\n  - 192.0.2.300',
      ':3: dns[1]: 192.0.2.300 is not allowed; allowed: an IPv4 unicast address',
    ],
    ['dns: [224.0.0.1]', ':1: dns[0]: 224.0.0.1 is not allowed; allowed: an IPv4 unicast address'],
    ['dns:\n  - 192.0.2.1\n  - 192.0.2.1', ':3: dns[1]: 192.0.2.1 is in the list twice; allowed: each element once'],
    [
      'dns: [192.0.2.1, 192.0.2.2, 192.0.2.3]',
      ':1: dns: ["192.0.2.1","192.0.2.2","192.0.2.3"] is not allowed; allowed: a list of at most 2, each an IPv4 unicast address',
    ],
    [
      'ppp: {auth: []}',
      ':1: ppp.auth: [] is not allowed; allowed: a list of 1 to 4, each mschapv2 or eap or chap-md5 or pap',
    ],
    ['ppp: {auth: [mschap]}', ':1: ppp.auth[0]: mschap is not allowed; allowed: mschapv2 or eap or chap-md5 or pap'],
    ['ppp: {eap: [tls]}', ':1: ppp.eap[0]: tls is not allowed; allowed: mschapv2 or md5'],
    [
      'listen:\n  addresses: [0.0.0.0]',
      ':2: listen.addresses[0]: 0.0.0.0 is not allowed; allowed: an IPv4 or IPv6 unicast address',
    ],
    [
      'routes: [10.0.0.1/8]',
      ':1: routes[0]: 10.0.0.1/8 is not allowed; allowed: an IPv4 network such as 192.0.2.0/24, host bits zero',
    ],
    [
      'routes: ["2001:db8::/32"]',
      ':1: routes[0]: 2001:db8::/32 is not IPv4; allowed: an IPv4 network such as 192.0.2.0/24, host bits zero',
    ],
    ['limits: {tunnels: 65001}', ':1: limits.tunnels: 65001 is not allowed; allowed: a whole number from 1 to 65000'],
    [
      'ppp:\n  mtuu: 1400',
      ':2: ppp.mtuu: is an unknown key; allowed: auth, eap, realms, password_change, mtu, echo_interval, echo_failures, mtu_probe_interval, setup_timeout, auth_tries (did you mean mtu?)',
    ],
    [
      'ppp: 1400',
      ':1: ppp: 1400 is not a mapping; allowed: the keys auth, eap, realms, password_change, mtu, echo_interval, echo_failures, mtu_probe_interval, setup_timeout, auth_tries',
    ],
    [
      'ike:\n  psk_ranges:\n    - peers: [192.0.2.0/24]\n      file: x',
      ':4: ike.psk_ranges[0].file: x is an unknown key; allowed: peers, psk_file',
    ],
    [
      'ike:\n  psk_ranges:\n    - peers: [192.0.2.0/33]\n      psk_file: psk',
      ':3: ike.psk_ranges[0].peers[0]: 192.0.2.0/33 is not allowed; allowed: a network such as 192.0.2.0/24 or 2001:db8::/32, host bits zero',
    ],
    [
      'ike:\n  psk_ids:\n    - {id: 192.0.2.7, psk_file: psk}',
      ':3: ike.psk_ids[0].id: 192.0.2.7 is not allowed; allowed: an identity other than an address, without wildcards, such as alice@example.com, laptop.example.com, keyid:group or "C=CH, CN=laptop"',
    ],
    [
      'ike:\n  psk_ids:\n    - {id: alice, psk_file: psk}\n    - {id: alice, psk_file: ./psk}',
      ':4: ike.psk_ids[1].id: alice has a key already; allowed: each identity once',
    ],
    [
      'ike:\n  psk_ranges:\n    - {peers: 192.0.2.0/24, psk_file: psk}\n    - {peers: 192.0.2.0/24, psk_file: ./psk}',
      ':4: ike.psk_ranges[1].peers: 192.0.2.0/24 has a key already; allowed: each network in one place',
    ],
    [
      'ike: {psk_file: none}',
      ':1: ike.psk_file: none leaves no way for a client to authenticate; allowed: a file; or none with ike.psk_ranges, ike.psk_ids or ike.certificates',
    ],
    [
      'ike: {aggressive: true}',
      ':1: ike.aggressive: true serves nobody without ike.psk_ids; allowed: false, or keys for the identities of these clients in ike.psk_ids',
    ],
    [
      'identity:\n  alice: x\n  bob: [a, 5]',
      ':3: identity.bob[1]: 5 is not allowed; allowed: a pattern of 1 to 1024 characters',
    ],
    [
      'identity: alice',
      ':1: identity: alice is not allowed; allowed: a mapping of at most 65536 user names, each to a pattern of 1 to 1024 characters, or a list of at most 64',
    ],
    ['- a', ':1: the file is not a mapping; allowed: lines of the form `key: value`'],
    [
      'ppp: {mtu: 1400}\nppp: {mtu: 1300}',
      ':2: not valid YAML (duplicate key); allowed: YAML 1.2, keys indented with spaces, each key once',
    ],
    [
      'ppp:\n\tmtu: 1400',
      ':2: not valid YAML (tab as indent); allowed: YAML 1.2, keys indented with spaces, each key once',
    ],
    ['dns: *there', ': an alias cannot be resolved; allowed: an anchor (&name) before its alias (*name)'],
    // Between settings.
    [
      'pool:\n  ipv4: 10.0.0.9-10.0.0.1',
      ':2: pool.ipv4[0]: 10.0.0.9-10.0.0.1 is not allowed; allowed: a range such as 10.99.0.10-10.99.0.200 or a network such as 10.99.0.0/24, of unicast IPv4 addresses',
    ],
    [
      'pool:\n  ipv4:\n    - 10.0.0.0/24\n    - 10.0.0.9-10.0.1.1',
      ':4: pool.ipv4: 10.0.0.9-10.0.1.1 overlaps 10.0.0.0/24; allowed: ranges that do not overlap',
    ],
    [
      'pool:\n  ipv4: 10.0.0.2-10.0.0.9\n  gateway: 10.0.0.5',
      ':3: pool.gateway: 10.0.0.5 lies inside the range 10.0.0.2-10.0.0.9 of pool.ipv4; allowed: an address outside the ranges',
    ],
    [
      'pool:\n  ipv4: 10.0.0.0/24\n  gateway: 10.0.0.255',
      ':3: pool.gateway: 10.0.0.255 is the first or last address of 10.0.0.0/24 of pool.ipv4; allowed: another address of the network',
    ],
    [
      'pool:\n  ipv4: 10.0.0.1-10.0.0.9',
      ':1: pool.gateway: auto finds no address before 10.0.0.1-10.0.0.9; allowed: an IPv4 address outside the ranges of pool.ipv4',
    ],
    [
      'routes:\n  - 10.99.0.128/25',
      ':2: routes[0]: 10.99.0.128/25 overlaps 10.99.0.0/24 of pool.ipv4; allowed: networks outside the pool, or around all of it',
    ],
    [
      'dhcp:\n  domain: corp_.-',
      ':2: dhcp.domain: corp_.- is not allowed; allowed: a domain name of at most 64 characters such as corp.example',
    ],
    [
      'dhcp:\n  routes:\n    - "2001:db8::/32"',
      ':3: dhcp.routes[0]: 2001:db8::/32 is not IPv4; allowed: an IPv4 network such as 192.0.2.0/24, host bits zero',
    ],
    [
      'dhcp: {routes: [10.0.0.0/8, 0.0.0.0/0]}',
      ':1: dhcp.routes[1]: 0.0.0.0/0 sends all traffic through the tunnel, which the other networks contradict; allowed: the networks behind the gateway, or 0.0.0.0/0 alone for a full tunnel',
    ],
    [
      'routes: [10.1.0.0/16]\ndhcp:\n  routes: [10.0.0.0/15]',
      ':3: dhcp.routes[0]: 10.0.0.0/15 is in no network of `routes`; allowed: networks that clients may reach',
    ],
    [
      `dhcp:\n  routes: [${MANY}]`,
      ':2: dhcp.routes: these 26 networks take 208 octets of a DHCP option; allowed: at most 200 octets: 25 networks of /17 to /24, or fewer, larger ones',
    ],
    [
      'ipv6:\n  prefix: 2001:db8::/65',
      ':2: ipv6.prefix: 2001:db8::/65 is not allowed; allowed: an IPv6 network such as 2001:db8::/56, /32 to /64, host bits zero',
    ],
    [
      'ipv6:\n  prefix: fe80::/64',
      ':2: ipv6.prefix: fe80::/64 is not allowed; allowed: an IPv6 network such as 2001:db8::/56, /32 to /64, host bits zero',
    ],
    [
      'ipv6:\n  delegate: 2001:db8::/40',
      ':2: ipv6.delegate: means nothing while IPv6 is off; allowed: with ipv6.prefix, which switches it on',
    ],
    [
      'ppp:\n  mtu: 1200\nipv6: {prefix: "2001:db8::/56"}',
      ':2: ppp.mtu: 1200 is too small for IPv6 inside the tunnels (ipv6.prefix); allowed: at least 1280',
    ],
    [
      'ipv6:\n  prefix: 2001:db8::/56\n  delegate: 2001:db8:1::/48\n  delegate_length: 47',
      ':4: ipv6.delegate_length: 47 is larger than 2001:db8:1::/48 of ipv6.delegate; allowed: a length beyond its own',
    ],
    [
      'ipv6:\n  prefix: 2001:db8:0:100::/56\n  delegate: 2001:db8::/48',
      ':3: ipv6.delegate: 2001:db8::/48 overlaps 2001:db8:0:100::/56 of ipv6.prefix; allowed: another network',
    ],
    [
      'listen: {addresses: [10.99.0.7]}\npool:\n  ipv4: 10.99.0.0/24',
      ':3: pool.ipv4: 10.99.0.0/24 contains 10.99.0.7, where this host listens; allowed: addresses the host does not have',
    ],
    [
      'limits:\n  half_open: 8\n  half_open_per_address: 9',
      ':3: limits.half_open_per_address: 9 is more than limits.half_open; allowed: at most 8',
    ],
  ];
  for (const [yaml, want] of rows) {
    const path = write(t, yaml);
    t.equal(mistake(() => loadConfig(path, {})).message, path + want, yaml);
  }
});

t.test('a key as the documents write it, with dots, is told how YAML wants it', async (t) => {
  for (const [yaml, said] of [
    [
      'status_page.listen: /run/x',
      /status_page\.listen: is a key below another one; allowed: status_page: \{listen: \.\.\.\}, in one section/,
    ],
    ['ike:\n  certificates.ca: [ca.pem]', /:2: ike\.certificates\.ca: .* allowed: certificates: \{ca: \.\.\.\}, in/],
    ['status_page.lissten: /run/x', /status_page\.lissten: is an unknown key/],
  ] as const)
    t.match(mistake(() => loadConfig(write(t, yaml), {})).message, said, yaml);
});

t.test('an unknown key names the nearest one, in its own section or elsewhere', async (t) => {
  for (const [yaml, meant] of [
    ['polo: {ipv4: 10.0.0.0/24}', 'pool'],
    ['hello_interval: 5s', 'l2tp.hello_interval'],
    ['limits: {tunnel: 5}', 'tunnels'],
  ] as const)
    t.match(mistake(() => loadConfig(write(t, yaml), {})).message, new RegExp(`\\(did you mean ${meant}\\?\\)$`), yaml);
});

t.test('hostile YAML keys do not reach the prototype', async (t) => {
  for (const yaml of ['__proto__: {a: 1}', 'ppp: {constructor: {prototype: {a: 1}}}', 'ppp: {__proto__: {mtu: 1}}'])
    t.match(mistake(() => loadConfig(write(t, yaml), {})).message, /is an unknown key/, yaml);
});

t.test('the environment beats the file, the command line beats both, and the error says who is wrong', async (t) => {
  const path = write(t, 'ppp: {mtu: 1400}\nlog: {format: pretty}');
  t.equal(envName('ppp.mtu'), 'LOCKSTEP_PPP_MTU');
  t.equal(loadConfig(path, { LOCKSTEP_PPP_MTU: '1300' }).ppp.mtu, 1_300);
  t.strictSame(loadConfig(path, { LOCKSTEP_DNS: '192.0.2.1, 192.0.2.2' }).dns, ['192.0.2.1', '192.0.2.2']);
  t.equal(loadConfig(path, { LOCKSTEP_IKE_LEGACY: 'true' }).ike!.legacy, true);
  t.equal(loadConfig(path, { LOCKSTEP_LOG_FORMAT: 'pretty' }, { 'log.format': 'json' }).log.format, 'json');
  t.equal(
    mistake(() => loadConfig(path, { LOCKSTEP_IKE_LEGACY: 'perhaps' })).message,
    'environment LOCKSTEP_IKE_LEGACY: ike.legacy: perhaps is not allowed; allowed: true or false',
  );
  t.equal(
    mistake(() => loadConfig(path, {}, { 'log.format': 'xml' })).message,
    'command line: log.format: xml is not allowed; allowed: pretty or json',
  );
});

t.test('key files: a sentence that says what is wrong with the file', async (t) => {
  const path = write(t, 'ike:\n  psk_file: key\nl2tp: {host_name: a}');
  const key = join(path, '../key');
  const refuses = (want: string) =>
    t.equal(
      mistake(() => loadConfig(path, {})).message,
      `${path}:2: ike.psk_file: ${key} ${want}; allowed: a file with one line, mode 0600`,
    );
  refuses('cannot be read (no such file)');
  mkdirSync(key);
  refuses('is not a regular file');
  const set = (text: string, mode: number) => {
    loadable.push(text);
    writeFileSync(`${key}.${loadable.length}`, text, { mode });
    chmodSync(`${key}.${loadable.length}`, mode);
    return loadConfig(path, { LOCKSTEP_IKE_PSK_FILE: `${key}.${loadable.length}` });
  };
  const loadable: string[] = [];
  for (const [text, mode, why] of [
    ['k3y', 0o640, /has mode 0640, so others than its owner can open it/],
    ['k3y', 0o604, /has mode 0604/],
    ['', 0o600, /is empty/],
    ['\n', 0o600, /is empty/],
    ['a\nb\n', 0o600, /more than one line/],
    ['x'.repeat(5_000), 0o600, /has 5000 bytes/],
  ] as const) {
    const { message } = mistake(() => set(text, mode));
    t.match(message, why);
    t.notMatch(message, /k3y|xxx/, 'the key itself is not in the sentence');
  }
  const config = set('short\r\n', 0o400);
  t.equal(config.ike?.psk?.reveal(), 'short');
  t.strictSame(
    configWarnings(config).map((w) => w.event),
    ['config.short-psk'],
  );
});

t.test('keys per network and a tunnel secret are read too', async (t) => {
  const path = write(
    t,
    'ike: {psk_ranges: [{peers: [192.0.2.0/24, "2001:db8::/32"], psk_file: psk}]}\nl2tp: {secret_file: psk}',
  );
  const config = loadConfig(path, {});
  t.strictSame(
    config.ike!.pskRanges.map((r) => [r.peers, r.psk.reveal()]),
    [[['192.0.2.0/24', '2001:db8::/32'], 'a-key-of-more-than-20-characters']],
  );
  t.equal(config.l2tp.secret?.reveal(), 'a-key-of-more-than-20-characters');
  t.notMatch(JSON.stringify(config), /a-key-of/, 'a configuration can be printed');
});

t.test('a file that cannot be read', async (t) => {
  const dir = t.testdir({});
  t.equal(
    mistake(() => loadConfig(join(dir, 'no.yaml'), {})).message,
    `${join(dir, 'no.yaml')}: the file cannot be read (no such file); allowed: a readable YAML file`,
  );
  t.match(mistake(() => loadConfig(dir, {})).message, /cannot be read \(it is a directory\)/);
});

t.test('warnings for what clients with a split tunnel are told, or not', async (t) => {
  const warned = (yaml: string) => configWarnings(loadConfig(write(t, yaml), {})).map((w) => w.event);
  t.strictSame(warned('dhcp: {routes: [0.0.0.0/0]}'), ['config.full-tunnel']);
  t.strictSame(warned(`routes: [${MANY}]`), ['config.routes-not-told']);
  t.strictSame(warned(`routes: [${MANY}]\ndhcp: {routes: [10.20.1.0/24]}`), []);
});

t.test('warnings for choices that weaken', async (t) => {
  const config = loadConfig(write(t, 'ike: {legacy: true}\nppp: {auth: [mschapv2, pap]}'), {});
  t.strictSame(
    configWarnings(config).map((w) => w.event),
    ['config.legacy-crypto', 'config.pap'],
  );
});

t.test('listen addresses', async (t) => {
  const face = (address: string, internal = false, cidr = `${address}/32`) => [
    { address, internal, cidr } as import('node:os').NetworkInterfaceInfo,
  ];
  const host = {
    lo: face('127.0.0.1', true),
    eth0: [...face('192.0.2.1'), ...face('2001:db8::1'), ...face('fe80::1')],
    ppp: face('10.99.0.1'),
    ll: face('169.254.1.1'),
  };
  const load = (yaml: string) => loadConfig(write(t, yaml), {});
  t.strictSame(
    listenAddresses(load(''), host),
    ['192.0.2.1', '2001:db8::1'],
    'auto: global ones, without our own device',
  );
  t.strictSame(listenAddresses(load('listen: {addresses: [192.0.2.1]}'), host), ['192.0.2.1']);
  t.match(mistake(() => listenAddresses(load(''), { lo: host.lo })).message, /auto finds no address on this host/);
  t.match(
    mistake(() => listenAddresses(load('listen: {addresses: [192.0.2.9]}'), host)).message,
    /:1: listen.addresses: 192.0.2.9 is not an address of this host; allowed: auto, or any of 192.0.2.1, 2001:db8::1$/,
  );
  t.match(
    mistake(() => listenAddresses(load('pool:\n  ipv4: 192.0.2.0/24'), { eth0: face('192.0.2.9') })).message,
    /:2: pool.ipv4: 192.0.2.0\/24 contains 192.0.2.9, where this host listens/,
  );

  const lan = { eth0: face('203.0.113.9'), eth1: face('10.99.1.1', false, '10.99.1.1/16') };
  t.match(
    mistake(() => listenAddresses(load('pool:\n  ipv4: 10.99.0.0/24'), lan)).message,
    /:2: pool.ipv4: 10.99.0.0\/24 overlaps 10.99.0.0\/16, where eth1 is; allowed: .* reachability.proxy_arp: true$/,
  );
  t.strictSame(listenAddresses(load('reachability: {proxy_arp: true}'), lan), ['10.99.1.1', '203.0.113.9']);
});

t.test(
  'listen.raw: the addresses of one interface, for the families of the peers, and IPsec on the others',
  async (t) => {
    const face = (address: string) =>
      [{ address, internal: false, cidr: `${address}/24` }] as import('node:os').NetworkInterfaceInfo[];
    const host = {
      eth0: face('192.0.2.1'),
      isp0: [...face('10.1.0.5'), ...face('fe80::2'), ...face('2001:db8::2')],
    };
    const load = (yaml: string) => loadConfig(write(t, yaml), {});
    const RAW = 'listen: {raw: {interface: isp0, peers: [10.1.0.0/24, 10.7.0.9]}}';
    t.equal(rawListener(load(''), host), undefined);

    const alone = load(RAW);
    t.equal(alone.ike, null, 'without a section ike, nothing of IPsec');
    t.strictSame(listenAddresses(alone, host), []);
    t.strictSame(rawListener(alone, host), {
      interface: 'isp0',
      addresses: ['10.1.0.5'],
      peers: ['10.1.0.0/24', '10.7.0.9/32'],
    });
    t.match(configWarnings(alone), [
      { event: 'config.raw', hint: /without IPsec on isp0 to 10.1.0.0\/24, 10.7.0.9\/32:/ },
    ]);
    t.match(
      mistake(() => listenAddresses(load(`${RAW}\npool: {ipv4: 10.1.0.0/24}`), host)).message,
      /:2: pool.ipv4: 10.1.0.0\/24 contains 10.1.0.5/,
    );

    for (const ike of ['ike:', 'ike: {legacy: false}']) {
      const both = load(`${RAW}\n${ike}`);
      t.ok(both.ike);
      t.strictSame(listenAddresses(both, host), ['192.0.2.1', '2001:db8::2']);
    }
    t.ok(loadConfig(write(t, RAW), { LOCKSTEP_IKE_LEGACY: 'true' }).ike);
    const units = { LOCKSTEP_IKE_CHARON: 'external', LOCKSTEP_IKE_VICI: '/run/lockstep-ike/charon.vici' };
    t.equal(loadConfig(write(t, RAW), units).ike, null, 'where charon is, is no wish for IPsec');
    t.match(loadConfig(write(t, `${RAW}\nike:`), units).ike, { charon: 'external' });

    const two = 'listen:\n  addresses: [10.1.0.5]\n  raw: {interface: isp0, peers: [10.1.0.0/24]}';
    const rows: [yaml: string, want: RegExp][] = [
      [
        two,
        /:2: listen.addresses: serves IPsec, but there is no section ike; allowed: a section ike, or only listen.raw$/,
      ],
      [
        `${two}\nike:`,
        /:2: listen.addresses: 10.1.0.5 is the address of listen.raw; allowed: addresses of other interfaces$/,
      ],
      [
        'listen:\n  raw:\n    interface: isp1\n    peers: 10.0.0.0/8',
        /:3: listen.raw.interface: isp1 has no address on this host; allowed: any of eth0, isp0$/,
      ],
      [
        'listen: {raw: {interface: eth0, peers: ["2001:db8::/32"]}}',
        /:1: listen.raw.interface: eth0 has no address of the family of listen.raw.peers; allowed: any of eth0, isp0$/,
      ],
      [
        'listen:\n  raw:\n    interface: isp0\n    peers: [10.0.0.0/8, 0.0.0.0/0]',
        /:4: listen.raw.peers\[1\]: 0.0.0.0\/0 is too large .*; allowed: the networks of the peers, of \/8 or longer/,
      ],
      ['listen: {raw: {interface: isp0, peers: [0.0.0.0/1, 128.0.0.0/1]}}', /peers\[0\]: 0.0.0.0\/1 is too large/],
      ['listen: {raw: {interface: isp0, peers: [10.0.0.0/8, 12.0.0.0/7]}}', /peers\[1\]: 12.0.0.0\/7 is too large/],
      ['listen: {raw: {interface: isp0, peers: ["2000::/15"]}}', /peers\[0\]: 2000::\/15 is too large/],
      [
        'listen: {raw: {interface: isp0, peers: []}}',
        /listen.raw.peers: \[\] is not allowed; allowed: a list of 1 to 256/,
      ],
      ['listen: {raw: {interface: isp0}}', /listen.raw.peers/],
      [
        'listen: {raw: {interface: "is p0", peers: 10.0.0.1}}',
        /listen.raw.interface: is p0 is not allowed; allowed: an interface name/,
      ],
      ['listen: {raw: {interface: isp0, peers: 10.0.0.1, port: 1}}', /listen.raw.port: 1 is an unknown key/],
      ['listen: {raw: true}', /listen.raw: true is not allowed; allowed: a mapping of interface/],
    ];
    for (const [yaml, want] of rows) t.match(mistake(() => listenAddresses(load(yaml), host)).message, want);
  },
);

t.test('identities of a key: one peer, no address', async (t) => {
  const ids = (id: string) => loadConfig(write(t, `ike: {psk_ids: [{id: '${id}', psk_file: psk}]}`), {}).ike!.pskIds;
  for (const id of ['alice', 'alice@example.com', 'laptop.example.com', 'keyid:my group', 'C=CH, CN=laptop'])
    t.equal(ids(id)[0]?.id, id);
  for (const id of [
    '',
    '%any',
    '*',
    '*.example.com',
    '192.0.2.1',
    '192.0.2.0/24',
    '2001:db8::1',
    '0.0.0.0',
    'keyid:',
    'a b',
  ])
    t.match(
      mistake(() => ids(id)).message,
      /ike\.psk_ids\[0\]\.id: .* is not allowed; allowed: an identity other than/,
    );
});

t.test('keys of identities: what they are good for is said at start', async (t) => {
  const warnings = (more: string) =>
    configWarnings(loadConfig(write(t, `ike: {psk_file: none, psk_ids: [{id: alice, psk_file: psk}]${more}}`), {})).map(
      (w) => w.event,
    );
  t.strictSame(warnings(''), ['config.psk-ids-ikev2-only']);
  t.strictSame(warnings(', aggressive: true'), ['config.aggressive-mode']);
});

t.test('`identity` where nothing proves one is said at start', async (t) => {
  const warned = (ike: string) =>
    configWarnings(loadConfig(write(t, `ike: {${ike}}\nidentity: {alice: '*'}`), {})).some(
      (w) => w.event === 'config.identity-unproven',
    );
  const keys = 'psk_ids: [{id: alice, psk_file: psk}]';
  t.ok(warned('psk_file: psk'));
  t.ok(warned(`psk_file: psk, ${keys}`));
  t.notOk(warned(`psk_file: none, ${keys}`));
  t.notOk(warned(`psk_file: psk, ${keys}, aggressive: true`));
});
