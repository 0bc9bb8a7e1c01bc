import { CardBooks } from './cost/books.ts';
import { openBatches } from './cost/recovered.ts';
import type { Tariff } from './cost/tariff.ts';
import type { CardReading } from './cost/ticks.ts';
import { sentenceOf } from './errors.ts';
import { isMendable, LOOKS } from './gate.ts';
import type {
  Batch,
  BatchBooking,
  BatchResult,
  Chain,
  Clock,
  MeterBooking,
  Provider,
  Reading,
  Store,
  Telemetry,
  Watching,
} from './ports.ts';
import { backoffDelay } from './process/backoff.ts';
import { settlesWithin } from './process/clock.ts';
import type { Bookkeeping } from './trip.ts';
import type { Millis } from './units.ts';

export interface BookkeeperOptions {
  readonly clock: Clock;
  readonly store: Pick<Store, 'meter' | 'chains' | 'bookedOf'>;
  readonly telemetry: Pick<Telemetry, 'watch'>;
  readonly provider: Pick<Provider, 'devices' | 'pids'>;
  readonly launch: string;
  readonly tariff: Tariff;
  /** Lines of the log. */
  log(line: string): void;
}

/** How long the end of the program waits for the last lines of the books. */
const LAST_WRITE: Millis = 5_000;

/** Keeps the books of every card of a provider, and writes them. */
export class Bookkeeper implements Bookkeeping {
  readonly #options: BookkeeperOptions;
  /** By GPU UUID. */
  readonly #cards: ReadonlyMap<string, { readonly device: string; readonly books: CardBooks }>;
  readonly #waiting: MeterBooking[] = [];
  #watching: Watching | null = null;
  #writing: Promise<void> | null = null;
  #refused = false;
  #closed = false;

  /**
   * Books what earlier launches left open, and watches the cards from now on; null where the provider has none.
   * @throws StorageError
   */
  static async open(options: BookkeeperOptions): Promise<Bookkeeper | null> {
    const uuids = options.provider.devices.flatMap(({ uuid }) => (uuid === null ? [] : [uuid]));
    if (uuids.length === 0) return null;
    const chains = (await options.store.chains()).filter(({ gpu }) => uuids.includes(gpu));
    return new Bookkeeper(options, chains, await options.store.bookedOf(chains.flatMap(openBatches)));
  }

