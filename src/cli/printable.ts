/** What others wrote, made safe to show: an event's type or a reason must not be able to drive the reader's terminal. */

export const printable = (text: string): string =>
  text.replaceAll(/\p{Cc}/gu, (found) => `\\u${(found.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`);
