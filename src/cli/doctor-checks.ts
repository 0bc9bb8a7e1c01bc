import { totalmem } from 'node:os';
import type { LoadedConfig } from '../config.ts';
import { isSecret } from '../config-secret.ts';
import type { Check, Pause } from '../ports.ts';
import { programRunner } from '../process/program.ts';
import { hostChecks } from '../telemetry/host.ts';
import { wslChecks } from '../telemetry/wsl.ts';
import type { EpochMillis } from '../units.ts';
import type { Part } from './doctor.ts';
import { counted } from './figures.ts';
import { momentOf } from './pause.ts';

/** What `doctor` asks beside the adapters: the configuration, this host, and what surrounds it. */
export function hostParts(loaded: LoadedConfig): readonly Part[] {
  const { dataDir, modelsDir, diskReserveMb } = loaded.config;
  return [
    { name: 'config', check: async () => configChecks(loaded) },
    {
      name: 'host',
      check: () =>
        hostChecks({
          nodeVersion: process.versions.node,
          availableMemory: process.availableMemory(),
          folders: { data: dataDir, models: modelsDir },
          reserve: diskReserveMb * 1_000_000,
        }),
    },
    { name: 'wsl', check: () => wslChecks({ run: programRunner(), memory: totalmem(), dataDir, modelsDir }) },
  ];
}

export function configChecks(loaded: LoadedConfig): readonly Check[] {
  return [filesCheck(loaded), ...secretChecks(loaded), tariffCheck(loaded)];
}

/** A pause that somebody has forgotten looks like a kilnwatt that does nothing. */
export function pauseChecks(pause: Pause | null, now: EpochMillis = Date.now()): readonly Check[] {
  if (pause === null) return [];
  const since = new Date(pause.since).toLocaleString('sv-SE').slice(0, 16);
  const detail = `since ${since} nothing is made${pause.until === null ? '' : `, until ${momentOf(pause.until, now)}`}`;
  return [{ name: 'pause', status: 'warn', detail, mend: 'kilnwatt resume' }];
}

function filesCheck({ files }: LoadedConfig): Check {
  const found = files.filter((file) => file.found).map(({ path }) => path);
  const detail =
    found.length > 0 ? found.join(', ') : `no file, defaults only (${files.map(({ path }) => path).join(' or ')})`;
  return { name: 'config', status: 'ok', detail };
}

/** A password or a token in a file that others may read. */
function secretChecks({ files }: LoadedConfig): Check[] {
  return files
    .filter(({ shared, values }) => shared && [...values].some(([path, { value }]) => mayHoldSecret(path, value)))
    .map(({ path }) => ({
      name: 'config',
      status: 'warn',
      detail: `${path} may hold a secret and can be read by others`,
      mend: `chmod 600 ${path}`,
    }));
}

/** An address without a password is shown to anyone; that of a notice has its token anywhere. */
function mayHoldSecret(path: string, value: unknown): boolean {
  return path === 'redis_url' ? hasPassword(value) : isSecret(path) && value !== null;
}

function hasPassword(url: unknown): boolean {
  return typeof url === 'string' && URL.canParse(url) && new URL(url).password !== '';
}

function tariffCheck({ config, files, origins }: LoadedConfig): Check {
  const { pricePerKwh, currency, assumed, zones } = config.tariff;
  const detail = `${pricePerKwh.toFixed(2)} ${currency} per kWh`;
  const besides = zones.length === 0 ? '' : ` and ${counted(zones.length, 'zone')}; see "kilnwatt tariff show"`;
  if (!assumed && origins['tariff.price_per_kwh'] === 'default')
    return {
      name: 'tariff',
      status: 'ok',
      detail: `${counted(zones.length, 'zone')} at all hours; see "kilnwatt tariff show"`,
    };
  if (!assumed) return { name: 'tariff', status: 'ok', detail: `${pricePerKwh} ${currency} per kWh${besides}` };
  return {
    name: 'tariff',
    status: 'warn',
    detail: `not set; ${detail} is assumed${zones.length === 0 ? '' : ' outside of all zones'}`,
    mend: `put "tariff: { price_per_kwh: ${pricePerKwh.toFixed(2)}, currency: ${currency} }" with your own price into ${files.at(-1)?.path ?? 'kilnwatt.yaml'}`,
  };
}
