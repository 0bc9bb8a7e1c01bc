import { beforeAll, describe, expect, it } from 'vitest';
import { type AuditFault, type AuditResult, audit } from '../../src/cost/audit.ts';
import { wallClock } from '../../src/cost/local-time.ts';
import type { LedgerRow, Mark } from '../../src/ports.ts';
import type { SimulatedCard } from './month/card.ts';
import { Month } from './month/month.ts';
import { noSums, TRUTHS, type Truth } from './month/world.ts';

const [HOUR, DAY] = [3_600_000, 86_400_000];

/**
 * How far the ledger may be from the truth is added up where each thing is planted. At each end of a window, by one step
 * of the counter at full power: the counter is as old as that. For each visit of others, by three seconds at both ends,
 * because two ticks have to agree. For each silence, by the two seconds around it. For a batch whose worker died, by 2.5
 * seconds, because readings of our own stand for its window. For each kill, by a mark interval of ten seconds and two ticks:
 * what a batch truly burnt in them is held to be unknown, and may be found as lost.
 */
describe('a month of two cards with 10,000 jobs, kills, resets, silences and others on the cards', () => {
  const month = new Month({ seed: 7, days: 30, quiet: 5_000 });
  const { cards, planted } = month;

  beforeAll(() => month.run(), 120_000);

  it('holds everything that can go wrong, and that many jobs', () => {
    const { jobs, ...rest } = planted;
    expect(jobs).toBeGreaterThanOrEqual(10_000);
    expect(Object.entries(rest).filter(([, times]) => times < 10)).toEqual([]);
  });

  it('has each category right within its bound', () => {
    for (const card of cards) expect(outOfBounds(month, card)).toEqual([]);
  });

  it('has bounds that say something: of each category, a small part', () => {
    const parts = { active: 0.02, load: 0.1, failed: 0.1, cancelled: 0.05, idle: 0.01, foreign: 0.04 };
    for (const { bound, truth } of cards)
      for (const [name, part] of Object.entries({ ...parts, lost: 0.2, unknown: 0.12 }))
        expect([name, bound[name as Truth] / truth[name as Truth]]).toEqual([
          name,
          expect.toSatisfy((is) => is < part),
        ]);
  });

  it('calls unknown what was planted so, and no more than one mark interval for each kill beside it', () => {
    for (const card of cards) {
      const blind = rowsOf(month, card).filter(({ cause }) => cause === 'off' || cause === 'unread');
      const millis = blind.reduce((sum, row) => sum + (row.to_at ?? 0) - (row.from_at ?? 0), 0);
      // The first readings of a process come up to two seconds after its start.
      const starts = 2_000 * blind.filter(({ cause }) => cause === 'off').length;
      expect(millis).toBeGreaterThanOrEqual(card.blind.planted);
      expect(millis).toBeLessThanOrEqual(card.blind.planted + card.blind.slack + starts);
    }
  });

  it('adds up to what the generator burnt, to a thousandth for each card and day', () => {
    for (const card of cards) expect(wrongDays(month, card)).toEqual([]);
  });

  it('passes its audit', async () => {
    for (const card of cards) {
      const { faults, totals, hours } = await auditOf(month, card);
      expect(faults).toEqual([]);
      expect(hours).toBeGreaterThan(29 * 24);
      const { counter, active, overhead, idle, foreign, unknown } = totals;
      expect(Math.abs(active + overhead + idle + foreign + unknown - counter) / counter).toBeLessThan(0.0001);
    }
  });

  it('is found wrong at the hour of a mark that was dropped', async () => {
    const [card] = cards;
    const marks = marksOf(month, card);
    const place = marks.findIndex(({ after, at }, at_) => at_ > 9_000 && after === 'rest' && isMidHour(at));
    const faults = await faultsOf(month, card, { marks: marks.toSpliced(place, 1) });
    expect(faults.map(({ kind }) => kind)).toContain('mark');
    expect(new Set(faults.map(({ hour }) => hour))).toEqual(new Set([hourOf(marks[place]?.at)]));
  });

  it('is found wrong at the hour of an entry that was booked twice', async () => {
    const [card] = cards;
    const twice = rowsOf(month, card).filter((row) => row.kind === 'active' && isMidHour(row.from_at ?? 0))[500];
    if (twice === undefined) throw new Error('there are entries');
    const faults = await faultsOf(month, card, { rows: [...month.ledger.rows, { ...twice, id: 'twice', seq: 1e9 }] });
    expect(faults.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['batch', 'total']));
    expect(new Set(faults.map(({ hour }) => hour))).toEqual(new Set([hourOf(twice.from_at)]));
    expect(faults[0]?.sentence).toMatch(/^2026-1\d-\d\dT\d\d:00\+00:00: /);
  });

  it('is found wrong at the hour in which what others burnt was booked as idle', async () => {
    const [card] = cards;
    const theirs = rowsOf(month, card).find((row) => row.cause === 'process' && isMidHour(row.to_at ?? 0));
    const rows = month.ledger.rows.map(
      (row): LedgerRow => (row === theirs ? { ...row, kind: 'idle', cause: 'resident' } : row),
    );
    const faults = await faultsOf(month, card, { rows });
    expect(faults.map(({ kind }) => kind)).toContain('foreign');
    expect(faults.map(({ hour }) => hour)).toContain(hourOf(theirs?.to_at));
  });

  it('is found wrong at the hour in which what others burnt was booked in a picture', async () => {
    const [card] = cards;
    const theirs = rowsOf(month, card).find(
      (row) => row.kind === 'foreign' && row.cause === 'shared' && isMidHour(row.to_at ?? 0),
    );
    const entry = rowsOf(month, card).find((row) => row.batch_id === theirs?.batch_id && row.kind === 'active');
    const all = (entry?.energy_mj ?? 0) + (theirs?.energy_mj ?? 0);
    const rows = month.ledger.rows.flatMap((row) =>
      row === theirs ? [] : row === entry ? [{ ...row, energy_mj: all }] : [row],
    );
    const faults = await faultsOf(month, card, { rows });
    expect(faults.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['batch', 'foreign']));
    expect(new Set(faults.map(({ hour }) => hour))).toEqual(new Set([hourOf(theirs?.to_at)]));
  });

  it.each([
    ['idle', 'resident', ['ours', 'idle']],
    ['overhead', 'load', ['batch']],
    ['overhead', 'lost', ['batch']],
    ['unknown', 'off', ['ours', 'unknown']],
  ] as const)('is found wrong at the hour in which %s (%s) was booked as a picture', async (kind, cause, found) => {
    const [card] = cards;
    // What was lost of windows that were told might as well have been pictures.
    const told = new Set(marksOf(month, card).flatMap(({ after, batchId }) => (after === 'batch' ? [batchId] : [])));
    const wrong = rowsOf(month, card).find(
      (row) =>
        row.kind === kind &&
        row.cause === cause &&
        (cause !== 'lost' || !told.has(row.batch_id)) &&
        isMidHour(row.to_at ?? 0) &&
        (row.energy_mj ?? 0) > 100_000,
    );
    const other = rowsOf(month, card).find(
      (row) => row.kind === 'active' && hourOf(row.to_at) === hourOf(wrong?.to_at),
    );
    const batch = wrong?.batch_id ?? other?.batch_id ?? null;
    const picture = { kind: 'active', cause: null, job_id: 'somebody', batch_id: batch } as const;
    const rows = month.ledger.rows.map((row): LedgerRow => (row === wrong ? { ...row, ...picture } : row));
    const faults = await faultsOf(month, card, { rows });
    expect(faults.map(({ kind }) => kind)).toEqual(expect.arrayContaining(found as readonly string[] as string[]));
    expect(faults.map(({ hour }) => hour)).toContain(hourOf(wrong?.to_at));
  });

  it('is found wrong at the hour of time that is in no row, or in two', async () => {
    const [card] = cards;
    const idle = rowsOf(month, card).find((row) => row.cause === 'no_context' && isMidHour(row.from_at ?? 0));
    const hole = await faultsOf(month, card, { rows: month.ledger.rows.filter((row) => row !== idle) });
    expect(hole).toContainEqual(expect.objectContaining({ kind: 'hole', hour: hourOf(idle?.from_at) }));
    const later = { ...idle, from_at: (idle?.from_at ?? 0) + 60_000, id: 'again' } as LedgerRow;
    const overlap = await faultsOf(month, card, { rows: [...month.ledger.rows, later] });
    expect(overlap).toContainEqual(expect.objectContaining({ kind: 'overlap', hour: hourOf(later.from_at) }));
  });

  it('passes the audit of any part of it, although batches reach over its ends', async () => {
    for (const card of cards)
      for (let day = 0; day < 30; day += 3) {
        const from = month.begin + day * DAY + day * 17 * 60_000;
        expect((await auditOf(month, card, { from, to: from + DAY })).faults).toEqual([]);
      }
  });
});

