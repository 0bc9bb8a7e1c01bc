import type { Millis } from '../units.ts';
import { type Lane, pick, windowFor } from './pick.ts';

/** The part of a clock that batching needs. */
export interface Timer {
  monotonic(): Millis;
  after(delay: Millis, callback: () => void): () => void;
}

export interface BatcherOptions<Item> {
  readonly timer: Timer;
  readonly devices: readonly string[];
  /** Items of one key share batches, and so agree in model and rank. */
  keyOf(item: Item): string;
  modelOf(item: Item): string;
  /** Lower goes first. */
  rankOf(item: Item): number;
  /** How many items like this one a batch holds at most. */
  limit(item: Item, device: string): number;
  resident(device: string): string | null;
  /** How long a free device is not to be given a batch: 0 for one that takes it now, infinite until the next `look`. */
  closedFor(device: string): Millis;
  /**
   * Works one batch off. Resolves with one answer an item, in order: undefined for settled, or the
   * error that this item's promise is to reject with. A rejection is the answer of every item.
   */
  run(items: readonly Item[], key: string, device: string): Promise<readonly (Error | undefined)[]>;
  /** Told whenever the look-ahead that pays has changed. */
  onWindow?(window: number): void;
  /** How long a free device waits for its batch to fill. */
  readonly linger?: Millis;
  /** The same for a device with nothing loaded: its first batch waits for a load anyway. */
  readonly lingerUnloaded?: Millis;
  /** How long a job waits at least before it goes first, whatever model it needs; longer where batches take long. */
  readonly patience?: Millis;
}

interface LaneOf<Item> {
  readonly model: string;
  readonly rank: number;
  readonly waiting: Waiting<Item>[];
}

interface Waiting<Item> {
  readonly item: Item;
  readonly since: Millis;
  resolve(): void;
  reject(reason: Error): void;
}

const LINGER_MS = 20;
const LINGER_UNLOADED_MS = 250;
const PATIENCE_MS = 60_000;
/** Where batches are slow, a change of models must pay for many of them. */
const PATIENCE_IN_BATCHES = 8;

/**
 * Groups jobs that arrive one by one into homogeneous batches, one batch a device at a time.
 * Every submitted item settles exactly once; inside a key the order is first in, first out.
 */
export class Batcher<Item> {
  readonly #options: BatcherOptions<Item>;
  readonly #lanes = new Map<string, LaneOf<Item>>();
  /** Devices without a batch, with the time until which each waits for more company. */
  readonly #free = new Map<string, Millis>();
  /** How long the last batch of each device took, with the load that it may have needed. */
  readonly #lastBatch = new Map<string, Millis>();
  #inside = 0;
  #window = 1;
  #cancelTimer: (() => void) | null = null;

  constructor(options: BatcherOptions<Item>) {
    this.#options = options;
    for (const device of options.devices) this.#free.set(device, Number.NEGATIVE_INFINITY);
    this.#window = this.#wantedWindow();
  }

  get window(): number {
    return this.#window;
  }

