import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../errors.ts';
import type { Model } from '../ports.ts';
import { anatomyOf, type Described } from './anatomy.ts';
import { modelBroken, modelUnreadable, modelUnsafe } from './failure.ts';
import { Folder } from './folder.ts';
import type { FileHashes } from './hashes.ts';
import { type Contents, checkSafetensors } from './safetensors.ts';
import {
  type Configs,
  denoiserSchema,
  ownSettingsSchema,
  schedulerSchema,
  textEncoderSchema,
  traitsOf,
  vaeSchema,
} from './traits.ts';
import { type Component, isPickle, weightsOf } from './weights.ts';

/**
 * Reads a diffusers pipeline folder: which files are loaded, whether they are whole, and what they say of the model.
 * @throws InputError `model_unsafe`, `model_broken`
 */
export async function readPipelineFolder(name: string, path: string, hashes: FileHashes): Promise<Model> {
  const folder = await Folder.open(path);
  if (!folder.has(INDEX)) throw noPipeline(folder);
  const index = await folder.json(INDEX, indexSchema);
  const components = componentsOf(index);
  const configs = await configsOf(folder, index._class_name, components);
  const { files, contents } = await filesOf(folder, components);
  const own = (await folder.jsonIfPresent(OWN_SETTINGS, ownSettingsSchema)) ?? {};
  const traits = traitsOf(configs, own);
  if (!traits.schedulers.includes(traits.defaults.scheduler)) {
    const what = `it names the scheduler ${traits.defaults.scheduler}, this model takes ${traits.schedulers.join(', ')}`;
    throw modelBroken(join(path, OWN_SETTINGS), what, { mend: 'correct that line' });
  }
  const anatomy = anatomyOf(traits.family, index._class_name, await describedOf(folder, components, contents));
  return { name, path, hash: await contentHash(path, files, hashes), ...traits, anatomy };
}

const INDEX = 'model_index.json';
const OWN_SETTINGS = 'kilnwatt.json';
/** Named in the index of many models, and never loaded by us. */
const IGNORED = new Set(['safety_checker', 'feature_extractor', 'image_encoder']);
const TOKENIZER_FILE = /\.(json|txt|model|jinja|tiktoken)$/;

const indexSchema = z.looseObject({ _class_name: z.string() });
const componentSchema = z.tuple([z.string(), z.string()]);

function componentsOf(index: z.infer<typeof indexSchema>): readonly Component[] {
  return Object.entries(index).flatMap(([name, value]) => {
    const parsed = componentSchema.safeParse(value);
    if (!parsed.success || IGNORED.has(name)) return [];
    return [{ name, library: parsed.data[0], className: parsed.data[1] }];
  });
}

function noPipeline(folder: Folder): InputError {
  const files = folder.filesIn('');
  const pickle = files.find(isPickle);
  if (pickle !== undefined && !files.some((file) => file.endsWith('.safetensors')))
    return modelUnsafe(folder.path, pickle);
  return modelBroken(folder.path, `it has no ${INDEX}`, { mend: 'give the folder of a diffusers pipeline' });
}

type Kind = 'weights' | 'scheduler' | 'tokenizer';

function kindOf({ name, className }: Component): Kind {
  if (name === 'scheduler' || className.endsWith('Scheduler')) return 'scheduler';
  return /Tokenizer|Processor/.test(className) ? 'tokenizer' : 'weights';
}

async function configsOf(folder: Folder, className: string, components: readonly Component[]): Promise<Configs> {
  for (const { name } of components) {
    if (folder.filesIn(name).length === 0) throw modelBroken(folder.path, `its folder ${name} is missing or empty`);
  }
  const names = new Set(components.map(({ name }) => name));
  const read = async <T>(name: string, file: string, schema: z.ZodType<T>): Promise<T | null> =>
    names.has(name) ? folder.json(`${name}/${file}`, schema) : null;
  return {
    className,
    unet: await read('unet', 'config.json', denoiserSchema),
    transformer: await read('transformer', 'config.json', denoiserSchema),
    vae: await read('vae', 'config.json', vaeSchema),
    scheduler: await read('scheduler', 'scheduler_config.json', schedulerSchema),
    textEncoder: (await folder.jsonIfPresent('text_encoder/config.json', textEncoderSchema)) ?? null,
    schedulerClass: components.find(({ name }) => name === 'scheduler')?.className ?? '',
  };
}

interface Files {
  /** Every one that is loaded, by its path in the folder, sorted. */
  readonly files: readonly string[];
  /** Of the weights among them, which are whole, by path. */
  readonly contents: ReadonlyMap<string, Contents>;
}

async function filesOf(folder: Folder, components: readonly Component[]): Promise<Files> {
  const weighted = components.filter((component) => kindOf(component) === 'weights');
  if (weighted.length === 0) throw modelBroken(folder.path, `its ${INDEX} names no component with weights`);
  const weights = await weightsOf(folder, weighted);
  const contents = new Map<string, Contents>();
  for (const file of weights) {
    if (file.endsWith('.safetensors')) contents.set(file, await checkSafetensors(join(folder.path, file)));
  }
  const files = [INDEX, ...components.flatMap((component) => configFilesOf(folder, component)), ...weights].sort();
  return { files, contents };
}

async function describedOf(
  folder: Folder,
  components: readonly Component[],
  contents: ReadonlyMap<string, Contents>,
): Promise<readonly Described[]> {
  const weighted = components.filter((component) => kindOf(component) === 'weights');
  return Promise.all(
    weighted.map(async (component) => {
      const own = [...contents].filter(([file]) => file.startsWith(`${component.name}/`)).map(([, found]) => found);
      const config = await folder.jsonIfPresent(`${component.name}/config.json`, z.unknown());
      return { ...component, config, contents: together(own) };
    }),
  );
}

function together(shards: readonly Contents[]): Contents {
  return {
    bytes: shards.reduce((sum, { bytes }) => sum + bytes, 0),
    parameters: shards.reduce((sum, { parameters }) => sum + parameters, 0),
    linear: shards.reduce((sum, { linear }) => sum + linear, 0),
    dtype: shards[0]?.dtype ?? 'other',
  };
}

function configFilesOf(folder: Folder, component: Component): readonly string[] {
  const { name } = component;
  if (kindOf(component) === 'tokenizer') {
    return folder
      .filesIn(name)
      .filter((file) => TOKENIZER_FILE.test(file))
      .map((file) => `${name}/${file}`);
  }
  const file = `${name}/${kindOf(component) === 'scheduler' ? 'scheduler_config.json' : 'config.json'}`;
  if (!folder.has(file)) throw modelBroken(folder.path, `${file} is missing`);
  return [file];
}

/** Over pairs of path and digest, so that neither a renamed nor a changed file goes unseen. */
async function contentHash(path: string, files: readonly string[], hashes: FileHashes): Promise<string> {
  try {
    const digests = await hashes.of(files.map((file) => join(path, file)));
    const hash = createHash('sha256');
    for (const [index, file] of files.entries()) hash.update(`${file}\0${digests[index]}\n`);
    return `sha256:${hash.digest('hex')}`;
  } catch (error) {
    throw error instanceof InputError ? error : modelUnreadable(path, error);
  }
}
