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
  { config, files }: LoadedConfig,
  bill: Pick<RunSummary, 'energy' | 'parts'>,
): readonly string[] {
  return [
    ...priceAssumption({ config, files }),
    ...(bill.energy.method === 'assumed' ? [energyAssumption(config, assumedPart(bill.parts))] : []),
  ];
}

/** @param part of which energy, as words after it; nothing for all */
export function energyAssumption({ energy }: Pick<Config, 'energy'>, part = ''): string {
  const watts = `${energy.cpuWatts} W for the CPU, ${energy.gpuWatts} W for a card without a meter`;
  return `~ energy${part} is time × watts (${watts}); set yours there: "energy: { cpu_watts: 65, gpu_watts: 300 }"`;
}

/** The line that sets the price of electricity, where nobody has; else none. */
export function priceAssumption({ config, files }: Pick<LoadedConfig, 'config' | 'files'>): readonly string[] {
  const { assumed, currency, pricePerKwh, zones } = config.tariff;
  if (!assumed) return [];
  const file = files.find((candidate) => candidate.found)?.path ?? files.at(-1)?.path ?? 'kilnwatt.yaml';
  const price = `${pricePerKwh.toFixed(2)} ${currency}`;
  return [
    `~ ${price} per kWh is assumed${zones.length === 0 ? '' : ' outside of all zones'}; set yours in ${file}: "tariff: { price_per_kwh: 0.30, currency: EUR }"`,
  ];
}
