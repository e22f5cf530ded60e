/** Who reads one org's feed on this node: its groups, and what each reader is given when the loop turns. */
import type { EphemeralEvent } from '../log/entry.ts';
import type { Form } from './chunk.ts';
import { Group, type Member } from './group.ts';
import type { Floor, Pages } from './pages.ts';
import type { Ring } from './ring.ts';

export interface AudienceParts {
  readonly org: string;
  readonly pages: Pages;
  readonly ring: () => Ring;
  readonly floor: () => Floor;
  /** Compares the ring with the log. @throws log_unavailable */
  readonly reconcile: () => Promise<void>;
  /** A group was given what came since the last flush; the oldest of it was appended at `sinceMs`. */
  readonly onFlushed: (form: Form, sinceMs: number, readers: number) => void;
}

export class Audience {
  private readonly parts: AudienceParts;
  private readonly groups = new Map<string, Group>();

  constructor(parts: AudienceParts) {
    this.parts = parts;
  }

  get isEmpty(): boolean {
    return this.groups.size === 0;
  }

  join(member: Member, services: ReadonlySet<string>, form: Form): Group {
    const key = `${form.name}|${[...services].toSorted().join(',')}`;
    let group = this.groups.get(key);
    if (group === undefined) {
      const { org, pages, ring, floor, reconcile } = this.parts;
      group = new Group({ key, org, services, form, ring: ring(), pages, floor, reconcile });
      this.groups.set(key, group);
    }
    group.members.add(member);
    return group;
  }

  leave(member: Member, group: Group): void {
    group.members.delete(member);
    if (group.members.size === 0 && this.groups.get(group.key) === group) this.groups.delete(group.key);
  }

  /** @param sinceMs when the oldest entry was appended that nobody was given yet; undefined where there is none */
  give(sinceMs: number | undefined, ephemeral: readonly EphemeralEvent[]): void {
    for (const group of this.groups.values()) {
      const readers = group.members.size;
      for (const member of group.members) member.pump();
      if (sinceMs !== undefined) this.parts.onFlushed(group.form, sinceMs, readers);
      const theirs = ephemeral.filter((event) => group.services.has(event.service));
      if (theirs.length > 0) for (const member of group.members) member.ephemeral(theirs);
    }
  }

  /** The ring began anew. */
  recheck(): void {
    for (const group of this.groups.values()) {
      group.forget();
      for (const member of group.members) member.recheck();
    }
  }
}
