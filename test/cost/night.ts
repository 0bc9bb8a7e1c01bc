import { zonedTariff } from '../../src/cost/tariff-zones.ts';
import { termsOf } from './terms.ts';

export const HOUR = 3_600_000;

/** 0.18 from 22:00 to 06:00 UTC, and 0.34 by day. */
export const NIGHT = nightOf('UTC');

/** The same by the clock of another place. */
export function nightOf(timezone: string | null) {
  return zonedTariff(termsOf([{ price_per_kwh: 0.18, hours: '22:00-06:00' }], { pricePerKwh: 0.34, timezone }));
}
