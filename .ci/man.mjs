// Man pages and bash completion from what the programs say of themselves: `--help`, the exit codes in README.md and the
// configuration schema. Nothing here names a command or an option.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

const known = new Map();

/** The help of a command and of all its subcommands: { path, usage, about, options, commands: [help...] }; asked once. */
export function helpOf(program, name, path = []) {
  const key = [program, ...path].join(' ');
  if (!known.has(key)) known.set(key, ask(program, name, path));
  return known.get(key);
}

function ask(program, name, path) {
  // Not what a test runner adds to every Node process: a loader for each of dozens of calls.
  const env = { ...process.env, NODE_OPTIONS: '' };
  const run = spawnSync(process.execPath, [program, ...path, '--help'], { encoding: 'utf8', env });
  if (run.status !== 0) throw new Error(`${name} ${path.join(' ')} --help: ${run.stderr}`);
  const help = { name, path, usage: '', about: '', arguments: [], options: [], commands: [] };
  let section = 'about';
  for (const line of run.stdout.split('\n')) {
    const title = /^(Usage|Arguments|Options|Commands):(?: (.*))?$/.exec(line);
    if (title) {
      section = title[1].toLowerCase();
      if (section === 'usage') help.usage = title[2];
      continue;
    }
    if (line.trim() === '') continue;
    const item = /^ {2}(\S.*?)(?: {2,}(\S.*))?$/.exec(line);
    if (!['arguments', 'options', 'commands'].includes(section))
      help.about += `${help.about === '' ? '' : ' '}${line.trim()}`;
    else if (item) help[section].push({ term: item[1], text: item[2] ?? '' });
    else help[section].at(-1).text += ` ${line.trim()}`;
  }
  help.commands = help.commands
    .map(({ term }) => term.split(/[ |]/)[0])
    .filter((word) => word !== 'help')
    .map((word) => helpOf(program, name, [...path, word]));
  return help;
}

/** [code, of lockstepd, of lockstep] as README.md has them. */
export const exitCodes = () =>
  [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/^\| (\d+) \| (.+?) \| (.+?) \|$/gm)].map((m) =>
    m.slice(1),
  );

