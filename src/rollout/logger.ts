/** What the rollout needs of a logger: the part of pino's that it calls. */
export interface RolloutLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
