/** What the transports ask before they serve someone: whether a stream is let in, and what a poll is told. */
import type { Transport } from '../../schema/frames.ts';
import type { Cohort, Reason } from '../../schema/http.ts';
import type { Identity, Ticket } from '../auth/identity.ts';
import type { Announced } from './moves/announced.ts';
import type { Decision } from './decide/decide.ts';
import { type Decider, unasked } from './decide/decider.ts';
import type { DueTimes } from './moves/due-times.ts';

type Refusal = 'kill_switch' | 'node_capped' | 'transport_not_assigned';

type StreamAnswer =
  | { readonly isAdmitted: true; readonly cohort: Cohort; readonly assignment: number }
  | { readonly isAdmitted: false; readonly code: Refusal };

interface PollAnswer {
  readonly transport: Transport;
  readonly cohort: Cohort;
  readonly assignment: number;
  readonly mayMoveUp: boolean;
}

interface PollClient {
  readonly assignment: number | undefined;
  readonly session: string | undefined;
}

/** Causes that lie with the node and not with the rules: no ticket, however new, outranks them. */
const brakes: ReadonlySet<Reason> = new Set<Reason>(['kill-switch', 'node-capped']);

export class RolloutAdmission {
  private readonly decider: Decider;
  private readonly dueTimes: DueTimes;
  private readonly announced: Announced;
  private readonly refresh: (version: number) => Promise<void>;
  private readonly onDecision: (reason: Reason) => void;

  constructor(
    decider: Decider,
    dueTimes: DueTimes,
    announced: Announced,
    refresh: (version: number) => Promise<void>,
    onDecision: (reason: Reason) => void,
  ) {
    this.decider = decider;
    this.dueTimes = dueTimes;
    this.announced = announced;
    this.refresh = refresh;
    this.onDecision = onDecision;
  }

  assignment(): number {
    return this.decider.assignment;
  }

  /**
   * Without a ticket: in exactly when this node's decision is `websocket`. With one that is newer than the rules here: they
   * are read again first, and rules that stay older don't refuse it (docs/PROTOCOL.md, 6).
   */
  async stream(identity: Identity, ticket: Ticket | undefined): Promise<StreamAnswer> {
    if (ticket !== undefined && ticket.assignment > this.decider.assignment)
      await this.refresh(ticket.assignment);
    const decision = this.decider.decide(identity, ticket ?? unasked);
    this.onDecision(decision.reason);
    if (decision.transport === 'websocket')
      return { isAdmitted: true, cohort: decision.cohort, assignment: decision.assignment };
    if (ticket !== undefined && ticket.assignment > decision.assignment && !brakes.has(decision.reason))
      return { isAdmitted: true, cohort: 'canary', assignment: ticket.assignment };
    return { isAdmitted: false, code: refusalOf(decision) };
  }

  /** A poll doesn't say what its client supports: negotiation asks, so nobody who can't is kept from a poll. */
  poll(identity: Identity, client: PollClient): PollAnswer {
    const decision = this.decider.decide(identity);
    const { cohort, assignment } = decision;
    // What a query claims is unsigned: it may cause a read, never a decision.
    if (client.assignment !== undefined && client.assignment > assignment)
      void this.refresh(client.assignment);
    const isDue =
      decision.transport === 'websocket' &&
      !this.decider.isHeld(decision) &&
      this.dueTimes.isDue(identity, decision);
    const mayMoveUp =
      isDue &&
      client.assignment !== undefined &&
      client.assignment < assignment &&
      this.announced.claim(identity, client.session, assignment);
    return { transport: isDue ? 'websocket' : 'long-poll', cohort, assignment, mayMoveUp };
  }
}

function refusalOf(decision: Decision): Refusal {
  if (decision.reason === 'kill-switch') return 'kill_switch';
  return decision.reason === 'node-capped' ? 'node_capped' : 'transport_not_assigned';
}
