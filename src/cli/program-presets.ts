import { type Command, Option } from 'commander';
import type { App } from './app.ts';
import type { PresetsOptions } from './presets.ts';
import type { ExplainOptions } from './presets-explain.ts';
import { addPlaces, type PlaceFlags } from './program-places.ts';

type WithApp = (flags: ExplainFlags, use: (app: App) => Promise<number>) => Promise<void>;
type ExplainFlags = PlaceFlags & ExplainOptions & { readonly preset?: string };

const DEVICES = ['--devices <list>', 'auto, cpu, cpu:2, or cards: 0,1'] as const;

/** The commands that say how models can be loaded here, and how they would be. */
export function addPresets(program: Command, withApp: WithApp): void {
  const presets = program.command('presets').summary('list, show and explain how models are loaded');
  const ls = presets
    .command('ls')
    .summary('what can be asked for with --preset, and is made for the devices here')
    .option('--all', 'those for other devices too')
    .option(...DEVICES);
  addPlaces(ls).action((flags: PlaceFlags & PresetsOptions) =>
    withApp(flags, async (app) => (await import('./presets.ts')).presetsLs(app, flags)),
  );
  const show = presets.command('show').summary('what a preset sets, and why').argument('<NAME>');
  addPlaces(show).action((name: string, flags: PlaceFlags & PresetsOptions) =>
    withApp(flags, async (app) => (await import('./presets.ts')).presetsShow(app, name, flags)),
  );
  const explain = presets
    .command('explain')
    .summary('what pictures would be made with on each device now, and whether it fits')
    .argument('[MODEL]', 'folder, name or hub id of a model that is on this disk; else the configured one')
    .addOption(new Option('--size <WxH>', 'pixels; otherwise what the model was made for'))
    .option('--cfg <scale>', 'guidance; above 1 it takes two passes at once')
    .option('--steps <count>', 'denoising steps')
    .option('--preset <name>', 'instead of the configured one')
    .addOption(
      new Option('--lora <name[:weight]>', 'a LoRA, as in `run`; may be given often').argParser(
        (value: string, given: readonly string[] = []) => [...given, value],
      ),
    )
    .option(...DEVICES);
  addPlaces(explain).action((model: string | undefined, flags: ExplainFlags) =>
    withApp(flags, async (app) => (await import('./presets-explain.ts')).presetsExplain(app, model, flags)),
  );
}
