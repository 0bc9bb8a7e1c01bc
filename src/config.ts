import { createHash } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { homedir, hostname, userInfo } from 'node:os';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import type { HoursSetting } from './batch/hours.ts';
import { type ConfigFile, readConfigFile } from './config-file.ts';
import { envValues, type Flags, flagValues, type Said } from './config-given.ts';
import { absolutePath } from './config-path.ts';
import { configSchema, HIDDEN_SETTINGS, hiddenSchema, SETTINGS, type Settings } from './config-schema.ts';
import { leaveGap } from './cost/zone.ts';
import { ConfigError } from './errors.ts';
import type { Notice } from './ports.ts';
import type { Preset } from './preset/catalogue.ts';
import { ownPresets } from './preset/own.ts';

/** Everything that can be set, resolved: paths are absolute and every default is filled in. */
export interface Config extends HiddenConfig {
  readonly model: string;
  readonly preset: string;
  /** Those of the user, beside the catalogue's. */
  readonly presets: readonly Preset[];
  readonly devices: string;
  readonly dataDir: string;
  readonly modelsDir: string;
  readonly runtimeDir: string;
  /** Null: kilnwatt runs a Valkey of its own. May hold a password. */
  readonly redisUrl: string | null;
  readonly redisBinary: string | null;
  readonly queue: string;
  readonly out: string;
  readonly pattern: string;
  readonly format: Settings['format'];
  readonly sidecar: Settings['sidecar'];
  readonly metadata: Readonly<Settings['metadata']>;
  readonly python: string;
  readonly batchLimit: number | null;
  /** Null: by the size of the memory. */
  readonly memoryReserveMb: number | null;
  readonly energy: EnergyConfig;
  readonly tariff: TariffConfig;
  readonly carbon: { readonly gramsPerKwh: number | null; readonly country: string | null };
  readonly report: ReportConfig;
  /** When bulk jobs are made. */
  readonly when: Settings['when'];
  readonly limits: Limits;
  /** Null: never for that reason. */
  readonly worker: Readonly<Record<'recyclePictures' | 'recycleGrowthMb' | 'idleUnloadSeconds', number | null>>;
  /** In local time; null: devices always work. */
  readonly hours: HoursSetting | null;
  readonly notify: NotifyConfig;
  readonly diskReserveMb: number;
  readonly log: Readonly<Settings['log']>;
  readonly noColor: boolean;
  /** Whether this terminal's language has more than ASCII. */
  readonly utf8: boolean;
}

export interface EnergyConfig {
  /** Watts. */
  readonly cpuWatts: number;
  readonly gpuWatts: number;
  /** Null: nothing is known of the wall. */
  readonly supplyEfficiency: number | null;
  readonly hostWatts: number | null;
  /** May hold a token. */
  readonly plug: {
    readonly url: string;
    readonly kind: Settings['energy']['plug_kind'];
    readonly token: string | null;
  } | null;
}

export interface TariffConfig {
  readonly pricePerKwh: number;
  readonly currency: string;
  /** The user did not say what electricity costs, or not outside of all zones where there is such a time. */
  readonly assumed: boolean;
  /** Null: that of this host. */
  readonly timezone: string | null;
  readonly zones: readonly NonNullable<Settings['tariff']['zones']>[number][];
  /** ISO dates. */
  readonly holidays: readonly string[];
  readonly chargesPerKwh: number;
  readonly taxPercent: number;
  readonly fixedPerMonth: number;
}

export interface ReportConfig {
  readonly currency: string;
  readonly rates: NonNullable<Settings['report']['rates']>;
  readonly hardware: Readonly<NonNullable<Settings['report']['hardware']>>;
}

/** Null: what is sensible for the kind of device; for `jobSeconds`, no limit. */
interface Limits
  extends Readonly<Record<'stepSeconds' | 'loadSeconds' | 'heartbeatSeconds' | 'jobSeconds', number | null>> {
  readonly stopSeconds: number;
}

export interface NotifyConfig {
  /** Null: nothing is sent. May hold a token. */
  readonly url: string | null;
  readonly preset: Settings['notify']['preset'];
  /** Null: what the preset has. May hold a token. */
  readonly body: string | null;
  readonly on: readonly Notice['kind'][];
  readonly stalledMinutes: number;
}

interface HiddenConfig {
  readonly workerEngine: 'diffusers' | 'fake';
  /** The fault point at which the process kills itself; tests only. */
  readonly fault: string | null;
}

export interface LoadedConfig {
  readonly config: Config;
  /** By the path of the setting: `default`, `<file>:<line>`, `KILNWATT_X` or `--flag`. */
  readonly origins: Readonly<Record<string, string>>;
  /** The files that are looked at, first wins. */
  readonly files: readonly ConfigFile[];
}

