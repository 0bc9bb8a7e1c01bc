import { describe, expect, it } from 'vitest';
import { countryFault, gramsOf } from '../../src/cost/carbon.ts';

const KWH = 3_600_000_000;

describe('grams of CO2', () => {
  it('come from the number of the user first', () => {
    expect(gramsOf(KWH / 2, { gramsPerKwh: 100, country: 'DE' })).toEqual({
      grams: 50,
      method: 'derived',
      source: 'config',
      year: null,
    });
    expect(gramsOf(KWH, { gramsPerKwh: 0, country: 'DE' })?.grams).toBe(0);
  });

  it('come from the mean of the country otherwise, an assumption with its source and year', () => {
    expect(gramsOf(2 * KWH, { gramsPerKwh: null, country: 'de' })).toEqual({
      grams: 762,
      method: 'assumed',
      source: expect.stringContaining('CodeCarbon'),
      year: 2023,
    });
  });

  it('are none where nothing is set', () => {
    expect(gramsOf(KWH, { gramsPerKwh: null, country: null })).toBeNull();
  });
});

it('a country that the table does not have is refused with those it has', () => {
  expect(['DE', 'se', 'World'].map(countryFault)).toEqual([undefined, undefined, undefined]);
  expect(countryFault('AT')).toBe(
    'expected one of AU, CA, CN, DE, FR, GB, IN, JP, NL, PL, SE, US, world; for another set carbon.grams_per_kwh',
  );
});
