import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Config, loadConfig } from '../../src/daemon/config.js';
import { ControlServer } from '../../src/daemon/control.js';
import { cleanHost, prepareIke } from '../../src/daemon/upkeep.js';
import type { Run } from '../../src/io/run.js';
import { HANDLERS, scratch } from '../lib/ctl-rig.js';
import { type LogLine, memoryLog } from '../lib/daemon-rig.js';

const GW = '198.51.100.1';
const OURS =
  `src 192.0.2.9 dst ${GW}\n\tproto esp spi 0xc0000001 reqid 1 mode transport\n` +
  `\toutput-mark 0x1/0xffffffff\n\tsel src 192.0.2.9/32 dst ${GW}/32 proto udp sport 1701 dport 1701\n`;
const FOREIGN = `src 203.0.113.5 dst 203.0.113.6\n\tproto esp spi 0xc0000002 reqid 9 mode tunnel\n`;
const SHUNT = `src 0.0.0.0/0 dst ${GW}/32 proto udp dport 1701\n\tdir in action block priority 1\n`;

/** A kernel that lists and deletes, without ESP if wanted, and a firewall that takes what it is given. */
class Kernel {
  states: string[] = [];
  policies: string[] = [];
  nft: string[] = [];
  esp = true;
  /** Deletions do nothing. */
  keeps = false;

  readonly run: Run = async (tool, args, input = '') => {
    const said = (stdout = '', status = 0, stderr = '') => ({ status, stdout, stderr });
    if (tool === 'nft') {
      this.nft.push(input);
      return said();
    }
    if (args[1] === 'state' && args[2] === 'add')
      return this.esp ? said() : said('', 2, 'Error: Protocol not supported.');
    if (args[1] === 'state' && args[2] === 'list') return said(this.states.join(''));
    if (args[1] === 'policy') return said(this.policies.join(''));
    if (args.includes('-batch') && !this.keeps) {
      for (const line of input.split('\n')) {
        const [, spi] = /^xfrm state delete .* spi (0x\w+)/.exec(line) ?? [];
        if (spi !== undefined) this.states = this.states.filter((s) => !s.includes(`spi ${spi} `));
        if (line.startsWith('xfrm policy delete')) this.policies = this.policies.filter((p) => !p.includes('dir in'));
      }
    }
    return said();
  };
}

const rig = (t: Test, yaml = '') => {
  const dir = t.testdir({ 'lockstep.yaml': `run_dir: run\nstate_dir: state\n${yaml}`, sys: {} });
  writeFileSync(join(dir, 'psk'), 'a shared key', { mode: 0o600 });
  const kernel = new Kernel();
  const log: LogLine[] = [];
  const config: Config = loadConfig(join(dir, 'lockstep.yaml'), {});
  const prepare = () => prepareIke(config, [GW], memoryLog(log), { run: kernel.run, ports: [] });
  const clean = () => cleanHost(config, memoryLog(log), { run: kernel.run, sysctls: join(dir, 'sys') });
  return { dir, kernel, log, config, prepare, clean };
};

t.test('--prepare-ike: what an earlier charon left goes, strongswan.conf is there', async (t) => {
  const { kernel, log, config, prepare } = rig(t);
  kernel.states = [OURS];
  kernel.policies = [SHUNT];
  await prepare();
  t.strictSame([kernel.states, kernel.policies], [[], []]);
  t.match(log, [{ level: 'info', event: 'ike.stale-removed', fields: { removed: 2 } }]);
  const conf = join(config.runDir, 'strongswan.conf');
  t.match(readFileSync(conf, 'utf8'), `socket = unix://${config.ike?.vici}`);
  t.match(readFileSync(conf, 'utf8'), /use_aggressive_mode_psk = no/);
  t.equal(statSync(conf).mode & 0o777, 0o600);
  t.match(readFileSync(join(config.stateDir, 'xfrm-owned.json'), 'utf8'), GW, 'a later run knows our SAs by it');
  t.strictSame(kernel.nft, [], 'the firewall is the daemon’s');
});

