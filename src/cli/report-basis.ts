import type { LoadedConfig } from '../config.ts';
import type { Report } from '../cost/report.ts';
import type { MeanPrice } from '../cost/report-basis.ts';
import { significant } from './figures.ts';
import { priceAssumption, settingsFile } from './prices.ts';

/** What the rows were booked with, and where that is set for those to come. */
export function basisNotes({ basis, sources }: Report, loaded: LoadedConfig): readonly string[] {
  const { assumedWatts, prices } = basis;
  const of = sources.length > 1 ? ' of what no meter told' : '';
  const file = settingsFile(loaded);
  const today = priceAssumption(loaded);
  return [
    ...prices.filter(({ assumed }) => assumed !== false || today.length > 0).map(priceNote),
    ...(today.length > 0 && prices.length > 0
      ? today.map((line) => line.replace('is assumed', 'is assumed today'))
      : []),
    ...(assumedWatts === null
      ? []
      : [
          `~ energy${of} is time × watts: ${significant(assumedWatts)} W in the mean of these rows; energy.cpu_watts and energy.gpu_watts in ${file} are for those to come.`,
        ]),
  ];
}

function priceNote({ currency, perKwh, assumed }: MeanPrice): string {
  const price = `Electricity is ${significant(perKwh)} ${currency} per kWh in the mean of these rows, each at the price of its day`;
  return assumed === true ? `~ ${price}; for a part nobody had set one, and 0.30 was assumed.` : `${price}.`;
}
