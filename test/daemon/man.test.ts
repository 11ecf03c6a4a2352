import t from 'tap';
import { USERS } from '../../src/daemon/config-doc.js';
import { ENV_LESS, envName, leaves } from '../../src/daemon/config-schema.js';
import { EXIT } from '../../src/daemon/errors.js';

interface Help {
  readonly path: readonly string[];
  readonly options: readonly { readonly term: string }[];
  readonly commands: readonly Help[];
}
interface Man {
  helpOf(program: string, name: string): Help;
  exitCodes(): string[][];
  manPages(options: object): Record<string, string>;
  completion(name: string, program: string): string;
}
const at = (path: string) => new URL(`../../../${path}`, import.meta.url);
const man = (await import(at('.ci/man.mjs').href)) as Man;
const commands = { lockstepd: at('dist/src/main.js').pathname, lockstep: at('dist/src/ctl.js').pathname };
const pages = man.manPages({ commands, version: '1', leaves: leaves(), envName, envLess: ENV_LESS, users: USERS });
const plain = (page: string) => pages[page]!.replaceAll('\\-', '-');
const all = (help: Help): Help[] => [help, ...help.commands.flatMap(all)];

t.test('every command and option is in its page and is completed', async (t) => {
  for (const [name, program] of Object.entries(commands)) {
    const page = plain(`${name}.8`);
    const completion = man.completion(name, program);
    const helps = all(man.helpOf(program, name));
    t.ok(helps[0]!.options.length > 1, `${name} has options`);
    for (const { path, options } of helps) {
      t.ok(
        page.includes(path.join(' ')) && completion.includes(`'${[name, ...path].join(' ')}')`),
        `${name} ${path.join(' ')}`,
      );
      for (const { term } of options.filter((o) => !o.term.endsWith('--help')))
        t.ok(page.includes(`.B ${term}\n`), term);
    }
  }
});

t.test('exit codes are those of the code', async (t) => {
  const codes = new Set(man.exitCodes().map(([code]) => Number(code)));
  for (const code of Object.values(EXIT)) t.ok(codes.has(code), `README.md explains ${code}`);
  for (const page of ['lockstepd.8', 'lockstep.8'])
    for (const code of Object.values(EXIT)) t.ok(plain(page).includes(`.TP\n.B ${code}\n`), `${page} ${code}`);
});

t.test('every setting is in lockstep.yaml(5)', async (t) => {
  for (const [key] of leaves()) t.ok(plain('lockstep.yaml.5').includes(`.B ${key}\n`), key);
});

t.test('a setting has the variable in its environment that it reads, or none', async (t) => {
  const page = plain('lockstep.yaml.5').replaceAll('\\fI', '').replaceAll('\\fR', '');
  for (const [key] of leaves()) {
    const [, said] = page.split(`.B ${key}\n`)[1]!.match(/ Environment: (\S+)\.\n/) ?? [];
    t.equal(said, ENV_LESS.has(key) ? 'none' : envName(key), key);
  }
});

t.test('users.yaml is in lockstep.yaml(5), and no page has the marks of Markdown', async (t) => {
  const page = plain('lockstep.yaml.5');
  t.match(page, /\.SH USERS\.YAML\n\.PP\n\.nf\nusers:\n {2}alice: \{password: .*\n[\s\S]*\n\.fi\n\.PP\nEach user has/);
  for (const [name, text] of Object.entries(pages)) t.notMatch(text, /`|\]\(/, name);
});
