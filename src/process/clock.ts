import type { Clock } from '../ports.ts';
import type { Millis } from '../units.ts';

/** The time of this machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delay, callback) {
    // A longer one would call back at once; who waits for so long looks again.
    const timer = setTimeout(callback, Math.min(delay, LONGEST_MS));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** What a timer of Node can hold: 24.8 days. */
const LONGEST_MS: Millis = 2 ** 31 - 1;

/** Waits `delay`, not at all for 0; rejects with the signal's reason as soon as it is aborted. */
export function pause(clock: Clock, delay: Millis, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    if (delay <= 0) return resolve();
    const onAbort = () => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.after(delay, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** True if the promise has settled within `limit`; a rejection is passed on. */
export async function settlesWithin(clock: Clock, limit: Millis, promise: Promise<unknown>): Promise<boolean> {
  let cancel = () => {};
  const expired = new Promise<false>((resolve) => {
    cancel = clock.after(limit, () => resolve(false));
  });
  try {
    return await Promise.race([promise.then(() => true as const), expired]);
  } finally {
    cancel();
  }
}
