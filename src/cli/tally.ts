import type { Clock, Receipt } from '../ports.ts';
import { type Method, type Millis, weakest } from '../units.ts';

/** The sums behind the live line: what this command has seen made so far. */
export class Tally {
  readonly #clock: Clock;
  readonly #began: Millis;
  #firstAt: Millis | null = null;
  #watts: number | null = null;
  #methods: Method[] = [];
  images = 0;
  failed = 0;
  joules = 0;
  amount = 0;
  currency = '';

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#began = clock.monotonic();
  }

  add(receipt: Receipt | null): void {
    this.images += 1;
    this.#firstAt ??= this.#clock.monotonic();
    if (receipt === null) return;
    const { energy, cost, seconds } = receipt;
    this.joules += energy.joules ?? 0;
    this.amount += cost.amount ?? 0;
    this.currency = cost.currency;
    this.#methods = [weakest([...this.#methods, energy.method, cost.method])];
    if (energy.joules !== null && seconds.share > 0) this.#watts = energy.joules / seconds.share;
  }

  get seconds(): number {
    return (this.#clock.monotonic() - this.#began) / 1000;
  }

  get watts(): number | null {
    return this.#watts;
  }

  get method(): Method {
    return this.#methods[0] ?? 'unknown';
  }

  /** Images an hour. The load before the first picture is left out as soon as a rate can be told without it. */
  get imagesPerHour(): number {
    const since = this.images > 8 && this.#firstAt !== null ? this.#firstAt : this.#began;
    const seconds = (this.#clock.monotonic() - since) / 1000;
    return seconds > 0 ? (this.images / seconds) * 3600 : 0;
  }

  /** Seconds until `left` more images are made at this rate; null while none has been made. */
  secondsFor(left: number): number | null {
    return this.images === 0 ? null : (left / this.imagesPerHour) * 3600;
  }
}
