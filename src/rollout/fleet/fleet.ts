/**
 * Questions to every node at once: who is connected to you, how many, drain. A port, because a node on the embedded log is
 * alone. Answers are plain JSON; whoever asks checks them, since nodes of two versions run side by side in a deployment.
 */

export interface FleetAnswers {
  /** By node id; this node's own among them. */
  readonly answers: ReadonlyMap<string, unknown>;
  /** Living nodes that gave none in time. */
  readonly missing: readonly string[];
}

export interface Fleet {
  /** How this node answers. What it gives must be JSON; a question that it doesn't know gets undefined, which is no answer. */
  serve(answer: (question: unknown) => unknown): void;

  /** Resolves with every living node's answer, or after a second with those that came. Never rejects for Redis. */
  ask(question: object): Promise<FleetAnswers>;

  close(): void;
}

/** A node that is alone. */
export class LoneFleet implements Fleet {
  private readonly nodeId: string;
  private answer: (question: unknown) => unknown = () => undefined;

  constructor(nodeId: string) {
    this.nodeId = nodeId;
  }

  serve(answer: (question: unknown) => unknown): void {
    this.answer = answer;
  }

  async ask(question: object): Promise<FleetAnswers> {
    const own = this.answer(question);
    return { answers: new Map(own === undefined ? [] : [[this.nodeId, own]]), missing: [] };
  }

  close(): void {
    this.answer = () => undefined;
  }
}
