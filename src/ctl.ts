#!/usr/bin/env node
/** `lockstep`: the operator's command. Exit codes: 0 done, 1 the daemon said no or is not there, 2 wrong usage. */
import { readFileSync } from 'node:fs';
import { lockstep } from './ctl/program.js';
import { processShell } from './ctl/shell.js';

// `lockstep sessions | head`: whoever reads has seen enough.
process.stdout.on('error', () => process.exit(0));

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
process.exitCode = await lockstep(process.argv.slice(2), processShell(version));
