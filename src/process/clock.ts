import type { Clock } from '../ports.ts';
import type { Millis } from '../units.ts';

/** The time of this machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delay, callback) {
    const timer = setTimeout(callback, delay);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

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
