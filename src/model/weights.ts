import { z } from 'zod';
import type { InputError } from '../errors.ts';
import { modelBroken, modelUnsafe } from './failure.ts';
import type { Folder } from './folder.ts';

/** One part of the pipeline, as `model_index.json` names it. */
export interface Component {
  readonly name: string;
  readonly library: string;
  readonly className: string;
}

/**
 * The weight files that are loaded, chosen as diffusers chooses: safetensors only; the plain files where every
 * component has them, otherwise the `fp16` variant, with the plain files of those components that have no variant.
 * @returns paths inside the folder
 * @throws InputError `model_unsafe`, `model_broken`
 */
export async function weightsOf(folder: Folder, components: readonly Component[]): Promise<readonly string[]> {
  const plain = await Promise.all(components.map((component) => filesOf(folder, component, null)));
  if (plain.every((files) => files !== undefined)) return plain.flat();
  const chosen = components.map(
    async (component, index) => (await filesOf(folder, component, VARIANT)) ?? plain[index],
  );
  const files = await Promise.all(chosen);
  const missing = components.find((_, index) => files[index] === undefined);
  if (missing !== undefined) throw noWeights(folder, missing);
  return files.flatMap((list) => list ?? []);
}

/** Weights in a form that can run a program when they are read. */
export function isPickle(file: string): boolean {
  return /\.(bin|ckpt|pt|pth|pkl)$/.test(file);
}

const DIFFUSERS = 'diffusion_pytorch_model';
const TRANSFORMERS = 'model';
const VARIANT = 'fp16';

/** One file, or an index with its shards; undefined where the component has neither in this variant. */
async function filesOf(
  folder: Folder,
  component: Component,
  variant: string | null,
): Promise<readonly string[] | undefined> {
  const present = folder.filesIn(component.name);
  const stem = stemOf(component, present);
  const infix = variant === null ? '' : `.${variant}`;
  const single = `${stem}${infix}.safetensors`;
  const index = [`${stem}.safetensors.index${infix}.json`, `${stem}.safetensors${infix}.index.json`].find((name) =>
    present.includes(name),
  );
  // Where both are present, diffusers takes the index and transformers the single file.
  const preferIndex = stem === DIFFUSERS || !present.includes(single);
  if (index !== undefined && preferIndex) return shardsOf(folder, component.name, index);
  return present.includes(single) ? [`${component.name}/${single}`] : undefined;
}

/** What the library names its weights; a component with code of its own may follow either. */
function stemOf({ library }: Component, present: readonly string[]): string {
  if (library === 'diffusers') return DIFFUSERS;
  return library !== 'transformers' && present.some((file) => file.startsWith(DIFFUSERS)) ? DIFFUSERS : TRANSFORMERS;
}

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string().regex(/^[^/\\]+\.safetensors$/)) });

async function shardsOf(folder: Folder, name: string, index: string): Promise<readonly string[]> {
  const { weight_map: map } = await folder.json(`${name}/${index}`, indexSchema);
  const shards = [...new Set(Object.values(map))].sort();
  const missing = shards.find((shard) => !folder.filesIn(name).includes(shard));
  if (missing !== undefined) throw modelBroken(folder.path, `${name}/${missing} is missing`);
  return [`${name}/${index}`, ...shards.map((shard) => `${name}/${shard}`)];
}

function noWeights(folder: Folder, component: Component): InputError {
  const pickle = folder.filesIn(component.name).find(isPickle);
  if (pickle !== undefined) return modelUnsafe(folder.path, `${component.name}/${pickle}`);
  return modelBroken(folder.path, `${component.name} has no weights`);
}
