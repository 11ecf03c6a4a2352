/**
 * The files an xl2tpd gateway is made of, read into what Lockstep has words for: xl2tpd.conf(5), the options of pppd(8), its
 * chap-secrets, and the ipsec.conf and ipsec.secrets of strongSwan, Libreswan and Openswan. Pure. Each thing that has no place
 * here becomes a note; a note never quotes a secret.
 */
import { isIPv4 } from 'node:net';

/** Where something was left behind, and what. */
export interface Note {
  readonly where: string;
  readonly text: string;
}

export interface ImportedUser {
  readonly name: string;
  readonly password: string;
  readonly address?: string;
}

export interface ImportedPsk {
  /** Addresses or networks of clients; empty: anyone. */
  readonly peers: readonly string[];
  readonly psk: string;
}

/** Settings of lockstep.yaml by dotted key. */
export type ImportedSettings = Record<string, unknown>;

export interface Source {
  readonly file: string;
  readonly text: string;
}

type Tell = (line: number, text: string) => void;

const teller =
  (file: string, notes: Note[]): Tell =>
  (line, text) =>
    void notes.push({ where: `${file}:${line}`, text });

const YES = /^(yes|true|1)$/i;
/** xl2tpd.conf keys that mean nothing here, or what Lockstep does anyway. */
const XL2TPD_SILENT =
  /^(name|length bit|pppoptfile|ppp debug|debug .*|require authentication|refuse authentication|ipsec saref|saref refinfo|force userspace|tx bps|rx bps|bps|flow bit|rws|assign ip|hostname|call rws|max retries)$/;

/** @returns the settings and where the PPP options are */
export function readXl2tpd(
  { file, text }: Source,
  notes: Note[],
): { settings: ImportedSettings; pppOptions: string | undefined } {
  const tell = teller(file, notes);
  const settings: ImportedSettings = {};
  const methods = new Map<string, boolean>();
  const pool = new Set<string>();
  const single = new Map<string, string>();
  let section = '';
  let sections = 0;
  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.replace(/;.*$/, '').trim();
    const head = /^\[(.*)\]$/.exec(line)?.[1]?.trim().toLowerCase();
    if (head !== undefined) {
      section = head;
      if (section.startsWith('lac')) tell(i + 1, `[${section}]: Lockstep dials nobody`);
      if (section.startsWith('lns') && ++sections > 1)
        tell(i + 1, `[${section}]: one pool and the same options for all; where two sections differ, the last counts`);
    }
    const [, rawKey = '', value = ''] = /^([^=]+?)\s*=\s*(.*)$/.exec(line) ?? [];
    const key = rawKey.toLowerCase();
    if (key === '' || section.startsWith('lac')) continue;
    if (key === 'lac') tell(i + 1, 'lac: who may connect is decided by IPsec and the users');
    else if (key === 'ip range') for (const range of value.split(',')) pool.add(range.replace(/\s/g, ''));
    else if (key === 'local ip' || key === 'listen-addr' || key === 'pppoptfile') {
      const before = single.get(key) ?? value;
      if (before !== value) tell(i + 1, `${key}: takes the place of ${before}`);
      single.set(key, value);
    } else if (key === 'port') {
      if (value !== '1701') tell(i + 1, `port: ${value}: Lockstep serves UDP 1701 only`);
    } else if (/^(require|refuse) (chap|pap)$/.test(key)) {
      const [verb, method] = key.split(' ') as [string, string];
      methods.set(method, (verb === 'require') === YES.test(value));
    } else if (key === 'challenge' && YES.test(value))
      tell(i + 1, 'challenge: set `l2tp.secret_file` to the tunnel secret');
    else if (!XL2TPD_SILENT.test(key)) tell(i + 1, `${key}: has no counterpart`);
  }
  const [gateway, listen] = [single.get('local ip'), single.get('listen-addr')];
  if (pool.size > 0) settings['pool.ipv4'] = [...pool];
  if (gateway !== undefined) settings['pool.gateway'] = gateway;
  if (listen !== undefined) settings['listen.addresses'] = [listen];
  if (methods.get('pap') === true) settings['ppp.auth'] = ['mschapv2', 'pap'];
  return { settings, pppOptions: single.get('pppoptfile') };
}

