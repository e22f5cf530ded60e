/** `node dist/clients/legacy/main.js URL TOKEN services`: prints one line of JSON for each event, until Ctrl-C. */
import { SignedOutError, pollForever } from './poller.ts';

const [url, token, services] = process.argv.slice(2);
if (url === undefined || token === undefined || services === undefined) {
  console.error('usage: node dist/clients/legacy/main.js URL TOKEN service,service');
  process.exit(2);
}

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());

try {
  await pollForever({
    url: url.replace(/\/$/, ''),
    token,
    services: services.split(','),
    onEvent: (event) => console.log(JSON.stringify(event)),
    onReset: (reason) => console.error(`the server starts over (${reason}): read the snapshot again`),
    onError: (problem, waitMs) => console.error(`${problem}; next try in ${waitMs} ms`),
    signal: stop.signal,
  });
} catch (thrown) {
  if (!(thrown instanceof SignedOutError)) throw thrown;
  console.error(thrown.message);
  process.exitCode = 1;
}