describe('two days that are read every second', () => {
  it.each([11, 12])('hold in the same way (%i)', async (seed) => {
    const month = new Month({ seed, days: 2, quiet: 1_000 });
    await month.run();
    for (const card of month.cards) {
      expect(outOfBounds(month, card)).toEqual([]);
      expect(wrongDays(month, card)).toEqual([]);
      expect((await auditOf(month, card)).faults).toEqual([]);
    }
  });
});

describe('two days of a card whose counter stands still, and of one that tells no power', () => {
  it('hold in the same way, and what is not known is not 0', async () => {
    const month = new Month({ seed: 1, days: 2, quiet: 1_000, meters: ['dead counter', 'no power'] });
    await month.run();
    for (const card of month.cards) {
      expect(outOfBounds(month, card)).toEqual([]);
      expect(wrongDays(month, card)).toEqual([]);
      expect((await auditOf(month, card)).faults).toEqual([]);
    }
    const [dead] = month.cards;
    const unseen = rowsOf(month, dead).filter(({ cause }) => cause === 'off' || cause === 'unread');
    expect(unseen.length).toBeGreaterThan(0);
    expect(unseen.filter((row) => row.energy_mj !== null)).toEqual([]);
  });
});

function outOfBounds(month: Month, card: SimulatedCard): readonly string[] {
  const found = noSums();
  for (const { kind, cause, energy_mj: energy } of rowsOf(month, card)) found[truthOf(kind, cause)] += energy ?? 0;
  return TRUTHS.flatMap((truth) => {
    const error = Math.abs(found[truth] - card.truth[truth]);
    const bound = card.bound[truth];
    return error <= bound ? [] : [`${truth}: ${found[truth]} is not ${card.truth[truth]} to ${bound}`];
  });
}