t.test('--prepare-ike: Aggressive Mode is answered only where the configuration wants it', async (t) => {
  const { config, prepare } = rig(t, 'ike: {aggressive: true, psk_ids: [{id: alice, psk_file: psk}]}\n');
  await prepare();
  t.match(readFileSync(join(config.runDir, 'strongswan.conf'), 'utf8'), /use_aggressive_mode_psk = yes/);
});

t.test('--prepare-ike: IPsec of others is left alone, and is a reason not to start', async (t) => {
  const { kernel, config, prepare } = rig(t);
  kernel.states = [OURS, FOREIGN];
  await t.rejects(prepare(), { message: /IPsec state that is not ours \(SA esp tunnel 203\.0\.113\.5.*allow_foreign/ });
  t.strictSame(kernel.states, [FOREIGN]);
  t.notOk(existsSync(join(config.runDir, 'strongswan.conf')), 'no charon can start');
});

t.test('--prepare-ike: unless allowed', async (t) => {
  const { kernel, log, prepare } = rig(t, 'ike: {allow_foreign: true}\n');
  kernel.states = [FOREIGN];
  await prepare();
  t.strictSame(kernel.states, [FOREIGN]);
  t.match(log, [{ level: 'warn', event: 'ike.foreign-xfrm' }]);
});

t.test('--prepare-ike: no', async (t) => {
  await t.test('a kernel without ESP', async (t) => {
    const { kernel, prepare } = rig(t);
    kernel.esp = false;
    await t.rejects(prepare(), { message: /this kernel has no ESP \(ip xfrm: Protocol not supported\)/ });
  });
  await t.test('a kernel that keeps what it should lose', async (t) => {
    const { kernel, prepare } = rig(t);
    kernel.states = [OURS];
    kernel.keeps = true;
    await t.rejects(prepare(), { message: /the kernel kept 1 SAs and 0 policies of an earlier run/ });
  });
  await t.test('nothing to do with IKE', async (t) => {
    const raw = 'listen: {raw: {interface: lo, peers: [192.0.2.0/24]}}\n';
    await t.rejects(rig(t, raw).prepare(), { message: /serves listen\.raw only and needs no IKE daemon/ });
  });
});

t.test('--clean: SAs, policies, firewall and kernel settings of a daemon that was killed', async (t) => {
  const { dir, kernel, log, config, clean } = rig(t);
  kernel.states = [OURS, FOREIGN];
  kernel.policies = [SHUNT];
  const forward = join(dir, 'sys/net/ipv4/ip_forward');
  mkdirSync(join(forward, '..'), { recursive: true });
  writeFileSync(forward, '1\n');
  mkdirSync(config.stateDir, { recursive: true });
  const record = join(config.stateDir, 'sysctl-owned.json');
  writeFileSync(record, JSON.stringify([{ path: ['net', 'ipv4', 'ip_forward'], old: '0', ours: '1' }]));
  await clean();
  t.strictSame([kernel.states, kernel.policies], [[FOREIGN], []]);
  t.match(kernel.nft.at(-1), /delete table inet lockstep/);
  t.equal(readFileSync(forward, 'utf8').trim(), '0', 'as before');
  t.notOk(existsSync(record));
  t.match(log, [{ level: 'info', event: 'host.cleaned', fields: { removed: 2 } }]);
  await clean();
  t.match(log.at(-1), { event: 'host.cleaned', fields: { removed: 0 } }, 'again: nothing to do');
});

t.test('--clean: not under a daemon that runs', async (t) => {
  const { kernel, config, clean } = rig(t, `control: {socket: ${scratch(t)}/control.sock}\n`);
  kernel.states = [OURS];
  const server = await ControlServer.open(config.control.socket, HANDLERS);
  t.teardown(() => server.close());
  await t.rejects(clean(), { message: 'lockstepd is running: stop it first' });
  t.strictSame([kernel.states, kernel.nft], [[OURS], []]);
});
