/**
 * The formats of configuration values: each turns what YAML (or the environment: text, lists with commas) gave into a
 * typed value, or throws NotAllowed. Convict takes them as `format`; `allowed` is the phrase errors and docs print.
 */
import { isIP } from 'node:net';
import { isAbsolute } from 'node:path';
import ipaddr from 'ipaddr.js';
import { type Ipv4Range, ipv4ToNumber, numberToIpv4 } from '../proto/aaa/address.js';

export interface Format<T> {
  (raw: unknown): T;
  /** Completes "allowed: ...". */
  readonly allowed: string;
}

/** `at` leads from the key to the offending element of a list or mapping. */
export class NotAllowed extends Error {
  constructor(
    readonly at: readonly (string | number)[],
    readonly value: unknown,
    readonly allowed: string,
    readonly why = 'is not allowed',
  ) {
    super(`${why}; allowed: ${allowed}`);
  }
}

/** A format from a parser that answers undefined for what is not allowed. */
function format<T>(allowed: string, parse: (raw: unknown) => T | undefined): Format<T> {
  const f = (raw: unknown): T => {
    const value = parse(raw);
    if (value === undefined) throw new NotAllowed([], raw, allowed);
    return value;
  };
  return Object.assign(f, { allowed });
}

export const bool: Format<boolean> = format('true or false', (raw) =>
  raw === true || raw === 'true' ? true : raw === false || raw === 'false' ? false : undefined,
);

export const int = (min: number, max: number): Format<number> =>
  format(`a whole number from ${min} to ${max}`, (raw) => {
    const n = typeof raw === 'string' && /^\d+$/.test(raw) ? Number(raw) : raw;
    return typeof n === 'number' && Number.isInteger(n) && n >= min && n <= max ? n : undefined;
  });

/** `500ms`, `60s`, `5m`, `8h`, `2d`, or a number of seconds; the value is in milliseconds. */
export const duration = (min: string, max: string, zero?: string): Format<number> => {
  const [least, most] = [milliseconds(min)!, milliseconds(max)!];
  const off = zero === undefined ? '' : `, or 0 = ${zero}`;
  return format(`a duration such as 30s, 5m or 2h from ${min} to ${max}${off}`, (raw) => {
    const ms = milliseconds(raw);
    if (ms === undefined || (ms === 0 && zero !== undefined)) return ms;
    return ms >= least && ms <= most ? ms : undefined;
  });
};

export const oneOf = <const T extends string>(...words: T[]): Format<T> =>
  format(words.join(' or '), (raw) => words.find((w) => w === raw));

/** One of the words, or what `other` takes. */
export const wordOr = <const W extends string, T>(word: W, other: Format<T>): Format<W | T> =>
  Object.assign((raw: unknown): W | T => (raw === word ? word : widen(word, () => other(raw))), {
    allowed: `${word}, or ${other.allowed}`,
  });

/** Null stands for "not set". */
export const optional = <T>(other: Format<T>): Format<T | null> =>
  Object.assign((raw: unknown): T | null => (raw === null ? null : other(raw)), {
    allowed: other.allowed,
  });

/** A list of at most `max` elements; a text is split at commas (environment), a single element counts as a list of one. */
export const list = <T>(element: Format<T>, { min = 0, max = 64 } = {}): Format<readonly T[]> => {
  const allowed = `a list of ${min === 0 ? 'at most' : `${min} to`} ${max}, each ${element.allowed}`;
  const f = (raw: unknown): readonly T[] => {
    const items = Array.isArray(raw) ? raw : typeof raw === 'string' ? splitCommas(raw) : [raw];
    if (items.length < min || items.length > max) throw new NotAllowed([], raw, allowed);
    const values = items.map((item, i) => within(i, () => element(item)));
    values.forEach((v, i) => {
      if (values.findIndex((w) => JSON.stringify(w) === JSON.stringify(v)) !== i)
        throw new NotAllowed([i], items[i], 'each element once', 'is in the list twice');
    });
    return values;
  };
  return Object.assign(f, { allowed });
};

/** A mapping with exactly these keys. */
export const record = <T extends Record<string, unknown>>(fields: { [K in keyof T]: Format<T[K]> }): Format<T> => {
  const names = Object.keys(fields) as (keyof T & string)[];
  const allowed = `a mapping of ${names.map((n) => `${n} (${fields[n].allowed})`).join(' and ')}`;
  const f = (raw: unknown): T => {
    if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw new NotAllowed([], raw, allowed);
    const given = raw as Record<string, unknown>;
    for (const name of Object.keys(given))
      if (!Object.hasOwn(fields, name))
        throw new NotAllowed([name], given[name], names.join(', '), 'is an unknown key');
    return Object.fromEntries(names.map((n) => [n, within(n, () => fields[n](given[n]))])) as T;
  };
  return Object.assign(f, { allowed });
};

