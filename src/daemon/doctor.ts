/**
 * Whether this host can be a gateway: one check per thing that goes wrong in the field, each with what to do about it. It only
 * looks, but for one ESP SA that the kernel is asked to take and to forget. `lockstep doctor` shows the findings.
 */
import type { NetworkInterfaceInfo } from 'node:os';
import ipaddr from 'ipaddr.js';
import { CHARON_PROGRAMS } from '../io/charon-process.js';
import { foreignDropPolicies } from '../io/firewall.js';
import { markUsers } from '../io/fwmarks.js';
import type { Run } from '../io/run.js';
import { probeEsp } from '../io/xfrm.js';
import type { Config } from './config.js';
import { configWarnings, globalAddresses } from './config-check.js';

export interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly text: string;
  /** What to do; for `warn` and `fail`. */
  readonly todo?: string;
}

/** What the checks look at; tests bring another world. */
export interface World {
  readonly run: Run;
  /** Undefined when it cannot be read. */
  read(path: string): string | undefined;
  /** Permission bits and kind; undefined when it is not there. */
  stat(path: string): { readonly mode: number; readonly device: boolean } | undefined;
  readonly interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>;
  /** `uname -r` */
  readonly kernel: string;
  readonly root: boolean;
  readonly now: Date;
  /** lockstepd answers on its control socket. */
  readonly running: boolean;
  /** The configuration, or the sentence that says what is wrong with it. */
  readonly config: Config | string;
}

export async function examine(world: World): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const check of CHECKS) findings.push(...[await check(world)].flat());
  return findings;
}

const ok = (check: string, text: string): Finding => ({ check, state: 'ok', text });
const warn = (check: string, text: string, todo: string): Finding => ({ check, state: 'warn', text, todo });
const fail = (check: string, text: string, todo: string): Finding => ({ check, state: 'fail', text, todo });

type Check = (world: World) => Finding | Finding[] | Promise<Finding | Finding[]>;

const configuration: Check = ({ config }) => {
  if (typeof config === 'string')
    return fail('configuration', config, 'mend the file; `lockstepd --init` writes a first one where there is none');
  const warnings = configWarnings(config).map(({ event, hint }) => warn('configuration', event, hint));
  return warnings.length > 0 ? warnings : ok('configuration', `${config.file} has no mistake`);
};

const rights: Check = ({ root }) =>
  root ? ok('rights', 'root') : warn('rights', 'not root: some checks see less', 'run `lockstep doctor` as root');

const files: Check = ({ config, stat }) => {
  if (typeof config === 'string') return [];
  const open = [config.file, config.usersFile].filter((path) => ((stat(path)?.mode ?? 0) & 0o022) !== 0);
  return open.length === 0
    ? ok('files', 'configuration and users can be changed by their owner only')
    : fail('files', `${open.join(', ')}: others may write it`, `chmod go-w ${open.join(' ')}`);
};

const kernelVersion: Check = ({ kernel }) => {
  const [major = 0, minor = 0] = kernel.split('.').map((n) => Number.parseInt(n, 10));
  return major > 5 || (major === 5 && minor >= 19)
    ? ok('kernel', `${kernel} tells the mark of a packet's SA (SO_RCVMARK)`)
    : fail(
        'kernel',
        `${kernel} has no SO_RCVMARK`,
        'Linux 5.19 or later is needed: clients behind one NAT are told apart by it',
      );
};

const esp: Check = async ({ run, root }) => {
  if (!root) return warn('ESP', 'not looked at', 'run `lockstep doctor` as root');
  return probeEsp(run).then(
    () => ok('ESP', 'the kernel takes an ESP SA in transport mode'),
    (error: Error) => fail('ESP', error.message, 'modprobe esp4 esp6 xfrm_user; in a container, on its host'),
  );
};

const tun: Check = ({ stat }) =>
  stat('/dev/net/tun')?.device === true
    ? ok('TUN', '/dev/net/tun is there')
    : fail('TUN', '/dev/net/tun is not there', 'modprobe tun; in a container, give it the device');

const PLUGINS = ['/usr/lib/ipsec/plugins', '/usr/libexec/ipsec/plugins'];
/** Those without which no client comes in. */
const NEEDED = ['nonce', 'kdf', 'openssl', 'kernel-netlink', 'socket-default', 'vici'];

const charon: Check = ({ stat, config }) => {
  if (typeof config !== 'string' && config.ike === null) return ok('charon', 'not needed without `ike`');
  const program = CHARON_PROGRAMS.find((path) => stat(path) !== undefined);
  if (program === undefined)
    return fail('charon', `no IKE daemon in ${CHARON_PROGRAMS.join(', ')}`, 'apt-get install charon-systemd');
  const dir = PLUGINS.find((path) => stat(path) !== undefined);
  const missing =
    dir === undefined ? [] : NEEDED.filter((name) => stat(`${dir}/libstrongswan-${name}.so`) === undefined);
  return missing.length === 0
    ? ok('charon', `${program}, with the plugins it needs`)
    : fail(
        'charon',
        `${program} lacks the plugins ${missing.join(', ')}`,
        'apt-get install libstrongswan-standard-plugins libcharon-extra-plugins',
      );
};

