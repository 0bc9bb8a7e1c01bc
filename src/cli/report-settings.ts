import type { Config } from '../config.ts';
import { gramsOf } from '../cost/carbon.ts';
import type { ReportSettings } from '../cost/report.ts';

/** How a report is put together, as configured. */
export function reportSettings({ report, tariff, energy, carbon }: Config): ReportSettings {
  const { hardware } = report;
  const { supplyEfficiency: efficiency, hostWatts } = energy;
  return {
    currency: report.currency,
    rates: report.rates,
    standing: {
      fixed: { perMonth: tariff.fixedPerMonth, currency: tariff.currency, method: 'measured' },
      hardware: hardware.map((one) => ({ ...one, currency: one.currency ?? tariff.currency })),
    },
    wall: efficiency === null ? null : { efficiency, hostWatts },
    grams: (millijoules) => gramsOf(millijoules, carbon),
  };
}
