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
    const text = typeof shown === 'string' ? shown : JSON.stringify(shown);
    io.out(`${path.padEnd(width)}  ${text}  ${paint.dim(`# ${origin}`)}`);
  }
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

/** The configuration has the shape of the settings, in camel case. */
export function valueAt(config: Config, path: string): unknown {
  return path.split('.').reduce<unknown>((holder, name) => {
    const camel = name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
    return holder !== null && typeof holder === 'object'
      ? Object.entries(holder).find(([key]) => key === camel)?.[1]
      : undefined;
  }, config);
}
