import { describe, expect, it } from 'vitest';
import { share } from '../../src/cost/share.ts';
import { priceOf, type Span, type Tariff } from '../../src/cost/tariff.ts';
import { zonedTariff } from '../../src/cost/tariff-zones.ts';
import { seeded } from '../support/rng.ts';
import { oracleOf } from './oracle.ts';
import { anyTerms } from './terms.ts';

const DAY = 86_400_000;
const MINUTE = 60_000;
const KWH = 3_600_000_000;
const YEAR = 2026;
/** Around both changes of the clock of the north and of the south, and the turn of a year. */
const BEGINNINGS = ['03-08', '03-29', '04-05', '09-06', '09-27', '10-04', '10-25', '11-01', '12-31'].map(
  (date) => Date.parse(`${YEAR}-${date}T00:00:00Z`) - DAY,
);
const WORLDS = 60;

function anySpan(random: () => number): Span {
  const begin = BEGINNINGS[Math.floor(random() * BEGINNINGS.length)] ?? 0;
  const from = begin + Math.floor(random() * 2 * DAY);
  return { from, to: from + 1 + Math.floor(random() ** 2 * 3 * DAY) };
}

/** In order, with the ends; parts may be of a millisecond. */
function anySplit({ from, to }: Span, random: () => number): readonly Span[] {
  const cuts = Array.from({ length: Math.floor(random() * 6) }, () => from + Math.floor(random() * (to - from)));
  const ends = [...new Set([from, ...cuts, to])].sort((one, other) => one - other);
  return ends.slice(1).map((end, place) => ({ from: ends[place] ?? from, to: end }));
}

/** Nano-units a kilowatt-hour × milliseconds: what an even draw costs, before anything is rounded. */
function weight(tariff: Tariff, span: Span): bigint {
  return tariff.slices(span).reduce((sum, { from, to, nano }) => sum + BigInt(to - from) * nano, 0n);
}

describe('any tariff with zones', () => {
  it('tiles any span: every instant has exactly one slice', () => {
    const random = seeded(3);
    for (let world = 0; world < WORLDS; world += 1) {
      const tariff = zonedTariff(anyTerms(random, YEAR));
      for (let round = 0; round < 20; round += 1) {
        const span = anySpan(random);
        const slices = tariff.slices(span);
        expect([slices[0]?.from, slices.at(-1)?.to]).toEqual([span.from, span.to]);
        for (const [place, { from, to, nano }] of slices.entries()) {
          expect(to).toBeGreaterThan(from);
          const next = slices[place + 1];
          if (next !== undefined) expect([next.from, next.nano === nano]).toEqual([to, false]);
        }
      }
    }
  });

  it('says what a walk through the minutes with the slow tables of the runtime says', () => {
    const random = seeded(4);
    for (let world = 0; world < WORLDS; world += 1) {
      const terms = anyTerms(random, YEAR);
      const [tariff, oracle] = [zonedTariff(terms), oracleOf(terms)];
      const from = BEGINNINGS[world % BEGINNINGS.length] ?? 0;
      const parts = tariff.parts({ from, to: from + 2 * DAY });
      let place = 0;
      for (let at = from; at < from + 2 * DAY; at += MINUTE) {
        while ((parts[place]?.to ?? Number.POSITIVE_INFINITY) <= at) place += 1;
        const said = parts[place]?.zone;
        const expected = oracle(at);
        if (said !== expected) expect([terms, new Date(at).toISOString(), said]).toEqual([terms, '', expected]);
      }
    }
  });

  it('costs the same for any split of an interval: exactly before rounding', () => {
    const random = seeded(5);
    for (let world = 0; world < WORLDS; world += 1) {
      const tariff = zonedTariff(anyTerms(random, YEAR));
      for (let round = 0; round < 20; round += 1) {
        const span = anySpan(random);
        const parts = anySplit(span, random);
        const sum = parts.reduce((all, part) => all + weight(tariff, part), 0n);
        expect(sum).toBe(weight(tariff, span));
      }
    }
  });

  it('and after rounding within half a nano-unit a part, where the energy of each is whole and in proportion', () => {
    const random = seeded(6);
    for (let world = 0; world < WORLDS; world += 1) {
      const tariff = zonedTariff(anyTerms(random, YEAR));
      for (let round = 0; round < 20; round += 1) {
        const span = anySpan(random);
        const parts = anySplit(span, random);
        // So much a millisecond, so that no part has a broken millijoule.
        const draw = 1 + Math.floor(random() * 450);
        const cost = (part: Span) => priceOf(draw * (part.to - part.from), tariff, part).nano;
        const off = parts.reduce((sum, part) => sum + cost(part), 0n) - cost(span);
        expect(Math.abs(Number(off)) * 2).toBeLessThanOrEqual(parts.length + 1);
      }
    }
  });

  it('and within a millijoule a part besides, where the energy is shared out in whole ones', () => {
    const random = seeded(7);
    for (let world = 0; world < WORLDS; world += 1) {
      const terms = anyTerms(random, YEAR);
      const tariff = zonedTariff(terms);
      for (let round = 0; round < 20; round += 1) {
        const span = anySpan(random);
        const parts = anySplit(span, random);
        const energy = Math.floor(random() ** 3 * 1e9);
        const lengths = parts.map(({ from, to }) => to - from);
        const shares = share(energy, lengths);
        const sum = parts.reduce((all, part, place) => all + priceOf(shares[place] ?? 0, tariff, part).nano, 0n);
        const dearest = Math.max(...tariff.slices(span).map(({ nano }) => Number(nano)));
        const off = Number(sum - priceOf(energy, tariff, span).nano);
        const aMillijoule = dearest / KWH;
        expect(Math.abs(off)).toBeLessThanOrEqual(parts.length * (aMillijoule + 0.5) + 0.5);
      }
    }
  });

  it('has days that follow each other, and hold the instants they are asked for', () => {
    const random = seeded(8);
    for (let world = 0; world < WORLDS; world += 1) {
      const tariff = zonedTariff(anyTerms(random, YEAR));
      const { from: at } = anySpan(random);
      const day = tariff.day(at);
      expect(day.from <= at && at < day.to).toBe(true);
      expect(tariff.day(day.to).from).toBe(day.to);
      expect(tariff.day(day.from)).toEqual(day);
      expect(tariff.day(day.to - 1)).toEqual(day);
    }
  });
});
