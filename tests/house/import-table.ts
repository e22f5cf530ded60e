/**
 * docs/ARCHITECTURE.md's 'Who may import whom', as data: a line a folder. The longest folder that holds a path owns it; a
 * folder may import itself, the folders that its line names (without the folders below them), and schema.
 */

/** Rooms that every room of src may import. */
const leaves = ['src', 'src/async', 'src/config', 'src/auth', 'src/redis', 'src/metrics'];
/** Everything but the gateway, the command line, and the entry. */
const rooms = [
  'src/log',
  'src/hub',
  'src/transports',
  'src/publish',
  'src/rollout',
  'src/rollout/rules',
  'src/rollout/decide',
  'src/rollout/moves',
  'src/rollout/kill',
  'src/rollout/fleet',
  'src/legacy',
  'src/legacy/profile',
  'src/legacy/dialect',
  'src/legacy/bridge',
  'src/legacy/bridge/sources',
  'src/legacy/proxy',
  'src/legacy/serve',
  'src/legacy/shadow',
  'src/http',
  'src/demo',
];

/** The files of a room that its ports are: all that a line with `room:port` may import of it. */
const ports: Readonly<Record<string, readonly string[]>> = {
  'log:port': ['src/log/event-log.ts', 'src/log/entry.ts', 'src/log/cursor.ts', 'src/log/exact-numbers.ts'],
  'hub:sessions': ['src/hub/sessions.ts'],
  'transports:admission': ['src/transports/admission.ts'],
};

export const importTable: Readonly<Record<string, readonly string[]>> = {
  schema: [],
  flags: [],
  src: [...leaves, 'src/gateway'],
  'src/async': ['src'],
  'src/config': leaves,
  'src/auth': leaves,
  'src/redis': leaves,
  'src/metrics': leaves,
  'src/log': leaves,
  'src/hub': [...leaves, 'log:port'],
  'src/transports': [...leaves, 'log:port', 'src/hub'],
  'src/publish': [...leaves, 'log:port'],
  // Sees sessions through a port that it declares itself.
  'src/rollout/rules': leaves,
  'src/rollout/kill': [...leaves, 'src/rollout/rules'],
  'src/rollout/decide': [...leaves, 'src/rollout/rules', 'src/rollout/kill'],
  'src/rollout/moves': [...leaves, 'src/rollout/rules', 'src/rollout/decide'],
  'src/rollout/fleet': [...leaves, 'src/rollout/rules'],
  // Answers what the transports ask, in the shape that they declare.
  'src/rollout': [
    ...leaves,
    'transports:admission',
    'src/rollout/rules',
    'src/rollout/kill',
    'src/rollout/decide',
    'src/rollout/moves',
    'src/rollout/fleet',
  ],
  'src/legacy/dialect': [...leaves, 'log:port'],
  'src/legacy/profile': [...leaves, 'src/legacy/dialect'],
  'src/legacy/bridge/sources': [...leaves, 'src/legacy/dialect', 'src/legacy/bridge'],
  'src/legacy/bridge': [...leaves, 'log:port', 'src/legacy/dialect', 'src/legacy/bridge/sources'],
  'src/legacy/proxy': [...leaves, 'log:port', 'src/legacy/dialect'],
  // Answers polls through the transports, in a form of its own.
  'src/legacy/serve': [
    ...leaves,
    'log:port',
    'src/hub',
    'src/transports',
    'src/legacy/dialect',
    'src/legacy/bridge',
    'src/legacy/proxy',
    'src/legacy/shadow',
    'src/rollout/decide',
  ],
  'src/legacy/shadow': [...leaves, 'log:port', 'src/legacy/dialect'],
  'src/legacy': [...leaves, 'src/legacy/dialect', 'src/legacy/proxy', 'src/legacy/serve'],
  'src/http': [
    ...leaves,
    'log:port',
    'hub:sessions',
    'src/transports',
    'src/publish',
    'src/rollout',
    'src/rollout/rules',
    'src/rollout/decide',
    'src/rollout/fleet',
    'src/legacy/shadow',
  ],
  // Its crowd is made of the real clients, over real sockets.
  'src/demo': [...leaves, 'clients/js', 'clients/legacy', 'clients/demo'],
  'src/gateway': [...leaves, ...rooms],
  // `doctor` and the views speak of the rollout in its own words.
  'src/cli': [...leaves, 'src/rollout/kill', 'src/cli/doctor', 'src/cli/legacy', 'src/cli/rollout'],
  'src/cli/doctor': [...leaves, 'src/cli', 'src/legacy/profile', 'src/rollout/rules', 'src/rollout/fleet'],
  'src/cli/legacy': [...leaves, 'src/cli', 'src/legacy/profile', 'src/legacy/dialect', 'src/legacy/bridge'],
  'src/cli/rollout': [...leaves, 'src/cli', 'src/rollout/rules'],
  'clients/js': ['clients/js/transports'],
  'clients/js/transports': ['clients/js'],
  'clients/legacy': [],
  'clients/demo': ['clients/js', 'clients/legacy'],
  loadtest: ['clients/js', 'clients/legacy', 'loadtest/bench', 'loadtest/scenarios'],
  'loadtest/bench': ['clients/js', 'clients/legacy', 'loadtest'],
  'loadtest/scenarios': ['clients/js', 'clients/legacy', 'loadtest'],
  'loadtest/servers': ['clients/js', 'loadtest'],
  // What no load from outside can bring: a node made of these rooms, as the gateway makes one.
  'loadtest/inside': [
    'loadtest',
    'loadtest/servers',
    ...leaves,
    'src/hub',
    'src/http',
    'src/rollout',
    'src/gateway',
  ],
};

/** Packages that only the rooms whose job they are may import. */
export const soleUsers: Readonly<Record<string, RegExp>> = {
  undici: /^src\/(legacy|auth)\//,
  ws: /^(src\/transports|src\/cli|src\/demo|loadtest|clients)\//,
  'unleash-client': /^src\/rollout\//,
  ioredis: /^(src\/redis\/|loadtest\/bench\/(append|orgs)\.ts)/,
};

/** Globals of src that one file may touch: the rest takes a `Config` and a `Clock`. */
export const soleGlobals: Readonly<Record<string, string>> = {
  'process.env': 'src/config/config.ts',
  'Date.now': 'src/clock.ts',
  'new Date()': 'src/clock.ts',
  'Math.random': 'src/clock.ts',
  setTimeout: 'src/clock.ts',
  setInterval: 'src/clock.ts',
};

/** The folder whose line holds for a path. */
export function roomOf(path: string): string | undefined {
  for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
    const folder = path.slice(0, end);
    if (folder in importTable) return folder;
  }
  return undefined;
}

/** @returns why `from` may not import `to`, or undefined where it may. */
export function objection(from: string, to: string): string | undefined {
  const [room, other] = [roomOf(from), roomOf(to)];
  if (room === undefined) return `${from} belongs to no room of the table`;
  if (other === undefined) return `${from} imports ${to}, which belongs to no room of the table`;
  if (room === other || other === 'schema') return undefined;
  const line = importTable[room] ?? [];
  if (line.includes(other) || line.some((name) => ports[name]?.includes(to) === true)) return undefined;
  return `${from} (${room}) may not import ${to} (${other})`;
}
