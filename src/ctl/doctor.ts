/** `lockstep doctor`: whether this host can be a gateway, and what to do where not. */
import { readFileSync, statSync } from 'node:fs';
import { networkInterfaces, release } from 'node:os';
import { loadConfig } from '../daemon/config.js';
import { checkOnHost } from '../daemon/config-check.js';
import { examine, type Finding, type World } from '../daemon/doctor.js';
import { run } from '../io/run.js';
import type { AddCommand, Context } from './program.js';
import { paint, printable } from './table.js';

/** Some check failed: exit status 1. */
class Unfit extends Error {}

export const addDoctor: AddCommand = (program, context) => {
  program
    .command('doctor')
    .description('kernel, charon, ports, firewall, addresses, files: what is wrong on this host, and what to do')
    .option('--json', 'as JSON')
    .action(async (o: { json?: boolean }) => {
      const findings = await examine(context.world ?? (await realWorld(context)));
      context.print(o.json === true ? JSON.stringify(findings) : doctorText(findings, context.color));
      const failed = findings.filter((f) => f.state === 'fail').length;
      if (failed > 0) throw new Unfit(`${failed} ${failed === 1 ? 'check' : 'checks'} failed`);
    });
};

const realWorld = async ({ config, call }: Context): Promise<World> => ({
  run,
  read: (path) => orUndefined(() => readFileSync(path, 'utf8')),
  stat: (path) =>
    orUndefined(() => {
      const { mode } = statSync(path);
      return { mode: mode & 0o7777, device: (mode & 0o170000) === 0o020000 };
    }),
  interfaces: networkInterfaces(),
  kernel: release(),
  root: process.geteuid?.() === 0,
  now: new Date(),
  running: await call('GET', '/status').then(
    () => true,
    () => false,
  ),
  config: loaded(config()),
});

const loaded = (path: string): World['config'] => {
  try {
    const config = loadConfig(path);
    checkOnHost(config, networkInterfaces());
    return config;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

const orUndefined = <T>(act: () => T): T | undefined => {
  try {
    return act();
  } catch {
    return undefined;
  }
};

const TINTS = { ok: 'green', warn: 'yellow', fail: 'red' } as const;

const doctorText = (findings: readonly Finding[], color: boolean): string => {
  const width = Math.max(...findings.map((f) => f.check.length));
  return findings
    .flatMap(({ check, state, text, todo }) => [
      `${paint(state.padEnd(4), TINTS[state], color)}  ${check.padEnd(width)}  ${printable(text)}`,
      ...(todo === undefined ? [] : [`${' '.repeat(width + 8)}-> ${todo}`]),
    ])
    .join('\n');
};
