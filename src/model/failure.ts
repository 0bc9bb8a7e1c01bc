import { InputError, sentenceOf } from '../errors.ts';
import { nearest } from '../job/nearest.ts';

/** A model folder or a file in it that cannot be loaded as it is. */
export function modelBroken(
  path: string,
  what: string,
  options: { readonly mend?: string; readonly cause?: unknown } = {},
): InputError {
  const { mend = 'download the model again or repair the folder', cause } = options;
  return new InputError(`the model at ${path} cannot be used (${what}): ${mend}`, { code: 'model_broken', cause });
}

/** A file of the model could not be read at all. */
export function modelUnreadable(path: string, cause: unknown): InputError {
  return modelBroken(path, sentenceOf(cause), { cause });
}

/** Loading a pickle runs whatever program its maker put in. */
export function modelUnsafe(folder: string, file: string): InputError {
  const mend = 'take the safetensors version of this model, or convert it';
  return new InputError(
    `${folder} has its weights only as a pickle (${file}), which may run any program when it is loaded: ${mend}`,
    {
      code: 'model_unsafe',
    },
  );
}

/** A name that is neither in the models folder nor a hub id. */
export function modelMissing(name: string, place: string, known: readonly string[]): InputError {
  const mend =
    known.length === 0
      ? `${place} holds no model: put one there (./scripts/make-test-models makes small ones), or give a folder or a hub id like org/name`
      : `known are ${known.join(', ')}: give one of these names, put the model into ${place}, or give a folder or a hub id like org/name`;
  return new InputError(`there is no model "${name}"; ${mend}`, { code: 'model_missing' });
}

/** A name that no file in the folder of LoRAs has, or a path to nothing. */
export function loraMissing(name: string, place: string, known: readonly string[]): InputError {
  const near = nearest(name.replace(/\.safetensors$/, ''), known);
  const meant = near === undefined ? '' : `did you mean ${near}? Otherwise `;
  const mend = `put its .safetensors file into ${place}, or give the path of one`;
  return new InputError(`there is no LoRA "${name}"; ${meant}${mend}`, { code: 'lora_missing' });
}

/** Loading a pickle runs whatever program its maker put in. */
export function loraUnsafe(path: string): InputError {
  const sentence = `the LoRA ${path} is a pickle, which may run any program when it is loaded: take its safetensors version`;
  return new InputError(sentence, { code: 'lora_unsafe' });
}

/** A LoRA's file that cannot be loaded as it is. */
export function loraBroken(path: string, what: string, cause?: unknown): InputError {
  return new InputError(`the LoRA ${path} cannot be used (${what}): fetch it again`, { code: 'lora_broken', cause });
}

/** A hub id that a command which downloads nothing does not find. */
export function notOnDisk(hubId: string): InputError {
  const sentence = `the model ${hubId} is not on this disk; a run without --dry-run downloads it from the hub`;
  return new InputError(sentence, { code: 'model_missing' });
}

/** Whether a file system call failed because there is nothing of that name. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
