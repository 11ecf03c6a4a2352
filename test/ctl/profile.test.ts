import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { NetworkInterfaceInfo } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { linux } from '../../src/ctl/profile/linux.js';
import type { Interfaces } from '../../src/daemon/config-check.js';
import { runCtl, scratch } from '../lib/ctl-rig.js';

/** Every character that means something to one of the languages. */
const NASTY = `a 'k'\u2019 "$x" \\b;<&>?%`;

function make(t: Test, more = '', psk = NASTY) {
  const dir = scratch(t);
  const write = (name: string, text: string) => writeFileSync(join(dir, name), text, { mode: 0o600 });
  write('psk', `${psk}\n`);
  write('group', 'the key of the group office\n');
  write(
    'lockstep.yaml',
    `ike: {psk_file: psk, psk_ids: [{id: office, psk_file: group}]${more}}\nusers_file: users.yaml\nlisten: {addresses: [203.0.113.5]}\nroutes: [10.20.0.0/16, 192.168.9.0/24]\n`,
  );
  write(
    'users.yaml',
    `users:\n  alice: {password: "it's \\\\ \\"q\\""}\n  hashed: {nt_hash: "44ebba8d5312b8d611474411f56989ae"}\n`,
  );
  const on =
    (interfaces: Interfaces) =>
    (...args: string[]) =>
      runCtl(['-c', join(dir, 'lockstep.yaml'), 'profile', ...args], { interfaces });
  return { dir, run: on({}), on, write };
}

t.test('windows: a PowerShell script with a byte order mark, single-quoted, nothing run with the key', async (t) => {
  const { run, dir } = make(t);
  const out = join(dir, 'a.ps1');
  const ran = await run('alice', '--for', 'windows', '--out', out, '--split');
  t.equal(ran.status, 0, ran.err);
  t.match(ran.out, /ExecutionPolicy/);
  t.notMatch(ran.out, /'k'/, 'the key is in the file only');
  t.equal(statSync(out).mode & 0o777, 0o600);
  const text = readFileSync(out, 'utf8');
  t.ok(text.startsWith('\ufeff'));
  t.match(text, `L2tpPsk = 'a ''k''\u2019\u2019 "$x" \\b;<&>?%'\r\n`);
  t.match(text, "ServerAddress = '203.0.113.5'");
  t.match(text, /SplitTunneling = \$true/);
  t.match(text, "EncryptionLevel = 'Optional'", 'of PPP, which has none here');
  t.match(text, "DestinationPrefix '192.168.9.0/24'");
  t.notMatch(text, /AssumeUDP/);
  t.notMatch(text, /"q"/, 'no password');
});

t.test('windows: a server behind NAT needs the registry value', async (t) => {
  const { run } = make(t);
  t.match((await run('alice', '--for', 'windows', '--behind-nat')).out, /AssumeUDPEncapsulationContextOnSendRule/);
});

t.test('a private listen address and another name to dial: behind NAT', async (t) => {
  const { run, dir } = make(t);
  const config = join(dir, 'lockstep.yaml');
  writeFileSync(config, readFileSync(config, 'utf8').replace('203.0.113.5', '192.168.1.2'));
  const behind = async (server: string) =>
    JSON.parse((await run('alice', '--for', 'windows', '--json', '--server', server)).out).behindNat;
  t.equal(await behind('vpn.example.com'), true);
  t.equal(await behind('192.168.1.2'), false);
});

t.test('the addresses of the host, as `listen.addresses: auto` takes them', async (t) => {
  const { on, write } = make(t);
  const face = (...addresses: string[]) =>
    addresses.map((address) => ({ address, internal: address.startsWith('127.') })) as NetworkInterfaceInfo[];
  const lo = face('127.0.0.1');
  write('lockstep.yaml', 'ike: {psk_file: psk}\nusers_file: users.yaml\n');
  const fields = async (interfaces: Interfaces, ...args: string[]) =>
    JSON.parse((await on({ lo, ...interfaces })('alice', '--for', 'windows', '--json', ...args)).out);
  const home = face('192.168.1.2', 'fe80::1', '2001:db8::2');
  const own = { lockstep0: face('10.99.0.1') };
  const behind = async (interfaces: Interfaces, server = 'vpn.example.com') =>
    (await fields(interfaces, '--server', server)).behindNat;
  t.equal(await behind({ eth0: home, ...own }), true, 'behind a home router, with IPv6');
  t.equal(await behind({ eth0: home, docker0: face('172.17.0.1'), ts0: face('100.64.0.7') }), true);
  t.equal(await behind({ eth0: home, eth1: face('198.51.100.1') }), false, 'one address is public');
  t.equal(await behind({ eth0: home }, '192.168.1.2'), false, 'clients dial the address itself');
  t.equal(await behind({ eth0: face('2001:db8::2') }), false, 'no NAT in IPv6');
  t.equal(await behind({}), false);
  t.equal((await fields({ eth0: face('198.51.100.1'), ...own })).server, '198.51.100.1', 'the one there is');
  t.match(await on({ eth0: home })('alice', '--for', 'linux'), { status: 2, err: /--server: say what clients dial/ });
  write(
    'lockstep.yaml',
    'ike: {psk_file: psk}\nusers_file: users.yaml\nlisten: {raw: {interface: eth1, peers: [198.51.100.0/24]}}\n',
  );
  t.equal(await behind({ eth0: home, eth1: face('198.51.100.1') }), true, 'none of them serves IPsec');
});

