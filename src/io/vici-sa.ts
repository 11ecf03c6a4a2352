/**
 * charon's messages about SAs to values. Total: what is missing or odd becomes empty, 0 or undefined, never an
 * exception. Read "list-sa()" and "Server-issued events" in strongSwan's VICI README first.
 */
import type { ChildSa, IkeEvent, IkeSa } from './ports.js';

/** A VICI message as plain data (vici-client's Section.toStrings()). */
export interface Strings {
  [name: string]: string | string[] | Strings;
}

/** The events the monitor registers for; charon < 5.9.8 may lack those marked optional. */
export const EVENTS = {
  'ike-updown': { optional: false },
  'ike-rekey': { optional: false },
  'ike-update': { optional: true },
  'child-updown': { optional: false },
  'child-rekey': { optional: false },
  log: { optional: true },
} as const;
export type EventName = keyof typeof EVENTS;

/** `at`: ms of Date.now(). undefined: a message that is not what this event should be. */
export function ikeEvent(name: EventName, message: Strings, at?: number): IkeEvent | undefined {
  if (name === 'log') return logEvent(message);
  const [ikeName, section] = firstSection(message) ?? [];
  if (ikeName === undefined || section === undefined) return undefined;
  const up = message.up === 'yes'; // the key is absent when down
  switch (name) {
    case 'ike-updown':
      return { type: name, up, sa: ikeSa(ikeName, section, at) };
    case 'ike-update': // the section still has the old endpoints, the new ones stand beside it
      return { type: name, sa: ikeSa(ikeName, { ...section, ...endpoints(message) }, at) };
    case 'child-updown': {
      const sa = ikeSa(ikeName, section, at);
      return sa.children.length === 0 ? undefined : { type: name, up, sa };
    }
    case 'ike-rekey': {
      const [old, young] = [sub(section, 'old'), sub(section, 'new')];
      return old && young && { type: name, old: ikeSa(ikeName, old, at), new: ikeSa(ikeName, young, at) };
    }
    case 'child-rekey': {
      const [, pair] = firstSection(sub(section, 'child-sas') ?? {}) ?? [];
      const [old, young] = [pair && sub(pair, 'old'), pair && sub(pair, 'new')];
      if (!old || !young) return undefined;
      const children = [childSa(old, at), childSa(young, at)] as const;
      const sa = { ...ikeSa(ikeName, { ...section, 'child-sas': {} }, at), children };
      return { type: name, sa, old: children[0], new: children[1] };
    }
    default:
      return name satisfies never;
  }
}

/** One `list-sa` message: usually one IKE_SA. */
export function listedSas(message: Strings, at?: number): IkeSa[] {
  return Object.entries(message).flatMap(([name, s]) => (isSection(s) ? [ikeSa(name, s, at)] : []));
}

export function ikeSa(name: string, s: Strings, at?: number): IkeSa {
  const established = text(s, 'established');
  const renewals = ['rekey-time', 'reauth-time'].flatMap((key) => after(at, s, key) ?? []);
  const cipher = [
    [text(s, 'encr-alg'), text(s, 'encr-keysize')].filter(Boolean).join('-'),
    text(s, 'integ-alg'),
    text(s, 'prf-alg'),
    text(s, 'dh-group'),
  ];
  return {
    uniqueId: text(s, 'uniqueid'),
    name,
    version: count(s, 'version'),
    spis: `${text(s, 'initiator-spi')} ${text(s, 'responder-spi')}`,
    state: text(s, 'state'),
    localHost: text(s, 'local-host'),
    localPort: count(s, 'local-port'),
    remoteHost: text(s, 'remote-host'),
    remotePort: count(s, 'remote-port'),
    localId: text(s, 'local-id'),
    remoteId: text(s, 'remote-id'),
    ...(s['nat-local'] === 'yes' ? { natLocal: true } : {}),
    ...(s['nat-remote'] === 'yes' ? { natRemote: true } : {}),
    cipher: cipher.filter(Boolean).join('/'),
    ...(established === '' ? {} : { establishedSeconds: count(s, 'established') }),
    ...(renewals.length === 0 ? {} : { renewsAt: Math.min(...renewals) }),
    children: Object.values(sub(s, 'child-sas') ?? {}).flatMap((c) => (isSection(c) ? [childSa(c, at)] : [])),
  };
}

export function childSa(s: Strings, at?: number): ChildSa {
  const expiresAt = after(at, s, 'life-time');
  return {
    uniqueId: text(s, 'uniqueid'),
    name: text(s, 'name'),
    reqid: count(s, 'reqid'),
    state: text(s, 'state'),
    mode: text(s, 'mode'),
    encap: s.encap === 'yes',
    spiIn: text(s, 'spi-in'),
    spiOut: text(s, 'spi-out'),
    markIn: count(s, 'mark-in', 16),
    markOut: count(s, 'mark-out', 16),
    encrAlg: text(s, 'encr-alg'),
    ...(s['encr-keysize'] === undefined ? {} : { encrKeysize: count(s, 'encr-keysize') }),
    ...(s['integ-alg'] === undefined ? {} : { integAlg: text(s, 'integ-alg') }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    bytesIn: count(s, 'bytes-in'),
    bytesOut: count(s, 'bytes-out'),
    packetsIn: count(s, 'packets-in'),
    packetsOut: count(s, 'packets-out'),
    localTs: list(s, 'local-ts'),
    remoteTs: list(s, 'remote-ts'),
  };
}

function logEvent(s: Strings): IkeEvent {
  const [ikeName, ikeUniqueId] = [text(s, 'ikesa-name'), text(s, 'ikesa-uniqueid')];
  return {
    type: 'log',
    group: text(s, 'group'),
    level: count(s, 'level'),
    ...(ikeName === '' ? {} : { ikeName }),
    ...(ikeUniqueId === '' ? {} : { ikeUniqueId }),
    message: text(s, 'msg'),
  };
}

const isSection = (v: string | string[] | Strings | undefined): v is Strings =>
  typeof v === 'object' && !Array.isArray(v);

const firstSection = (s: Strings): [string, Strings] | undefined =>
  Object.entries(s).find((e): e is [string, Strings] => isSection(e[1]));

function sub(s: Strings, name: string): Strings | undefined {
  const value = s[name];
  return isSection(value) ? value : undefined;
}

function text(s: Strings, name: string): string {
  const value = s[name];
  return typeof value === 'string' ? value : '';
}

function list(s: Strings, name: string): string[] {
  const value = s[name];
  return Array.isArray(value) ? value : [];
}

/** A number, 0 when it is none; counters beyond 2^53 lose their last digits. */
function count(s: Strings, name: string, radix: 10 | 16 = 10): number {
  const value = text(s, name);
  return (radix === 10 ? /^\d{1,20}$/ : /^[0-9a-f]{1,8}$/i).test(value) ? Number.parseInt(value, radix) : 0;
}

/** charon gives seconds from now on, less than none when it is late. */
const after = (at: number | undefined, s: Strings, name: string): number | undefined => {
  const seconds = /^-?\d{1,9}$/.test(text(s, name)) ? Number(text(s, name)) : undefined;
  return at === undefined || seconds === undefined ? undefined : at + 1_000 * seconds;
};

function endpoints(s: Strings): Strings {
  const names = ['local-host', 'local-port', 'remote-host', 'remote-port'];
  return Object.fromEntries(names.flatMap((n) => (typeof s[n] === 'string' ? [[n, s[n]]] : [])));
}
