import { faultOf, HIDDEN_SETTINGS, nearestPath, SETTINGS, type Setting } from './config-schema.ts';
import { ConfigError, InputError } from './errors.ts';

/** A value and who says it. */
export interface Said {
  readonly value: unknown;
  /** `<file>:<line>`, `KILNWATT_X` or `--flag`. */
  readonly origin: string;
}

/** By the path of the setting (`data_dir`, `tariff.currency`); undefined where the flag was not given. */
export type Flags = Readonly<Record<string, string | number | boolean | undefined>>;

const PREFIX = 'KILNWATT_';

/** @throws InputError `bad_flag` */
export function flagValues(flags: Flags): Map<string, Said> {
  const values = new Map<string, Said>();
  for (const [path, given] of Object.entries(flags)) {
    if (given === undefined) continue;
    const origin = `--${path.replaceAll(/[._]/g, '-')}`;
    const setting = SETTINGS.get(path);
    if (setting === undefined) throw new TypeError(`${path} is not a setting that a flag can set`);
    const read =
      typeof given === 'string' ? readText(setting, given) : { value: given, fault: faultOf(setting, given) };
    if (read.fault !== undefined) throw new InputError(read.fault, { code: 'bad_flag', place: origin });
    values.set(path, { value: read.value, origin });
  }
  return values;
}

/** @throws ConfigError `bad_config` */
export function envValues(
  env: NodeJS.ProcessEnv,
  settings: ReadonlyMap<string, Setting> = SETTINGS,
): Map<string, Said> {
  refuseMistyped(env);
  const values = new Map<string, Said>();
  for (const setting of settings.values()) {
    const origin = variableOf(setting.path);
    const text = env[origin];
    if (text === undefined || text === '') continue;
    const read = readText(setting, text);
    if (read.fault !== undefined) throw new ConfigError(`${origin}: ${read.fault}`, { code: 'bad_config' });
    values.set(setting.path, { value: read.value, origin });
  }
  if (settings.has('no_color') && !values.has('no_color') && env.NO_COLOR)
    values.set('no_color', { value: true, origin: 'NO_COLOR' });
  return values;
}

/** Scripts have variables of their own that begin alike; so only what is nearly a setting is a mistake. */
function refuseMistyped(env: NodeJS.ProcessEnv): void {
  const known = new Set([...SETTINGS.keys(), ...HIDDEN_SETTINGS.keys()].map(variableOf));
  for (const name of Object.keys(env)) {
    if (!name.startsWith(PREFIX) || known.has(name)) continue;
    const meant = nearestPath(
      name.slice(PREFIX.length),
      [...known.keys()].map((variable) => variable.slice(PREFIX.length)),
    );
    if (meant !== undefined)
      throw new ConfigError(`${name} is not a setting; did you mean ${PREFIX}${meant}?`, { code: 'bad_config' });
  }
}

/** The variable of a setting, by its path. */
export function variableOf(path: string): string {
  return `${PREFIX}${path.replaceAll('.', '_').toUpperCase()}`;
}

/** A text means the first reading that its setting admits: nothing (`none`), the text itself, a number, yes or no. */
function readText(setting: Setting, text: string): { readonly value: unknown; readonly fault: string | undefined } {
  const readings: unknown[] = [text];
  if (/^(none|null)$/i.test(text)) readings.unshift(null);
  if (text.trim() !== '' && Number.isFinite(Number(text))) readings.push(Number(text));
  if (/^(true|yes|on|1)$/i.test(text)) readings.push(true);
  if (/^(false|no|off|0)$/i.test(text)) readings.push(false);
  const faults = readings.map((value) => faultOf(setting, value));
  const fitting = faults.indexOf(undefined);
  return fitting >= 0
    ? { value: readings[fitting], fault: undefined }
    : { value: undefined, fault: faults[faults.length > 1 ? 1 : 0] };
}
