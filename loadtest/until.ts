/** Waits for a fact. @returns false when it hasn't come true within `withinMs`. */
export async function until(isTrue: () => boolean, withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (!isTrue()) {
    if (performance.now() > deadline) return false;
    await new Promise<void>((resolve) => setTimeout(resolve, 5));
  }
  return true;
}
