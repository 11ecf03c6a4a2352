// Who is measured: each LNS (or its absence) sits in a namespace of its own between client and server, all at the same time, so
// that a round can ask one after the other.
//
//   client 10.200.N.2 -- 10.200.N.1 LNS 10.201.N.1 -- 10.201.N.2 server
//   the client's LAC also has 10.(150+N).0.0/16, the sessions are in 10.(100+N).0.0/16
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LacOptions, Load, Loaded, Question } from './lac.js';
import { dialogue, type Net, pause, sh, until } from './net.js';

const REPO = fileURLToPath(new URL('../..', import.meta.url));
const here = (program: string): string => fileURLToPath(new URL(`./${program}`, import.meta.url));
const SECRET = 'bench';
/** What the LAC says its sessions are: four of each user. */
const SESSIONS_PER_USER = 4;
const SESSIONS = 52_000;
/** At one time; the LAC has an address for each, and a listener. */
export const TUNNELS = 250;

/** Debian packages only the benches need. */
const PACKAGES = ['l2tpns', 'iperf3', 'ethtool', 'gcc'];

export type Kind = 'lockstep' | 'l2tpns' | 'kernel' | 'node';

export interface Target {
  readonly kind: Kind;
  /** The LNS; absent for `kernel`. */
  pid: number | undefined;
  /** Its namespace, and the one number its addresses have in common. */
  readonly n: number;
  readonly lacPid: number | undefined;
  /** The address traffic of the client comes from. */
  address: string;
  setUp(load: Load): Promise<Loaded>;
  tearDown(): Promise<void>;
  /** A new process in the place of the LNS: l2tpns does not forget a round in which messages were lost. */
  restart(): Promise<void>;
  /** Asks so many times for an answer; milliseconds each, -1 for none within a second. */
  ask(session: number, question: Question, count: number, everyMs: number): Promise<number[]>;
  /** Devices on the way, as Net.wire wants them. */
  readonly ends: readonly string[];
}

/** Installs what is missing, builds the packet program. @throws what could not be had */
export function prepare(net: Net): void {
  install(PACKAGES);
  sh('gcc', '-O2', '-Wall', '-Wextra', '-o', packets(net), join(REPO, 'bench/packets.c'));
}

/** Debian packages that are missing: the programs, not their services. */
export function install(wanted: readonly string[]): void {
  const known = sh('dpkg-query', '-W', '-f', '$'.concat('{Package} $', '{db:Status-Status}\n')).split('\n');
  const names = wanted.filter((p) => !known.includes(`${p} installed`));
  if (names.length === 0) return;
  const policy = '/usr/sbin/policy-rc.d';
  const ours = !existsSync(policy);
  if (ours) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    sh('env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq', 'install', '-y', '--no-install-recommends', ...names);
  } finally {
    if (ours) rmSync(policy);
  }
}

export const packets = (net: Net): string => join(net.dir, 'packets');

export function ground(net: Net): void {
  net.add('client');
  net.add('server');
}

/** `tunnels`: for how many the LAC has an address; `sessions`: how many lockstepd has room for. */
export async function open(net: Net, kind: Kind, n: number, tunnels = TUNNELS, sessions = SESSIONS): Promise<Target> {
  const space = `n${n}`;
  net.add(space);
  net.link(`client c${n} 10.200.${n}.2/24`, `${space} out 10.200.${n}.1/24`);
  net.link(`server s${n} 10.201.${n}.2/24`, `${space} in 10.201.${n}.1/24`);
  for (const [name, device] of [
    [space, 'out'],
    [space, 'in'],
  ] as const)
    await until(`${device} is up`, () => net.run(name, 'cat', `/sys/class/net/${device}/operstate`).trim() === 'up');
  net.ip('client', 'route', 'add', 'local', `10.${150 + n}.0.0/16`, 'dev', 'lo');
  net.ip(space, 'route', 'add', `10.${150 + n}.0.0/16`, 'via', `10.200.${n}.2`);
  net.ip('server', 'route', 'add', `10.${100 + n}.0.0/16`, 'via', `10.201.${n}.1`);
  net.ip('server', 'route', 'add', 'blackhole', `10.199.${n}.0/24`);
  net.ip(space, 'route', 'add', `10.199.${n}.0/24`, 'via', `10.201.${n}.2`);
  const ends = [`client c${n}`, `${space} out`, `${space} in`, `server s${n}`];
  if (kind === 'kernel') {
    const address = `10.${100 + n}.0.9`;
    net.ip('client', 'addr', 'add', `${address}/32`, 'dev', `c${n}`);
    net.ip(space, 'route', 'add', `${address}/32`, 'via', `10.200.${n}.2`);
    net.ip('client', 'route', 'add', `10.201.${n}.2/32`, 'via', `10.200.${n}.1`, 'src', address);
    const none = () => Promise.reject(new Error('no LNS here'));
    return {
      kind,
      pid: undefined,
      lacPid: undefined,
      n,
      address,
      setUp: none,
      ask: none,
      tearDown: async () => {},
      restart: async () => {},
      ends,
    };
  }
  const start = () => LNS[kind](net, space, n, sessions);
  return withLac(net, kind, n, tunnels, start, ends);
}

