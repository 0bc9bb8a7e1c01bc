import type { Clock } from '../../src/ports.ts';

/** Time that stands still until a test moves it. */
export class ManualClock implements Clock {
  #time = 0;
  #set = 0;
  #timers: { readonly due: number; readonly callback: () => void }[] = [];

  /** 2026-01-01T00:00:00Z when the clock is new. */
  now(): number {
    return 1_767_225_600_000 + this.#time + this.#set;
  }

  monotonic(): number {
    return this.#time;
  }

  after(delay: number, callback: () => void): () => void {
    const timer = { due: this.#time + Math.max(0, delay), callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** The time of day is set forward, or back with a negative `by`; nothing else happens. */
  set(by: number): void {
    this.#set += by;
  }

  /** How many callbacks wait. */
  get waiting(): number {
    return this.#timers.length;
  }

  /** Moves the time and calls back whatever becomes due, the earliest first, each at its own time. */
  advance(delay: number): void {
    const end = this.#time + delay;
    for (let next = this.#earliest(end); next !== undefined; next = this.#earliest(end)) {
      this.#time = Math.max(this.#time, next.due);
      const current = next;
      this.#timers = this.#timers.filter((other) => other !== current);
      current.callback();
    }
    this.#time = end;
  }

  /** As when this process was held up: the time is gone before any callback is made. */
  jump(delay: number): void {
    this.#time += delay;
    this.advance(0);
  }

  #earliest(end: number) {
    return this.#timers.filter((timer) => timer.due <= end).sort((a, b) => a.due - b.due)[0];
  }
}
