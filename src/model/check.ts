import { sentenceOf } from '../errors.ts';
import type { Check } from '../ports.ts';

/** What `doctor` says of the models folder: what is in it. Its disk is the host's matter. */
export async function checkModelsFolder(
  folder: string,
  list: () => Promise<readonly string[]>,
): Promise<readonly Check[]> {
  const name = 'models';
  const mend = `put the folder of a diffusers pipeline into ${folder}, or use --model with a folder or a hub id`;
  try {
    const names = await list();
    if (names.length === 0) return [{ name, status: 'warn', detail: `no model in ${folder}`, mend }];
    return [{ name, status: 'ok', detail: `${folder}: ${names.join(', ')}` }];
  } catch (error) {
    return [{ name, status: 'fail', detail: sentenceOf(error), mend: `make ${folder} readable` }];
  }
}
