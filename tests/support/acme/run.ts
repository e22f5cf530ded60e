/** Starts the foreign company where the migration guide has it: `tsx tests/support/acme/run.ts PORT REDIS_URL`. */
import { startAcme } from './server.ts';

const [, , port = '3000', redisUrl = 'redis://127.0.0.1:6379'] = process.argv;
const { url } = await startAcme({ redisUrl, port: Number(port) });
console.log(`the company's API is at ${url}/api/updates`);