/** pppd options that mean nothing here, or what Lockstep does anyway. */
const PPP_SILENT =
  /^(ipcp-accept-(local|remote)|noccp|auth|crtscts|nodefaultroute|defaultroute|debug|lock|connect-delay|name|nobsdcomp|nodeflate|novj|novjccomp|nopcomp|noaccomp|hide-password|modem|asyncmap|logfile|noipx|default-asyncmap|nologfd|persist|nopersist|local|silent|passive|dump|ktune|noipdefault|nomppe|noipv6|unit|nodetach|ipparam|nopredictor1|\+chap|multilink|nomultilink|nomp|require-eap|refuse-eap|record|usepeerdns|remotename)$/;

export function readPppOptions({ file, text }: Source, notes: Note[]): ImportedSettings {
  const tell = teller(file, notes);
  const lists: Record<'ms-dns' | 'ms-wins', string[]> = { 'ms-dns': [], 'ms-wins': [] };
  const allowed = new Set<string>();
  const settings: ImportedSettings = {};
  text.split('\n').forEach((raw, i) => {
    const [option = '', value = ''] = raw.replace(/#.*$/, '').trim().split(/\s+/);
    if (option === 'ms-dns' || option === 'ms-wins') {
      if (lists[option].length < 2) lists[option].push(value);
      else tell(i + 1, `${option}: clients can be told two at most`);
    } else if (option === 'mtu' || option === 'mru') {
      const before = settings['ppp.mtu'];
      settings['ppp.mtu'] = typeof before === 'number' ? Math.min(before, Number(value)) : Number(value);
    } else if (option === 'idle') settings['limits.idle_timeout'] = `${value}s`;
    else if (option === 'maxconnect') settings['limits.session_timeout'] = `${value}s`;
    else if (option === 'lcp-echo-interval') settings['ppp.echo_interval'] = `${value}s`;
    else if (option === 'lcp-echo-failure') settings['ppp.echo_failures'] = Number(value);
    else if (/^(\+mschap-v2|require-mschap-v2)$/.test(option)) allowed.add('mschapv2');
    else if (/^(require-chap)$/.test(option)) allowed.add('chap-md5');
    else if (/^(\+pap|require-pap)$/.test(option)) allowed.add('pap');
    else if (option === 'proxyarp')
      tell(i + 1, 'proxyarp: if the pool lies inside the network behind, set `reachability.proxy_arp`');
    else if (option === 'plugin' || option === 'require-mppe' || option === 'require-mppe-128' || option === 'mppe')
      tell(i + 1, `${option} ${value}: not supported; IPsec encrypts, and users are local`.replace('  ', ' '));
    else if (option !== '' && !/^(refuse-|-)/.test(option) && !PPP_SILENT.test(option))
      tell(i + 1, `${option}: has no counterpart`);
  });
  if (lists['ms-dns'].length > 0) settings.dns = lists['ms-dns'];
  if (lists['ms-wins'].length > 0) settings.nbns = lists['ms-wins'];
  const methods = ['mschapv2', 'chap-md5', 'pap'].filter((m) => allowed.has(m));
  if (methods.length > 0) settings['ppp.auth'] = methods;
  return settings;
}

/** Words of a pppd secrets line: quotes keep blanks, a backslash the next character, `#` begins a comment. */
export function words(line: string): string[] {
  const found: string[] = [];
  const pattern = /\s*(?:#.*$|"((?:[^"\\]|\\.)*)"|'([^']*)'|((?:[^\s"'#\\]|\\.)+))/gy;
  for (const [, double, single, bare] of line.matchAll(pattern)) {
    const word = double ?? bare;
    if (word !== undefined) found.push(word.replace(/\\(.)/g, '$1'));
    else if (single !== undefined) found.push(single);
  }
  return found;
}

export function readChapSecrets({ file, text }: Source, notes: Note[]): ImportedUser[] {
  const tell = teller(file, notes);
  const users = new Map<string, ImportedUser>();
  const addresses = new Set<string>();
  for (const [i, line] of text.split('\n').entries()) {
    const [name, server, password, ...where] = words(line);
    if (name === undefined || server === undefined || password === undefined) continue;
    const refused =
      unusable(name, server, password) ??
      (users.has(name) ? `${name}: is in the file before; the first counts` : undefined);
    if (refused !== undefined) {
      tell(i + 1, refused);
      continue;
    }
    const [first = '*', ...others] = where;
    const address = isIPv4(first) ? first : undefined;
    const twice = address !== undefined && addresses.has(address);
    if (twice) tell(i + 1, `${name}: ${address} belongs to another already; an address of the pool instead`);
    else if (address === undefined && first !== '*')
      tell(i + 1, `${name}: ${where.join(' ')}: an address of the pool instead`);
    if ((address !== undefined || first === '*') && others.length > 0)
      tell(i + 1, `${name}: ${others.join(' ')}: not taken over; for a rate, \`lockstep user set-rate\``);
    if (address !== undefined) addresses.add(address);
    users.set(name, { name, password, ...(address === undefined || twice ? {} : { address }) });
  }
  return [...users.values()];
}

const unusable = (name: string, server: string, password: string): string | undefined => {
  if (name === '*') return `*: a secret of this host as a client of ${server}`;
  return password === '' || password.startsWith('@') ? `${name}: the password is not in this file` : undefined;
};

export function readIpsecSecrets({ file, text }: Source, notes: Note[]): ImportedPsk[] {
  const tell = teller(file, notes);
  return text.split('\n').flatMap((raw, i) => {
    const key = pskOf(raw.trim());
    if (typeof key === 'string') tell(i + 1, key);
    return key === undefined || typeof key === 'string' ? [] : [key];
  });
}

/** A key, or why the line has none for us; undefined for a line without content. */
const pskOf = (line: string): ImportedPsk | string | undefined => {
  if (line === '' || line.startsWith('#')) return undefined;
  if (/^include\b/.test(line)) return `${line}: import that file too, if it holds the key`;
  const [, ids = '', kind = '', rest = ''] = /^(.*?):\s+([A-Za-z0-9]+)\s+(.*)$/.exec(line) ?? [];
  if (kind.toUpperCase() !== 'PSK')
    return `${/^(RSA|ECDSA|XAUTH|EAP|P12|PIN)$/.exec(kind)?.[0] ?? 'a line'}: only pre-shared keys are taken over`;
  const psk = /^"([^"]*)"/.exec(rest)?.[1] ?? /^'([^']*)'/.exec(rest)?.[1] ?? /^([^\s#]+)/.exec(rest)?.[1] ?? '';
  if (psk === '' || /^0[xs]/.test(rest)) return 'PSK: empty or in hexadecimal; write it into the psk file yourself';
  const remote = ids
    .split(/\s+/)
    .filter((id) => id !== '')
    .slice(1);
  const peers = remote.filter((id) => id !== '%any' && id !== '0.0.0.0');
  if (peers.some((id) => !isIPv4(id))) return 'PSK of a name: IKEv1 chooses the key by address; see `ike.psk_ids`';
  return { peers: peers.map((a) => `${a}/32`), psk };
};

/** What ipsec.conf says that somebody would miss. */
export function readIpsecConf({ file, text }: Source, notes: Note[]): ImportedSettings {
  const tell = teller(file, notes);
  const settings: ImportedSettings = {};
  let conn = '';
  text.split('\n').forEach((raw, i) => {
    const line = raw.replace(/#.*$/, '');
    const section = /^conn\s+(\S+)/.exec(line)?.[1];
    if (section !== undefined) {
      conn = section;
      return;
    }
    const [, key = '', value = ''] = /^\s+(\w+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if ((key === 'ike' || key === 'phase2alg' || key === 'esp') && /modp1024|;dh2\b/i.test(value)) {
      settings['ike.legacy'] = true;
      tell(i + 1, `${key}: MODP-1024 is allowed here, so \`ike.legacy\` is on; switch it off when no client needs it`);
    }
    if ((key === 'leftxauthserver' || key === 'authby') && /yes|rsa|cert/i.test(value))
      tell(i + 1, `conn ${conn}: ${key}=${value}: only L2TP with a pre-shared key is taken over`);
    if (key === 'ikev2' && /insist|yes|propose/i.test(value))
      tell(i + 1, `conn ${conn}: an IKEv2 VPN without L2TP is not taken over`);
  });
  return settings;
}
