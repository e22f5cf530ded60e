/**
 * How many of those connected the rules put in each cohort, kept as sessions come, go and are decided anew: whoever asks must
 * not decide them all.
 */
import type { Cohort } from '../../../schema/http.ts';
import type { Decision } from '../decide/decide.ts';
import type { MovableSession, MovableSessions } from './sessions.ts';

export class CohortCounts {
  /** Sessions that the rules put in the other cohort, by the one that each was admitted with: few but during moves. */
  private readonly displaced = {
    canary: new Set<MovableSession>(),
    control: new Set<MovableSession>(),
  };

  constructor(private readonly sessions: Pick<MovableSessions, 'connected'>) {}

  /** A connected session was decided by the rules as they are. */
  decided(session: MovableSession, { cohort }: Pick<Decision, 'cohort'>): void {
    const displaced = this.displaced[session.cohort];
    if (cohort === session.cohort) displaced.delete(session);
    else displaced.add(session);
  }

  left(session: MovableSession): void {
    this.displaced[session.cohort].delete(session);
  }

  /** Counts each session as it was last decided; one that has just come by what it was admitted with. */
  assigned(): Record<Cohort, number> {
    const { canary, control } = this.sessions.connected();
    const fromCanary = this.displaced.canary.size;
    const fromControl = this.displaced.control.size;
    return {
      canary: canary.websocket + canary['long-poll'] - fromCanary + fromControl,
      control: control.websocket + control['long-poll'] - fromControl + fromCanary,
    };
  }
}
