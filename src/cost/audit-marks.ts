import type { Mark } from '../ports.ts';
import type { EpochMillis, Millijoules, Millis } from '../units.ts';
import { Hours } from './audit-hours.ts';

/** What the marks say of a batch. */
export interface BatchMarks {
  /** In its windows; null where one of them was not read. */
  windows: Millijoules | null;
  /** Of that, what its jobs took, without loads. */
  jobs: Millijoules;
  /** Outside of them, from its begin on. */
  work: Millijoules;
  /** The number of the first window that its worker told of; null where none is told. */
  told: number | null;
  /** Of `work`, where no window is told yet: whether it was lost or idle is known when one is. */
  readonly pending: { readonly energy: Millijoules; readonly from: EpochMillis; readonly to: EpochMillis }[];
  from: EpochMillis;
  to: EpochMillis;
  /** Of what follows, where nobody watched: null where it is not known how much that is, 0 where nothing follows. */
  after: Millijoules | null;
  /** When that has ended. */
  watched: EpochMillis;
}

/** What a card burnt, by its marks alone, in the order of their times. */
export class MarksOfCard {
  readonly hours = new Hours();
  readonly batches = new Map<string, BatchMarks>();
  /** Missing numbers, each with the time of the mark by which it was missed. */
  readonly missing = new Map<number, EpochMillis>();
  /** All that is lower than this has to be there. */
  judged = 0;
  counter: Millijoules = 0;
  /** How long nobody knows what was burnt. */
  blind: Millis = 0;
  readonly #until: EpochMillis;
  #last: Mark;
  #highest: number;
  #windowEnd: EpochMillis = Number.NEGATIVE_INFINITY;

  /** @param until what was not booked yet when the rows were read is not looked at */
  constructor(first: Mark, until: EpochMillis) {
    this.#last = first;
    this.#highest = first.number;
    this.#until = until;
  }

  add(mark: Mark): void {
    this.#count(mark);
    const batch = mark.batchId === null ? undefined : this.batches.get(mark.batchId);
    const told = batch?.told ?? null;
    // The windows of a batch stand for all that was marked of it from the first of them on, until they were told.
    if (told !== null && (mark.after === 'work' || mark.number < told)) return;
    const before = this.#last;
    this.#last = mark;
    if (mark.after === 'load' || mark.after === 'batch') this.#tell(this.#batchOf(mark), mark.number);
    if (mark.at > this.#until) return;
    if (mark.at > before.at || mark.counter !== before.counter) this.#stretch(before, mark);
  }

  /** No more marks come: batches of which no window was told took all of their time. */
  close(): void {
    for (const { pending } of this.batches.values())
      for (const { energy, from, to } of pending.splice(0)) this.hours.add('ours', energy, from, to);
  }

  /** What was before the first window was idle. */
  #tell(batch: BatchMarks, number: number): void {
    batch.told ??= number;
    for (const { energy, from, to } of batch.pending.splice(0)) this.hours.add('idle', energy, from, to);
  }

  #stretch(before: Mark, mark: Mark): void {
    const energy = energyOf(before, mark);
    if (energy === null) this.blind += mark.at - before.at;
    else this.counter += energy;
    const watched = before.launch === mark.launch && before.after !== 'off';
    const batch = before.batchId === null ? null : this.#batchOf(before);
    if (watched && batch !== null && before.after !== 'resident') batch.to = Math.max(batch.to, mark.at);
    if (!watched && batch !== null) [batch.after, batch.watched] = [energy, mark.at];
    const isWindow = before.after === 'load' || before.after === 'batch';
    if (isWindow && watched && batch !== null) this.#windowEnd = mark.at;
    if (energy === null) {
      if (isWindow && watched && batch !== null) batch.windows = null;
      return;
    }
    const isBlind = !watched || mark.foreign === null || (!isWindow && mark.at - before.at > LONGEST_REST);
    if (isBlind) {
      this.hours.add('unknown', energy, before.at, mark.at);
      return;
    }
    const theirs = Math.round(energy * (mark.foreign ?? 0));
    this.hours.add('foreign', theirs, before.at, mark.at);
    this.#ours(before, mark, energy - theirs);
  }

  #ours(before: Mark, { at }: Mark, energy: Millijoules): void {
    const batch = before.batchId === null ? null : this.#batchOf(before);
    if (batch === null || (before.after !== 'work' && before.after !== 'load' && before.after !== 'batch')) {
      this.hours.add('idle', energy, before.at, at);
      return;
    }
    if (before.after !== 'work') {
      this.hours.add('ours', energy, before.at, at);
      if (batch.windows !== null) batch.windows += energy;
      if (before.after === 'batch') batch.jobs += energy;
      return;
    }
    batch.work += energy;
    if (batch.told === null) batch.pending.push({ energy, from: before.at, to: at });
    else this.hours.add('idle', energy, before.at, at);
  }

  #batchOf({ batchId, at }: Mark): BatchMarks {
    const id = batchId ?? '';
    const fresh = { windows: 0, jobs: 0, work: 0, told: null, pending: [], from: at, to: at, after: 0, watched: at };
    const known = this.batches.get(id) ?? fresh;
    this.batches.set(id, known);
    return known;
  }

  /** Windows are told late: their marks have higher numbers than some that come after them in time. */
  #count({ number, at, after, batchId }: Mark): void {
    for (let missed = this.#highest + 1; missed < number; missed += 1) this.missing.set(missed, at);
    this.missing.delete(number);
    this.#highest = Math.max(this.#highest, number);
    const isRest = batchId === null && at > this.#windowEnd + TOLD_WITHIN;
    if (after === 'work' || after === 'off' || isRest) this.judged = Math.max(this.judged, number);
  }
}

/** Marks of a card at rest are at most so far apart; the meters were silent where they are further. */
const LONGEST_REST: Millis = 10_000;
/** A window is told at the latest so long after its end. */
const TOLD_WITHIN: Millis = 60_000;

/** By the counter where it rose, else by the samples of power; null where neither says anything. */
function energyOf(before: Mark, mark: Mark): Millijoules | null {
  if (before.counter !== null && mark.counter !== null && mark.counter >= before.counter)
    return mark.counter - before.counter;
  return before.launch === mark.launch ? (mark.integral?.millijoules ?? null) : null;
}