export interface ConfigSources {
  readonly flags?: Flags;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

const ASSUMED_GPU_WATTS = 300;
const ASSUMED_PRICE_PER_KWH = 0.3;
/** Settings that are paths, and those that are one only when they look like one: else a program in PATH, a model's name or hub id. */
const PATHS = new Set(['data_dir', 'models_dir', 'runtime_dir', 'out']);
const LOOKS_LIKE_PATH = new Map([
  ['redis_binary', /[/~]/],
  ['python', /[/~]/],
  ['model', /^(~|\.\.?)(\/|$)/],
]);

/**
 * The one configuration of this process, frozen. Flags go before `KILNWATT_*`, before `./kilnwatt.yaml`,
 * before `$XDG_CONFIG_HOME/kilnwatt/config.yaml`, before defaults. A relative path counts from the file that says it.
 * @throws ConfigError `bad_config` for a bad file or variable, `no_folder` where the working folder was removed
 * @throws InputError `bad_flag`
 */
export function loadConfig(sources: ConfigSources = {}): LoadedConfig {
  const { flags = {}, env = process.env, cwd = workingFolder() } = sources;
  const home = env.HOME || homedir();
  const files = [
    join(cwd, 'kilnwatt.yaml'),
    join(xdg(env.XDG_CONFIG_HOME, join(home, '.config')), 'kilnwatt', 'config.yaml'),
  ].map(readConfigFile);
  const layers: readonly Layer[] = [
    { base: cwd, values: flagValues(flags) },
    { base: cwd, values: envValues(env) },
    ...files.map((file) => ({ base: dirname(file.path), values: file.values })),
  ];
  const said = new Map([...SETTINGS.keys()].flatMap((path) => firstOf(path, layers, home)));
  const config = configOf(configSchema.parse(nested(said)), { env, cwd, home });
  const origins = Object.fromEntries([...SETTINGS.keys()].map((path) => [path, said.get(path)?.origin ?? 'default']));
  return Object.freeze({ config, origins: Object.freeze(origins), files: Object.freeze(files) });
}

function workingFolder(): string {
  try {
    return process.cwd();
  } catch (error) {
    const sentence = 'the folder that this was started in is gone: change to one that is there';
    throw new ConfigError(sentence, { code: 'no_folder', cause: error });
  }
}

interface Layer {
  /** What a relative path counts from. */
  readonly base: string;
  readonly values: ReadonlyMap<string, Said>;
}

function firstOf(path: string, layers: readonly Layer[], home: string): [string, Said][] {
  for (const { base, values } of layers) {
    const said = values.get(path);
    if (said === undefined) continue;
    return [[path, typeof said.value === 'string' ? { ...said, value: expanded(path, said.value, base, home) } : said]];
  }
  return [];
}

function expanded(path: string, text: string, base: string, home: string): string {
  if (!PATHS.has(path) && LOOKS_LIKE_PATH.get(path)?.test(text) !== true) return text;
  return absolutePath(text, base, home);
}

function nested(said: ReadonlyMap<string, Said>): Record<string, unknown> {
  const whole: Record<string, unknown> = {};
  const groups = new Map<string, Record<string, unknown>>();
  for (const [path, { value }] of said) {
    const dot = path.lastIndexOf('.');
    const name = path.slice(0, Math.max(dot, 0));
    const group = name === '' ? whole : (groups.get(name) ?? {});
    if (name !== '') whole[name] = group;
    groups.set(name, group);
    group[path.slice(dot + 1)] = value;
  }
  return whole;
}

function configOf(
  settings: Settings,
  place: { readonly env: NodeJS.ProcessEnv; readonly cwd: string; readonly home: string },
): Config {
  const { env, cwd, home } = place;
  const dataDir = settings.data_dir ?? join(xdg(env.XDG_DATA_HOME, join(home, '.local', 'share')), 'kilnwatt');
  return Object.freeze({
    ...hiddenOf(env),
    model: settings.model,
    preset: settings.preset,
    presets: Object.freeze(ownPresets(settings.presets ?? {})),
    devices: settings.devices,
    dataDir,
    modelsDir: settings.models_dir ?? join(dataDir, 'models'),
    runtimeDir: settings.runtime_dir ?? runtimeDir(env),
    redisUrl: settings.redis_url,
    redisBinary: settings.redis_binary,
    queue: settings.queue ?? queueName(settings.redis_url, dataDir),
    out: resolve(cwd, settings.out),
    pattern: settings.pattern,
    format: settings.format,
    sidecar: settings.sidecar,
    metadata: Object.freeze(settings.metadata),
    python: settings.python ?? defaultPython(),
    batchLimit: settings.batch_limit,
    memoryReserveMb: settings.memory_reserve_mb,
    ...costConfig(settings),
    ...workConfig(settings),
    hours: Object.freeze(settings.hours),
    notify: notifyConfig(settings),
    diskReserveMb: settings.disk_reserve_mb,
    log: Object.freeze(settings.log),
    noColor: settings.no_color,
    utf8: /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || ''),
  });
}

