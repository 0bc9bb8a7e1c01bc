import type { TariffTerms } from '../../src/cost/tariff-zones.ts';

/** The place of the zone that sets the price at an instant, or null. */
export type Oracle = (at: number) => number | null;

const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
const MONTHS = 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ');

/**
 * The same question asked slowly and by another way: the runtime formats each instant, and hours, days and months are
 * walked through one by one from their texts.
 */
export function oracleOf(terms: TariffTerms): Oracle {
  const format = new Intl.DateTimeFormat('en-GB', {
    ...(terms.timezone === null ? {} : { timeZone: terms.timezone }),
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
  });
  return (at) => {
    const said = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]));
    const [hour, minute] = [Number(said.hour), Number(said.minute)];
    const today = `${said.year}-${said.month}-${said.day}`;
    const yesterday = new Date(Date.parse(`${today}T12:00:00Z`) - 86_400_000).toISOString().slice(0, 10);
    const on = (zone: TariffTerms['zones'][number], date: string) =>
      isNamed(zone.days, WEEKDAYS.join(' ').toLowerCase().split(' '), dayName(date, terms.holidays)) &&
      isNamed(zone.months, MONTHS, MONTHS[Number(date.slice(5, 7)) - 1] ?? '');
    const fits = terms.zones.map((zone) =>
      (zone.hours ?? '00:00-24:00').split(',').some((text) => {
        const [from = 0, to = 0] = text
          .split('-')
          .map((time) => Number(time.split(':')[0]) * 60 + Number(time.split(':')[1]));
        const now = hour * 60 + minute;
        if (from < to) return now >= from && now < to && on(zone, today);
        return now >= from ? on(zone, today) : now < to && on(zone, yesterday);
      }),
    );
    const last = fits.lastIndexOf(true);
    return last < 0 ? null : last;
  };
}

function dayName(date: string, holidays: readonly string[]): string {
  if (holidays.includes(date)) return 'holiday';
  return new Date(`${date}T12:00:00Z`).toUTCString().slice(0, 3).toLowerCase();
}

function isNamed(text: string | undefined, names: readonly string[], wanted: string): boolean {
  if (text === undefined) return true;
  return text.split(',').some((part) => {
    const [first = '', last = first] = part.split('-');
    if (first === 'holiday') return wanted === 'holiday';
    for (let place = names.indexOf(first); ; place = (place + 1) % names.length) {
      if (names[place] === wanted) return true;
      if (names[place] === last) return false;
    }
  });
}
