/**
 * The certificates of `ike.certificates`: read, and checked as far as can be without charon, so that `--check` finds what is
 * wrong with them. RFC 5280; what IKE makes of them is RFC 4945.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { Settings } from './config-schema.js';
import { whyUnreadable } from './errors.js';
import { Secret } from './secret.js';
import { readSecretFile } from './secret-file.js';

export interface ServerCertificate {
  /** PEM. */
  readonly cert: string;
  /** Between it and its CA, PEM; sent to clients. */
  readonly chain: readonly string[];
  /** PKCS#1 or SEC 1, PEM. */
  readonly key: Secret;
}

export interface Certificates {
  readonly server: readonly ServerCertificate[];
  /** PEM. */
  readonly ca: readonly string[];
  /** DER. */
  readonly crl: readonly Uint8Array[];
  /** Refuse also whom no current list covers. */
  readonly strict: boolean;
  /** Of ours and of the CAs: until when each is good. */
  readonly validity: readonly Validity[];
}

export interface Validity {
  readonly file: string;
  readonly from: Date;
  readonly to: Date;
}

/** Refuses a value of `ike.certificates`: never returns. */
export type Refuse = (key: string, at: readonly (string | number)[], problem: string, allowed: string) => never;

/** Null when certificates are not configured. Calls `refuse` for the first mistake; paths are absolute. */
export function readCertificates(s: Settings['ike']['certificates'], refuse: Refuse): Certificates | null {
  if (s.server.length === 0) {
    for (const key of ['ca', 'crl'] as const)
      if (s[key].length > 0)
        refuse(key, [], 'is set without ike.certificates.server', 'a certificate and key of ours, too');
    return null;
  }
  if (s.ca.length === 0) refuse('ca', [], 'is empty', 'the CA certificates whose clients are let in');
  const validity: Validity[] = [];
  const note = (file: string, certs: readonly X509Certificate[]) => {
    for (const c of certs) validity.push({ file, from: new Date(c.validFrom), to: new Date(c.validTo) });
  };
  let subject: string | undefined;
  const server = s.server.map(({ cert: file, key: keyFile }, i): ServerCertificate => {
    const certs = certificatesIn(file, (problem) => refuse('server', [i, 'cert'], problem, ALLOWED_CERT));
    const [leaf, ...chain] = certs as [X509Certificate, ...X509Certificate[]];
    note(file, certs);
    if (leaf.ca)
      refuse(
        'server',
        [i, 'cert'],
        `${file} begins with a CA certificate`,
        'our own certificate first, then its chain',
      );
    subject ??= leaf.subject;
    if (leaf.subject !== subject)
      refuse(
        'server',
        [i, 'cert'],
        `${file} has another subject than the first one`,
        'the same subject in all of them',
      );
    return {
      cert: leaf.toString(),
      chain: chain.map(String),
      key: privateKey(keyFile, leaf, (p, a) => refuse('server', [i, 'key'], p, a)),
    };
  });
  const ca = s.ca.flatMap((file, i) => {
    const certs = certificatesIn(file, (problem) => refuse('ca', [i], problem, ALLOWED_CERT));
    note(file, certs);
    if (certs.some((c) => !c.ca))
      refuse('ca', [i], `${file} holds a certificate that is not a CA's`, 'CA certificates (basicConstraints CA:TRUE)');
    return certs;
  });
  // charon takes nothing else for the end of a chain.
  if (!ca.some((c) => c.issuer === c.subject && c.verify(c.publicKey)))
    refuse(
      'ca',
      [],
      'holds no self-signed CA certificate',
      'the root of each chain, and the CAs between it and the clients',
    );
  const crl = s.crl.flatMap((file, i) =>
    crlsIn(file, (problem) => refuse('crl', [i], problem, 'a PEM or DER file with certificate revocation lists')),
  );
  return { server, ca: ca.map(String), crl, strict: s.crlPolicy === 'strict', validity };
}

/** What deserves a warning at `now`: expired, not yet good, or soon to expire. */
export function validityProblems({ validity }: Certificates, now: Date): string[] {
  return validity.flatMap(({ file, from, to }) => {
    if (to < now) return [`${file} expired on ${day(to)}`];
    if (from > now) return [`${file} is not valid before ${day(from)}`];
    return to.getTime() - now.getTime() < SOON_MS ? [`${file} expires on ${day(to)}`] : [];
  });
}

function certificatesIn(file: string, refuse: (problem: string) => never): X509Certificate[] {
  const blocks = read(file, refuse).toString('latin1').match(pem('CERTIFICATE')) ?? [];
  if (blocks.length === 0) return refuse(`${file} holds no PEM certificate`);
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch {
      return refuse(`${file} holds a certificate that cannot be read`);
    }
  });
}

function crlsIn(file: string, refuse: (problem: string) => never): Uint8Array[] {
  const bytes = read(file, refuse);
  const blocks: readonly string[] = bytes.toString('latin1').match(pem('X509 CRL')) ?? [];
  const lists =
    blocks.length === 0 ? [bytes] : blocks.map((b) => Buffer.from(b.replace(/-----[^-]+-----/g, ''), 'base64'));
  for (const list of lists) {
    // DER begins with a SEQUENCE.
    if (list[0] !== 0x30) return refuse(`${file} holds no revocation list`);
    if (list.length > MAX_CRL) return refuse(`${file} holds a list of more than ${MAX_CRL} bytes`);
  }
  return lists;
}

function privateKey(file: string, cert: X509Certificate, refuse: (problem: string, allowed: string) => never): Secret {
  const text = readSecretFile(file, MAX_FILE);
  if (!text.ok) return refuse(text.problem, 'a PEM file with the private key, mode 0600');
  const key = parseKey(text.text);
  if (key === undefined)
    return refuse(`${file} holds no private key that can be read`, 'a PEM private key without a passphrase');
  const kind = key.asymmetricKeyType;
  if (kind !== 'rsa' && kind !== 'ec') return refuse(`${file} holds a key of type ${kind}`, 'an RSA or ECDSA key');
  if (!cert.checkPrivateKey(key))
    return refuse(`${file} is not the key of the certificate`, 'the private key that belongs to cert');
  return new Secret(key.export({ format: 'pem', type: kind === 'rsa' ? 'pkcs1' : 'sec1' }) as string);
}

function parseKey(text: string): KeyObject | undefined {
  try {
    return createPrivateKey(text);
  } catch {
    return undefined;
  }
}

function read(file: string, refuse: (problem: string) => never): Buffer {
  let bytes: Buffer | undefined;
  try {
    if (statSync(file).size <= MAX_FILE) bytes = readFileSync(file);
  } catch (error) {
    return refuse(`${file} cannot be read (${whyUnreadable(error)})`);
  }
  return bytes ?? refuse(`${file} has more than ${MAX_FILE} bytes`);
}

const pem = (label: string): RegExp => new RegExp(`-----BEGIN ${label}-----[^-]+-----END ${label}-----`, 'g');
const day = (date: Date): string => date.toISOString().slice(0, 10);

/* Implementation */
const ALLOWED_CERT = 'a readable PEM file with X.509 certificates';
const MAX_FILE = 1024 * 1024;
/** The longest value of a VICI message. */
const MAX_CRL = 65_535;
const SOON_MS = 21 * 86_400_000;
