#!/usr/bin/env node
/** `lockstepd`: arguments, signals, exit codes (0 clean stop, 1 run-time failure, 2 wrong configuration or usage). */
import { existsSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { Command } from 'commander';
import { type Config, DEFAULT_CONFIG, loadConfig } from './daemon/config.js';
import { checkOnHost, ownAddresses } from './daemon/config-check.js';
import { SCHEMA } from './daemon/config-schema.js';
import { ConfigError, EXIT } from './daemon/errors.js';
import { firstRun } from './daemon/first-run.js';
import { Gateway } from './daemon/gateway.js';
import { type Listening, realHost } from './daemon/host.js';
import { onSignal } from './daemon/leaving.js';
import { createLogger, type RootLog as Log } from './daemon/log.js';
import { cleanHost, prepareIke } from './daemon/upkeep.js';
import { UserStore } from './daemon/users.js';
import { keepMemoryOutOfCores } from './io/core-dump.js';
import { endProcess, serviceManager } from './io/notify.js';

interface Arguments {
  readonly config: string;
  readonly logFormat?: string;
  readonly logLevel?: string;
  readonly check?: boolean;
  readonly init?: boolean;
  readonly prepareIke?: boolean;
  readonly clean?: boolean;
}

const STATE_DIR = SCHEMA.state_dir.default as string;

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const parseArguments = (): Arguments =>
  new Command('lockstepd')
    .description('L2TP/IPsec gateway: IKE SA and L2TP tunnel move in lockstep')
    .version(version)
    .option('-c, --config <file>', 'configuration', DEFAULT_CONFIG)
    .option('--log-format <pretty|json>', 'instead of log.format')
    .option('--log-level <error|warn|info|debug>', 'instead of log.level')
    .option('--init', 'write a first configuration where there is none, say what to type into a client, and stop')
    .option('--check', 'read the configuration and the users, say what is wrong, and stop')
    .option('--prepare-ike', 'for lockstep-ike.service: make kernel and directory ready for charon, and stop')
    .option('--clean', 'after a crash: remove what is left in kernel and firewall, put its settings back, and stop')
    .exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.config))
    .parse()
    .opts<Arguments>();

const main = async (): Promise<void> => {
  const args = parseArguments();
  keepMemoryOutOfCores();
  if (existsSync(args.config)) {
    if (args.init === true) process.stdout.write(`${args.config} is there already: nothing was changed\n`);
  } else if (args.check !== true && args.prepareIke !== true && args.clean !== true) {
    // There the unit reads it, as a user of its own.
    const greeting = firstRun(args.config, args.config === DEFAULT_CONFIG ? { stateDir: STATE_DIR } : {});
    if (greeting !== undefined) process.stdout.write(`${greeting}\n`);
  }
  if (args.init === true) return;
  const read = () => loadConfig(args.config, process.env, overrides(args));
  const config = read();
  if (args.clean === true) return cleanHost(config, createLogger(config.log));
  const { users, listening } = checkOnHost(config, networkInterfaces());
  if (args.check === true) {
    process.stdout.write(`${args.config}: no mistake in it; users: ${users.size}\n`);
    return;
  }
  const log = createLogger(config.log);
  if (args.prepareIke === true) return prepareIke(config, listening.listen, log);
  await run(config, read, users, listening, log);
};

const run = async (
  config: Config,
  read: () => Config,
  users: UserStore,
  listening: Listening,
  log: Log,
): Promise<void> => {
  let gateway: Gateway | undefined;
  /** When the stop that is under way began. */
  let leaving: number | undefined;
  const systemd = serviceManager({ onError: (errno) => log.warn('systemd.unreachable', { errno }) });
  const leave = (reason: string, code: number) => {
    if (leaving !== undefined) return;
    leaving = performance.now();
    systemd.stopping();
    void Promise.resolve(gateway?.stop(reason)).finally(() => log.end(() => endProcess(code, process.exit)));
  };
  const signalled = (signal: NodeJS.Signals) => {
    const wish = onSignal(leaving, performance.now());
    if (wish === 'leave') leave(signal, EXIT.ok);
    if (wish !== 'force') return;
    log.warn('gateway.forced', { signal, hint: 'clients were not told; the next start clears up what is left' });
    log.end(() => endProcess(EXIT.failure, process.exit));
  };
  const fatal = (event: string) => (error: unknown) => {
    gateway?.emergencyShut();
    log.error(event, { error });
    leave(event, EXIT.failure);
  };
  process.on('uncaughtException', fatal('gateway.crashed'));
  process.on('unhandledRejection', fatal('gateway.crashed'));
  process.on('SIGTERM', signalled);
  process.on('SIGINT', signalled);
  const ready = () => systemd.ready(`serving ${ownAddresses(listening).join(', ')}`);
  let started = false;
  let reloading: Promise<unknown> = Promise.resolve();
  /** One at a time; rejects with the sentence that is in the log. */
  const onReload = (): Promise<void> => {
    if (started) systemd.reloading();
    const done = reloading.then(() => reload(read, listening, gateway, log));
    reloading = done
      .catch(() => {})
      .then(() => {
        if (started) ready();
      });
    return done;
  };
  process.on('SIGHUP', () => void onReload().catch(() => {}));
  try {
    const onFatal = fatal('dataplane.failed');
    const host = realHost(config, listening, log);
    gateway = new Gateway({ host, config, users, ...listening, version, log, onFatal, onReload });
    systemd.startWatchdog();
    await gateway.start();
    started = true;
    ready();
  } catch (error) {
    if (leaving !== undefined) return;
    // One sentence for the operator; where it happened is for whoever debugs.
    log.error('gateway.failed', { problem: error instanceof Error ? error.message : String(error) });
    log.debug('gateway.failed-at', { error });
    leave('start failed', EXIT.failure);
  }
};

/** With a mistake in the configuration or the users everything stays as it is; logs it, and rejects with it. */
const reload = async (
  read: () => Config,
  listening: Listening,
  gateway: Gateway | undefined,
  log: Log,
): Promise<void> => {
  let event = 'config.rejected';
  try {
    const config = read();
    event = 'users.rejected';
    const users = UserStore.load(config.usersFile);
    users.check(config, ownAddresses(listening));
    event = 'config.rejected';
    await gateway?.reload(config, users);
  } catch (error) {
    log.error(event, { problem: error instanceof Error ? error.message : String(error) });
    throw error;
  }
};

const overrides = (args: Arguments): Record<string, unknown> => ({
  ...(args.logFormat === undefined ? {} : { 'log.format': args.logFormat }),
  ...(args.logLevel === undefined ? {} : { 'log.level': args.logLevel }),
});

main().catch((error: unknown) => {
  process.stderr.write(`lockstepd: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(error instanceof ConfigError ? EXIT.config : EXIT.failure);
});
