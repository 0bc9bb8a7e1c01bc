import type { Batch } from '../../../src/ports.ts';
import { adoptionOf } from '../../../src/recovery.ts';
import { type Fate, type Found, foundPicture, nextBatch, receiptsOf, resultWith, settlementWith } from './batch.ts';
import { type Look, type Meters, Over, PEAK, SimulatedCard } from './card.ts';
import { type Finished, Finishing, isLast, keeperOf, type Launch, quietly, STYLES } from './launch.ts';
import { Ledger } from './ledger.ts';
import { DAY, HOUR, isSeen, MARKED, MINUTE, NOTICED, nothingPlanted, SECOND, stepOf, TAIL, tailOf } from './limits.ts';
import { randomOf } from './world.ts';

export interface MonthOptions {
  readonly seed: number;
  readonly days: number;
  /** Milliseconds between two readings of a card on which nothing happens; where something does, it is a second. */
  readonly quiet: number;
  /** Of both cards: all of them. */
  readonly meters?: readonly [Meters, Meters];
}

const BEGIN = Date.UTC(2026, 9, 1);
const JOBS = 4;

/** A month of two cards, whose truth is known, through the real books into a ledger. */
export class Month {
  readonly ledger = new Ledger();
  readonly cards: readonly [SimulatedCard, SimulatedCard];
  readonly begin = BEGIN;
  readonly end: number;
  readonly planted = nothingPlanted();
  readonly #random: () => number;
  readonly #quiet: number;
  /** Pictures on disk that the ledger does not know. */
  #found: { readonly card: SimulatedCard; readonly picture: Found }[] = [];
  #batches = 0;
  #launches = 0;

  constructor({ seed, days, quiet, meters = ['all', 'all'] }: MonthOptions) {
    this.#random = randomOf(seed);
    this.#quiet = quiet;
    this.end = BEGIN + days * DAY;
    const random = this.#random;
    const common = { begin: BEGIN, random };
    this.cards = [
      new SimulatedCard({
        ...common,
        gpu: 'GPU-a',
        device: 'cuda:0',
        pid: 100,
        step: 100,
        dropsZeros: false,
        meters: meters[0],
      }),
      new SimulatedCard({
        ...common,
        gpu: 'GPU-b',
        device: 'cuda:1',
        pid: 200,
        step: 20,
        dropsZeros: true,
        meters: meters[1],
      }),
    ];
  }

