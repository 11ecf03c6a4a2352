import { chmodSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { causesTable } from '../../src/daemon/advice.js';
import { loadConfig } from '../../src/daemon/config.js';
import { describe } from '../../src/daemon/config-doc.js';
import { leaves } from '../../src/daemon/config-schema.js';
import { configYaml } from '../../src/daemon/first-run.js';

const committed = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

t.test('generated files are fresh: run `npm run docs`', async (t) => {
  t.equal(committed('docs/config.md'), describe());
  t.equal(committed('etc/lockstep.yaml'), configYaml());
  t.ok(committed('docs/troubleshooting.md').includes(`\n\n${causesTable()}\n\n`), 'the causes');
});

t.test('every setting is in the reference', async (t) => {
  for (const [key] of leaves()) t.ok(describe().includes(`### \`${key}\`\n`), key);
});

t.test('the example loads, and so does every line of it that is commented out', async (t) => {
  const all = configYaml().replace(/^( *)# ( *[a-z_0-9]+:)/gm, '$1$2');
  for (const yaml of [configYaml(), all]) {
    const dir = t.testdir({ 'lockstep.yaml': yaml, psk: 'key' });
    chmodSync(join(dir, 'psk'), 0o600);
    const config = loadConfig(join(dir, 'lockstep.yaml'), {});
    t.equal(config.pool.gateway, '10.99.0.1');
    t.equal(config.reachability.nat, yaml === all ? 'off' : 'auto');
  }
});

t.test('every warning and error in the log has an entry that says what to do', async (t) => {
  const page = committed('docs/troubleshooting.md');
  const sources = readdirSync(new URL('../../../src', import.meta.url), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => committed(`src/${file}`));
  const events = sources.flatMap((text) => [
    ...[...text.matchAll(/log\.(?:warn|error)\(\s*'([a-z0-9.-]+)'/g)].map((m) => m[1]!),
    ...[...text.matchAll(/note\([^;]{0,80}?'(l2tp\.[a-z0-9.-]+)'/g)].map((m) => m[1]!),
    ...[...text.matchAll(/fatal\('([a-z.]+)'\)/g)].map((m) => m[1]!),
    ...[...text.matchAll(/warn\(\s*'((?:config|users)\.[a-z-]+)'/g)].map((m) => m[1]!),
  ]);
  t.ok(events.length > 20, 'the patterns still find them');
  for (const event of new Set(events)) t.ok(page.includes(`\`${event}\``), event);
});
