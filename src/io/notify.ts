/** How the daemon is, told to systemd, as `Type=notify` and `WatchdogSec=` want it. Read sd_notify(3) first. And its end. */
import { createRequire } from 'node:module';

export interface ServiceManager {
  /** Everything stands; `status` is what `systemctl status` shows. Also ends a reload. */
  ready(status: string): void;
  reloading(): void;
  stopping(): void;
  /** Signs of life until the process ends; only when systemd watches. */
  startWatchdog(): void;
}

export interface NotifyOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly pid?: number;
  /** Another way to send, for tests. Returns 0 or an errno. */
  readonly send?: (path: string, text: string) => number;
  /** A message that could not be sent; the daemon runs on. */
  readonly onError?: (errno: number) => void;
}

/** Without NOTIFY_SOCKET (no systemd) every call does nothing. */
export function serviceManager(options: NotifyOptions = {}): ServiceManager {
  const { env = process.env, pid = process.pid, onError = () => {} } = options;
  const path = env.NOTIFY_SOCKET ?? '';
  const send = options.send ?? (path === '' ? () => 0 : native().send);
  const tell = (...lines: string[]) => {
    const errno = path === '' ? 0 : send(path, lines.join('\n'));
    if (errno !== 0) onError(errno);
  };
  return {
    ready: (status) => tell('READY=1', `STATUS=${status.replaceAll('\n', ' ')}`),
    // The time tells systemd which reload this is (Type=notify-reload).
    reloading: () => tell('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`),
    stopping: () => tell('STOPPING=1'),
    startWatchdog: () => {
      const every = watchdogMs(env, pid);
      if (path !== '' && every !== undefined) setInterval(() => tell('WATCHDOG=1'), every).unref();
    },
  };
}

/** Half of what systemd waits; undefined when it does not watch this process (sd_watchdog_enabled(3)). */
export function watchdogMs(env: NodeJS.ProcessEnv, pid: number): number | undefined {
  const limit = Number(env.WATCHDOG_USEC ?? 0) / 1000;
  if (!(limit > 0) || (env.WATCHDOG_PID !== undefined && env.WATCHDOG_PID !== `${pid}`)) return undefined;
  return Math.max(1, Math.floor(limit / 2));
}

// By path and not by name: only systemd needs it, so a checkout without the addon built works.
const ADDON = '../../../packages/sd-notify/build/Release/sd_notify.node';

interface Addon {
  send(path: string, text: string): number;
  exit(code: number): never;
}
const native = (): Addon => createRequire(import.meta.url)(ADDON) as Addon;

/**
 * Ends the process, of which everything is closed and flushed. Not by Node's own exit, `nodes`, where it can be helped: that joins
 * threads, one of which may be waiting for this one, and then nothing ends (nodejs/node#54918).
 */
export function endProcess(code: number, nodes: (code: number) => never): never {
  try {
    return native().exit(code);
  } catch {
    // Without the addon there is only the other way.
    return nodes(code);
  }
}
