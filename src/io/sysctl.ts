/**
 * The kernel settings routing needs, changed only where they are not so already and put back as found. The old values
 * are on disk before the new ones are set, so that a run after a crash still knows them. ip-sysctl.rst first.
 *
 * rp_filter is left alone: a client's packets come from the TUN its address is routed to, so even strict mode passes them.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeOwned } from './owned.js';

/** A path below /proc/sys; a list, for interface names may hold dots. */
export type SysctlPath = readonly string[];

export const IPV4_FORWARD: SysctlPath = ['net', 'ipv4', 'ip_forward'];
/** Of all interfaces: the kernel has no other switch. */
export const IPV6_FORWARD: SysctlPath = ['net', 'ipv6', 'conf', 'all', 'forwarding'];
/** Answers ARP for clients' addresses that are of the inside network. */
export const proxyArp = (name: string): SysctlPath => ['net', 'ipv4', 'conf', name, 'proxy_arp'];

export interface SysctlOptions {
  /** Where the old values are kept: `<state_dir>/sysctl-owned.json`. */
  readonly record: string;
  /** Another /proc/sys, for tests. */
  readonly root?: string;
}

interface Changed {
  readonly path: SysctlPath;
  readonly old: string;
  readonly ours: string;
}

export class Sysctls {
  readonly #options: Required<SysctlOptions>;

  constructor(options: SysctlOptions) {
    this.#options = { root: '/proc/sys', ...options };
  }

  /** Rejects with a sentence that names the setting. true: it was changed. */
  async set(path: SysctlPath, value: string): Promise<boolean> {
    const old = await this.#read(path);
    if (old === value) return false;
    const changes = await this.#changes();
    const known = changes.find((c) => same(c.path, path));
    const rest = changes.filter((c) => c !== known);
    await this.#keep([...rest, { path, old: known?.old ?? old, ours: value }]);
    await this.#write(path, value);
    return true;
  }

  /** Puts back what is still as we set it; what another has changed since is theirs. Never rejects for one that is gone. */
  async restore(): Promise<void> {
    for (const { path, old, ours } of (await this.#changes()).reverse()) {
      const now = await this.#read(path).catch(() => undefined); // its interface is gone
      if (now === ours) await this.#write(path, old);
    }
    await rm(this.#options.record, { force: true });
  }

  async #read(path: SysctlPath): Promise<string> {
    try {
      return (await readFile(this.#file(path), 'utf8')).trim();
    } catch {
      throw new Error(`cannot read the kernel setting ${path.join('.')}`);
    }
  }

  async #write(path: SysctlPath, value: string): Promise<void> {
    try {
      await writeFile(this.#file(path), value);
    } catch {
      throw new Error(
        `cannot set the kernel setting ${path.join('.')} to ${value}: set it yourself, e.g. in /etc/sysctl.d`,
      );
    }
  }

  #file(path: SysctlPath): string {
    for (const part of path)
      if (part === '' || part === '.' || part === '..' || part.includes('/')) throw new Error('not a sysctl path');
    return join(this.#options.root, ...path);
  }

  async #changes(): Promise<Changed[]> {
    try {
      const list: unknown = JSON.parse(await readFile(this.#options.record, 'utf8'));
      return Array.isArray(list) ? list.filter(isOurs) : [];
    } catch {
      return [];
    }
  }

  async #keep(changes: readonly Changed[]): Promise<void> {
    await writeOwned(this.#options.record, JSON.stringify(changes));
  }
}

/**
 * Whether lockstepd itself can have noted this. The record is the daemon's, who is not root; `--clean` reads it as root and
 * would otherwise write whatever it names.
 */
const isOurs = (entry: unknown): entry is Changed => {
  if (typeof entry !== 'object' || entry === null) return false;
  const { path, old, ours } = entry as Record<string, unknown>;
  if (!Array.isArray(path) || !path.every((part) => typeof part === 'string')) return false;
  const known =
    same(path, IPV4_FORWARD) || same(path, IPV6_FORWARD) || (path.length === 5 && same(path, proxyArp(path[3]!)));
  return known && isSwitch(old) && isSwitch(ours);
};

const isSwitch = (value: unknown): boolean => value === '0' || value === '1';

const same = (a: SysctlPath, b: SysctlPath): boolean => a.length === b.length && a.every((part, i) => part === b[i]);
