import type { Clock } from '../../src/ports.ts';
import { systemClock } from '../../src/process/clock.ts';
import type { EpochMillis, Millis } from '../../src/units.ts';

/** The time of this machine, which knows how many timers are wound up: Node itself does not tell of those that keep nothing alive. */
export class CountingClock implements Clock {
  pending = 0;

  now(): EpochMillis {
    return systemClock.now();
  }

  monotonic(): Millis {
    return systemClock.monotonic();
  }

  after(delay: Millis, callback: () => void): () => void {
    let isPending = true;
    const over = () => {
      if (isPending) this.pending -= 1;
      isPending = false;
    };
    this.pending += 1;
    const cancel = systemClock.after(delay, () => {
      over();
      callback();
    });
    return () => {
      over();
      cancel();
    };
  }
}