  private constructor(options: BookkeeperOptions, chains: readonly Chain[], booked: ReadonlyMap<string, BatchBooking>) {
    const { provider, launch, tariff, telemetry } = options;
    this.#options = options;
    this.#cards = new Map(
      provider.devices.flatMap(({ id, uuid }) => {
        if (uuid === null) return [];
        const chain = chains.find(({ gpu }) => gpu === uuid) ?? null;
        return [[uuid, { device: id, books: new CardBooks({ gpu: uuid, launch, tariff }, chain, booked) }] as const];
      }),
    );
    this.#write();
    this.#watching = telemetry.watch((reading) => this.#heard(reading));
  }

  begin(device: string, batchId: string): void {
    this.#of(device)?.begin(batchId);
    this.#write();
  }

  end(batch: Batch, result: BatchResult): ReturnType<Bookkeeping['end']> {
    const books = this.#of(batch.device);
    if (books === undefined) return { result, meter: null };
    const ended = books.end(result, this.#options.provider.pids(batch.device));
    if (ended.meter === null) return ended;
    // What the disk has not taken yet goes with it: the ledger must not be booked up to here with a hole before it.
    const meter = joined([...this.#waiting, ended.meter]);
    // So that a start after a kill knows what the windows were, should their pictures be there without the settlement.
    this.#waiting.push({ marks: ended.meter.marks, stretches: [] });
    this.#write();
    return { result: ended.result, meter };
  }

  settled(device: string): void {
    this.#of(device)?.settled();
    this.#write();
  }

  gaveUp(device: string): void {
    this.#of(device)?.gaveUp();
    this.#write();
  }

  /** The last marks are written, if the disk takes them soon. May be called twice. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#watching?.stop();
    for (const { books } of this.#cards.values()) books.stop();
    this.#write();
    if (this.#writing !== null) await settlesWithin(this.#options.clock, LAST_WRITE, this.#writing);
  }

  #of(device: string): CardBooks | undefined {
    return [...this.#cards.values()].find((card) => card.device === device)?.books;
  }

  #heard(reading: Reading): void {
    if (reading.kind === 'wall' || reading.kind === 'package' || this.#closed) return;
    if (reading.kind === 'lost') for (const card of this.#cards.values()) this.#read(card, reading);
    else this.#read(this.#cards.get(reading.gpu), reading);
    this.#write();
  }

  #read(card: { readonly device: string; readonly books: CardBooks } | undefined, reading: CardReading): void {
    const { clock, provider } = this.#options;
    card?.books.read(reading, provider.pids(card.device), clock.monotonic());
  }

  /** One write at a time, in order; what the disk refuses is tried again, and nobody waits for it. */
  #write(): void {
    for (const { books } of this.#cards.values()) {
      const booking = books.take();
      if (booking !== null) this.#waiting.push(booking);
    }
    if (this.#waiting.length === 0 || this.#writing !== null) return;
    this.#writing = this.#writeAll().finally(() => {
      this.#writing = null;
    });
  }

  async #writeAll(): Promise<void> {
    for (let [attempt, alone] = [1, 0]; this.#waiting.length > 0; ) {
      // One that the ledger refuses for good must not take others with it.
      const bookings = this.#waiting.slice(0, alone > 0 ? 1 : this.#waiting.length);
      try {
        await this.#options.store.meter(joined(bookings));
      } catch (error) {
        if (isMendable(error)) {
          this.#tell(error.message);
          await this.#pause(attempt);
          attempt += 1;
          continue;
        }
        if (bookings.length > 1) {
          alone = bookings.length;
          continue;
        }
        for (const line of refusals(bookings, sentenceOf(error))) this.#options.log(line);
      }
      this.#waiting.splice(0, bookings.length);
      alone = Math.max(0, alone - 1);
      this.#refused = false;
      attempt = 1;
    }
  }

  #tell(sentence: string): void {
    if (!this.#refused) this.#options.log(`store: warning: what the cards burn is not written yet: ${sentence}`);
    this.#refused = true;
  }

  #pause(attempt: number): Promise<void> {
    const delay = backoffDelay(attempt, () => 0, LOOKS);
    return new Promise((resolve) => this.#options.clock.after(delay, resolve));
  }
}

/** What the ledger lacks, a line for each card. */
function refusals(bookings: readonly MeterBooking[], why: string): readonly string[] {
  const { marks, stretches } = joined(bookings);
  return [...new Set([...marks, ...stretches].map(({ gpu }) => gpu))].map((card) => {
    const own = stretches.filter(({ gpu }) => gpu === card);
    const times = [
      ...marks.filter(({ gpu }) => gpu === card).map(({ at }) => at),
      ...own.flatMap((one) => [one.from, one.to]),
    ];
    const [from, to] = [Math.min(...times), Math.max(...times)].map((at) => new Date(at).toISOString());
    const joules = own.reduce((sum, { millijoules }) => sum + (millijoules ?? 0), 0) / 1_000;
    const lacks = `${joules.toFixed(3)} J and ${marks.length} marks of card ${card} from ${from} to ${to}`;
    return `store: error: the ledger lacks ${lacks}, because it refused them (${why}): kilnwatt report --audit names the hours that this leaves wrong`;
  });
}

function joined(bookings: readonly MeterBooking[]): MeterBooking {
  return { marks: bookings.flatMap(({ marks }) => marks), stretches: bookings.flatMap(({ stretches }) => stretches) };
}
