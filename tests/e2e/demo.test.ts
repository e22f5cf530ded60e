/**
 * The page of `npm start`, in Chromium, as a visitor uses it: the slider, the kill switch, and what the page then claims.
 * Two of these tests run at a time, each with a gateway and pages of its own: mostly they wait.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from 'playwright-core';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { CrowdState } from '../../clients/demo/state.ts';
import type { NodeMetrics } from '../../schema/http.ts';
import { ensureCommand } from '../support/debian.ts';
import { type Gateway, type Settings, startGateway } from '../support/node-process.ts';
import { testSecret } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

/** Nothing given: the demo, as `npm start` has it. */
const unconfigured = {
  TURNOUT_JWT_SECRET: undefined,
  TURNOUT_ADMIN_TOKEN: undefined,
  REALTIME_STREAMING_V2: undefined,
  REALTIME_ROLLOUT_PERCENT: undefined,
};
// More browsers at once would share two cores.
vi.setConfig({ maxConcurrency: 2 });

const crowdSize = 60;
const sdkUsers = 40;

let browser: Browser;
let profile = '';

beforeAll(async () => {
  const executablePath = await ensureCommand('chromium', 'chromium');
  profile = await mkdtemp(join(tmpdir(), 'turnout-demo-'));
  browser = await chromium.launch({
    executablePath,
    headless: true,
    // Its folders are its own; the rest keeps it from asking its maker for anything.
    env: { ...process.env, HOME: profile },
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}, 200_000);

afterAll(async () => {
  await browser.close();
  await rm(profile, { recursive: true, force: true });
});

/** One test's demo, and the pages that it opened there. */
class Demo {
  /** Addresses that the pages asked for, and what they complained of. */
  readonly asked: string[] = [];
  readonly complaints: string[] = [];
  private started: Gateway | undefined;
  private readonly contexts: BrowserContext[] = [];

  get url(): string {
    return this.started?.url ?? '';
  }

  async serve(settings: Settings = {}): Promise<void> {
    this.started = await startGateway({ ...unconfigured, ...settings });
  }

  async visit(options: BrowserContextOptions = {}): Promise<Page> {
    const { asked, complaints } = this;
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    this.contexts.push(context);
    const page = await context.newPage();
    page.on('request', (made) => asked.push(made.url()));
    page.on('websocket', (socket) => asked.push(socket.url()));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    await page.goto(this.url);
    await until(
      () => marks(page, '*'),
      () => `the crowd on the page; ${complaints.join('; ')}`,
      crowdSize,
    );
    return page;
  }

  async crowd(): Promise<CrowdState> {
    return (await (await fetch(`${this.url}/demo/state`)).json()) as CrowdState;
  }

  async end(): Promise<void> {
    for (const context of this.contexts) await context.close();
    await this.started?.kill();
  }
}

const it = test.extend<{ demo: Demo }>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads from the pattern what a fixture needs
  demo: async ({}, use) => {
    const demo = new Demo();
    await use(demo);
    await demo.end();
  },
}).concurrent;

const marks = (page: Page, look: string): Promise<number> =>
  page.locator(look === '*' ? '.dots .dot' : `.dots .dot.${look}`).count();
const text = async (page: Page, id: string): Promise<string> =>
  (await page.locator(`#${id}`).textContent()) ?? '';
const count = async (page: Page, id: string): Promise<number> =>
  Number((await text(page, id)).replaceAll(',', ''));

/** Waits until every SDK user's mark says so, and none is still on its way. */
const allOn = (page: Page, transport: 'websocket' | 'long-poll'): Promise<void> =>
  until(
    async () => (await marks(page, transport)) === sdkUsers && (await marks(page, 'moving')) === 0,
    `all ${sdkUsers} SDK users on ${transport}`,
  );

/** Events that were published after this call reached the crowd and both panes. */
async function expectEventsFlow(page: Page): Promise<void> {
  const ids = ['total-delivered', 'legacy-count', 'sdk-count'];
  const before = await Promise.all(ids.map((id) => count(page, id)));
  await until(
    async () => {
      const now = await Promise.all(ids.map((id) => count(page, id)));
      return now.every((value, index) => value > (before[index] ?? 0));
    },
    `more than ${before.join(', ')} at ${ids.join(', ')}`,
  );
}

async function expectNothingLost(demo: Demo, page: Page): Promise<void> {
  expect([await text(page, 'total-lost'), await text(page, 'total-repeated')]).toEqual(['0', '0']);
  const { totals } = await demo.crowd();
  expect(totals).toMatchObject({ lost: 0, repeated: 0 });
}

/** As a browser asks when somebody made another name point here: fetch won't let its Host be set. */
const statusUnder = (host: string, url: string): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    request(url, { headers: { host } }, (answer) => resolve(answer.resume().statusCode))
      .on('error', reject)
      .end();
  });

