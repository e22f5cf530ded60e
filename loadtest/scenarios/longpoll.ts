/** Long-poll clients by autocannon, each asking again with the cursor that it was given; every answer is checked. */
import autocannon from 'autocannon';
import { deliveredOf } from '../frame-memo.ts';
import { LoadPublisher } from '../publisher.ts';
import { countOption, isQuick, newHistogram, numberOption, quantileMs } from '../report.ts';
import { openTarget, orgName, producerToken, userToken } from './target.ts';
import { atMost, budgets, errorRate, type Outcome, progress } from './verdict.ts';

const services = ['finance', 'guest', 'staff'];
const waitS = 25;
const clientsAnOrg = 50;
// The answers under way when the publishers stop are read, and checked, within it.
const settleS = isQuick ? 1 : 3;

interface PollAnswer {
  readonly events: Parameters<typeof deliveredOf>[0];
  readonly cursor: string;
  readonly reset?: unknown;
}

/** What one connection was given. */
interface Reader {
  readonly org: string;
  cursor: string | undefined;
  last: number;
}

export async function loadLongPoll(): Promise<Outcome> {
  const clients = countOption('clients', 200, 20);
  const rate = numberOption('rate', 20);
  const seconds = numberOption('seconds', 15, 1);
  const gateway = await openTarget();
  const url = gateway.urls[0] ?? '';
  try {
    const orgs = Array.from({ length: Math.ceil(clients / clientsAnOrg) }, (_, index) => orgName(index));
    const token = await producerToken();
    const publishers = await Promise.all(
      orgs.map((org) => LoadPublisher.open({ url, token, org, services, padBytes: 100, wires: 2 })),
    );
    const tokens = await Promise.all(
      Array.from({ length: clients }, (_, index) =>
        userToken(orgs[index % orgs.length] ?? '', `poll-${index}`),
      ),
    );
    const latency = newHistogram();
    const readers: Reader[] = [];
    const counts = { answers: 0, refused: 0, events: 0, misplaced: 0 };

    const take = (reader: Reader, status: number, body: string): void => {
      counts.answers += 1;
      if (status !== 200) {
        counts.refused += 1;
        return;
      }
      const answer = JSON.parse(body) as PollAnswer;
      if (answer.reset !== undefined) counts.misplaced += 1;
      reader.cursor = answer.cursor;
      const { seqs, sentMs } = deliveredOf(answer.events);
      for (const seq of seqs) {
        if (seq !== reader.last + 1) counts.misplaced += 1;
        reader.last = seq;
      }
      counts.events += seqs.length;
      const [oldestMs] = sentMs;
      if (oldestMs !== undefined)
        latency.recordValue(Math.max(1, Math.round((performance.now() - oldestMs) * 1000)));
    };
    const setupClient = (client: autocannon.Client): void => {
      const index = readers.length;
      // The orgs are new: a reader that begins before the first event begins at 0.
      const reader: Reader = { org: orgs[index % orgs.length] ?? '', cursor: undefined, last: 0 };
      readers.push(reader);
      client.setRequests([
        {
          method: 'GET',
          setupRequest: (request) => {
            const from = reader.cursor === undefined ? '' : `&cursor=${reader.cursor}`;
            const path = `/v1/realtime/poll?services=${services.join(',')}&wait=${waitS}${from}`;
            return { ...request, path, headers: { authorization: `Bearer ${tokens[index] ?? ''}` } };
          },
          onResponse: (status, body) => take(reader, status, body),
        },
      ]);
    };

    const endProgress = progress(
      () => `${counts.answers} answers, ${counts.events} events, ${counts.misplaced} misplaced`,
    );
    const firstAnswersMs = 1500;
    const publishing = new Promise<void>((resolve) => setTimeout(resolve, firstAnswersMs)).then(() =>
      Promise.all(publishers.map((publisher) => publisher.run(rate / orgs.length, seconds * 1000))),
    );
    const { errors, timeouts } = await autocannon({
      url,
      connections: clients,
      duration: seconds + Math.ceil(firstAnswersMs / 1000) + settleS,
      timeout: waitS + 10,
      setupClient,
    });
    await publishing;
    endProgress();

    // Those of the answers' own requests are counted above; these never came.
    const short = readers.reduce((sum, { org, last }) => {
      const head = publishers[orgs.indexOf(org)]?.published ?? 0;
      return sum + Math.abs(head - last);
    }, 0);
    const failed = counts.refused + errors + publishers.reduce((sum, one) => sum + one.failed, 0);
    for (const publisher of publishers) publisher.close();
    return {
      about: { clients, rate, seconds, isOurs: gateway.isOurs, timeouts, ...counts },
      rows: [
        atMost('latency p99, publish to client', quantileMs(latency, 99), budgets.latencyP99Ms, 'ms'),
        atMost('events lost, repeated or misplaced', short + counts.misplaced, budgets.wrongEvents, 'events'),
        atMost('error rate', errorRate(failed, counts.answers), budgets.errorPercent, '%'),
      ],
    };
  } finally {
    await gateway.stop();
  }
}
