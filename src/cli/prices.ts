import type { Config, LoadedConfig } from '../config.ts';
import type { Prices } from '../cost/receipt.ts';
import { flatTariff } from '../cost/tariff.ts';
import { assumedPart } from './assumed-energy.ts';
import type { RunSummary } from './run-events.ts';

/** What energy costs and what is assumed where nothing measures it, as configured. */
export function pricesOf(config: Config): Prices {
  const { pricePerKwh, currency, assumed } = config.tariff;
  return {
    tariff: flatTariff({ pricePerKwh, currency, assumed }),
    watts: { cpu: config.energy.cpuWatts, gpu: config.energy.gpuWatts },
  };
}

/** One line for each figure of the bill that nobody measured or set, with the line that sets it. */
export function assumptionsOf(
  { config, files }: LoadedConfig,
  bill: Pick<RunSummary, 'energy' | 'parts'>,
): readonly string[] {
  const { energy, tariff } = config;
  const file = files.find((candidate) => candidate.found)?.path ?? files.at(-1)?.path ?? 'kilnwatt.yaml';
  const lines: string[] = [];
  if (tariff.assumed) {
    const price = `${tariff.pricePerKwh.toFixed(2)} ${tariff.currency}`;
    lines.push(`~ ${price} per kWh is assumed; set yours in ${file}: "tariff: { price_per_kwh: 0.30, currency: EUR }"`);
  }
  if (bill.energy.method === 'assumed') {
    const watts = `${energy.cpuWatts} W for the CPU, ${energy.gpuWatts} W for a card without a meter`;
    lines.push(
      `~ energy${assumedPart(bill.parts)} is time × watts (${watts}); set yours there: "energy: { cpu_watts: 65, gpu_watts: 300 }"`,
    );
  }
  return lines;
}
