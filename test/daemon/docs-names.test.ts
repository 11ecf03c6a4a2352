/** What the pages say of names, values, defaults and exit codes is so in the code. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import t from 'tap';
import { buildProgram } from '../../src/ctl/program.js';
import { processShell } from '../../src/ctl/shell.js';
import { loadConfig } from '../../src/daemon/config.js';
import { envName, leaves, SCHEMA } from '../../src/daemon/config-schema.js';
import { EXIT } from '../../src/daemon/errors.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const docs = readdirSync(join(ROOT, 'docs')).filter((f) => f.endsWith('.md'));
const PAGES = ['README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'vagrant/README.md', ...docs.map((f) => `docs/${f}`)];
/** Generated from the code, and tested where they are. */
const GENERATED = ['docs/config.md', 'docs/conformance.md'];
const WRITTEN = PAGES.filter((page) => !GENERATED.includes(page));
const SETTINGS = new Map(leaves());

const SOURCES = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.endsWith('config-schema.ts'))
  .map((file) => read(`src/${file}`))
  .join('\n');
/** In quotes; or made of two parts, `ipv6.${type}`, each of which is there. */
const isEvent = (name: string): boolean => {
  const [first = '', ...rest] = name.split('.');
  return (
    SOURCES.includes(`'${name}'`) || (SOURCES.includes(`\`${first}.\${`) && SOURCES.includes(`'${rest.join('.')}'`))
  );
};
/** A setting, a section, or a part of a setting that is a mapping. */
const isSetting = (key: string): boolean =>
  [...SETTINGS.keys()].some((k) => k === key || k.startsWith(`${key}.`) || key.startsWith(`${k}.`));

