/** `http-proxy` (npm) as it does best: connections to the backend kept, X-Forwarded-* added as the gateway adds them. */
import { Agent, createServer } from 'node:http';
import httpProxy from 'http-proxy';
import { listen } from './listen.ts';

const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
const proxy = httpProxy.createProxyServer({ target: process.env['UPSTREAM'] ?? '', agent, xfwd: true });
proxy.on('error', (_, __, response) => void response.end());

listen(createServer((request, response) => proxy.web(request, response)));
