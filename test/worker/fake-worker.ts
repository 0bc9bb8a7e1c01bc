import type { ChildSpec } from '../../src/process/child.ts';
import { FakeChild } from '../process/fake-child.ts';

/** Of a worker on a CPU. */
export const MEMORY = {
  peak_allocated_bytes: null,
  peak_reserved_bytes: null,
  reserved_bytes: null,
  peak_device_bytes: null,
  device_free_bytes: null,
  device_total_bytes: null,
  rss_bytes: 1_000,
  peak_rss_bytes: 2_000,
  anonymous_bytes: 500,
};
export const ENERGY = {
  millijoules: null,
  meter: 'none',
  method: 'unknown',
  flags: [],
  bound_mj: null,
  window: null,
};

export type Fields = Readonly<Record<string, unknown>>;
/** An order as it came on the worker's input. */
export type Heard = Fields & { readonly type: string };

/** A worker in this process, that says what a test has it say. */
export class FakeWorker {
  readonly child: FakeChild;
  readonly orders: Heard[] = [];
  readonly launch: string;
  /** How it writes a message; as a line of JSON where this says nothing of it. */
  writes: (message: Fields) => Buffer | undefined = () => undefined;
  #seq = 0;

  /** @param onOrder what it does with an order, beside keeping it */
  constructor(
    spec: ChildSpec,
    options: { readonly heedsStop?: boolean; onOrder?(order: Heard, worker: FakeWorker): void } = {},
  ) {
    this.launch = spec.args.at(-1) ?? '';
    this.child = new FakeChild(spec, {
      heedsStop: options.heedsStop ?? true,
      onHeard: (line) => {
        const order = JSON.parse(line) as Heard;
        this.orders.push(order);
        // As with a process, no answer comes before the order is wholly given.
        queueMicrotask(() => options.onOrder?.(order, this));
      },
    });
  }

  /** The last order of its kind. */
  last(type: string): Heard {
    const order = this.orders.findLast((one) => one.type === type);
    if (order === undefined) throw new Error(`the worker was given no ${type}`);
    return order;
  }

  say(type: string, fields: Fields = {}): void {
    this.#seq += 1;
    const message = { v: 1, type, launch: this.launch, seq: this.#seq, ...fields };
    this.child.write(this.writes(message) ?? Buffer.from(`${JSON.stringify(message)}\n`));
  }

  hello(): void {
    this.say('hello', { pid: 7, engine_kind: 'fake', versions: {} });
  }

  loaded(): void {
    const { engine } = this.last('load');
    this.say('loaded', {
      engine,
      settings: {},
      downgrades: [],
      weights: {},
      versions: {},
      seconds: 1,
      memory: MEMORY,
      energy: ENERGY,
    });
  }

  unloaded(): void {
    this.say('unloaded', { memory: MEMORY });
  }

  progress(phase: string, step = 1): void {
    this.say('progress', { batch: this.last('generate').batch, phase, step, steps: 20 });
  }

  image(job: string): void {
    const { batch, items } = this.last('generate') as Heard & { readonly items: readonly Fields[] };
    const out = items.find((item) => item.job === job)?.out;
    this.say('image', { batch, job, out, width: 8, height: 8, bytes: 1 });
  }

  failure(job: string, code: string): void {
    const batch = this.last('generate').batch;
    this.say('failure', { batch, job, code, message: `told to fail with ${code}`, retryable: false, energy: null });
  }

  cancelled(...jobs: string[]): void {
    this.say('cancelled', { batch: this.last('generate').batch, jobs });
  }

  done(rss_bytes = MEMORY.rss_bytes): void {
    const phases = { encode: 1, denoise: 1, decode: 1, save: 1 };
    const memory = { ...MEMORY, rss_bytes };
    this.say('done', {
      batch: this.last('generate').batch,
      seconds: 4,
      phases,
      steps: null,
      work: null,
      memory,
      energy: ENERGY,
    });
  }

  /** All pictures of the batch, and that it is done. */
  make(rss_bytes = MEMORY.rss_bytes): void {
    const { items } = this.last('generate') as Heard & { readonly items: readonly Fields[] };
    for (const { job } of items) this.image(String(job));
    this.done(rss_bytes);
  }
}

/** Does at once what it is told to. */
export function obliging(order: Heard, worker: FakeWorker): void {
  if (order.type === 'load') worker.loaded();
  if (order.type === 'unload') worker.unloaded();
  if (order.type === 'generate') worker.make();
}
