/**
 * Run in a network namespace of its own by main-mode.test.ts: charon as the gateway runs it, with the gateway's connections, on
 * 127.0.0.1; each packet of standard input goes to it from an address of its own. Standard output: what came back, JSON.
 */
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type SectionInput, Session } from 'vici-client';
import { type IpsecSettings, ipsecPolicy } from '../../src/daemon/ipsec-policy.js';
import { Secret } from '../../src/daemon/secret.js';
import { CharonProcess } from '../../src/io/charon-process.js';

export interface Job {
  /** Hex. */
  readonly packet: string;
  readonly settings: Partial<IpsecSettings>;
}

const GATEWAY = '127.0.0.1';
const ANSWER_MS = 4_000;

/** The first datagram that comes back within ANSWER_MS. */
const ask = (packet: Uint8Array, from: string): Promise<string | null> =>
  new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    const done = (answer: string | null) => {
      clearTimeout(late);
      socket.close();
      resolve(answer);
    };
    const late = setTimeout(() => done(null), ANSWER_MS);
    socket.once('error', reject);
    socket.once('message', (answer) => done(answer.toString('hex')));
    socket.bind(0, from, () => socket.send(packet, 500, GATEWAY));
  });

const jobs = JSON.parse(await text(process.stdin)) as Job[];
const dir = mkdtempSync(join(tmpdir(), 'main-mode-'));
const log: string[] = [];
const charon = new CharonProcess({ runDir: dir, onLine: (line) => void log.push(line) });
try {
  await charon.start();
  const session = await Session.connect(`unix://${charon.socket}`);
  const answers: (string | null)[] = [];
  // Those of one configuration at once, each from another address.
  for (const settings of new Set(jobs.map((job) => JSON.stringify(job.settings)))) {
    const policy = ipsecPolicy({
      listen: [GATEWAY],
      secrets: [{ secret: new Secret('a pre-shared key') }],
      ...(JSON.parse(settings) as Partial<IpsecSettings>),
    });
    for (const { id, secret } of policy.secrets)
      await session.request('load-shared', { id, type: 'IKE', data: secret.reveal() });
    // The drop policies of the others need a kernel with ESP.
    await session.request('load-conn', { l2tp: policy.connections.l2tp } as SectionInput);
    await Promise.all(
      jobs.map(async (job, n) => {
        if (JSON.stringify(job.settings) !== settings) return;
        answers[n] = await ask(Buffer.from(job.packet, 'hex'), `127.0.1.${n + 1}`);
      }),
    );
  }
  session.close();
  console.log(JSON.stringify({ answers, running: charon.running, log: answers.includes(null) ? log : [] }));
} finally {
  await charon.stop();
  rmSync(dir, { recursive: true, force: true });
}