/** What stands between backticks; code blocks are no part of it. */
const quoted = (page: string): string[] =>
  [
    ...read(page)
      .replace(/^```[\s\S]*?^```/gm, '')
      .matchAll(/`([^`\n]+)`/g),
  ].map((m) => m[1]!);
/** Lines of code: blocks that are indented by four blanks. */
const code = (page: string): string[] => [...read(page).matchAll(/^ {4}(\S.*)$/gm)].map((m) => m[1]!);

t.test('settings that are named exist', async (t) => {
  const sections = new Set(Object.keys(SCHEMA));
  let found = 0;
  for (const page of WRITTEN) {
    for (const text of quoted(page)) {
      const [, key = ''] = /^([a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+|[a-z]+_[a-z_]+)(?=$|:| ?=)/.exec(text) ?? [];
      if (!sections.has(key.split('.')[0]!)) continue;
      if (isSetting(key)) found++;
      // The others are events of the log, `l2tp.tie`, and files of the sources.
      else t.ok(isEvent(key) || key.endsWith('.ts'), `${page}: ${text}`);
    }
  }
  t.ok(found > 100, `the pattern still finds them: ${found}`);
});

t.test('values that are shown are allowed', async (t) => {
  const dir = t.testdir();
  const load = (key: string, value: string) => {
    const [section = '', name] = key.split('.');
    writeFileSync(join(dir, 'psk'), 'a shared key', { mode: 0o600 });
    const yaml = name === undefined ? `${section}: ${value}\n` : `${section}: {${name}: ${value}}\n`;
    writeFileSync(join(dir, 'lockstep.yaml'), yaml);
    return loadConfig(join(dir, 'lockstep.yaml'), {});
  };
  mkdirSync(dir, { recursive: true });
  let found = 0;
  for (const page of WRITTEN) {
    for (const text of quoted(page)) {
      const [, key = '', value = ''] = /^([a-z0-9_.]+): (\S.*)$/.exec(text) ?? [];
      // What needs other settings beside it is tested where it is described.
      if (!SETTINGS.has(key) || value.includes('...') || /^ike\.(psk|aggressive|certificates)/.test(key)) continue;
      found++;
      t.doesNotThrow(() => load(key, value), `${page}: ${text}`);
    }
  }
  t.ok(found > 5, `the pattern still finds them: ${found}`);
});

t.test('defaults in docs/limits.md', async (t) => {
  let found = 0;
  for (const row of read('docs/limits.md').matchAll(/^\| ([^|]+) \| ([^|]+) \| ([^|]*\bconfig\b[^|]*) \|$/gm)) {
    const numbers = row[2]!.replaceAll(/(\d) (?=\d{3})/g, '$1').match(/\d+/g) ?? [];
    for (const [, key = ''] of row[3]!.matchAll(/`([a-z0-9_.]+)`/g)) {
      const value = SETTINGS.get(key)?.default;
      if (typeof value !== 'number') continue;
      found++;
      t.ok(
        numbers.some((n) => Number(n) === value || Number(n) * 1000 === value),
        `${key} is ${value}: ${row[2]}`,
      );
    }
  }
  t.ok(found >= 6, `the pattern still finds them: ${found}`);
});

t.test('environment variables exist', async (t) => {
  const known = new Set([...SETTINGS.keys()].map(envName));
  for (const page of WRITTEN)
    for (const [name] of read(page).matchAll(/\bLOCKSTEP_[A-Z_]+[A-Z]\b/g))
      if (!/^LOCKSTEP_(DEB|BUILT|OUT|VERSIONS|SCREENSHOT)$/.test(name)) t.ok(known.has(name), `${page}: ${name}`);
});

t.test('commands and options exist', async (t) => {
  const program = buildProgram(processShell('1'));
  let found = 0;
  for (const page of WRITTEN) {
    for (const text of [...quoted(page), ...code(page)]) {
      const [, line] = /^(?:sudo )?lockstep ([a-z-][^#;|&]*)/.exec(text) ?? [];
      if (line === undefined) continue;
      found++;
      t.equal(whatIsWrong(program, line.trim().split(/\s+/)), undefined, `${page}: ${text}`);
    }
  }
  t.ok(found > 60, `the pattern still finds them: ${found}`);
});

/** The first word that no command or option explains. */
const whatIsWrong = (program: Command, words: readonly string[]): string | undefined => {
  let command = program;
  for (const word of words) {
    const child = command.commands.find((c) => c.name() === word);
    if (child !== undefined) command = child;
    else if (word.startsWith('-')) {
      const all = [...command.options, ...program.options];
      if (word !== '--help' && !all.some((o) => o.long === word || o.short === word)) return word;
    } else if (command.commands.length > 0 && /^[a-z-]+$/.test(word)) return word;
  }
  return undefined;
};

t.test('exit codes', async (t) => {
  t.strictSame(EXIT, { ok: 0, failure: 1, config: 2 });
  for (const page of ['README.md', 'docs/lockstep.md']) {
    const rows = [...read(page).matchAll(/^\| (\d+) \|/gm)].map((m) => Number(m[1]));
    t.strictSame(rows, Object.values(EXIT).sort(), page);
  }
  const titles = [...read('docs/troubleshooting.md').matchAll(/exit code (\d)/g)].map((m) => Number(m[1]));
  t.strictSame(titles.sort(), [EXIT.failure, EXIT.config]);
});

t.test('events of the log that are named exist', async (t) => {
  let found = 0;
  for (const page of WRITTEN) {
    for (const text of quoted(page)) {
      if (!/^[a-z0-9]+(\.[a-z0-9-]+){1,2}$/.test(text) || isSetting(text)) continue;
      if (/\.([a-z]{1,4}\d?|service)$/.test(text) && !isEvent(text)) continue;
      found++;
      t.ok(isEvent(text), `${page}: ${text}`);
    }
  }
  t.ok(found > 60, `the pattern still finds them: ${found}`);
});

t.test('links lead somewhere', async (t) => {
  for (const page of PAGES) {
    for (const [, link = ''] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue;
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? page : join(dirname(page), path);
      if (!t.ok(existsSync(join(ROOT, target)), `${page}: ${link}`) || anchor === undefined) continue;
      const anchors = [...read(target).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
        title
          .toLowerCase()
          .replace(/[^\w\- ]/g, '')
          .replaceAll(' ', '-'),
      );
      t.ok(anchors.includes(anchor), `${page}: ${link}`);
    }
  }
});