/** One, or a list; a text is one element, commas and all. */
export const oneOrMore = <T>(element: Format<T>, max = 64): Format<readonly T[]> => {
  const many = list(element, { min: 1, max });
  return Object.assign((raw: unknown): readonly T[] => many(Array.isArray(raw) ? raw : [raw]), {
    allowed: `${element.allowed}, or a list of at most ${max}`,
  });
};

/** A mapping whose names are the operator's. */
export const mapping = <T>(names: string, value: Format<T>, max = 65_536): Format<ReadonlyMap<string, T>> => {
  const allowed = `a mapping of at most ${max} ${names}, each to ${value.allowed}`;
  const f = (raw: unknown): ReadonlyMap<string, T> => {
    if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw new NotAllowed([], raw, allowed);
    const entries = Object.entries(raw);
    if (entries.length > max) throw new NotAllowed([], `a mapping of ${entries.length}`, allowed);
    return new Map(entries.map(([name, v]) => [name, within(name, () => value(v))]));
  };
  return Object.assign(f, { allowed });
};

/** A text the pattern matches. */
export const text = (allowed: string, pattern: RegExp): Format<string> =>
  format(allowed, (raw) => (typeof raw === 'string' && pattern.test(raw) ? raw : undefined));

/** In lower case, without a dot at the end. */
export const domain: Format<string> = format('a domain name of at most 64 characters such as corp.example', (raw) => {
  const name = typeof raw === 'string' ? raw.toLowerCase() : '';
  const labels = name.split('.');
  return name.length <= 64 && labels.every((l) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(l)) ? name : undefined;
});

/**
 * An IKE identity in strongSwan's notation. Not an address: Main Mode finds keys by the peer's address, so a key of that
 * identity would serve whoever comes from there. No wildcards: it is one client's.
 */
