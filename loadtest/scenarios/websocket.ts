/** Streams by loadtest/swarm.ts: every event's place is checked in every client. */
import { LoadPublisher, settles } from '../publisher.ts';
import { countOption, newHistogram, numberOption, quantileMs } from '../report.ts';
import { Swarm } from '../swarm.ts';
import { openTarget, orgName, producerToken, userToken } from './target.ts';
import { atMost, budgets, errorRate, type Outcome, progress } from './verdict.ts';

const services = ['finance', 'guest', 'staff'];
const clientsAnOrg = 50;
const settleMs = 5000;

export async function loadWebSocket(): Promise<Outcome> {
  const clients = countOption('clients', 500, 20);
  const rate = numberOption('rate', 100);
  const seconds = numberOption('seconds', 15, 1);
  const gateway = await openTarget();
  const url = gateway.urls[0] ?? '';
  try {
    const latency = newHistogram();
    const token = await producerToken();
    const sizes = Array.from({ length: Math.ceil(clients / clientsAnOrg) }, (_, index) =>
      Math.min(clientsAnOrg, clients - index * clientsAnOrg),
    );
    const orgs: { readonly size: number; readonly swarm: Swarm; readonly publisher: LoadPublisher }[] = [];
    for (const [index, size] of sizes.entries()) {
      const org = orgName(index);
      const tokens = await Promise.all(
        Array.from({ length: size }, (_, client) => userToken(org, `stream-${client}`)),
      );
      const swarm = await Swarm.open({
        url,
        clients: size,
        path: (client) => `/v2/realtime/stream?access_token=${tokens[client] ?? ''}`,
        hello: [JSON.stringify({ services, version: 1 })],
        isWelcome: (text) => text.startsWith('{"type":"ack"'),
        latency,
      });
      const publisher = await LoadPublisher.open({ url, token, org, services, padBytes: 100, wires: 2 });
      orgs.push({ size, swarm, publisher });
    }
    const sum = (of: (org: (typeof orgs)[number]) => number): number =>
      orgs.reduce((total, org) => total + of(org), 0);
    const deliveries = (): number => sum(({ swarm }) => swarm.deliveries);
    const due = (): number => sum(({ publisher, size }) => publisher.published * size);
    const closes = (): number => sum(({ swarm }) => swarm.closes.length);

    const endProgress = progress(
      () =>
        `${deliveries()} deliveries, ${sum(({ swarm }) => swarm.misplaced)} misplaced, ${closes()} closed`,
    );
    await Promise.all(orgs.map(({ publisher }) => publisher.run(rate / orgs.length, seconds * 1000)));
    await settles(() => deliveries() >= due(), settleMs);
    endProgress();

    const wrong = sum(
      ({ publisher, size, swarm }) =>
        Math.abs(publisher.published * size - swarm.deliveries) + swarm.misplaced,
    );
    const failed = closes() + sum(({ publisher }) => publisher.failed);
    const rows = [
      atMost('latency p99, publish to client', quantileMs(latency, 99), budgets.latencyP99Ms, 'ms'),
      atMost('events lost, repeated or misplaced', wrong, budgets.wrongEvents, 'events'),
      atMost('error rate', errorRate(failed, clients + due()), budgets.errorPercent, '%'),
    ];
    for (const { swarm, publisher } of orgs) {
      swarm.close();
      publisher.close();
    }
    return { about: { clients, rate, seconds, isOurs: gateway.isOurs, deliveries: deliveries() }, rows };
  } finally {
    await gateway.stop();
  }
}
