import { flatTariff, type Slice, type Tariff } from '../../src/cost/tariff.ts';
import { nanoOf } from '../../src/units.ts';

export const HOUR = 3_600_000;

/** 0.18 from 22:00 to 06:00 UTC, and 0.34 by day. */
export const NIGHT: Tariff = {
  ...flatTariff({ pricePerKwh: 0.34, currency: 'EUR', assumed: false }),
  id: 'zones:night',
  slices: ({ from, to }) => {
    const slices: Slice[] = [];
    for (let at = from; at < to || slices.length === 0; ) {
      const hour = Math.floor(at / HOUR) % 24;
      const next = Math.floor(at / HOUR) * HOUR + hoursLeft(hour) * HOUR;
      slices.push({ from: at, to: Math.min(next, to), nano: nanoOf(isNight(hour) ? 0.18 : 0.34) });
      at = next;
    }
    return slices;
  },
};

function isNight(hour: number): boolean {
  return hour >= 22 || hour < 6;
}

/** Until the price changes. */
function hoursLeft(hour: number): number {
  if (hour < 6) return 6 - hour;
  return hour < 22 ? 22 - hour : 30 - hour;
}
