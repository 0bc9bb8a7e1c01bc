import pc from 'picocolors';
import type { Config, LoadedConfig } from '../config.ts';
import { configJsonSchema, SETTINGS } from '../config-schema.ts';
import { withoutSecret } from '../config-secret.ts';
import type { Io } from './io.ts';

/** Every setting with its value and where it comes from. Passwords and tokens are not shown. */
export function configShow(
  { config, origins }: LoadedConfig,
  io: Io,
  { json = false }: { readonly json?: boolean } = {},
): void {
  const rows = [...SETTINGS.keys()].map((path) => ({
    path,
    value: withoutSecret(path, valueAt(config, path)),
    origin: origins[path] ?? 'default',
  }));
  if (json) {
    io.out(JSON.stringify(Object.fromEntries(rows.map(({ path, value, origin }) => [path, { value, origin }]))));
    return;
  }
  const paint = pc.createColors(io.color);
  const width = Math.max(...rows.map(({ path }) => path.length));
  for (const { path, value, origin } of rows) {
    // What a preset holds, `presets show` says.
    const shown = path === 'presets' ? config.presets.map(({ name }) => name) : value;
    const [first, ...more] = linesOf(shown);
    io.out(`${path.padEnd(width)}  ${first}  ${paint.dim(`# ${origin}`)}`);
    for (const line of more) io.out(`${' '.repeat(width)}  ${line}`);
  }
}

/** A list of groups, as the zones of a tariff, has a line for each; they are read one by one. */
function linesOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  if (!Array.isArray(value) || value.length === 0 || value.some((one) => typeof one !== 'object'))
    return [JSON.stringify(value)];
  return value.map((one: object) => {
    const pairs = Object.entries(one).map(([name, said]) => `${name}: ${linesOf(said).join(' ')}`);
    return `- ${pairs.join(', ')}`;
  });
}

/** The files that are looked at, first wins. */
export function configPath({ files }: LoadedConfig, io: Io, { json = false }: { readonly json?: boolean } = {}): void {
  if (json) io.out(JSON.stringify(files.map(({ path, found }) => ({ path, found }))));
  else for (const { path, found } of files) io.out(found ? path : `${path}  # not there`);
}

/** The JSON Schema of the file, for editors. */
export function configSchema(io: Io): void {
  io.out(JSON.stringify(configJsonSchema(), null, 2));
}

/** The configuration has the shape of the settings, in camel case; those of the plug are a group of their own there, or null. */
export function valueAt(config: Config, path: string): unknown {
  return path
    .replace(/^energy\.plug_/, 'energy.plug.')
    .split('.')
    .reduce<unknown>((holder, name) => {
      const camel = name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
      if (holder === null || typeof holder !== 'object') return holder === null ? null : undefined;
      return Object.entries(holder).find(([key]) => key === camel)?.[1];
    }, config);
}
