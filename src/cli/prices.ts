import type { Config, LoadedConfig } from '../config.ts';
import type { Prices } from '../cost/receipt.ts';
import { zonedTariff } from '../cost/tariff-zones.ts';
import { assumedPart } from './assumed-energy.ts';
import type { RunSummary } from './run-events.ts';

/** What energy costs and what is assumed where nothing measures it, as configured. */
export function pricesOf(config: Config): Prices {
  return {
    tariff: zonedTariff(config.tariff),
    watts: { cpu: config.energy.cpuWatts, gpu: config.energy.gpuWatts },
  };
}

/** One line for each figure of the bill that nobody measured or set, with the line that sets it. */
export function assumptionsOf(
  { config, files, origins }: LoadedConfig,
  bill: Pick<RunSummary, 'energy' | 'parts'>,
): readonly string[] {
  return [
    ...priceAssumption({ config, files }),
    ...(bill.energy.method === 'assumed'
      ? [energyAssumption({ config, files, origins }, assumedPart(bill.parts))]
      : []),
  ];
}

/** @param part of which energy, as words after it; nothing for all */
function energyAssumption({ config, files, origins }: LoadedConfig, part: string): string {
  const { cpuWatts, gpuWatts } = config.energy;
  const watts = `${cpuWatts} W for the CPU, ${gpuWatts} W for a card without a meter`;
  const said = `~ energy${part} is time × watts (${watts})`;
  if (['energy.cpu_watts', 'energy.gpu_watts'].some((path) => origins[path] !== 'default')) return said;
  // The price, where it is assumed too, has just named the file.
  const where = config.tariff.assumed ? 'there' : `in ${settingsFile({ files })}`;
  return `${said}; set yours ${where}: "energy: { cpu_watts: 65, gpu_watts: 300 }"`;
}

/** The line that sets the price of electricity, where nobody has; else none. */
export function priceAssumption({ config, files }: Pick<LoadedConfig, 'config' | 'files'>): readonly string[] {
  const { assumed, currency, pricePerKwh, zones } = config.tariff;
  if (!assumed) return [];
  const price = `${pricePerKwh.toFixed(2)} ${currency}`;
  return [
    `~ ${price} per kWh is assumed${zones.length === 0 ? '' : ' outside of all zones'}; set yours in ${settingsFile({ files })}: "tariff: { price_per_kwh: 0.30, currency: EUR }"`,
  ];
}

/** The file that a setting goes into: the one that is read, or else the one that would be. */
export function settingsFile({ files }: Pick<LoadedConfig, 'files'>): string {
  return files.find((candidate) => candidate.found)?.path ?? files.at(-1)?.path ?? 'kilnwatt.yaml';
}
