/** `lockstep config`: whether the configuration is right, and what a setting means. */
import { networkInterfaces } from 'node:os';
import { loadConfig } from '../daemon/config.js';
import { checkOnHost } from '../daemon/config-check.js';
import { settingText } from '../daemon/config-doc.js';
import { leaves } from '../daemon/config-schema.js';
import { nearest } from '../daemon/errors.js';
import type { AddCommand } from './program.js';
import { UsageError } from './shell.js';

export const addConfig: AddCommand = (program, context) => {
  const { print } = context;
  const config = program.command('config').description('whether the configuration is right; what a setting means');
  config
    .command('check')
    .description('read the configuration and the users, and say what is wrong')
    .option('--json', 'as JSON')
    .action((o: { json?: boolean }) => {
      const settings = loadConfig(context.config());
      const { users } = checkOnHost(settings, networkInterfaces());
      const text = `${settings.file}: no mistake in it; users: ${users.size}`;
      print(o.json === true ? JSON.stringify({ file: settings.file, users: users.size }) : text);
    });
  config
    .command('explain <key>')
    .description('what a setting means, what is allowed, its default; a section names its settings')
    .option('--json', 'as JSON')
    .action((key: string, o: { json?: boolean }) => {
      const found = leaves().filter(([name]) => name === key || name.startsWith(`${key}.`));
      if (found.length === 0) {
        const all = leaves().map(([name]) => name);
        const meant = all.find((name) => name.endsWith(`.${key}`)) ?? nearest(key, all);
        throw new UsageError(`${key}: no such setting${meant === undefined ? '' : ` (did you mean ${meant}?)`}`);
      }
      if (o.json === true)
        return print(
          JSON.stringify(
            found.map(([name, l]) => ({ key: name, doc: l.doc, allowed: l.format.allowed, default: l.default })),
          ),
        );
      print(found.map(([name, leaf]) => `${name}\n${settingText(name, leaf)}`).join('\n\n'));
    });
};
