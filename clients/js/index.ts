/** What applications import. */
export { type Client, type ClientOptions, createClient } from './client.ts';
export type { Place } from './cursor.ts';
export type { ClientProblem, ClientState } from './delivery.ts';
export { type ClientClock, type NetworkEvents, systemClock } from './environment.ts';
export { type Published, PublishError, type PublishInput } from './publish.ts';
export type { Stats } from './stats.ts';
