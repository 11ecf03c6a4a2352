/**
 * Native clients in the lab: lab.js HOST DIR ADDRESS USER PASSWORD JOB... runs in a client's network namespace, beside a charon
 * with its VICI socket at DIR/vici. Each JOB is `client/method/path`: IKE and ESP by charon with the client's offers, L2TP and
 * PPP by the emulator from a UDP socket, a ping to what is behind the gateway, a rekeying, the goodbye. With the path `lifetimes` its
 * SAs live for seconds, and it renews them by itself while it pings. One line of JSON for each.
 */

import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { existsSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Session } from 'vici-client';
import { Drive } from '../../src/daemon/drive.js';
import { MonotonicClock } from '../../src/io/clock.js';
import type { AuthMethod } from '../../src/proto/ppp/events.js';
import { CLIENTS } from './all.js';
import { CONNECTION, charonConnection, shortLived } from './charon-config.js';
import { checksum, Emulator, ipv4 } from './emulator.js';

const [host = '', dir = '', address = '', user = '', password = '', ...jobs] = process.argv.slice(2);
const GATEWAY = '198.51.100.1';
const CORP = '10.20.0.10';
const KEY = 'lab-only-pre-shared-key';
const GROUP_KEY = 'lab-only-key-of-the-office';
const TRIES_MS = 40_000;
const LONG = { timeoutMs: 60_000 };
/** Of `lifetimes`: how long an ESP SA lives, longer with an IKE SA of the same age; how long it all goes on, how often it pings. */
const SHORT_S = 30;
const LESS_SHORT_S = 60;
const WATCHED_MS = 220_000;
const PING_MS = 250;

/** ICMP echo request (RFC 792) from `from` to the host behind the gateway. */
function echoRequest(from: string, sequence: number): Uint8Array {
  const icmp = Uint8Array.of(8, 0, 0, 0, 0x10, 0x01, sequence >> 8, sequence & 0xff, ...Buffer.from('native client'));
  const sum = checksum(icmp);
  icmp.set([sum >> 8, sum & 0xff], 2);
  return ipv4(1, from, CORP, icmp);
}

const until = async (ms: number, met: () => boolean | Promise<boolean>): Promise<boolean> => {
  for (const end = Date.now() + ms; Date.now() < end; await delay(50)) if (await met()) return true;
  return met();
};

class Failure extends Error {}
const must = (met: boolean, why: string): void => {
  if (!met) throw new Failure(why);
};

interface Outcome {
  readonly ms: number;
  readonly ike: string;
  readonly esp: string;
  readonly informed: boolean;
  readonly rekeyed: boolean;
  readonly lived?: Lived;
}

/** What came of SAs that live for seconds. */
interface Lived {
  /** Renewals of the IKE SA and of the ESP SA, pings sent and not answered. */
  readonly ikes: number;
  readonly esps: number;
  readonly sent: number;
  readonly lost: number;
  /** The most pings lost one after the other. */
  readonly gap: number;
}

