/**
 * The first start without a configuration: writes lockstep.yaml, a strong pre-shared key and one user, and says once what
 * to type into a client. Nothing that exists is ever overwritten; the configuration is written last, so that a first run
 * that was interrupted is simply run again.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, unlinkSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import ipaddr from 'ipaddr.js';
import { ipv4Network, overlap } from '../proto/aaa/address.js';
import { globalAddresses, type Interfaces } from './config-check.js';
import { ConfigError, whyUnreadable } from './errors.js';
import { passOn, passOnReadOnly } from './ownership.js';

export interface FirstRunOptions {
  readonly interfaces?: Interfaces;
  readonly random?: (n: number) => Uint8Array;
  /** Where there is one, the daemon is run by its owner: what root writes is to be read by him. */
  readonly stateDir?: string;
}

/**
 * What to print, once: it contains the new secrets. Undefined when a configuration was already there.
 * @throws ConfigError when the directory or a file cannot be written
 */
export function firstRun(
  configPath: string,
  { interfaces = networkInterfaces(), random = randomBytes, stateDir }: FirstRunOptions = {},
): string | undefined {
  const path = resolve(configPath);
  const dir = dirname(path);
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const psk = grouped(random(PSK_BITS / 8));
    const password = grouped(random(PASSWORD_BITS / 8));
    const daemon = stateDir !== undefined && existsSync(stateDir);
    const own: Pass = (draft, to) => daemon && passOn(draft, to, stateDir);
    const read: Pass = (draft, to) => daemon && passOnReadOnly(draft, to, stateDir);
    const newPsk = create(join(dir, 'psk'), `${psk}\n`, own);
    const newUser = create(join(dir, 'users.yaml'), usersYaml(password), own);
    if (!create(path, configYaml(freePool(interfaces)), read)) return undefined;
    return greeting(dir, serverAddress(interfaces), newPsk ? psk : undefined, newUser ? password : undefined);
  } catch (e) {
    throw new ConfigError(
      { file: dir },
      undefined,
      `the first configuration cannot be written (${whyUnreadable(e)})`,
      'a directory lockstepd may write, or --config with a file that exists',
    );
  }
}

/** The configuration a first run writes; etc/lockstep.yaml is this text with the default pool. */
export const configYaml = (
  pool: string = POOLS[0]!,
): string => `# Lockstep, an L2TP/IPsec gateway. Every setting with its default: docs/config.md. Check a change: lockstepd --check

ike:
  psk_file: psk              # the pre-shared key, alone in its file, mode 0600
  # legacy: true             # for old Apple, Android and router clients that know only MODP-1024; weak

pool:
  ipv4: ${`${pool}`.padEnd(21)}# clients get these addresses; a range such as 10.99.0.10-10.99.0.200 works too

# dns: [10.20.0.10]          # name servers told to clients, two at most
# routes: [10.20.0.0/24]     # the networks clients may reach; without this line, any

users_file: users.yaml       # names and passwords, mode 0600

# ppp:
#   auth: [mschapv2, eap]    # preferred first; chap-md5 and pap exist too, and need cleartext passwords
#   realms: [CORP]           # taken off CORP\\alice and alice@corp; without this line, any

# listen:
#   addresses: [192.0.2.1]   # default: every global address of this host

# reachability:
#   nat: off                 # when your routers know the way to the pool
#   interface: eth1          # where the inside is
`;

const usersYaml = (
  password: string,
): string => `# Who may connect. After a change: systemctl reload lockstep (or SIGHUP to lockstepd).
users:
  ${USER}: {password: "${password}"}
  # bob: {nt_hash: "32 hexadecimal digits", address: 10.99.0.50}
`;

function greeting(dir: string, server: string, psk: string | undefined, password: string | undefined): string {
  const kept = (file: string) => `(unchanged, in ${join(dir, file)})`;
  return `This is the first start: ${dir} now has a configuration, a key and a user. Type this into a client:

    Type             L2TP/IPsec with pre-shared key
    Server           ${server}
    Pre-shared key   ${psk ?? kept('psk')}
    User name        ${password === undefined ? kept('users.yaml') : USER}
    Password         ${password ?? kept('users.yaml')}

This is shown once. Behind a router, the server is the router's public address, and it must forward UDP 500 and 4500.
`;
}

/** Gives a draft to who runs the daemon. */
type Pass = (draft: string, path: string) => unknown;

/** Creates the file complete or not at all; false when there is one already. */
function create(path: string, text: string, pass: Pass): boolean {
  const draft = `${path}.${process.pid}.new`;
  writeFileSync(draft, text, { mode: 0o600, flag: 'wx' });
  try {
    pass(draft, path);
    linkSync(draft, path);
    return true;
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw e;
  } finally {
    unlinkSync(draft);
  }
}

/** Five bits a letter, in groups of four: no letter or digit that looks like another one. */
function grouped(bytes: Uint8Array): string {
  let bits = 0n;
  for (const b of bytes) bits = (bits << 8n) | BigInt(b);
  const letters = Array.from(
    { length: (bytes.length * 8) / 5 },
    (_, i) => ALPHABET[Number((bits >> BigInt(5 * i)) & 31n)],
  );
  return letters.join('').replace(/.{4}(?=.)/g, '$&-');
}

/** The first pool that meets no network of this host. */
function freePool(interfaces: Interfaces): string {
  const taken = globalAddresses(interfaces).flatMap(({ cidr }) => (cidr === null ? [] : (ipv4Network(cidr) ?? [])));
  return POOLS.find((pool) => !taken.some((network) => overlap(network, ipv4Network(pool)!))) ?? POOLS[0]!;
}

/** Public before private, IPv4 before IPv6: what a client most likely reaches. */
function serverAddress(interfaces: Interfaces): string {
  const rank = (address: string) => {
    const parsed = ipaddr.parse(address);
    return (parsed.range() === 'unicast' ? 0 : 2) + (parsed.kind() === 'ipv4' ? 0 : 1);
  };
  const addresses = globalAddresses(interfaces).map((a) => a.address);
  return addresses.sort((a, b) => rank(a) - rank(b))[0] ?? 'the address or name of this host';
}

/* Implementation */
const ALPHABET = 'abcdefghijkmnpqrstuvwxyz23456789';
/** An IKEv1 handshake can be recorded and its key guessed offline: 160 bits end that. */
const PSK_BITS = 160;
const PASSWORD_BITS = 80;
const USER = 'user';
const POOLS = ['10.99.0.0/24', '172.29.99.0/24', '192.168.199.0/24'];
