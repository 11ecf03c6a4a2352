/** What is done to the host outside a run of the daemon: before charon is started by systemd, and after the package goes. */
import { dirname, join } from 'node:path';
import { refuseTakenPorts, writeCharonConf } from '../io/charon-process.js';
import { openFirewall } from '../io/firewall.js';
import type { Run } from '../io/run.js';
import { Sysctls } from '../io/sysctl.js';
import { removeOwn } from '../io/xfrm.js';
import { prepareKernel } from './charon-host.js';
import type { Config } from './config.js';
import { callControl } from './control.js';
import type { Log } from './log.js';

/** The host's own, but for tests. */
export interface Tools {
  readonly run?: Run;
  /** Of IKE. */
  readonly ports?: readonly number[];
  /** /proc/sys */
  readonly sysctls?: string;
}

/**
 * For `ike.charon: external`: no other IKE daemon runs, the kernel is clear (marks begin at 1 again in a new charon), and
 * strongswan.conf lies beside the VICI socket. Rejects with a sentence.
 */
export async function prepareIke(
  config: Config,
  listen: readonly string[],
  log: Log,
  { run, ports }: Tools = {},
): Promise<void> {
  const { ike, stateDir } = config;
  if (ike === null) throw new Error('this configuration serves listen.raw only and needs no IKE daemon');
  await refuseTakenPorts(ports);
  await prepareKernel({ xfrm: xfrmOf(stateDir, run), listen, allowForeign: ike.allowForeign, log });
  await writeCharonConf(join(dirname(ike.vici), 'strongswan.conf'), ike.vici, { aggressive: ike.aggressive });
}

/** What a daemon or a charon that was killed leaves: SAs and policies, the guard of UDP 1701, kernel settings. */
export async function cleanHost({ control, stateDir }: Config, log: Log, { run, sysctls }: Tools = {}): Promise<void> {
  const running = await callControl(control.socket, 'GET', '/status').then(
    () => true,
    () => false,
  );
  if (running) throw new Error('lockstepd is running: stop it first');
  const removed = await removeOwn(xfrmOf(stateDir, run));
  await (await openFirewall(run && { run })).removeAll();
  await new Sysctls({ record: join(stateDir, 'sysctl-owned.json'), ...(sysctls && { root: sysctls }) }).restore();
  log.info('host.cleaned', { removed });
}

const xfrmOf = (stateDir: string, run?: Run) => ({ record: join(stateDir, 'xfrm-owned.json'), ...(run && { run }) });
