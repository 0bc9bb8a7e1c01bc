import { statfs } from 'node:fs/promises';
import { release as kernelRelease } from 'node:os';
import { dirname } from 'node:path';
import { sentenceOf } from '../errors.ts';
import type { Check } from '../ports.ts';
import type { Bytes } from '../units.ts';
import { isMissing } from './failure.ts';

/** What `doctor` says of the models folder: what is in it, the room on its disk, and on WSL2 whose disk that is. */
export async function checkModelsFolder(
  folder: string,
  list: () => Promise<readonly string[]>,
  release: string = kernelRelease(),
): Promise<readonly Check[]> {
  const wsl = /microsoft/i.test(release) && folder.startsWith('/mnt/') ? [slowMount(folder)] : [];
  return [await checkNames(folder, list), await checkRoom(folder), ...wsl];
}

/** An SDXL pipeline in half precision takes 7 GB, a Flux pipeline 34 GB. */
const LITTLE_ROOM: Bytes = 10e9;

async function checkNames(folder: string, list: () => Promise<readonly string[]>): Promise<Check> {
  const name = 'models';
  const mend = `put the folder of a diffusers pipeline into ${folder}, or use --model with a folder or a hub id`;
  try {
    const names = await list();
    if (names.length === 0) return { name, status: 'warn', detail: `no model in ${folder}`, mend };
    return { name, status: 'ok', detail: `${folder}: ${names.join(', ')}` };
  } catch (error) {
    return { name, status: 'fail', detail: sentenceOf(error), mend: `make ${folder} readable` };
  }
}

async function checkRoom(folder: string): Promise<Check> {
  const name = 'models disk';
  try {
    const { bavail, bsize } = await statfs(folder);
    const detail = `${((bavail * bsize) / 1e9).toFixed(1)} GB free at ${folder}`;
    if (bavail * bsize >= LITTLE_ROOM) return { name, status: 'ok', detail };
    return { name, status: 'warn', detail, mend: 'free some space, or move the models folder to a larger disk' };
  } catch (error) {
    if (isMissing(error) && dirname(folder) !== folder) return checkRoom(dirname(folder));
    return { name, status: 'warn', detail: sentenceOf(error), mend: `make ${folder} readable` };
  }
}

function slowMount(folder: string): Check {
  return {
    name: 'models on WSL2',
    status: 'warn',
    detail: `${folder} is a Windows drive, from which WSL2 loads models many times slower`,
    mend: `move it into the Linux file system, for example: mv ${folder} ~/models`,
  };
}
