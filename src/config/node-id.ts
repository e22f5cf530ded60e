/** The name of a node that was given none: it says where the node runs, and is nobody else's. */
import { hostname } from 'node:os';
import type { Clock } from '../clock.ts';

// Room is left for the rest: a node's id has at most 64 characters. The end of a pod's name is what differs.
const hostChars = 50;

/** Containers that share a host's network have one host name and, each, process id 1: chance tells them apart. */
export function madeUpNodeId(clock: Pick<Clock, 'tag'>): string {
  const host = hostname()
    .replaceAll(/[^A-Za-z0-9._-]/g, '-')
    .slice(-hostChars);
  return `${host}-${process.pid}-${clock.tag(24)}`;
}
