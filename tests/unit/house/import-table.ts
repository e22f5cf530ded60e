/** docs/ARCHITECTURE.md's 'Who may import whom', as data. The first room whose pattern fits a path owns it. */

export interface Room {
  readonly name: string;
  readonly owns: RegExp;
  /** Rooms it may import, besides itself. */
  readonly imports: readonly string[];
}

const everything = [
  'schema',
  'leaf',
  'flags',
  'log',
  'log port',
  'hub',
  'sessions',
  'transports',
  'rollout',
  'local kill',
];

export const rooms: readonly Room[] = [
  { name: 'schema', owns: /^schema\//, imports: [] },
  // Toggles and cases: data, whoever reads it.
  { name: 'flags', owns: /^flags\//, imports: [] },
  {
    name: 'leaf',
    owns: /^src\/(errors|clock|config|settings|setting-forms|identity-settings|key-prints|node-id|identity|public-key|exact-numbers|auth(-[a-z]+)?|tickets|ticket-key|logger|metrics|legacy-metrics|bridge-metrics|spread|traffic|redis|redis-rights|redis-script|redis-url)\.ts$/,
    imports: ['schema'],
  },
  { name: 'log port', owns: /^src\/log\/(event-log|entry|cursor)\.ts$/, imports: ['schema', 'leaf'] },
  { name: 'log', owns: /^src\/log\//, imports: ['schema', 'leaf', 'log port'] },
  // One way in for what HTTP and the stream publish.
  { name: 'publisher', owns: /^src\/publisher\.ts$/, imports: ['schema', 'leaf', 'log port'] },
  { name: 'sessions', owns: /^src\/hub\/sessions\.ts$/, imports: ['schema', 'leaf', 'log port'] },
  { name: 'hub', owns: /^src\/hub\//, imports: ['schema', 'leaf', 'log port', 'sessions'] },
  {
    name: 'transports',
    owns: /^src\/transports\//,
    imports: ['schema', 'leaf', 'log port', 'hub', 'sessions'],
  },
  // The caller's side of `turnout kill --local`: all that the CLI needs of the rollout.
  { name: 'local kill', owns: /^src\/rollout\/local-kill\.ts$/, imports: [] },
  // Sees sessions through a port that it declares itself.
  { name: 'rollout', owns: /^src\/rollout\//, imports: ['schema', 'leaf', 'flags', 'local kill'] },
  { name: 'legacy', owns: /^src\/legacy\//, imports: ['schema', 'leaf', 'log port'] },
  {
    name: 'http',
    owns: /^src\/http\//,
    imports: ['schema', 'leaf', 'transports', 'rollout', 'legacy', 'log port', 'sessions', 'publisher'],
  },
  // Its crowd is made of the real clients, over real sockets.
  { name: 'demo', owns: /^src\/demo\//, imports: ['schema', 'leaf', 'log port', 'clients'] },
  {
    name: 'gateway',
    owns: /^src\/gateway(-[a-z]+)?\.ts$/,
    imports: [...everything, 'publisher', 'legacy', 'http', 'demo'],
  },
  { name: 'main', owns: /^src\/main\.ts$/, imports: ['gateway', 'leaf'] },
  // `serve` is what main does; `doctor` and the views speak of the rollout in its own words.
  {
    name: 'cli',
    owns: /^src\/cli\//,
    imports: ['schema', 'leaf', 'gateway', 'main', 'rollout', 'local kill', 'legacy'],
  },
  { name: 'clients', owns: /^clients\//, imports: ['schema'] },
  { name: 'loadtest', owns: /^loadtest\//, imports: ['schema', 'clients'] },
];

/** Packages that only those whose job they are may import. */
export const soleUsers: Readonly<Record<string, RegExp>> = {
  undici: /^src\/(legacy\/|auth-)/,
  ws: /^(src\/transports|src\/cli|src\/demo|loadtest|clients)\//,
  'unleash-client': /^src\/rollout\//,
  ioredis: /^(src\/redis\.ts|src\/log\/redis-[a-z]+\.ts|loadtest\/bench\/(append|orgs)\.ts)$/,
};

/** Globals of src that one file may touch: the rest takes a `Config` and a `Clock`. */
export const soleGlobals: Readonly<Record<string, string>> = {
  'process.env': 'src/config.ts',
  'Date.now': 'src/clock.ts',
  'new Date()': 'src/clock.ts',
  'Math.random': 'src/clock.ts',
  setTimeout: 'src/clock.ts',
  setInterval: 'src/clock.ts',
};

export const roomOf = (path: string): Room | undefined => rooms.find((room) => room.owns.test(path));

/** @returns why `from` may not import `to`, or undefined where it may. */
export function objection(from: string, to: string): string | undefined {
  const [room, other] = [roomOf(from), roomOf(to)];
  if (room === undefined) return `${from} belongs to no room of the table`;
  if (other === undefined) return `${from} imports ${to}, which belongs to no room of the table`;
  if (room === other || room.imports.includes(other.name)) return undefined;
  return `${from} (${room.name}) may not import ${to} (${other.name})`;
}