  async run(): Promise<void> {
    for (let now = this.begin; now < this.end; ) {
      const launch = await this.#launch(now);
      let over = launch.end;
      for (const card of this.cards.toSorted((a, b) => Number(b === launch.first) - Number(a === launch.first))) {
        const cut = await this.#live(card, { ...launch, end: over });
        // A process that ends over a batch takes the other card with it.
        over = Math.min(over, cut);
      }
      await quietly();
      launch.handle.die();
      now = Math.min(this.end + HOUR, over + this.#between(1 * MINUTE, 40 * MINUTE));
      await this.#mute(over, now);
      for (const card of this.cards) this.#off(card, over, now);
    }
    // The next process books what was left open.
    const last = await this.#launch(this.cards[0]?.world.now ?? 0);
    for (const card of this.cards) {
      const look = { every: SECOND };
      await card.spend(15, 20 * SECOND, { end: Number.POSITIVE_INFINITY, look, tell: last.tell });
    }
    await last.keeper.close();
  }

  async #launch(now: number): Promise<Launch> {
    this.#launches += 1;
    const handle = this.ledger.open();
    for (const { card, picture } of this.#found.splice(0)) {
      const { job, path, metadata } = picture;
      await handle.settle(await adoptionOf(handle, job, { path, metadata }, card.wall(now)));
    }
    const id = `launch${this.#launches}`;
    const end = Math.min(this.end, now + this.#between(2 * HOUR, 30 * HOUR));
    const style = STYLES[Math.floor(this.#random() * STYLES.length)] ?? 'clean';
    const first = this.cards[this.#launches % 2] ?? this.cards[0];
    return { id, end, handle, style, first, ...(await keeperOf(id, this.cards, handle)) };
  }

  /** A process that ends before it has read anything. */
  async #mute(from: number, until: number): Promise<void> {
    if (this.#random() > 0.4) return;
    this.planted.mute += 1;
    const { keeper, handle } = await this.#launch((from + until) / 2);
    if (this.#random() < 0.5) await keeper.close();
    await quietly();
    handle.die();
  }

  /** Returns when the process was over. */
  async #live(card: SimulatedCard, launch: Launch): Promise<number> {
    try {
      for (;;) await this.#something(card, launch);
    } catch (error) {
      if (!(error instanceof Over)) throw error;
    }
    return card.world.now;
  }

  async #something(card: SimulatedCard, launch: Launch): Promise<void> {
    const dice = this.#random();
    if (dice < 0.86) await this.#series(card, launch);
    else if (dice < 0.9) await this.#others(card, launch, 'process');
    else if (dice < 0.94) await this.#others(card, launch, 'load');
    else if (dice < 0.97) await this.#gap(card, launch);
    else if (dice < 0.98 && card.options.meters === 'all') await this.#reset(card, launch);
    else await this.#setBack(card, launch);
    await this.#rest(card, launch, this.#between(15 * MINUTE, 240 * MINUTE));
    if (card.workerUp && this.#random() < 0.3) {
      card.workerUp = false;
      card.allow(2 * SECOND * 28, 'idle');
    }
  }

  /** Some batches, one close after the other. */
  async #series(card: SimulatedCard, launch: Launch): Promise<void> {
    for (let left = 1 + Math.floor(this.#random() * 8); left > 0; left -= 1) {
      await this.#batch(card, launch);
      await this.#rest(card, launch, this.#between(200, 3 * SECOND), SECOND);
    }
  }

  async #rest(card: SimulatedCard, launch: Launch, millis: number, every = this.#quiet): Promise<void> {
    for (const [time, pace] of [
      [Math.min(millis, 15 * SECOND), SECOND],
      [Math.max(0, millis - 30 * SECOND), every],
      [Math.min(Math.max(0, millis - 15 * SECOND), 15 * SECOND), SECOND],
    ] as const)
      if (time > 0) await this.#as(card, launch, 'idle', card.restWatts, time, { every: pace });
  }

  /** Burns as one known category; a kill makes the last moments unknown. */
  async #as(
    card: SimulatedCard,
    launch: Launch,
    truth: 'idle' | 'foreign' | 'unknown',
    watts: number,
    millis: number,
    look: Look,
  ): Promise<void> {
    const before = card.world.energy(card.world.now);
    try {
      await card.spend(watts, millis, { ...launch, look });
    } catch (error) {
      card.truth[truth] += card.world.energy(card.world.now) - before;
      await this.#cut(card, launch, watts);
      throw error;
    }
    card.truth[truth] += card.world.energy(card.world.now) - before;
  }

  /** The process ends while ours rests. */
  async #cut(card: SimulatedCard, { style, first, keeper }: Launch, watts: number): Promise<void> {
    card.allow((MARKED + this.#quiet) * watts, 'idle', 'foreign', 'unknown');
    card.blind.slack += MARKED + this.#quiet;
    if (style === 'clean' && card !== first) {
      this.planted.stops += 1;
      await keeper.close();
    } else this.planted.kills += 1;
  }

  async #others(card: SimulatedCard, launch: Launch, how: 'process' | 'load'): Promise<void> {
    this.planted.others += 1;
    const watts = this.#between(120, 300);
    const processes = [...card.alone(0), ...(how === 'process' ? [{ pid: 999, share: 0.8 }] : [])];
    card.allow(2 * NOTICED * watts, 'idle', 'foreign');
    await this.#as(card, launch, 'foreign', watts, this.#between(MINUTE, 12 * MINUTE), {
      ...{ every: SECOND, processes, utilization: 0.7 },
    });
  }

  async #gap(card: SimulatedCard, launch: Launch, wanted = false): Promise<void> {
    const millis = this.#between(15 * SECOND, 6 * MINUTE);
    if (card.world.now + millis + MINUTE > launch.end) return;
    await this.#rest(card, launch, 5 * SECOND);
    this.planted.gaps += 1;
    card.blind.planted += millis;
    card.blind.slack += 2 * SECOND;
    card.allow(2 * SECOND * card.restWatts, 'idle', 'unknown');
    const from = card.world.energy(card.world.now);
    const resets = wanted && isSeen(card, millis * card.restWatts);
    if (resets) card.world.reset();
    await card.spend(card.restWatts, millis, {
      end: launch.end,
      look: { every: SECOND, silent: true },
      tell: launch.tell,
    });
    const burnt = card.world.energy(card.world.now) - from;
    card.unseen(burnt, resets);
  }

  /** The driver is loaded anew: with the meters on, or while they are silent. */
  async #reset(card: SimulatedCard, launch: Launch): Promise<void> {
    this.planted.resets += 1;
    if (this.#random() < 0.5) {
      await this.#gap(card, launch, true);
      return;
    }
    card.allow(2 * SECOND * card.restWatts, 'idle');
    await this.#rest(card, launch, 5 * SECOND);
    card.world.reset();
  }

  /** The clock on the wall is set back, while nothing is done. */
  async #setBack(card: SimulatedCard, launch: Launch): Promise<void> {
    const by = this.#between(2 * SECOND, 20 * MINUTE);
    if (card.world.now + by + 2 * MINUTE > launch.end) return;
    this.planted.setBack += 1;
    await this.#rest(card, launch, 5 * SECOND);
    card.setBack(by);
    card.allow(2 * SECOND * card.restWatts, 'idle');
    await this.#rest(card, launch, by + MINUTE);
  }

  async #batch(card: SimulatedCard, launch: Launch): Promise<void> {
    this.#batches += 1;
    const batch = nextBatch(`${launch.id}-${this.#batches}`, card.options.device, JOBS);
    const begun = card.world.now;
    card.sharing = false;
    launch.keeper.begin(card.options.device, batch.id);
    try {
      await this.#make(card, launch, batch);
    } catch (error) {
      if (!(error instanceof Over) || error instanceof Finishing) throw error;
      // Killed in the middle.
      this.planted.kills += 1;
      const { world } = card;
      const [all, tail] = [world.energy(world.now) - world.energy(begun), tailOf(card, begun)];
      card.truth.lost += all - tail;
      card.truth.unknown += tail;
      card.allow(tail + 2 * SECOND * card.restWatts, 'lost', 'unknown');
      card.allow(2 * SECOND * card.restWatts, 'idle');
      if (card.sharing) card.allow(all, 'lost', 'unknown', 'foreign');
      card.blind.slack += TAIL;
      throw error;
    }
  }

  async #make(card: SimulatedCard, launch: Launch, batch: Batch): Promise<void> {
    const { world } = card;
    const step = stepOf(card);
    const spend = (watts: number, millis: number, look: Partial<Look> = {}) =>
      card.spend(watts, millis, { ...launch, look: { every: SECOND, ...look } });
    let idle = 0;
    const loads = [];
    let loaded = 0;
    if (!card.workerUp) {
      card.workerUp = true;
      idle += await spend(22, this.#between(3 * SECOND, 14 * SECOND));
      const from = world.now;
      const processes = card.alone(0.5);
      loaded = await spend(110, this.#between(4 * SECOND, 25 * SECOND), { processes, utilization: 0.5 });
      loads.push(card.window(from, world.now, 0));
      idle += await spend(40, this.#between(20, 300));
      card.allow(2 * step, 'load', 'idle');
    }
    const isKilled = isLast(card, launch, 'killing');
    const dies = !isKilled && this.#random() < 0.03;
    const beside = isKilled ? 1 : this.#random();
    const foreign = dies || beside > 0.1 ? 0 : beside > 0.02 ? this.#between(0.1, 0.5) : null;
    if (foreign === null) this.planted.untold += 1;
    else if (foreign > 0) this.planted.shared += 1;
    card.sharing = foreign !== 0;
    const stranger = foreign === 0 ? [] : [{ pid: 999, share: foreign }];
    const from = world.now;
    const look = { utilization: 1, processes: [...card.alone(1 - (foreign ?? 0.5)), ...stranger] };
    const length = isKilled ? this.#between(MINUTE, 5 * MINUTE) : this.#between(8 * SECOND, 45 * SECOND);
    const burnt = await spend(this.#between(250, PEAK), length, look);
    if (isKilled) throw new Over();
    const told = dies ? null : card.window(from, world.now, foreign);
    card.allow(2 * step, 'idle');
    if (foreign !== 0) card.allow(2 * step, foreign === null ? 'unknown' : 'foreign');
    if (dies) {
      this.planted.deaths += 1;
      card.workerUp = false;
      card.allow(2.5 * SECOND * PEAK, 'failed', 'idle');
    }
    idle += await spend(card.restWatts, this.#between(100, 900));
    const fates = batch.jobs.map((): Fate => {
      const dice = this.#random();
      return dies || dice < 0.05 ? 'failed' : dice < 0.1 ? 'cancelled' : 'made';
    });
    const result = resultWith(batch, loads, told);
    if (foreign !== null && !dies) {
      const finished = { batch, result, idle, loaded, from, burnt: burnt * (1 - foreign), foreign: burnt * foreign };
      if (isLast(card, launch, 'finishing')) return this.#finishing(card, launch, finished);
      if (isLast(card, launch, 'waiting')) return this.#waiting(card, launch, finished);
    }
    const ended = launch.keeper.end(batch, result);
    if (this.#random() < 0.02 && world.now + 20 * MINUTE < launch.end) {
      this.planted.waits += 1;
      idle += await spend(card.restWatts, this.#between(MINUTE, 15 * MINUTE));
    }
    await launch.handle.settle(settlementWith(batch, ended, fates, card.wall(world.now)));
    launch.keeper.settled(card.options.device);
    this.planted.jobs += JOBS;
    card.truth.idle += idle;
    card.truth.load += loaded;
    if (foreign === null) card.truth.unknown += burnt;
    else card.truth.foreign += burnt * foreign;
    for (const fate of foreign === null ? [] : fates) {
      const truth = fate === 'made' ? 'active' : fate;
      card.truth[truth] += (burnt * (1 - (foreign ?? 0))) / JOBS;
      card.allow((2 * step) / JOBS, truth);
    }
  }

  /** The process is killed when some pictures are on the disk and nothing is in the ledger. */
  async #finishing(
    card: SimulatedCard,
    { handle, keeper }: Launch,
    { batch, result, idle, loaded, from, burnt, foreign }: Finished,
  ): Promise<never> {
    const written = this.#random() < 0.5;
    await quietly();
    if (!written) handle.die(card.options.gpu);
    const ended = keeper.end(batch, result);
    await quietly();
    const receipts = receiptsOf(batch, ended.result, card.wall(card.world.now));
    const count = Math.floor(this.#random() * (JOBS + 1));
    for (const job of batch.jobs.slice(0, count)) {
      const receipt = receipts.get(job.id);
      if (receipt !== undefined) this.#found.push({ card, picture: foundPicture(job, receipt) });
    }
    this.planted.adopted += count;
    this.planted.kills += 1;
    const active = (burnt * count) / JOBS;
    const rest = burnt - active + loaded + (written ? 0 : idle);
    // Where the windows were told, nothing is unknown; else what came after the last mark, and was in no picture.
    const tail = written ? 0 : Math.min(rest, tailOf(card, from));
    const step = 2 * stepOf(card);
    card.truth.active += active;
    card.truth.lost += rest - tail;
    card.truth.idle += written ? idle : 0;
    card.truth.foreign += foreign;
    card.truth.unknown += tail;
    card.allow(step, 'active', 'lost', 'unknown', 'idle', ...(foreign > 0 ? (['foreign'] as const) : []));
    card.allow(tail, 'lost', 'unknown');
    if (!written) card.allow(2 * SECOND * card.restWatts, 'lost', 'idle');
    if (!written && foreign > 0) card.allow(tailOf(card, from), 'lost', 'unknown', 'foreign');
    card.blind.slack += TAIL;
    throw new Finishing();
  }

  /** The process is killed while the pictures of a batch wait for room on the disk. */
  async #waiting(card: SimulatedCard, launch: Launch, { batch, result, idle, loaded, burnt, foreign }: Finished) {
    const { world } = card;
    launch.keeper.end(batch, result);
    const from = world.now;
    const millis = Math.min(this.#between(MINUTE, 30 * MINUTE), launch.end - from - 1);
    const waited = await card.spend(card.restWatts, millis, { ...launch, look: { every: SECOND } });
    await quietly();
    this.planted.waits += 1;
    this.planted.kills += 1;
    card.truth.lost += burnt + loaded;
    card.truth.idle += idle + waited;
    card.truth.foreign += foreign;
    card.allow(2 * stepOf(card), 'lost', 'idle');
    card.allow(tailOf(card, from), 'idle', 'unknown');
    card.blind.slack += TAIL;
    throw new Finishing();
  }

  /** Nobody watches. */
  #off(card: SimulatedCard, from: number, until: number): void {
    const rest = Math.max(0, until - Math.max(from, card.world.now));
    card.workerUp = false;
    card.blind.planted += until - card.world.now;
    const resets = this.#random() < 0.3 && card.options.meters === 'all' && isSeen(card, rest * 15);
    if (resets) this.planted.resets += 1;
    const burnt = card.skipTo(card.world.now + rest / 2, 15);
    if (resets) card.world.reset();
    const all = burnt + card.skipTo(until, 15);
    card.unseen(all, resets);
  }

  #between(least: number, most: number): number {
    const value = least + this.#random() * (most - least);
    return most > 1_000 ? Math.round(value) : value;
  }
}
