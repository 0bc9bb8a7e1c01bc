import type { Config, LoadedConfig } from '../config.ts';
import type { Prices } from '../cost/receipt.ts';
import { flatTariff } from '../cost/tariff.ts';

/** What energy costs and what is assumed where nothing measures it, as configured. */
export function pricesOf(config: Config): Prices {
  const { pricePerKwh, currency, assumed } = config.tariff;
  return {
    tariff: flatTariff({ pricePerKwh, currency, assumed }),
    watts: { cpu: config.energy.cpuWatts, gpu: config.energy.gpuWatts },
  };
}

/** One line for each figure that nobody set, with the line that sets it. */
export function assumptionsOf({ config, origins, files }: LoadedConfig): readonly string[] {
  const file = files.find((candidate) => candidate.found)?.path ?? files.at(-1)?.path ?? 'kilnwatt.yaml';
  const lines: string[] = [];
  if (config.tariff.assumed) {
    const { pricePerKwh, currency } = config.tariff;
    lines.push(
      `~ ${pricePerKwh.toFixed(2)} ${currency} per kWh is assumed; set yours in ${file}: "tariff: { price_per_kwh: 0.30, currency: EUR }"`,
    );
  }
  const watts = 'energy.cpu_watts' in origins && origins['energy.cpu_watts'] === 'default';
  lines.push(
    `~ energy is time × ${config.energy.cpuWatts} W${watts ? ', assumed' : ''}; set the power of this machine at work: "energy: { cpu_watts: 65 }"`,
  );
  return lines;
}