export const identity: Format<string> = format(
  'an identity other than an address, without wildcards, such as alice@example.com, laptop.example.com, keyid:group or "C=CH, CN=laptop"',
  (raw) => {
    if (typeof raw !== 'string' || raw.length > 256 || raw !== raw.trim() || /[\p{Cc}*%"]/u.test(raw)) return undefined;
    if (/^keyid:./.test(raw)) return raw;
    if (raw.includes('=')) return /^[A-Za-z0-9.]+\s*=/.test(raw) ? raw : undefined;
    return /^[A-Za-z0-9._-]+(@[A-Za-z0-9._-]+)?$/.test(raw) && /[A-Za-z]/.test(raw) ? raw : undefined;
  },
);

/** A file or directory name; the loader makes it absolute. */
export const path: Format<string> = format('a path', (raw) =>
  typeof raw === 'string' && raw !== '' && !/\p{Cc}/u.test(raw) ? raw : undefined,
);

/** A unix socket's path: sun_path is 108 octets with its NUL. */
export const socketPath: Format<string> = format('an absolute path of at most 107 bytes', (raw) =>
  typeof raw === 'string' && isAbsolute(raw) && Buffer.byteLength(raw) <= 107 && !/\p{Cc}/u.test(raw) ? raw : undefined,
);

/** Where only this host can reach it. */
export const localListen: Format<string> = format(
  'a loopback address and a port (127.0.0.1:9101, [::1]:9101), or an absolute path of at most 107 bytes',
  (raw) => {
    if (typeof raw !== 'string') return undefined;
    const port = /^(?:127(?:\.\d{1,3}){3}|\[::1\]):(\d{1,5})$/.exec(raw)?.[1];
    if (port !== undefined) return Number(port) >= 1 && Number(port) <= 65_535 ? raw : undefined;
    return raw.startsWith('/') && Buffer.byteLength(raw) <= 107 && !/\p{Cc}/u.test(raw) ? raw : undefined;
  },
);

/** A unicast address in its canonical spelling. */
export const ip = (family: 4 | 6 | 'any'): Format<string> =>
  format(family === 'any' ? 'an IPv4 or IPv6 unicast address' : `an IPv${family} unicast address`, (raw) =>
    typeof raw === 'string' && (family === 'any' || isIP(raw) === family) ? unicast(raw) : undefined,
  );

/** A network such as 192.0.2.0/24; a bare address is a network of one. Host bits must be zero. */
export const cidr: Format<string> = format('a network such as 192.0.2.0/24 or 2001:db8::/32, host bits zero', (raw) => {
  if (typeof raw !== 'string') return undefined;
  const [address = '', bits, ...rest] = raw.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0 || (bits !== undefined && !/^\d{1,3}$/.test(bits))) return undefined;
  const length = bits === undefined ? (family === 4 ? 32 : 128) : Number(bits);
  if (length > (family === 4 ? 32 : 128)) return undefined;
  const parsed = ipaddr.parse(address);
  const network =
    family === 4
      ? ipaddr.IPv4.networkAddressFromCIDR(`${address}/${length}`)
      : ipaddr.IPv6.networkAddressFromCIDR(`${address}/${length}`);
  return network.toString() === parsed.toString() ? `${network.toString()}/${length}` : undefined;
});

const IPV4_NETWORK = 'an IPv4 network such as 192.0.2.0/24, host bits zero';

/** An IPv4 network; a bare address is a network of one. */
export const network4: Format<string> = format(IPV4_NETWORK, (raw) => {
  const network = tryCidr(raw);
  if (network?.includes(':')) throw new NotAllowed([], raw, IPV4_NETWORK, 'is not IPv4');
  return network;
});

/** An IPv6 network of unicast addresses whose length is in these bounds. */
export const network6 = (least: number, most: number): Format<string> =>
  format(`an IPv6 network such as 2001:db8::/${Math.min(most, 56)}, /${least} to /${most}, host bits zero`, (raw) => {
    if (typeof raw !== 'string' || !raw.includes(':')) return undefined;
    const [address = '', bits] = raw.split('/');
    const normal = unicast(address) === undefined && address !== '::' ? undefined : tryCidr(raw);
    const length = bits === undefined ? 128 : Number(bits);
    return length >= least && length <= most ? normal : undefined;
  });

function tryCidr(raw: unknown): string | undefined {
  try {
    return cidr(raw);
  } catch {
    return undefined;
  }
}

/** A piece of the address pool. */
export interface PoolRange extends Ipv4Range {
  /** Written as a network: its first and last address are not handed out. */
  readonly network: boolean;
}

/** `10.99.0.10-10.99.0.200` or `10.99.0.0/24`. */
export const poolRange: Format<PoolRange> = format(
  'a range such as 10.99.0.10-10.99.0.200 or a network such as 10.99.0.0/24, of unicast IPv4 addresses',
  (raw) => {
    if (typeof raw !== 'string') return undefined;
    const [from = '', to = from, ...rest] = raw.split('-').map((s) => s.trim());
    const range = from.includes('/')
      ? networkRange(from)
      : { first: ipv4ToNumber(from), last: ipv4ToNumber(to), network: false };
    if (rest.length > 0 || range?.first === undefined || range.last === undefined || range.first > range.last)
      return undefined;
    const { first, last, network } = range;
    const unusable = UNUSABLE.some((u) => u.first <= last && first <= u.last);
    return unusable ? undefined : { first, last, network };
  },
);

function networkRange(network: string): { first: number; last: number; network: true } | undefined {
  const normal = tryCidr(network);
  if (normal === undefined) return undefined;
  const [address = '', bits] = normal.split('/');
  const first = ipv4ToNumber(address);
  const length = Number(bits);
  // A /31 or /32 has no addresses between the network's and the broadcast address.
  if (first === undefined || length < 8 || length > 30) return undefined;
  return { first, last: first + 2 ** (32 - length) - 1, network: true };
}

/** Never a client's address: RFC 6890 "this network", loopback, link local; RFC 5771 multicast and above. */
const UNUSABLE: readonly Ipv4Range[] = [
  ['0.0.0.0', '0.255.255.255'],
  ['127.0.0.0', '127.255.255.255'],
  ['169.254.0.0', '169.254.255.255'],
  ['224.0.0.0', '255.255.255.255'],
].map(([first, last]) => ({ first: ipv4ToNumber(first!)!, last: ipv4ToNumber(last!)! }));

function unicast(raw: string): string | undefined {
  if (isIP(raw) === 0 || raw.includes('%')) return undefined;
  const n = ipv4ToNumber(raw);
  if (n !== undefined) return UNUSABLE.some((u) => n >= u.first && n <= u.last) ? undefined : numberToIpv4(n);
  const v6 = ipaddr.IPv6.parse(raw);
  return ['unspecified', 'multicast', 'loopback', 'linkLocal', 'ipv4Mapped'].includes(v6.range())
    ? undefined
    : v6.toString();
}

function milliseconds(raw: unknown): number | undefined {
  const m =
    typeof raw === 'number' || typeof raw === 'string'
      ? /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d|)$/.exec(String(raw))
      : null;
  return m === null ? undefined : Math.round(Number(m[1]) * UNITS[m[2] as keyof typeof UNITS]);
}

const UNITS = { ms: 1, s: 1_000, '': 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

const splitCommas = (raw: string): string[] => (raw.trim() === '' ? [] : raw.split(',').map((s) => s.trim()));

/** Runs a nested format; what it refuses is reported one step deeper. */
function within<T>(step: string | number, f: () => T): T {
  try {
    return f();
  } catch (e) {
    if (e instanceof NotAllowed) throw new NotAllowed([step, ...e.at], e.value, e.allowed, e.why);
    throw e;
  }
}

function widen<T>(word: string, f: () => T): T {
  try {
    return f();
  } catch (e) {
    if (e instanceof NotAllowed && e.at.length === 0)
      throw new NotAllowed([], e.value, `${word}, or ${e.allowed}`, e.why);
    throw e;
  }
}