function truthOf(kind: LedgerRow['kind'], cause: string | null): Truth {
  const name = kind === 'overhead' ? cause : kind;
  const truth = TRUTHS.find((one) => one === name);
  if (truth === undefined) throw new Error(`nobody planted ${kind} ${cause}`);
  return truth;
}

/** By the generator's own energy at the times of the marks, against the rows; both divided by time at midnight. */
function wrongDays(month: Month, card: SimulatedCard): readonly string[] {
  const rows = rowsOf(month, card);
  const unread = rows.filter((row) => row.energy_mj === null && (row.cause === 'off' || row.cause === 'unread'));
  const isUnread = (at: number) => unread.some((row) => at >= (row.from_at ?? 0) && at < (row.to_at ?? 0));
  const burnt = new Map<number, number>();
  const marks = marksOf(month, card);
  for (const [place, { at }] of marks.entries()) {
    const before = marks[place - 1]?.at ?? at;
    if (at > before && !isUnread(before)) divide(burnt, before, at, card.energyAt(at) - card.energyAt(before));
  }
  const booked = new Map<number, number>();
  const begins = new Map(marks.toReversed().map(({ batchId, at }) => [batchId, at]));
  for (const { gpu, batch_id, from_at, to_at, at, energy_mj: energy } of rows) {
    // An adopted picture says no time of its own: its batch began here.
    const place = gpu === null ? (begins.get(batch_id) ?? at) : null;
    divide(booked, place ?? from_at ?? at, place ?? to_at ?? at, energy ?? 0);
  }
  return [...burnt].flatMap(([day, should]) => {
    // What comes after it is the first moment of the next process.
    if (day * DAY >= month.end) return [];
    const is = booked.get(day) ?? 0;
    // A counter is older than its reading: by a tenth of a second, at the begin and the end of it all.
    return Math.abs(is - should) <= should * 0.001 + 100_000 ? [] : [`day ${day}: ${is} is not ${should}`];
  });
}

function divide(days: Map<number, number>, from: number, to: number, energy: number): void {
  for (let day = Math.floor(from / DAY); day * DAY < to || day === Math.floor(from / DAY); day += 1) {
    const part = to === from ? 1 : (Math.min(to, (day + 1) * DAY) - Math.max(from, day * DAY)) / (to - from);
    days.set(day, (days.get(day) ?? 0) + energy * part);
  }
}

function rowsOf({ ledger }: Month, { options }: SimulatedCard): readonly LedgerRow[] {
  return ledger.rows.filter(({ gpu, device }) => gpu === options.gpu || (gpu === null && device === options.device));
}

function marksOf({ ledger }: Month, card: SimulatedCard): readonly Mark[] {
  return ledger.marks.get(card.options.gpu) ?? [];
}

async function auditOf(
  month: Month,
  card: SimulatedCard,
  span = { from: month.begin - DAY, to: month.end + 2 * DAY },
  changed: { readonly marks?: readonly Mark[]; readonly rows?: readonly LedgerRow[] } = {},
): Promise<AuditResult> {
  const { marks = marksOf(month, card), rows = month.ledger.rows } = changed;
  const within = (at: number) => at >= span.from && at < span.to;
  return audit({
    gpu: card.options.gpu,
    marks: stream(marks.filter(({ at }) => within(at))),
    rows: stream(rows.filter(({ at, to_at }) => within(to_at ?? at))),
    span,
    clock: wallClock('UTC'),
  });
}

async function faultsOf(
  month: Month,
  card: SimulatedCard,
  changed: { readonly marks?: readonly Mark[]; readonly rows?: readonly LedgerRow[] },
): Promise<readonly AuditFault[]> {
  return (await auditOf(month, card, undefined, changed)).faults;
}

function isMidHour(at: number): boolean {
  return at % HOUR > HOUR / 4 && at % HOUR < HOUR / 2;
}

function hourOf(at: number | null | undefined): number {
  return Math.floor((at ?? 0) / HOUR) * HOUR;
}

async function* stream<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}