const roff = (text) =>
  text
    .replace(/\\/g, '\\e')
    .replace(/-/g, '\\-')
    .replace(/^(['.])/gm, '\\&$1')
    .replace(/`([^`]*)`/g, '\\fI$1\\fR')
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
/** Paragraphs of Markdown, and blocks of code. */
const prose = (markdown) =>
  markdown.split('\n\n').flatMap((part) => {
    const code = /^```\w*\n([\s\S]*?)\n```$/.exec(part)?.[1];
    return code === undefined ? ['.PP', roff(part)] : ['.PP', '.nf', roff(code), '.fi'];
  });
const items = (list) => list.flatMap(({ term, text }) => ['.TP', `.B ${roff(term)}`, roff(text)]);
const exits = (column) =>
  exitCodes()
    .filter((row) => row[column] !== '')
    .flatMap((row) => ['.TP', `.B ${row[0]}`, roff(row[column])]);
const page = (name, section, version, about, parts) =>
  [
    `.TH ${name.toUpperCase()} ${section} "" "Lockstep ${version}" "Lockstep"`,
    '.SH NAME',
    `${roff(name)} \\- ${roff(about)}`,
    ...parts.flatMap(([title, lines]) => [`.SH ${title}`, ...lines]),
    '',
  ].join('\n');
const synopsis = (help) => [`.B ${help.name}`, roff(help.usage.replace(`${help.name} `, ''))];
const files = (list) => list.flatMap(([path, text]) => ['.TP', `.I ${path}`, roff(text)]);

/** Every command below `help`, depth first, those that only group others left out. */
export const commandsOf = (help) => help.commands.flatMap((c) => (c.commands.length === 0 ? [c] : commandsOf(c)));

function commandPart(help) {
  return commandsOf(help).flatMap((c) => [
    `.SS ${roff(c.usage.replace(`${c.name} `, ''))}`,
    roff(c.about),
    ...items([...c.arguments, ...c.options.filter(({ term }) => !/--help$/.test(term))]),
  ]);
}

/** File name -> text. */
export function manPages({ commands, version, leaves, envName, envLess, users }) {
  const daemon = helpOf(commands.lockstepd, 'lockstepd');
  const operator = helpOf(commands.lockstep, 'lockstep');
  return {
    'lockstepd.8': page('lockstepd', 8, version, 'L2TP/IPsec gateway', [
      ['SYNOPSIS', synopsis(daemon)],
      ['DESCRIPTION', [DAEMON]],
      ['OPTIONS', items(daemon.options)],
      [
        'SIGNALS',
        items([
          {
            term: 'SIGHUP',
            text: 'reads users, identity and dhcp, keys, certificates, revocation lists, proposals and lifetimes again; nobody is disconnected. The log says what waits for a restart; with a mistake in a file nothing changes',
          },
          {
            term: 'SIGTERM, SIGINT',
            text: 'end the sessions in order, then the daemon. A second one, a second later or more, ends it at once with status 1',
          },
        ]),
      ],
      ['EXIT STATUS', exits(1)],
      ['FILES', files(FILES)],
      ['SEE ALSO', [`${SEE('lockstep', 8)}, ${SEE('lockstep.yaml', 5)}, ${SEE('charon\\-systemd', 8)}`]],
    ]),
    'lockstep.8': page('lockstep', 8, version, 'who is connected to the L2TP/IPsec gateway, and why someone is not', [
      ['SYNOPSIS', synopsis(operator)],
      [
        'DESCRIPTION',
        ['Asks a running \\fBlockstepd\\fR over its control socket. Members of the group \\fIlockstep\\fR may.'],
      ],
      ['OPTIONS', items(operator.options)],
      ['COMMANDS', commandPart(operator)],
      ['EXIT STATUS', exits(2)],
      ['SEE ALSO', [`${SEE('lockstepd', 8)}, ${SEE('lockstep.yaml', 5)}`]],
    ]),
    'lockstep.yaml.5': page('lockstep.yaml', 5, version, 'configuration of lockstepd', [
      ['DESCRIPTION', [SETTINGS]],
      [
        'SETTINGS',
        leaves.flatMap(([key, leaf]) => [
          '.TP',
          `.B ${roff(key)}`,
          `${roff(leaf.doc)} Allowed: ${roff(leaf.format.allowed)}. Default: ${roff(leaf.shown ?? (Array.isArray(leaf.default) ? `[${leaf.default.join(', ')}]` : String(leaf.default)))}. Environment: ${envLess.has(key) ? 'none' : roff(envName(key))}.`,
        ]),
      ],
      ['USERS.YAML', prose(users)],
      ['SEE ALSO', [`${SEE('lockstepd', 8)}, \\fI/usr/share/doc/lockstep/config.md.gz\\fR`]],
    ]),
  };
}

/** A bash completion script: commands, subcommands and the options of each. */
export function completion(name, program) {
  const words = (help) =>
    [help, ...help.commands.flatMap(flat)].map((h) => {
      const options = h.options.flatMap(({ term }) => term.match(/--?[a-zA-Z][a-z-]*/g) ?? []);
      return `    '${[h.name, ...h.path].join(' ')}') words='${[...h.commands.map((c) => c.path.at(-1)), ...options].join(' ')}' ;;`;
    });
  const flat = (h) => [h, ...h.commands.flatMap(flat)];
  const own = `_${name}`;
  return `# bash completion for ${name}, made from its --help
${own}() {
  local word at words='' i
  at=\${COMP_WORDS[0]##*/}
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    [[ $word != -* ]] && ${own}_words "$at $word" && at="$at $word"
  done
  ${own}_words "$at"
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}")
}
${own}_words() {
  case $1 in
${words(helpOf(program, name)).join('\n')}
    *) return 1 ;;
  esac
}
complete -o default -F ${own} ${name}
`;
}

const SEE = (name, section) => `\\fB${name}\\fR(${section})`;
const FILES = [
  ['/etc/lockstep/lockstep.yaml', 'the configuration'],
  ['/etc/lockstep/users.yaml', 'users and passwords, mode 0600'],
  ['/etc/lockstep/psk', 'the pre-shared key, mode 0600'],
  ['/etc/default/lockstep', 'environment of the service'],
  ['/run/lockstep/control.sock', 'where lockstep asks'],
];
const DAEMON =
  'Serves the VPN client that is built into Windows, macOS, iOS, older Androids, Linux and many routers: IKE and ESP by a charon of its own and the kernel, L2TP and PPP itself. As a service it runs as the user \\fIlockstep\\fR, with charon as \\fIlockstep\\-ike.service\\fR.';
const SETTINGS =
  'One YAML file. Nothing in it is required; environment variables beat it, and options of the command line beat both. Relative paths start at the directory of the file. \\fBlockstepd \\-\\-check\\fR says what is wrong with it.';
