import { describe, expect, it } from 'vitest';
import { type Lane, type PickRules, pick, windowFor } from '../../src/batch/pick.ts';

const rules: PickRules = { now: 1_000, resident: null, limit: () => 4, patience: 60_000 };
const lane = (key: string, model: string, ...since: number[]): Lane => ({ key, rank: 0, model, since });

describe('pick', () => {
  it('answers null when nobody waits', () => {
    expect(pick([], rules)).toBeNull();
    expect(pick([lane('a', 'm')], rules)).toBeNull();
  });

  it('takes a full lane before an older one that is not full', () => {
    const picked = pick([lane('old', 'm', 1), lane('full', 'm', 5, 6, 7, 8, 9)], rules);
    expect(picked).toEqual({ key: 'full', count: 4 });
  });

  it('takes the oldest lane when none is full', () => {
    expect(pick([lane('b', 'm', 7), lane('a', 'm', 3, 9)], rules)).toEqual({ key: 'a', count: 2 });
  });

  it('stays with the model that is loaded, because a change costs a load', () => {
    const lanes = [lane('other', 'n', 1, 2, 3, 4), lane('loaded', 'm', 900)];
    expect(pick(lanes, { ...rules, resident: 'm' })).toEqual({ key: 'loaded', count: 1 });
  });

  it('serves a lane whose head waited beyond the patience, whatever is loaded', () => {
    const lanes = [lane('other', 'n', 0), lane('loaded', 'm', 60_900, 60_901, 60_902, 60_903)];
    expect(pick(lanes, { ...rules, resident: 'm', now: 61_000 })).toEqual({ key: 'other', count: 1 });
  });
});

describe('rank', () => {
  it('comes before everything else: no full lane, no loaded model and no long wait goes before a lower rank', () => {
    const urgent = lane('urgent', 'n', 60_999);
    const others = [lane('starved', 'm', 0), lane('full', 'm', 60_900, 60_901, 60_902, 60_903)];
    const lanes = [...others.map((one) => ({ ...one, rank: 2 })), urgent];
    expect(pick(lanes, { ...rules, resident: 'm', now: 61_000 })).toEqual({ key: 'urgent', count: 1 });
  });
});

describe('windowFor', () => {
  it('looks two batches ahead for each of up to four live keys on every device', () => {
    expect(windowFor([4], 1)).toBe(8);
    expect(windowFor([4], 3)).toBe(24);
    expect(windowFor([4, 8], 9)).toBe(96);
  });

  it('never exceeds 256, and looks ahead even when nothing is live', () => {
    expect(windowFor([64, 64], 4)).toBe(256);
    expect(windowFor([4], 0)).toBe(8);
  });
});
