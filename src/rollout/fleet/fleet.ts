/**
 * The nodes of a deployment: which of them live, what they decide by, who is connected to them, and questions to all of them.
 * A port, because a node on the embedded log is alone. Answers are plain JSON; whoever asks checks them, since nodes of two
 * versions run side by side in a deployment.
 */
import type { RolloutBody } from '../../../schema/admin.ts';
import type { Connected } from '../rules/open-changes.ts';

export interface FleetAnswers {
  /** By node id; this node's own among them. */
  readonly answers: ReadonlyMap<string, unknown>;
  /** Living nodes that gave none in time. */
  readonly missing: readonly string[];
}

/**
 * `acks`: the version that each node last applied, by node id. `laggards`: nodes that live and haven't applied the version
 * asked about. `capped`: living nodes that their environment holds at long-poll.
 */
export type Acknowledged = Readonly<Pick<RolloutBody, 'acks' | 'laggards' | 'capped'>>;

export interface Fleet {
  /**
   * How this node answers, at once or by a promise. What it gives must be JSON; a question that it doesn't know gets
   * undefined, which is no answer.
   */
  serve(answer: (question: unknown) => unknown): void;

  /** Resolves with every living node's answer, or after a second with those that came. Never rejects for Redis. */
  ask(question: object): Promise<FleetAnswers>;

  /** Connections to all nodes: to the others as they last said, to this node as it is. */
  connected(): Connected;

  /** This node decides by `version` now. */
  acknowledge(version: number): void;

  /** Resolves once every living node decides by `version` or a newer one, or after `withinMs` with the laggards named. */
  acknowledged(version: number, withinMs: number): Promise<Acknowledged>;

  /** The other nodes no longer wait for this one. */
  close(): Promise<void>;
}

/** What a node tells of itself. */
export interface FleetNode {
  readonly nodeId: string;
  /** Variables that hold this node at long-poll. */
  readonly caps: readonly string[];
  readonly connectedHere: () => Connected;
}

/** A node that is alone. */
export class LoneFleet implements Fleet {
  private answer: (question: unknown) => unknown = () => undefined;
  private applied = 0;

  constructor(private readonly node: FleetNode) {}

  serve(answer: (question: unknown) => unknown): void {
    this.answer = answer;
  }

  async ask(question: object): Promise<FleetAnswers> {
    const own = await this.answer(question);
    return { answers: new Map(own === undefined ? [] : [[this.node.nodeId, own]]), missing: [] };
  }

  connected(): Connected {
    return this.node.connectedHere();
  }

  acknowledge(version: number): void {
    this.applied = version;
  }

  async acknowledged(version: number): Promise<Acknowledged> {
    const { nodeId: node, caps } = this.node;
    return {
      acks: { [node]: this.applied },
      laggards: this.applied < version ? [node] : [],
      capped: caps.length === 0 ? [] : [{ node, variables: [...caps] }],
    };
  }

  async close(): Promise<void> {
    this.answer = () => undefined;
  }
}
