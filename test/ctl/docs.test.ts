import { readFileSync } from 'node:fs';
import t from 'tap';
import { buildProgram } from '../../src/ctl/program.js';
import { processShell } from '../../src/ctl/shell.js';

t.test('every command and option is in docs/lockstep.md', async (t) => {
  const page = readFileSync(new URL('../../../docs/lockstep.md', import.meta.url), 'utf8');
  const visit = (command: ReturnType<typeof buildProgram>, path: string) => {
    const leaf = command.commands.length === 0;
    if (leaf) t.ok(page.includes(`\`${path}`), path);
    for (const { long } of command.options) t.ok(page.includes(`\`${long}`), `${path}: ${long}`);
    for (const child of command.commands) visit(child, `${path} ${child.name()}`);
  };
  visit(buildProgram(processShell('1')), 'lockstep');
});
