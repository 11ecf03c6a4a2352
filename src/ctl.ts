#!/usr/bin/env node
/** `lockstep`: the operator's command. Exit codes: 0 done, 1 the daemon said no or is not there, 2 wrong usage. */
import { lockstep } from './ctl/program.js';
import { processShell } from './ctl/shell.js';

// `lockstep sessions | head`: whoever reads has seen enough.
process.stdout.on('error', () => process.exit(0));

process.exitCode = await lockstep(process.argv.slice(2), processShell());
