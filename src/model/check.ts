import { sentenceOf } from '../errors.ts';
import type { Check } from '../ports.ts';

/**
 * What `doctor` says of the models folder: what is in it. Its disk is the host's matter.
 * @param own names of models that come with kilnwatt: with one of these a folder without models is in order
 */
export async function checkModelsFolder(
  folder: string,
  list: () => Promise<readonly string[]>,
  own: () => Promise<readonly string[]>,
): Promise<readonly Check[]> {
  const name = 'models';
  const mend = `put the folder of a diffusers pipeline into ${folder}, or use --model with a folder or a hub id`;
  try {
    const names = await list();
    const ours = (await own()).filter((each) => !names.includes(each)).map((each) => `${each} (comes with kilnwatt)`);
    if (names.length + ours.length === 0) return [{ name, status: 'warn', detail: `no model in ${folder}`, mend }];
    const theirs = names.length === 0 ? `none in ${folder}` : `${folder}: ${names.join(', ')}`;
    return [{ name, status: 'ok', detail: [theirs, ...ours].join('; ') }];
  } catch (error) {
    return [{ name, status: 'fail', detail: sentenceOf(error), mend: `make ${folder} readable` }];
  }
}