async function run(session: Session, job: string, turn: number): Promise<Outcome> {
  const [name, method, path] = job.split('/');
  const found = CLIENTS.find((c) => c.name === name);
  if (found === undefined) throw new Error(`no client ${name}`);
  const short = path === 'lifetimes';
  const client = short ? shortLived(found, found.ike.lifetime > found.esp.lifetime ? SHORT_S : LESS_SHORT_S) : found;
  const port = client.l2tp.port || 50_000 + Number(host.slice(1)) * 100 + turn;
  // 3.1: behind NAT64 all phones are 0.0.0.0, which charon sends only as octets: by itself it means "my own address".
  const identity = name === 'ios' ? { identity: '{1}:#00000000' } : {};
  const connection = charonConnection(client, { gateway: GATEWAY, port, ...identity, renews: short });
  await session.request('load-shared', { id: 'psk', type: 'IKE', data: client.ike.mode === 'main' ? KEY : GROUP_KEY });
  await session.request('load-conn', { [CONNECTION]: connection });
  const began = Date.now();
  const said: string[] = [];
  try {
    for await (const line of session.stream('initiate', { child: CONNECTION, timeout: 30_000, loglevel: 1 }, LONG))
      said.push(line.text('msg') ?? '');
  } catch (error) {
    throw new Failure(`IKE: ${(error as Error).message}: ${said.slice(-4).join(' | ')}`);
  }
  const sas = await session.list('list-sas', {}, LONG);
  const ike = sas[0]?.section(CONNECTION);
  const children = ike?.section('child-sas');
  const child = children && Object.values(children.toStrings())[0];
  const suite = (s: Readonly<Record<string, unknown>> | undefined) =>
    ['encr-alg', 'encr-keysize', 'integ-alg', 'dh-group'].flatMap((key) => (s?.[key] ? [`${s[key]}`] : [])).join('-');

  const socket = createSocket('udp4');
  await new Promise<void>((resolve, reject) => socket.once('error', reject).bind(port, address, resolve));
  const drive = new Drive(new MonotonicClock());
  const emulator = new Emulator(
    drive,
    {
      client,
      path: { mark: 0, local: GATEWAY, remote: address, remotePort: port },
      user,
      passwords: [password],
      auth: [method as AuthMethod],
      random: (n) => Uint8Array.from(randomBytes(n)),
    },
    (datagram) => socket.send(datagram, 1_701, GATEWAY),
  );
  socket.on('message', (datagram, from) => {
    if (from.address === GATEWAY) emulator.receive(Uint8Array.from(datagram));
  });
  try {
    emulator.dial();
    must(await until(TRIES_MS, () => emulator.up), `no address: ${emulator.events.map((e) => e.event).join(', ')}`);
    const ms = Date.now() - began;
    if (path === 'twins') {
      const mine = `${dir}/../native-${turn}-`;
      writeFileSync(`${mine}${host}`, '');
      const other = host === 'c1' ? 'c2' : 'c1';
      must(await until(120_000, () => existsSync(`${mine}${other}`)), `its twin ${other} is not up`);
    }
    let sequence = 0;
    const echoed = () =>
      new Set(emulator.ipReceived.filter((p) => p[9] === 1 && p[20] === 0).map((p) => (p[26]! << 8) | p[27]!));
    const ping = () =>
      until(15_000, async () => {
        const wanted = ++sequence;
        emulator.sendIp(echoRequest(emulator.address!, wanted));
        return until(1_000, () => echoed().has(wanted));
      });
    must(await ping(), 'no answer from corp');
    const live = async (): Promise<Lived> => {
      const first = sequence + 1;
      const ikes = new Set<string>();
      const esps = new Set<string>();
      for (const end = Date.now() + WATCHED_MS; Date.now() < end; await delay(PING_MS)) {
        must(emulator.up, `ended after ${sequence} pings: ${emulator.events.at(-1)?.event}`);
        emulator.sendIp(echoRequest(emulator.address!, ++sequence));
        if (sequence % 8 !== 0) continue;
        for (const sa of await session.list('list-sas', {}, LONG)) {
          const ike = sa.section(CONNECTION);
          ikes.add(ike?.text('uniqueid') ?? '');
          for (const esp of Object.keys(ike?.section('child-sas')?.toStrings() ?? {})) esps.add(esp);
        }
      }
      await delay(3_000);
      const answered = echoed();
      const gaps = [0];
      for (let s = first; s <= sequence; s++) gaps.push(answered.has(s) ? 0 : gaps.at(-1)! + 1);
      return {
        ikes: ikes.size - 1,
        esps: esps.size - 1,
        sent: sequence + 1 - first,
        lost: gaps.filter((gap) => gap > 0).length,
        gap: Math.max(...gaps),
      };
    };
    const lived = short ? await live() : undefined;
    let rekeyed = false;
    if (path === 'direct') {
      await session.request('rekey', { child: CONNECTION }, LONG);
      await delay(1_000);
      must(await ping(), 'no answer from corp after the rekeying');
      rekeyed = true;
    }
    // 2.5, 3.5: a few tries, some seconds apart.
    const informed = client.ppp.dhcpInform !== undefined && (await until(12_000, () => emulator.informed));
    emulator.hangUp();
    must(await until(30_000, () => !emulator.up), 'the goodbye is not answered');
    // 2.2, 3.2: clients delete their SAs right behind; android5 does not (4.1), and the gateway need not wait for it (RFC 3193 §3.1).
    if (path !== 'direct' && name !== 'android5')
      await session.request('terminate', { ike: CONNECTION }, LONG).catch(() => {});
    must(
      await until(40_000, async () => (await session.list('list-sas', {}, LONG)).length === 0),
      'the gateway leaves the IKE SA',
    );
    must(emulator.complaints.length === 0, emulator.complaints.join('; '));
    return {
      ms,
      ike: suite(ike?.toStrings()),
      esp: suite(child as Record<string, unknown>),
      informed,
      rekeyed,
      ...(lived && { lived }),
    };
  } finally {
    drive.stop();
    socket.close();
  }
}

const session = await Session.connect(`unix://${dir}/vici`);
for (const [turn, job] of jobs.entries()) {
  const [client, method, path] = job.split('/');
  let result: Partial<Outcome> & { readonly ok: boolean; readonly why?: string };
  try {
    result = { ok: true, ...(await run(session, job, turn)) };
  } catch (error) {
    result = { ok: false, why: (error as Error).message };
    await session.request('terminate', { ike: CONNECTION, force: 'yes', timeout: 5_000 }, LONG).catch(() => {});
  }
  console.log(JSON.stringify({ host, client, method, path, ...result }));
}
session.close();
