/** Reports of rows that no store has, of November in Berlin. */
import { calendarOf } from '../../src/cost/local-days.ts';
import { type ReportInput, reportOf } from '../../src/cost/report.ts';

export const CALENDAR = calendarOf('Europe/Berlin');
export const NOVEMBER = { from: CALENDAR.startOf('2026-11-01'), to: CALENDAR.startOf('2026-12-01') };
export const HARDWARE = { price: 1600, currency: 'EUR', bought: '2026-03-01', months: 36, resale: 700 };

interface Setting {
  readonly fixed?: number;
  readonly fixedCurrency?: string;
  readonly hardware?: readonly (typeof HARDWARE)[];
  readonly wall?: ReportInput['settings']['wall'];
  readonly rate?: number;
}

export function settingsOf({ fixed = 0, fixedCurrency = 'EUR', hardware = [], wall = null, rate = 0.92 }: Setting) {
  return {
    currency: 'EUR',
    rates: { USD: { rate, date: '2026-11-02', source: 'ECB' } },
    standing: { fixed: { perMonth: fixed, currency: fixedCurrency, method: 'measured' as const }, hardware },
    wall,
    grams: () => null,
  };
}

export function madeOf(input: Partial<ReportInput> & Pick<ReportInput, 'sums'>) {
  const settings = settingsOf({});
  const rest = { span: NOVEMBER, calendar: CALENDAR, by: null, tags: {}, labels: new Map<string, string>(), settings };
  return reportOf({ ...rest, slots: input.sums, ...input });
}
