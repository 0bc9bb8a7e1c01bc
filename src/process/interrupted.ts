export const INTERRUPTS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Where this process hears of its signals. */
export type Signals = Pick<NodeJS.EventEmitter, 'on' | 'off'>;

/**
 * Waits for a child in a session of its own (`detached`), so that Ctrl-C reaches this process alone; an interrupt of
 * this process then ends the child.
 * @returns what the child came to, and whether it was ended so
 */
export async function endOf<Result>(
  child: PromiseLike<Result> & { kill(signal: 'SIGTERM'): boolean },
  signals: Signals = process,
): Promise<{ readonly result: Result; readonly interrupted: boolean }> {
  let interrupted = false;
  const interrupt = () => {
    interrupted = true;
    child.kill('SIGTERM');
  };
  for (const signal of INTERRUPTS) signals.on(signal, interrupt);
  try {
    const result = await child;
    return { result, interrupted };
  } finally {
    for (const signal of INTERRUPTS) signals.off(signal, interrupt);
  }
}
