/**
 * matrix.js jobs PATH: what the lab scenario native-matrix runs on that path, one job a line. matrix.js docs FILE: docs/clients.md
 * from the results of its last run, a line of JSON for each job.
 */
import { readFileSync } from 'node:fs';
import { CLIENTS } from './all.js';

interface Result {
  readonly client: string;
  readonly method: string;
  readonly path: string;
  readonly ok: boolean;
  readonly why?: string;
  readonly ms?: number;
  readonly ike?: string;
  readonly esp?: string;
}

const PATHS = ['direct', 'nat', 'twins'];
const METHODS = ['mschapv2', 'chap-md5', 'pap', 'eap'];
/** Those that can EAP if the profile says so (2.4, 3.4: Apple refuses it). */
const eap = (name: string): boolean => name.startsWith('win');

const jobs = (path: string): string[] =>
  CLIENTS.flatMap(({ name, ppp }) =>
    METHODS.filter((m) => (m === 'eap' ? eap(name) : ppp.auth.some((a) => a === m))).map((m) => `${name}/${m}/${path}`),
  );

const INTRODUCTION = `# Native clients

What the gateway was last seen to serve, by emulation: \`test/clients\` holds each client as data (its IKE and ESP offers, the octets of
its L2TP messages, its PPP options in their order, its timers), our own LAC and PPP machines speak them from a UDP socket, and a
real charon with the client's offers, ports and lifetimes carries that in kernel ESP. \`npm run lab -- native-matrix\` runs all of it;
this page is written from its results by \`npm run lab -- --all\`. Real clients are [below](#real-clients).

Each cell is: alone and with a public address / behind a NAT / two of the same behind one NAT at once. \`ok\` means: IKE with one of the
client's own offers, its address, an answer from behind the gateway, its own goodbye, and no SA left; with a public address also a
rekeying by the client, and the SA deleted by the gateway alone. \`-\`: the client does not do it. \`ike.legacy\` was on;
iOS with a group name needs \`ike.aggressive\`.
`;

const REAL = `
## Real clients

Debian 12's, in the lab: an address, an answer from behind the gateway, both sides' goodbyes, nothing left behind, and back again.

| client | behind a NAT | with a public address | besides | scenario |
|---|---|---|---|---|
| strongSwan 5.9.8, xl2tpd, pppd | ok | ok | everything in \`test/lab/RESULTS.md\` that names no other client | \`connect-nat\`, \`connect-direct\` |
| libreswan 4.10, xl2tpd, pppd | ok | ok | PFS; renews IKE SA and ESP SA by itself; NAT traversal by the old drafts | \`libreswan\` |
| NetworkManager-l2tp 1.20.8 over strongSwan | ok | ok | set up by the file of \`lockstep profile --for linux\`; full and split tunnel | \`networkmanager\` |

What they do not do, as seen there:

- Debian's libreswan refuses IKEv1 ("global ikev1-policy does not allow IKEv1 connections") until \`ikev1-policy=accept\` stands in
  \`config setup\` of its ipsec.conf. NetworkManager-l2tp over it needs that line, too; over strongSwan it needs nothing.
- libreswan brings up an SA that the gateway deleted, again and again, without L2TP: \`ipsec auto --down\` ends that.
- pppd, and so xl2tpd and NetworkManager, says that a password has expired (\`E=648\`) and cannot change it ("we don't support Change
  Password", its chap_ms.c).
- NetworkManager-l2tp before 1.52.2 ends when its file has an identity (\`ipsec-group-name\`, \`lockstep profile --identity\`).
- libreswan sends an identity of 0.0.0.0 never, charon when it is told the octets (the emulated \`ios\` is). Behind a NAT both always send NAT-OA.
- kl2tpd and racoon are in no package of Debian 12: emulated only.
`;

function docs(results: readonly Result[]): string {
  const cell = (client: string, method: string): string => {
    const of = (path: string) => results.find((r) => r.client === client && r.method === method && r.path === path);
    if (!jobs('').includes(`${client}/${method}/`)) return '-';
    const all = PATHS.map(of);
    if (all.every((r) => r === undefined)) return 'not run';
    return all.map((r) => (r === undefined ? 'not run' : r.ok ? 'ok' : '**failed**')).join(' / ');
  };
  const rows = CLIENTS.map(({ name, title, chosen, esp }) => {
    const legacy = chosen.legacy === true || esp.offers.every((suite) => suite.startsWith('3des'));
    const one = results.find((r) => r.client === name && r.ok);
    const cells = METHODS.map((m) => cell(name, m));
    return `| ${[title, ...cells, one?.ike ?? '', one?.esp ?? '', legacy ? 'yes' : 'no'].join(' | ')} |`;
  });
  const failed = results.filter((r) => !r.ok).map((r) => `- ${r.client}, ${r.method}, ${r.path}: ${r.why}`);
  const times = results.flatMap((r) => (r.ms === undefined ? [] : [r.ms])).sort((a, b) => a - b);
  const seconds = (ms: number | undefined) => ((ms ?? 0) / 1_000).toFixed(1);
  return `${INTRODUCTION}
| client | MS-CHAPv2 | CHAP-MD5 | PAP | EAP | IKE taken | ESP taken | needs \`ike.legacy\` |
|---|---|---|---|---|---|---|---|
${rows.join('\n')}

${results.length - failed.length} of ${results.length} dials came through; from the first IKE packet to the address ${seconds(times[times.length >> 1])} s in the
middle, ${seconds(times.at(-1))} s at most, four at a time in one emulated machine.
${failed.length > 0 ? `\n${failed.join('\n')}\n` : ''}${REAL}`;
}

const [command, argument = ''] = process.argv.slice(2);
if (command === 'jobs') console.log(jobs(argument).join('\n'));
else if (command === 'docs') {
  const lines = readFileSync(argument, 'utf8').trim().split('\n');
  process.stdout.write(docs(lines.map((line) => JSON.parse(line) as Result)));
}