it('turns every SDK user at 100 %, brings all back by the kill, and loses and repeats nothing', async ({
  demo,
}) => {
  await demo.serve();
  const page = await demo.visit();
  await allOn(page, 'long-poll');
  expect(await marks(page, 'legacy')).toBe(crowdSize - sdkUsers);
  await expectEventsFlow(page);

  await page.getByRole('slider', { name: 'SDK users on WebSocket' }).fill('100');
  await allOn(page, 'websocket');
  await until(() => text(page, 'sdk-transport'), "the SDK pane's own move", 'WebSocket');
  expect(await text(page, 'legacy-transport')).toBe('long-poll');
  expect(await marks(page, 'legacy')).toBe(crowdSize - sdkUsers);
  await expectEventsFlow(page);

  await page.getByRole('button', { name: 'Kill' }).click();
  await allOn(page, 'long-poll');
  await until(() => text(page, 'sdk-transport'), "the SDK pane's way back", 'long-poll');
  await expectEventsFlow(page);

  await page.getByRole('button', { name: 'Bring back' }).click();
  await allOn(page, 'websocket');
  await expectEventsFlow(page);
  await expectNothingLost(demo, page);
  const rows = await page.locator('#moves tr').allInnerTexts();
  expect(rows).toEqual([
    expect.stringMatching(/bring back\s+40 up\s+[\d.]+ s/),
    expect.stringMatching(/kill\s+40 down\s+[\d.]+ s/),
    expect.stringMatching(/100 %\s+40 up\s+[\d.]+ s/),
  ]);
  console.log(`demo: ${JSON.stringify((await demo.crowd()).totals)}; ${rows.join(' | ')}`);
});

it('asks no other host, breaks no rule of its own policy, and keeps to a handful of subscriptions', async ({
  demo,
}) => {
  await demo.serve();
  const page = await demo.visit();
  await page.getByRole('slider').fill('100');
  await allOn(page, 'websocket');
  const metrics = (await (await fetch(`${demo.url}/v2/realtime/metrics`)).json()) as NodeMetrics;
  expect(metrics.connectionPoolStats.totalConnections).toBeGreaterThanOrEqual(sdkUsers);
  expect(metrics.connectionPoolStats.totalSubscriptions).toBeLessThanOrEqual(10);
  const { host } = new URL(demo.url);
  expect(demo.asked.length).toBeGreaterThan(10);
  expect(demo.asked.filter((url) => new URL(url).host !== host)).toEqual([]);
  expect(demo.complaints).toEqual([]);
  const policy = (await fetch(`${demo.url}/`)).headers.get('content-security-policy');
  expect(policy).toContain("script-src 'self'; style-src 'self'");
  expect(policy).not.toContain('unsafe');
});

it('fits a phone, by day and by night, with the kill switch in view wherever the page is', async ({
  demo,
}) => {
  await demo.serve();
  const page = await demo.visit({ viewport: { width: 360, height: 740 } });
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate('scrollTo(0, 0)');
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
    await page.locator('footer').scrollIntoViewIfNeeded();
    const box = await page.getByRole('button', { name: 'Kill' }).boundingBox();
    expect(box?.y).toBeGreaterThanOrEqual(0);
    expect((box?.y ?? 1000) + (box?.height ?? 0)).toBeLessThanOrEqual(740);
  }
});

it('works under a base path', async ({ demo }) => {
  await demo.serve({ TURNOUT_BASE_PATH: '/live' });
  const page = await demo.visit();
  await expectEventsFlow(page);
  expect(demo.complaints).toEqual([]);
});

it('works by keyboard alone, and says in words what the marks show', async ({ demo }) => {
  // How long a kill takes is the first test's.
  await demo.serve({ TURNOUT_KILL_WINDOW_MS: '200' });
  const page = await demo.visit();
  await until(() => page.locator('#percent').isEnabled(), 'the slider');
  await page.keyboard.press('Tab');
  await page.keyboard.press('End');
  await allOn(page, 'websocket');
  const labels = await page
    .getByRole('img')
    .evaluateAll((images) => images.map((image) => (image as unknown as { ariaLabel: string }).ariaLabel));
  expect(labels).toEqual([
    'demo-north: 20 of 20 SDK users on WebSocket, 10 legacy users',
    'demo-south: 20 of 20 SDK users on WebSocket, 10 legacy users',
  ]);
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await allOn(page, 'long-poll');
});

it('hands its tokens to nobody who came under another name, and serves no other file', async ({ demo }) => {
  await demo.serve();
  const tokens = `${demo.url}/demo/tokens`;
  expect((await fetch(tokens)).status).toBe(200);
  expect((await fetch(tokens, { headers: { origin: 'http://elsewhere.example' } })).status).toBe(403);
  expect(await statusUnder('elsewhere.example', tokens)).toBe(403);
  for (const [path, status] of [
    ['clients/demo/index.html', 404],
    ['clients/js/..%2f..%2fsrc/main.js', 400],
    ['clients/loadtest/swarm.js', 404],
  ])
    expect((await fetch(`${demo.url}/demo/${path}`)).status).toBe(status);
});

it('is not there where a key is configured', async ({ demo }) => {
  await demo.serve({ TURNOUT_DEMO: 'true', TURNOUT_JWT_SECRET: testSecret });
  for (const path of ['/', '/demo/state', '/demo/tokens', '/demo/style.css'])
    expect((await fetch(demo.url + path)).status).toBe(404);
});
