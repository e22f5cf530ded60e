/** What the transports ask before they serve a client: whether a stream is let in, and what a poll is told. */
import type { Reason } from '../../schema/http.ts';
import type { Identity, Ticket } from '../auth/identity.ts';
import type { Admission, PollAssignment, StreamAdmission } from '../transports/admission.ts';
import { type Decider, type Decision, unasked } from './decide/decide.ts';
import type { DueTimes } from './moves/due-times.ts';
import type { RulesStore } from './rules/store.ts';

interface AdmissionParts {
  readonly decider: Decider;
  readonly dueTimes: DueTimes;
  readonly store: Pick<RulesStore, 'refresh'>;
  /** Counts the decisions that admit or refuse a stream. */
  readonly onDecision?: ((reason: Reason) => void) | undefined;
}

/** Causes that lie with the node and not with the rules: no ticket, however new, outranks them. */
const brakes: ReadonlySet<Reason> = new Set<Reason>(['kill-switch', 'node-capped']);

export class RolloutAdmission implements Admission {
  constructor(private readonly parts: AdmissionParts) {}

  assignment(): number {
    return this.parts.decider.assignment;
  }

  /**
   * Without a ticket: in exactly when this node's decision is `websocket`. With one that is newer than the rules here: they
   * are read again first, and rules that stay older don't refuse it (docs/PROTOCOL.md, 6).
   */
  async stream(identity: Identity, ticket: Ticket | undefined): Promise<StreamAdmission> {
    const { decider, store, onDecision } = this.parts;
    if (ticket !== undefined && ticket.assignment > decider.assignment)
      await store.refresh(ticket.assignment);
    const decision = decider.decide(identity, ticket ?? unasked);
    onDecision?.(decision.reason);
    if (decision.transport === 'websocket')
      return { isAdmitted: true, cohort: decision.cohort, assignment: decision.assignment };
    if (ticket !== undefined && ticket.assignment > decision.assignment && !brakes.has(decision.reason))
      return { isAdmitted: true, cohort: 'canary', assignment: ticket.assignment };
    return { isAdmitted: false, code: refusalOf(decision) };
  }

  /** A poll doesn't say what its client supports: negotiation asks, so nobody who can't is kept from a poll. */
  poll(identity: Identity, client: Parameters<Admission['poll']>[1]): PollAssignment {
    const { decider, dueTimes, store } = this.parts;
    const decision = decider.decide(identity);
    const { cohort, assignment } = decision;
    // What a query claims is unsigned: it may cause a read, never a decision.
    if (client.assignment !== undefined && client.assignment > assignment)
      void store.refresh(client.assignment);
    const isDue = decision.transport === 'websocket' && dueTimes.isDue(identity, decision);
    const mayMoveUp = isDue && dueTimes.announce(identity, client.session, client.assignment, assignment);
    return { transport: isDue ? 'websocket' : 'long-poll', cohort, assignment, mayMoveUp };
  }
}

function refusalOf({ reason }: Decision) {
  if (reason === 'kill-switch') return 'kill_switch' as const;
  return reason === 'node-capped' ? ('node_capped' as const) : ('transport_not_assigned' as const);
}