/** `ss -Hulpn`: who has which UDP port. */
const ports: Check = async ({ run, running }) => {
  const { status, stdout } = await run('ss', ['-Hulpn']);
  if (status !== 0) return warn('ports', 'not looked at: ss is missing', 'apt-get install iproute2');
  const taken = new Map<string, string>();
  for (const line of stdout.split('\n')) {
    const [, port] = /^\S+\s+\S+\s+\S+\s+\S*:(500|4500|1701)\s/.exec(line) ?? [];
    if (port !== undefined) taken.set(port, /users:\(\("([^"]+)"/.exec(line)?.[1] ?? 'another program');
  }
  const who = [...taken].map(([port, program]) => `UDP ${port}: ${program}`).join(', ');
  if (taken.size === 0)
    return running
      ? warn('ports', 'nobody has 500, 4500 or 1701', 'see `lockstep status`')
      : ok('ports', '500, 4500 and 1701 are free');
  if (running && ![...taken.values()].some((p) => /pluto|racoon|xl2tpd|^iked$|starter/.test(p)))
    return ok('ports', who);
  return fail(
    'ports',
    who,
    'stop and disable the other IKE or L2TP daemon: systemctl disable --now strongswan strongswan-starter xl2tpd',
  );
};

const forwarding: Check = ({ read, config }) => {
  const on = read('/proc/sys/net/ipv4/ip_forward')?.trim() === '1';
  if (on) return ok('forwarding', 'net.ipv4.ip_forward is 1');
  const ours = typeof config === 'string' || config.reachability.ipForward;
  return ours
    ? ok('forwarding', 'off now; lockstepd switches it on while it runs')
    : fail(
        'forwarding',
        'net.ipv4.ip_forward is 0',
        'set it, e.g. in /etc/sysctl.d, or `reachability.ip_forward: true`',
      );
};

const reversePath: Check = ({ read, interfaces }) => {
  const value = (name: string) => Number(read(`/proc/sys/net/ipv4/conf/${name}/rp_filter`)?.trim() ?? 0);
  const outer = [...new Set(globalAddresses(interfaces).map((a) => a.on))];
  const strict = outer.filter((name) => Math.max(value('all'), value(name)) === 1);
  return strict.length === 0 || outer.length < 2
    ? ok('rp_filter', 'does not drop packets of clients')
    : warn(
        'rp_filter',
        `strict on ${strict.join(', ')}`,
        'with several uplinks, packets that come in by one and would leave by another are dropped: set it to 2 there',
      );
};

const firewall: Check = async ({ run, root }) => {
  if (!root) return warn('firewall', 'not looked at', 'run `lockstep doctor` as root');
  const nft = (await run('nft', ['--version'])).status === 0;
  if (!nft && (await run('iptables-legacy', ['--version'])).status !== 0)
    return fail('firewall', 'neither nft nor iptables-legacy is installed', 'apt-get install nftables');
  const dropping = await foreignDropPolicies(run);
  return dropping.length === 0
    ? ok('firewall', `${nft ? 'nft' : 'iptables-legacy'}; no foreign chain drops by policy`)
    : dropping.map((chain) =>
        warn(
          'firewall',
          `${chain} drops what it does not accept`,
          'accept UDP 500, UDP 4500, ESP and forwarded packets there',
        ),
      );
};

const marks: Check = async ({ run, root }) => {
  if (!root) return warn('marks', 'not looked at', 'run `lockstep doctor` as root');
  const rules = await markUsers(run);
  return rules.length === 0
    ? ok('marks', 'no rule of others matches or sets a mark from 1 to 65535')
    : rules.map((rule) =>
        warn('marks', rule, "clients' SAs have the marks 1 to 65535: take others for this rule, or a mask"),
      );
};

const nat: Check = ({ interfaces }) => {
  const addresses = globalAddresses(interfaces).map((a) => a.address);
  if (addresses.length === 0) return fail('addresses', 'this host has no global address', 'bring the network up');
  const isPublic = addresses.some((a) => ipaddr.parse(a).range() === 'unicast' && ipaddr.parse(a).kind() === 'ipv4');
  return isPublic
    ? ok('addresses', addresses.join(', '))
    : warn(
        'addresses',
        `${addresses.join(', ')}: no public IPv4 address`,
        'clients from outside need UDP 500 and 4500 forwarded to this host, and Windows AssumeUDPEncapsulationContextOnSendRule = 2',
      );
};

/** RFC 3193 over a link of fewer octets leaves clients less than 1280 inside. */
const LEAST_MTU = 1400;

const mtu: Check = ({ interfaces, read }) => {
  const small = [...new Set(globalAddresses(interfaces).map((a) => a.on))].flatMap((name) => {
    const n = Number(read(`/sys/class/net/${name}/mtu`)?.trim() ?? 0);
    return n > 0 && n < LEAST_MTU ? [`${name}: ${n}`] : [];
  });
  return small.length === 0
    ? ok('MTU', `every interface takes ${LEAST_MTU} octets or more`)
    : warn('MTU', small.join(', '), 'set `ppp.mtu` to 150 octets less, or clients connect and large pages hang');
};

const clock: Check = async ({ run, now, config }) => {
  if (now.getUTCFullYear() < 2025)
    return fail('clock', `it says ${now.toISOString()}`, 'set it: certificates depend on it');
  const { status, stdout } = await run('timedatectl', ['show', '-p', 'NTPSynchronized', '--value']);
  const certificates = typeof config !== 'string' && (config.ike?.certificates ?? null) !== null;
  return status === 0 && stdout.trim() === 'no' && certificates
    ? warn('clock', 'not synchronized', 'certificates depend on it: apt-get install systemd-timesyncd')
    : ok('clock', now.toISOString());
};

const CHECKS: readonly Check[] = [
  configuration,
  rights,
  files,
  kernelVersion,
  esp,
  tun,
  charon,
  ports,
  forwarding,
  reversePath,
  firewall,
  marks,
  nat,
  mtu,
  clock,
];