  /** Settles when the item's batch has answered for it, or rejects with the signal's reason while it still waits. */
  submit(item: Item, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(reasonOf(signal));
      const onAbort = () => signal !== undefined && this.#withdraw(entry, reasonOf(signal));
      // A signal that is made of others is kept for ever while somebody listens to it.
      const deaf = () => signal?.removeEventListener('abort', onAbort);
      const entry: Waiting<Item> = {
        item,
        since: this.#options.timer.monotonic(),
        resolve: () => {
          deaf();
          resolve();
        },
        reject: (reason) => {
          deaf();
          reject(reason);
        },
      };
      this.#laneOf(item).waiting.push(entry);
      this.#inside += 1;
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#lingerFromIdle();
      this.#resize();
      this.#pump();
    });
  }

  /** To be called when a device may have been opened. */
  look(): void {
    this.#pump();
  }

  /** Rejects everything that no device has begun; what runs goes on. */
  release(reason: Error): number {
    const waiting = [...this.#lanes.values()].flatMap((lane) => lane.waiting.splice(0));
    this.#lanes.clear();
    this.#inside -= waiting.length;
    for (const entry of waiting) entry.reject(reason);
    return waiting.length;
  }

  #laneOf(item: Item): LaneOf<Item> {
    const { keyOf, modelOf, rankOf } = this.#options;
    const key = keyOf(item);
    const lane = this.#lanes.get(key) ?? { model: modelOf(item), rank: rankOf(item), waiting: [] };
    this.#lanes.set(key, lane);
    return lane;
  }

  #withdraw(entry: Waiting<Item>, reason: Error): void {
    for (const [key, lane] of this.#lanes) {
      const at = lane.waiting.indexOf(entry);
      if (at < 0) continue;
      lane.waiting.splice(at, 1);
      if (lane.waiting.length === 0) this.#lanes.delete(key);
      this.#inside -= 1;
      entry.reject(reason);
      return;
    }
  }

  /** A device that stood idle waits a moment from the first arrival on, so that its batch can fill. */
  #lingerFromIdle(): void {
    const now = this.#options.timer.monotonic();
    for (const [device, since] of this.#free) {
      if (since === Number.NEGATIVE_INFINITY) this.#free.set(device, now + this.#lingerOf(device));
    }
  }

  #pump(): void {
    const now = this.#options.timer.monotonic();
    const refilled = this.#inside >= this.#window;
    for (const [device, until] of [...this.#free]) {
      if ((until > now && !refilled) || this.#options.closedFor(device) > 0) continue;
      const chosen = pick(this.#view(), {
        now,
        resident: this.#options.resident(device),
        limit: (key) => this.#limit(key, device),
        patience: this.#patienceOf(device),
      });
      if (chosen === null) this.#free.set(device, Number.NEGATIVE_INFINITY);
      else this.#dispatch(chosen.key, chosen.count, device);
    }
    this.#wakeLater(now);
  }

  #view(): Lane[] {
    return [...this.#lanes].map(([key, lane]) => ({
      key,
      rank: lane.rank,
      model: lane.model,
      since: lane.waiting.map((entry) => entry.since),
    }));
  }

  #limit(key: string, device: string): number {
    const head = this.#lanes.get(key)?.waiting[0];
    return head === undefined ? 1 : this.#options.limit(head.item, device);
  }

  #dispatch(key: string, count: number, device: string): void {
    const lane = this.#lanes.get(key);
    const entries = lane?.waiting.splice(0, count) ?? [];
    if (lane?.waiting.length === 0) this.#lanes.delete(key);
    this.#free.delete(device);
    const began = this.#options.timer.monotonic();
    this.#options
      .run(
        entries.map((entry) => entry.item),
        key,
        device,
      )
      .then(
        (answers) => settleAll(entries, answers),
        (reason: unknown) =>
          settleAll(
            entries,
            entries.map(() => asError(reason)),
          ),
      )
      .finally(() => this.#freed(device, entries.length, began));
  }

  #freed(device: string, count: number, began: Millis): void {
    const now = this.#options.timer.monotonic();
    this.#inside -= count;
    this.#lastBatch.set(device, now - began);
    this.#free.set(device, now + this.#lingerOf(device));
    this.#resize();
    this.#pump();
  }

  #wakeLater(now: Millis): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    const waits = [...this.#free].map(([device, until]) => Math.max(until - now, this.#options.closedFor(device)));
    const next = Math.min(...waits.filter((wait) => wait > 0));
    if (next !== Number.POSITIVE_INFINITY) this.#cancelTimer = this.#options.timer.after(next, () => this.#pump());
  }

  #resize(): void {
    const wanted = this.#wantedWindow();
    if (wanted === this.#window) return;
    this.#window = wanted;
    this.#options.onWindow?.(wanted);
  }

  #wantedWindow(): number {
    const keys = [...this.#lanes.keys()];
    const limits = this.#options.devices.map((device) => Math.max(1, ...keys.map((key) => this.#limit(key, device))));
    return windowFor(limits, keys.length);
  }

  #patienceOf(device: string): Millis {
    const { patience = PATIENCE_MS } = this.#options;
    return Math.max(patience, PATIENCE_IN_BATCHES * (this.#lastBatch.get(device) ?? 0));
  }

  #lingerOf(device: string): Millis {
    const { linger = LINGER_MS, lingerUnloaded = LINGER_UNLOADED_MS, resident } = this.#options;
    return resident(device) === null ? lingerUnloaded : linger;
  }
}

/** A list of another length would leave promises open for ever, so it is everybody's failure. */
function settleAll<Item>(entries: readonly Waiting<Item>[], answers: readonly (Error | undefined)[]): void {
  const fault =
    answers.length === entries.length ? undefined : new Error(`${answers.length} answers for ${entries.length} jobs`);
  for (const [at, entry] of entries.entries()) {
    const answer = fault ?? answers[at];
    if (answer === undefined) entry.resolve();
    else entry.reject(answer);
  }
}

function reasonOf(signal: AbortSignal): Error {
  return asError(signal.reason);
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
