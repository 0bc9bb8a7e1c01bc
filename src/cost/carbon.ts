import { kwhOf, type Method, type Millijoules } from '../units.ts';
import table from './carbon.json' with { type: 'json' };

/** What is known of the electricity: a number of the user's goes before the table's for a country. */
export interface CarbonTerms {
  readonly gramsPerKwh: number | null;
  /** One that {@link countryFault} finds nothing in. */
  readonly country: string | null;
}

/** Grams of CO2, an estimate in any case: what a power station burnt for this very kilowatt-hour nobody knows. */
export interface Carbon {
  readonly grams: number;
  /** `derived` from a number that the user stands for; `assumed` from the mean of a country and a year. */
  readonly method: Extract<Method, 'derived' | 'assumed'>;
  /** `config`, or where the table comes from. */
  readonly source: string;
  /** That the table is of; null for a number of the user's. */
  readonly year: number | null;
}

/** Null where neither a number nor a country is set. */
export function gramsOf(millijoules: Millijoules, { gramsPerKwh, country }: CarbonTerms): Carbon | null {
  const kwh = kwhOf(millijoules);
  if (gramsPerKwh !== null) return { grams: kwh * gramsPerKwh, method: 'derived', source: 'config', year: null };
  const mean = country === null ? undefined : MEANS.get(country.toLowerCase());
  if (mean === undefined) return null;
  return { grams: kwh * mean, method: 'assumed', source: table.source, year: table.year };
}

/** Why the table has nothing for a country, however its letters are written; undefined where it has. */
export function countryFault(country: string): string | undefined {
  if (MEANS.has(country.toLowerCase())) return undefined;
  return `expected one of ${Object.keys(table.grams_per_kwh).join(', ')}; for another set carbon.grams_per_kwh`;
}

const MEANS = new Map(Object.entries(table.grams_per_kwh).map(([country, grams]) => [country.toLowerCase(), grams]));
