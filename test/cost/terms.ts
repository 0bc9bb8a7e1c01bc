import { type TariffTerms, type ZonedTariff, zonedTariff } from '../../src/cost/tariff-zones.ts';
import type { ZoneTerms } from '../../src/cost/zone.ts';

/** A tariff of 0.30 EUR by the clock of Berlin, with these zones. */
export function termsOf(zones: readonly ZoneTerms[], rest: Partial<TariffTerms> = {}): TariffTerms {
  return {
    pricePerKwh: 0.3,
    currency: 'EUR',
    assumed: false,
    timezone: 'Europe/Berlin',
    zones,
    holidays: [],
    chargesPerKwh: 0,
    taxPercent: 0,
    ...rest,
  };
}

/** One price at all hours of UTC. */
export function flatTariff(pricePerKwh: number, rest: Partial<TariffTerms> = {}): ZonedTariff {
  return zonedTariff(termsOf([], { pricePerKwh, timezone: 'UTC', ...rest }));
}

export const NIGHT: ZoneTerms = { name: 'night', price_per_kwh: 0.2, hours: '22:00-06:00' };

const ZONES = [
  'Europe/Berlin',
  'America/New_York',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
  'Australia/Sydney',
  'America/Santiago',
  'America/St_Johns',
  'Africa/Cairo',
  'Pacific/Chatham',
  'UTC',
];
const HOURS = [
  '22:00-06:00',
  '02:00-03:00',
  '02:15-02:45',
  '00:00-24:00',
  '17:00-20:30,06:00-08:15',
  '23:59-00:01',
  '23:00-01:30',
];
const DAYS = ['mon-fri', 'sat,sun,holiday', 'fri', 'holiday', 'fri-mon'];
const MONTHS = ['oct-mar', 'mar,apr', 'jan-dec', 'nov-sep'];

/** Any tariff: of one to four zones that may name hours, days and months, in any of some time zones. */
export function anyTerms(random: () => number, year: number): TariffTerms {
  const one = <Some>(list: readonly Some[]): Some => list[Math.floor(random() * list.length)] as Some;
  const zones = Array.from({ length: 1 + Math.floor(random() * 4) }, () => ({
    price_per_kwh: Math.floor(random() * 4000) / 10_000,
    ...(random() < 0.8 && { hours: one(HOURS) }),
    ...(random() < 0.5 && { days: one(DAYS) }),
    ...(random() < 0.4 && { months: one(MONTHS) }),
  }));
  const holidays = [`${year}-03-29`, `${year}-04-05`, `${year}-10-25`, `${year}-12-25`];
  return termsOf(zones, {
    pricePerKwh: 0.3,
    timezone: one(ZONES),
    holidays,
    chargesPerKwh: random() < 0.5 ? 0 : 0.0512,
    taxPercent: random() < 0.5 ? 0 : 19,
  });
}
