/** Headless Chromium, driven over its DevTools protocol on a pipe: no port, no module. https://chromedevtools.github.io/devtools-protocol */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import type { Test } from 'tap';

const PROGRAM = '/usr/bin/chromium';
export const hasChromium = existsSync(PROGRAM);
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--no-first-run',
  '--hide-scrollbars',
  '--remote-debugging-pipe',
];
const LIMIT_MS = 60_000;

type Json = Record<string, unknown>;

export interface Page {
  /** The value of an expression in the page; a promise is waited for. Rejects with what it throws. */
  evaluate(expression: string): Promise<unknown>;
  /** Until the expression is true. */
  until(expression: string): Promise<void>;
  /** One key, such as `Tab` or `Enter`. */
  key(name: string): Promise<void>;
  type(text: string): Promise<void>;
  /** Role and name of all that a screen reader tells of. */
  accessible(): Promise<{ role: string; name: string }[]>;
  screenshot(): Promise<Buffer>;
  /** What the page complained of: errors, refused requests. */
  readonly complaints: string[];
}

/** Opens a page; the browser goes with the test. */
export async function openPage(t: Test, url: string, { dark = false } = {}): Promise<Page> {
  const profile = mkdtempSync(join(tmpdir(), 'chromium-'));
  const args = [...FLAGS, `--user-data-dir=${profile}`, '--window-size=1280,1000', 'about:blank'];
  const browser = spawn(PROGRAM, args, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const gone = new Promise<void>((resolve) => browser.once('exit', () => resolve()));
  t.teardown(async () => {
    browser.kill('SIGKILL');
    await gone;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  const [toBrowser, fromBrowser] = [browser.stdio[3] as Writable, browser.stdio[4] as Readable];
  const waiting = new Map<number, (answer: { result?: Json; error?: { message: string } }) => void>();
  const complaints: string[] = [];
  let last = 0;
  let text = '';
  fromBrowser.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    const messages = text.split('\0');
    text = messages.pop() ?? '';
    for (const message of messages) {
      const said = JSON.parse(message) as { id?: number; method?: string; params?: Json };
      if (said.id !== undefined) waiting.get(said.id)?.(said as object);
      if (said.method === 'Runtime.exceptionThrown' || said.method === 'Log.entryAdded')
        complaints.push(JSON.stringify(said.params));
    }
  });
  const call = (method: string, params: Json = {}, sessionId?: string): Promise<Json> =>
    new Promise((resolve, reject) => {
      const id = ++last;
      waiting.set(id, ({ result, error }) => (error ? reject(new Error(error.message)) : resolve(result ?? {})));
      toBrowser.write(`${JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) })}\0`);
    });
  const { targetInfos } = (await call('Target.getTargets')) as { targetInfos: { type: string; targetId: string }[] };
  const targetId = targetInfos.find((info) => info.type === 'page')?.targetId;
  const { sessionId } = (await call('Target.attachToTarget', { targetId, flatten: true })) as { sessionId: string };
  const tell = (method: string, params?: Json) => call(method, params, sessionId);
  for (const domain of ['Page', 'Runtime', 'Log', 'Accessibility']) await tell(`${domain}.enable`);
  await tell('Emulation.setEmulatedMedia', {
    features: [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }],
  });
  await tell('Emulation.setTimezoneOverride', { timezoneId: 'UTC' });
  await tell('Page.navigate', { url });

  const evaluate = async (expression: string): Promise<unknown> => {
    const params = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = (await tell('Runtime.evaluate', params)) as {
      result: { value?: unknown };
      exceptionDetails?: { exception?: { description?: string }; text: string };
    };
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };
  return {
    complaints,
    evaluate,
    until: async (expression) => {
      const deadline = performance.now() + LIMIT_MS;
      while ((await evaluate(expression).catch(() => false)) !== true) {
        if (performance.now() > deadline) throw new Error(`not so within ${LIMIT_MS / 1000} s: ${expression}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    key: async (name) => {
      const text = name === 'Enter' ? { text: '\r' } : {};
      const codes: Record<string, number> = { Tab: 9, Enter: 13, Escape: 27 };
      const key = { key: name, code: name, windowsVirtualKeyCode: codes[name] ?? 0 };
      await tell('Input.dispatchKeyEvent', { type: 'keyDown', ...key, ...text });
      await tell('Input.dispatchKeyEvent', { type: 'keyUp', ...key });
    },
    type: async (text) => void (await tell('Input.insertText', { text })),
    accessible: async () => {
      const { nodes } = (await tell('Accessibility.getFullAXTree')) as {
        nodes: { ignored: boolean; role?: { value: string }; name?: { value: string } }[];
      };
      return nodes
        .filter((n) => !n.ignored)
        .map((n) => ({ role: n.role?.value ?? '', name: (n.name?.value ?? '').trim() }));
    },
    screenshot: async () => {
      const { data } = (await tell('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true })) as {
        data: string;
      };
      return Buffer.from(data, 'base64');
    },
  };
}