function costConfig({
  energy,
  tariff,
  carbon,
  report,
  when,
}: Settings): Pick<Config, 'energy' | 'tariff' | 'carbon' | 'report' | 'when'> {
  return {
    energy: Object.freeze({
      cpuWatts: energy.cpu_watts,
      gpuWatts: energy.gpu_watts ?? ASSUMED_GPU_WATTS,
      supplyEfficiency: energy.supply_efficiency,
      hostWatts: energy.host_watts,
      plug:
        energy.plug_url === null
          ? null
          : Object.freeze({ url: energy.plug_url, kind: energy.plug_kind, token: energy.plug_token }),
    }),
    tariff: Object.freeze({
      pricePerKwh: tariff.price_per_kwh ?? ASSUMED_PRICE_PER_KWH,
      currency: tariff.currency,
      assumed: tariff.price_per_kwh === null && leaveGap(tariff.zones ?? [], (tariff.holidays ?? []).length > 0),
      timezone: tariff.timezone,
      zones: Object.freeze(tariff.zones ?? []),
      holidays: Object.freeze(tariff.holidays ?? []),
      chargesPerKwh: tariff.charges_per_kwh,
      taxPercent: tariff.tax_percent,
      fixedPerMonth: tariff.fixed_per_month,
    }),
    carbon: Object.freeze({ gramsPerKwh: carbon.grams_per_kwh, country: carbon.country }),
    report: Object.freeze({
      currency: report.currency ?? tariff.currency,
      rates: Object.freeze(report.rates ?? {}),
      hardware: Object.freeze(report.hardware ?? []),
    }),
    when,
  };
}

function workConfig({ limits, worker }: Settings): Pick<Config, 'limits' | 'worker'> {
  return {
    limits: Object.freeze({
      stepSeconds: limits.step_seconds,
      loadSeconds: limits.load_seconds,
      heartbeatSeconds: limits.heartbeat_seconds,
      jobSeconds: limits.job_seconds,
      stopSeconds: limits.stop_seconds,
    }),
    worker: Object.freeze({
      recyclePictures: worker.recycle_pictures,
      recycleGrowthMb: worker.recycle_growth_mb,
      idleUnloadSeconds: worker.idle_unload_seconds,
    }),
  };
}

function notifyConfig({ notify: { stalled_minutes: stalledMinutes, on, ...rest } }: Settings): NotifyConfig {
  return Object.freeze({ ...rest, on: Object.freeze(on), stalledMinutes });
}

function hiddenOf(env: NodeJS.ProcessEnv): HiddenConfig {
  const hidden = hiddenSchema.parse(nested(envValues(env, HIDDEN_SETTINGS)));
  return { workerEngine: hidden.worker_engine, fault: hidden.fault };
}

/** The specification has relative values ignored. */
function xdg(value: string | undefined, otherwise: string): string {
  return value !== undefined && isAbsolute(value) ? value : otherwise;
}

/** A runtime folder that was never made (`su`, cron, containers) is none. */
function runtimeDir(env: NodeJS.ProcessEnv): string {
  const given = env.XDG_RUNTIME_DIR;
  if (given !== undefined && isAbsolute(given) && existsSync(given)) return join(given, 'kilnwatt');
  return join(env.TMPDIR || '/tmp', `kilnwatt-${userInfo().uid}`);
}

/** On a shared server, two data folders must not take each other's jobs, and one folder has one name, however it is spelled. */
function queueName(redisUrl: string | null, dataDir: string): string {
  if (redisUrl === null) return 'kilnwatt';
  return `kilnwatt-${createHash('sha256')
    .update(`${hostname()}\n${realPath(dataDir)}`)
    .digest('hex')
    .slice(0, 8)}`;
}

/** Of a folder that may not be there yet: what exists of its path is followed, and the rest stays as it is. */
function realPath(path: string): string {
  if (existsSync(path)) return realpathSync(path);
  return join(realPath(dirname(path)), basename(path));
}

function defaultPython(): string {
  const own = join(import.meta.dirname, '..', '.venv', 'bin', 'python');
  return existsSync(own) ? own : 'python3';
}
