/** The configuration reference, docs/config.md, from the schema: one section per section of the file. */
import { ENV_LESS, envName, isLeaf, type Leaf, leaves, SCHEMA } from './config-schema.js';

/** The whole page. Generated text is committed; a test fails when it is stale. */
export function describe(): string {
  const sections = Object.entries(SCHEMA).filter(([, node]) => !isLeaf(node));
  const single = Object.entries(SCHEMA).filter(([, node]) => isLeaf(node));
  return [
    HEAD,
    ...sections.map(([name, node]) => section(name, leaves(node, `${name}.`))),
    section('The rest', leaves(Object.fromEntries(single))),
    `## users.yaml\n\n${USERS}`,
    TAIL,
  ].join('\n\n');
}

const section = (title: string, settings: [key: string, leaf: Leaf<unknown>][]): string =>
  [`## ${title}`, '', ...settings.map(([key, leaf]) => setting(key, leaf))].join('\n');

const setting = (key: string, leaf: Leaf<unknown>): string =>
  [`### \`${key}\``, '', settingText(key, leaf), ''].join('\n');

/** What a setting means, for the page and for `lockstep config explain`. */
export const settingText = (key: string, leaf: Leaf<unknown>): string =>
  [
    leaf.doc,
    '',
    `- allowed: ${leaf.format.allowed}`,
    `- default: ${leaf.shown ?? `\`${show(leaf.default)}\``}`,
    `- environment: ${ENV_LESS.has(key) ? 'none' : `\`${envName(key)}\``}`,
  ].join('\n');

/** As one would write it in the file. */
const show = (value: unknown): string => (Array.isArray(value) ? `[${value.map(String).join(', ')}]` : String(value));

const HEAD = `# Configuration

<!-- Generated from src/daemon/config-schema.ts by \`npm run docs\`: do not edit. -->

\`lockstepd\` reads one YAML file (\`/etc/lockstep/lockstep.yaml\`, or \`--config FILE\`). \`listen.addresses\` is the key \`addresses\`
below the key \`listen\`: \`listen: {addresses: ...}\`, or on two lines, the second indented. Nothing is required: what is not there has the default below, and \`key:\` with nothing after it counts as not there. Environment variables beat the
file, and options of the command line beat both; in the environment, lists are written with commas. Relative paths start
at the file's directory. A mistake stops the daemon with exit code 2 and one sentence: file, line, key, value and what is
allowed. \`lockstepd --check\` only looks for mistakes. [users.yaml](#usersyaml) is described at the end.`;

/** What is in users.yaml, for the page and for the manual. */
export const USERS = `\`\`\`yaml
users:
  alice: {password: "correct horse battery staple"}
  bob: {nt_hash: "44ebba8d5312b8d611474411f56989ae", address: 10.99.0.50}
  carol: {password: "quote what looks like a number", disabled: true}
\`\`\`

Each user has either \`password\` (cleartext; needed for \`chap-md5\`, \`pap\` and EAP-MD5) or \`nt_hash\` (32 hexadecimal digits: MD4 of
the password in UTF-16LE; enough for \`mschapv2\`, within EAP too, and as good as the password to whoever steals it). \`address\` is an IPv4
address this user always gets and nobody else does. \`sessions\` replaces \`limits.sessions_per_user\` for this user. \`limit\` is the rate in bits per
second of each of this user's sessions, \`limit: 20000000\` or \`limit: {up: 5000000, down: 20000000}\`; what exceeds it is dropped. \`routes\` are
the networks this user's split tunnel is told, instead of \`dhcp.routes\` ([split-tunnel.md](split-tunnel.md)). A client may send \`DOMAIN\\user\`, \`user@realm\` or both: the exact name is
looked for first, then the name without what \`ppp.realms\` lets be taken off. The file must have mode 0600. After a change send \`SIGHUP\`.

\`expired: true\` says that the password lets in no more. With \`ppp.password_change\`, a client that has proven the old password with
MS-CHAPv2 may set a new one in the same breath, and Windows asks for it; it takes the place of the old in this file, in the same form
(\`password\` or \`nt_hash\`), and \`expired\` goes. So the daemon must be able to write the file and make another beside it: put it
where only it can, \`users_file: /var/lib/lockstep/users.yaml\`, for its unit may write nothing below /etc. A file that cannot be written
is said at the start (\`users.not-writable\`), and refuses the change (\`cause: change-failed\`), not the user's next try. Control characters in a new password refuse it, too. Whoever types
one has what is left of \`ppp.setup_timeout\`: make that longer where people need more than a minute.`;

const TAIL = `## What SIGHUP takes over

The users, \`users_file\`, \`identity\` and \`dhcp.\`; keys, certificates, revocation lists, proposals and lifetimes: all of \`ike.\` but \`ike.aggressive\`, \`ike.charon\`,
\`ike.allow_foreign\` and \`ike.vici\`. Clients that are connected stay, under what they connected with; new ones need the new.
The log says which keys were taken over (\`config.reloaded\`) and which wait for a restart (\`config.needs-restart\`). With a mistake
in either file, or a \`dhcp.routes\` beyond the \`routes\` in force, nothing changes, and one sentence in the log says what is wrong.
`;
