/** Waits for a fact, not for time. */
export async function until(
  isTrue: () => boolean | Promise<boolean>,
  { withinMs = 10_000, what = 'the fact' }: { withinMs?: number; what?: string } = {},
): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!(await isTrue())) {
    if (performance.now() > endMs) throw new Error(`${what} did not come within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