async function withLac(
  net: Net,
  kind: Kind,
  n: number,
  tunnels: number,
  start: () => Promise<number>,
  ends: readonly string[],
): Promise<Target> {
  const pid = await start();
  const options: LacOptions = {
    local: [`10.200.${n}.2`, ...Array.from({ length: tunnels - 1 }, (_, i) => `10.${150 + n}.1.${i + 1}`)],
    remote: `10.200.${n}.1`,
    interface: `c${n}`,
    tun: `t${n}`,
    ...(kind === 'l2tpns' ? { secret: SECRET } : {}),
  };
  const lac = net.start(
    'client',
    process.execPath,
    '--max-old-space-size=4096',
    here('lac.js'),
    JSON.stringify(options),
  );
  const ask = dialogue(lac);
  await ask();
  net.ip('client', 'route', 'add', `10.201.${n}.2/32`, 'dev', `t${n}`);
  const target: Target = {
    kind,
    pid,
    lacPid: lac.pid,
    n,
    address: '',
    ends,
    setUp: async (load) => {
      const fixed = `10.${100 + n}.0.2`;
      const loaded = (await ask(kind === 'node' ? { fixed } : { up: load })) as Loaded;
      target.address = loaded.sessions[0]?.address ?? '';
      return loaded;
    },
    ask: async (session, question, count, everyMs) =>
      (await ask({ ask: { session, question, count, everyMs } })) as number[],
    tearDown: async () => void (await ask({ down: true })),
    restart: async () => {
      process.kill(target.pid!, 'SIGKILL');
      await until('it is gone', () => !existsSync(`/proc/${target.pid}`));
      target.pid = await start();
    },
  };
  return target;
}

/** Start an LNS; its process id. */
const LNS = { lockstep, l2tpns, node: naive } as const;

async function lockstep(net: Net, space: string, n: number, sessions: number): Promise<number> {
  const dir = join(net.dir, space);
  mkdirSync(dir, { recursive: true });
  const write = (file: string, text: string) => writeFileSync(join(dir, file), text, { mode: 0o600 });
  const users = Array.from(
    { length: Math.ceil(sessions / SESSIONS_PER_USER) + 1 },
    (_, i) => `  user${i}: {password: bench}\n`,
  );
  write('users.yaml', `users:\n${users.join('')}`);
  write(
    'lockstep.yaml',
    `listen: {raw: {interface: out, peers: [10.200.${n}.2, 10.${150 + n}.0.0/16]}}
pool: {ipv4: 10.${100 + n}.0.0/${sessions > 0xffff ? 15 : 16}}
ppp: {auth: [mschapv2, chap-md5, pap], mtu: 1400, echo_interval: ${sessions > 0xffff ? '1h' : '30s'}}
limits: {tunnels: 65000, sessions: ${sessions}, half_open: 4096, half_open_per_address: 4096}
reachability: {nat: off}
run_dir: ${dir}/run
state_dir: ${dir}/state
log: {level: warn}
`,
  );
  const daemon = net.start(
    space,
    process.execPath,
    ...process.execArgv,
    join(REPO, 'dist/src/main.js'),
    '-c',
    join(dir, 'lockstep.yaml'),
    '--log-format',
    'json',
  );
  daemon.stdout!.resume();
  await until('lockstepd is ready', () => net.run(space, 'ss', '-lunH', 'sport = :1701') !== '');
  return daemon.pid;
}

async function l2tpns(net: Net, space: string, n: number): Promise<number> {
  const dir = join(net.dir, space);
  mkdirSync(dir, { recursive: true });
  const settings = {
    log_file: '"/dev/null"',
    debug: 1,
    pid_file: `"${dir}/pid"`,
    l2tp_secret: `"${SECRET}"`,
    primary_dns: '10.0.0.1',
    primary_radius: '127.0.0.1',
    primary_radius_port: 1812,
    radius_secret: `"${SECRET}"`,
    radius_authtypes: '"pap,chap"',
    radius_accounting: 'no',
    bind_address: `10.200.${n}.1`,
    tundevicename: '"ltun"',
    l2tp_mtu: 1500,
    ppp_keepalive: 'no',
    packet_limit: 0,
    icmp_rate: 0,
    cluster_interface: '"in"',
    cluster_hb_interval: 3,
    cluster_hb_timeout: 10,
    cluster_master_min_adv: 1,
    allow_duplicate_users: 'yes',
  };
  const text = Object.entries(settings).map(([k, v]) => `set ${k} ${v}\n`);
  writeFileSync(join(dir, 'startup-config'), text.join(''));
  writeFileSync(join(dir, 'ip_pool'), `10.${100 + n}.0.0/16\n`);
  if (net.run(space, 'ss', '-lunH', 'sport = :1812') === '')
    net.start(space, process.execPath, here('radius.js'), SECRET);
  // Its files have fixed names.
  const script = `mount --bind ${dir} /etc/l2tpns && exec l2tpns -c ${dir}/startup-config`;
  const daemon = net.start(space, 'unshare', '--mount', 'sh', '-c', script);
  await until('l2tpns has its device', () => net.run(space, 'ip', '-br', 'link').includes('ltun'));
  await pause(5_000); // until it believes to be the master of its cluster
  return daemon.pid;
}

async function naive(net: Net, space: string, n: number): Promise<number> {
  const forwarder = net.start(space, process.execPath, here('naive.js'), `10.200.${n}.1`, `10.200.${n}.2`, 'ntun');
  await dialogue(forwarder)();
  net.ip(space, 'addr', 'add', `10.${100 + n}.0.1/16`, 'dev', 'ntun');
  return forwarder.pid;
}
