/**
 * The foreign company's backend, as it has run for years: a long-poll API of its own over an Express app, cookie sessions,
 * a Redis list that keeps its updates and a stream that other parts of the company read. It knows nothing of Turnout.
 */
// oxlint-disable oxc/no-async-endpoint-handlers -- Express 5 hands a rejection on.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import express, { type NextFunction, type Request, type Response } from 'express';
import { Redis } from 'ioredis';

export interface Acme {
  readonly url: string;
  /** As an operator ends it: held requests are hung up on. */
  stop(): Promise<void>;
}

interface Person {
  readonly id: string;
  readonly tenant: string;
}

interface Stored {
  readonly kind: string;
  readonly data: unknown;
  readonly at: string;
}

const password = 'open sesame';
const pageSize = 100;
const longestWaitS = 60;
const defaultWaitS = 30;
const sessionS = 3600;

export async function startAcme(options: {
  readonly redisUrl: string;
  readonly port?: number;
}): Promise<Acme> {
  const redis = new Redis(options.redisUrl);
  const updates = new Updates(redis);
  const server = createServer(appOf(redis, updates));
  server.keepAliveTimeout = 5000;
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: urlOf(server),
    async stop() {
      const isClosed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await isClosed;
      redis.disconnect();
    },
  };
}

function appOf(redis: Redis, updates: Updates): express.Express {
  const app = express();
  app.use(express.json({ limit: '1mb' }));

  app.post('/login', async (request, response) => {
    const { user, tenant, password: given } = (request.body ?? {}) as Record<string, unknown>;
    if (typeof user !== 'string' || typeof tenant !== 'string' || given !== password)
      return void response.status(401).json({ error: 'wrong name or password' });
    const sid = randomUUID();
    await redis.set(`acme:session:${sid}`, JSON.stringify({ id: user, tenant }), 'EX', sessionS);
    response.cookie('sid', sid, { httpOnly: true, sameSite: 'lax' });
    response.cookie('theme', 'dark');
    response.json({ hello: user });
  });

  const loggedIn = async (request: Request, response: Response, next: NextFunction): Promise<void> => {
    const sid = /(?:^|;\s*)sid=([^;]+)/.exec(request.headers.cookie ?? '')?.[1];
    const found = sid === undefined ? null : await redis.get(`acme:session:${sid}`);
    if (found === null) return void response.status(401).json({ error: 'not logged in' });
    response.locals['person'] = JSON.parse(found) as Person;
    next();
  };
  const personOf = (response: Response): Person => response.locals['person'] as Person;

  app.post('/logout', loggedIn, async (request, response) => {
    const sid = /(?:^|;\s*)sid=([^;]+)/.exec(request.headers.cookie ?? '')?.[1] ?? '';
    await redis.del(`acme:session:${sid}`);
    response.clearCookie('sid').redirect('/goodbye');
  });
  app.get('/whoami', loggedIn, (_, response) => void response.json(personOf(response)));

  app.post('/api/updates', loggedIn, async (request, response) => {
    const { kind, data } = (request.body ?? {}) as Record<string, unknown>;
    if (typeof kind !== 'string' || data === undefined)
      return void response.status(400).json({ error: 'kind and data are needed' });
    const id = await updates.add(personOf(response).tenant, kind, data);
    response.status(201).json({ id });
  });

  app.get('/api/updates', loggedIn, async (request, response) => {
    const since = wholeNumber(request.query['since'] ?? '0');
    const waitS = wholeNumber(request.query['timeout'] ?? String(defaultWaitS));
    if (since === undefined || waitS === undefined)
      return void response.status(400).json({ error: 'since and timeout are whole numbers' });
    const { tenant } = personOf(response);
    const left = new AbortController();
    response.on('close', () => left.abort());
    const found = await updates.after(tenant, since, Math.min(waitS, longestWaitS) * 1000, left.signal);
    if (found.length === 0) return void response.status(204).end();
    response.json({ updates: found, next: found.at(-1)?.id });
  });
  return app;
}

/** What each tenant's people are told: a list whose place is the number, from 1 on. */
class Updates {
  private readonly redis: Redis;
  private readonly waiting = new Map<string, Set<() => void>>();
  private last: Promise<unknown> = Promise.resolve();

  constructor(redis: Redis) {
    this.redis = redis;
  }

  /** One after the other, so that list and stream have one order. @returns its number */
  add(tenant: string, kind: string, data: unknown): Promise<number> {
    const adding = this.last.then(() => this.append(tenant, { kind, data, at: new Date().toISOString() }));
    this.last = adding.catch(() => undefined);
    return adding;
  }

  /** At most a page; empty where nothing came in time, or nobody waits any more. */
  async after(tenant: string, since: number, waitMs: number, left: AbortSignal) {
    const endMs = performance.now() + waitMs;
    for (;;) {
      // Before the look, or what is added in between would go unnoticed.
      const woken = this.next(tenant, Math.max(0, endMs - performance.now()), left);
      const found = await this.read(tenant, since);
      if (found.length > 0 || left.aborted || performance.now() >= endMs) {
        woken.forget();
        return found;
      }
      await woken.coming;
    }
  }

  private async append(tenant: string, stored: Stored): Promise<number> {
    const seq = await this.redis.rpush(`acme:updates:${tenant}`, JSON.stringify(stored));
    const { kind, data, at } = stored;
    const fields = ['seq', String(seq), 'kind', kind, 'data', JSON.stringify(data), 'at', at];
    await this.redis.xadd(`updates:${tenant}`, '*', ...fields);
    for (const wake of this.waiting.get(tenant) ?? []) wake();
    return seq;
  }

  private async read(tenant: string, since: number) {
    const rows = await this.redis.lrange(`acme:updates:${tenant}`, since, since + pageSize - 1);
    return rows.map((row, place) => {
      const { kind, data, at } = JSON.parse(row) as Stored;
      return { id: since + place + 1, kind, data, at };
    });
  }

  /** Resolves with the tenant's next update, at the time's end, or when nobody waits any more. */
  private next(tenant: string, withinMs: number, left: AbortSignal) {
    const waiting = this.waiting.get(tenant) ?? new Set();
    this.waiting.set(tenant, waiting);
    let forget = (): void => undefined;
    const coming = new Promise<void>((resolve) => {
      const timer = setTimeout(() => forget(), withinMs);
      forget = () => {
        clearTimeout(timer);
        waiting.delete(forget);
        left.removeEventListener('abort', forget);
        resolve();
      };
      waiting.add(forget);
      left.addEventListener('abort', forget);
    });
    return { coming, forget };
  }
}

function wholeNumber(given: unknown): number | undefined {
  return typeof given === 'string' && /^\d{1,15}$/.test(given) ? Number(given) : undefined;
}

function urlOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return `http://127.0.0.1:${address.port}`;
}
