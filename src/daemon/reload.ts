/** What SIGHUP may change while clients are connected, and what waits for a restart. Pure. */
import type { Config, IkeConfig } from './config.js';
import { checkDhcp } from './config-check.js';
import { camel, leaves } from './config-schema.js';

/** Keys that differ between two configurations; of the secrets and certificates, when what the files hold differs. */
export interface ConfigChange {
  /** Taken over at once. */
  readonly applied: readonly string[];
  /** Not before a restart. */
  readonly restart: readonly string[];
}

/** Of `ike.`, all but what charon and the daemon were started with. */
const FIXED = ['ike.aggressive', 'ike.charon', 'ike.allow_foreign', 'ike.vici'];
const reloadable = (key: string): boolean =>
  key === 'users_file' ||
  key === 'identity' ||
  key.startsWith('dhcp.') ||
  (key.startsWith('ike.') && !FIXED.includes(key));

export function configChange(before: Config, after: Config): ConfigChange {
  const section = (before.ike === null) !== (after.ike === null);
  const changed = leaves()
    .map(([key]) => key)
    .filter((key) => !(section && key.startsWith('ike.')) && settingOf(before, key) !== settingOf(after, key));
  const restart = changed.filter((key) => !reloadable(key));
  return { applied: changed.filter(reloadable), restart: section ? ['ike', ...restart] : restart };
}

/** `before` with what of `after` needs no restart. @throws ConfigError when the two make no sense together */
export function withReloadable(before: Config, after: Config): Config {
  const { origin, usersFile, identity, dhcp } = after;
  const next = { ...before, origin, usersFile, identity, dhcp, ike: withFixed(before.ike, after.ike) };
  checkDhcp(next);
  return next;
}

function withFixed(before: IkeConfig | null, after: IkeConfig | null): IkeConfig | null {
  if (before === null || after === null) return before;
  const { aggressive, charon, allowForeign, vici } = before;
  return { ...after, aggressive, charon, allowForeign, vici };
}

/** Where the configuration holds something else than the setting's own value. */
const READ: Readonly<Record<string, (c: Config) => unknown>> = {
  'ike.psk_file': ({ ike }) => ike?.psk?.reveal(),
  'ike.psk_ranges': ({ ike }) => ike?.pskRanges.map((r) => [r.peers, r.psk.reveal()]),
  'ike.psk_ids': ({ ike }) => ike?.pskIds.map((r) => [r.id, r.psk.reveal()]),
  'ike.certificates.server': ({ ike }) => ike?.certificates?.server.map((s) => [s.cert, s.chain, s.key.reveal()]),
  'ike.certificates.crl_policy': ({ ike }) => ike?.certificates?.strict,
  identity: ({ identity }) => [...identity],
  'pool.ipv4': ({ pool }) => pool.ranges,
  'l2tp.secret_file': ({ l2tp }) => l2tp.secret?.reveal(),
};

function settingOf(config: Config, key: string): string {
  const walk = (): unknown =>
    key.split('.').reduce<unknown>((node, step) => (node as Record<string, unknown> | null)?.[camel(step)], config);
  return JSON.stringify((READ[key] ?? walk)(config)) ?? '';
}
