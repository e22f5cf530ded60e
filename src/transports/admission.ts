/**
 * What the transports must be told by the rollout, as a port of theirs: transports never read flags. gateway.ts joins the two.
 */
import type { Cohort } from '../../schema/http.ts';
import type { Transport } from '../../schema/frames.ts';
import type { CloseCode } from '../../schema/codes.ts';
import type { Identity, Ticket } from '../auth/identity.ts';

export type StreamAdmission =
  | { readonly isAdmitted: true; readonly cohort: Cohort; readonly assignment: number }
  | { readonly isAdmitted: false; readonly code: CloseCode };

export interface PollAssignment {
  /** The transport that the user is due. */
  readonly transport: Transport;
  readonly cohort: Cohort;
  readonly assignment: number;
  /** An SDK client may move up now: its poll is answered at once. */
  readonly mayMoveUp: boolean;
}

export interface Admission {
  /** Decides an upgrade: by the ticket where there is one, else by this node's decision for the user. */
  stream(identity: Identity, ticket: Ticket | undefined): Promise<StreamAdmission>;
  /** Decides what a poll is told. `client` is what an SDK sent; a legacy client sends no assignment. */
  poll(
    identity: Identity,
    client: { readonly assignment: number | undefined; readonly session: string | undefined },
  ): PollAssignment;
  /** The version of the rules now. */
  assignment(): number;
}