t.test('apple: a property list that another reader understands', async (t) => {
  const { run } = make(t);
  const { out } = await run('alice', '--for', 'apple', '--with-password', '--name', 'Work & <home>');
  const read =
    'import plistlib,sys,json;print(json.dumps(plistlib.loads(sys.stdin.buffer.read()),default=lambda b:b.decode()))';
  const [vpn] = JSON.parse(
    execFileSync('/usr/bin/python3', ['-c', read], { input: out, encoding: 'utf8' }),
  ).PayloadContent;
  t.match(vpn, {
    VPNType: 'L2TP',
    UserDefinedName: 'Work & <home>',
    PPP: { CommRemoteAddress: '203.0.113.5', AuthName: 'alice', AuthPassword: `it's \\ "q"` },
    IPSec: { AuthenticationMethod: 'SharedSecret', SharedSecret: NASTY },
    IPv4: { OverridePrimary: 1 },
  });
  t.match(vpn.PayloadUUID, /^[0-9A-F]{8}-[0-9A-F]{4}-5[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$/);
  t.equal(
    (await run('alice', '--for', 'apple', '--with-password', '--name', 'Work & <home>')).out,
    out,
    'the same again',
  );
});

t.test('apple: with the key of a group, and signed by the server certificate', async (t) => {
  const { run, dir } = make(t, ', certificates: {server: [{cert: cert.pem, key: key.pem}], ca: [ca.pem]}');
  const at = (name: string) => join(dir, name);
  for (const [name, constraints] of [
    ['ca', 'CA:TRUE'],
    ['cert', 'CA:FALSE'],
  ] as const) {
    const make = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30'];
    const what = ['-subj', `/CN=${name}`, '-addext', `basicConstraints=critical,${constraints}`];
    const names = ['-addext', 'subjectAltName=IP:203.0.113.5'];
    const files = ['-keyout', at('key.pem'), '-out', at(`${name}.pem`)];
    execFileSync('openssl', [...make, ...what, ...names, ...files], { stdio: 'ignore' });
  }
  chmodSync(at('key.pem'), 0o600);
  const refused = await run('alice', '--for', 'apple');
  t.equal(refused.status, 2);
  t.match(refused.err, /binary: use --out/);
  const ran = await run('alice', '--for', 'apple', '--identity', 'office', '--out', at('a.mobileconfig'));
  t.equal(ran.status, 0, ran.err);
  const plain = execFileSync(
    'openssl',
    ['cms', '-verify', '-noverify', '-inform', 'DER', '-in', at('a.mobileconfig')],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
  );
  t.match(plain, /<key>LocalIdentifier<\/key>\s*<string>office<\/string>/);
  t.match(plain, Buffer.from('the key of the group office').toString('base64'));
  t.match((await run('alice', '--for', 'apple', '--no-sign')).out, /^<\?xml/);
});

t.test('linux: a script that is one, with a keyfile; no command of it has the key', async (t) => {
  const { run } = make(t);
  const { out } = await run('alice', '--for', 'linux', '--route', '10.1.0.0/24');
  execFileSync('sh', ['-n'], { input: out });
  const [, keyfile] = /<<'END-OF-KEYFILE'\n([\s\S]*)END-OF-KEYFILE\n/.exec(out)!;
  const read = `import configparser,sys,json
c=configparser.RawConfigParser(delimiters=('=',),comment_prefixes=('#',));c.optionxform=str;c.read_string(sys.stdin.read())
print(json.dumps({s:dict(c[s]) for s in c.sections()}))`;
  t.match(JSON.parse(execFileSync('/usr/bin/python3', ['-c', read], { input: keyfile!, encoding: 'utf8' })), {
    connection: { type: 'vpn', id: 'VPN 203.0.113.5' },
    vpn: {
      'service-type': 'org.freedesktop.NetworkManager.l2tp',
      gateway: '203.0.113.5',
      user: 'alice',
      'password-flags': '2',
    },
    'vpn-secrets': { 'ipsec-psk': NASTY.replace('\\', '\\\\') },
    ipv4: { 'never-default': 'true', route1: '10.1.0.0/24' },
  });
  t.notMatch(out.replace(keyfile!, ''), /'k'/);
});

t.test('linux: no line of a keyfile ends before its value does', async (t) => {
  const evil = `x\nEND-OF-KEYFILE\ntouch /tmp/owned\r\n`;
  const { text } = linux({
    name: 'VPN',
    server: '203.0.113.5',
    user: 'alice',
    password: evil,
    psk: 'k',
    routes: [],
    behindNat: false,
  });
  t.match(text, 'password=x\\nEND-OF-KEYFILE\\ntouch /tmp/owned\\r\\n\n');
  t.equal(text.split('\n').filter((line) => line === 'END-OF-KEYFILE').length, 1);
});

t.test('routeros: what has a meaning there is written in hexadecimal', async (t) => {
  const { run } = make(t);
  const { out } = await run('alice', '--for', 'routeros', '--with-password');
  t.match(out, `ipsec-secret="a 'k'\\E2\\80\\99 \\22\\24x\\22 \\5Cb;<&>\\3F%"`);
  t.match(out, `password="it's \\5C \\22q\\22"`);
  t.match(out, 'add-default-route=yes');
});

t.test('chromeos and android', async (t) => {
  const { run } = make(t);
  const onc = JSON.parse((await run('alice', '--for', 'chromeos')).out);
  t.match(onc.NetworkConfigurations[0].VPN, {
    Type: 'L2TP-IPsec',
    Host: '203.0.113.5',
    IPsec: { AuthenticationType: 'PSK', IKEVersion: 1, PSK: NASTY },
    L2TP: { Username: 'alice', SaveCredentials: false },
  });
  t.match((await run('alice', '--for', 'android')).out, `a 'k'\u2019 &quot;$x&quot; \\b;&lt;&amp;&gt;?%`);
});

t.test('--json: the fields', async (t) => {
  const { run } = make(t);
  t.strictSame(JSON.parse((await run('alice', '--for', 'linux', '--json', '--server', 'vpn.example.com')).out), {
    name: 'VPN vpn.example.com',
    server: 'vpn.example.com',
    user: 'alice',
    psk: NASTY,
    routes: [],
    behindNat: false,
  });
});

t.test('refused with a sentence and status 2', async (t) => {
  const { run, write } = make(t);
  for (const [args, says] of [
    [['alice', '--for', 'beos'], /--for beos: is not one of windows, apple/],
    [['mallory', '--for', 'linux'], /mallory: no such user/],
    [['alice', '--for', 'linux', '--server', 'a b'], /--server a b: is neither a host name nor an address/],
    [['alice', '--for', 'linux', '--route', '10.0.0.0/33'], /--route 10.0.0.0\/33: is not an IPv4 network/],
    [['alice', '--for', 'linux', '--identity', 'x'], /--identity x: is not in ike.psk_ids/],
    [['alice', '--for', 'linux', '--name', 'a\nb'], /--name: is not a name/],
    [['hashed', '--for', 'linux', '--with-password'], /there is only the NT hash/],
    [['alice'], /required option '--for/],
  ] as const) {
    const { status, err, out } = await run(...args);
    t.equal(status, 2, args.join(' '));
    t.match(err, says);
    t.equal(out, '');
  }
  const lost = await run('alice', '--for', 'linux', '--out', '/nonexistent/x');
  t.equal(lost.status, 1);
  t.match(lost.err, /\/nonexistent\/x cannot be written/);
  write('lockstep.yaml', 'ike: {psk_file: psk}\nusers_file: users.yaml\n');
  t.match((await run('alice', '--for', 'linux')).err, /--server: say what clients dial/);
  t.match(
    (await run('alice', '--for', 'linux', '--server', 'v.example', '--split')).err,
    /`routes` of the configuration is empty/,
  );
});
