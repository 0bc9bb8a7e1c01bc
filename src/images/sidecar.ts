import { open, rename } from 'node:fs/promises';
import { extname } from 'node:path';
import type { ImageMetadata } from '../ports.ts';
import { kilnwattJson } from './metadata.ts';
import { type Link, numbered, placeFile, smallText } from './place.ts';

/**
 * Writes the text beside a picture as the picture itself was written: complete and synced before it has its name.
 * The name is the picture's with `.txt` or `.json`; where another file has it, the whole name and the extension
 * (`a.png.txt`). An earlier sidecar of the same job is replaced. Without AUTOMATIC1111's text there is no `txt`.
 */
export async function placeSidecar(
  picture: string,
  kind: 'txt' | 'json',
  metadata: ImageMetadata,
  staged: string,
  makeLink?: Link,
): Promise<void> {
  const text = kind === 'txt' ? metadata.parameters : kilnwattJson(metadata);
  if (text === null) return;
  await writeSynced(staged, `${text}\n`);
  const plain = `${picture.slice(0, picture.length - extname(picture).length)}.${kind}`;
  for (let number = 0; ; number += 1) {
    const path = number === 0 ? plain : numbered(`${picture}.${kind}`, number);
    if (await placeFile(staged, path, metadata.kilnwatt.job, makeLink)) return;
    if (!isOurs(await smallText(path), kind, `${text}\n`, metadata.kilnwatt.job)) continue;
    await rename(staged, path);
    return;
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  const handle = await open(path, 'w');
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A picture that is made again has the same text but for who made it and what it took. */
function requestIn(parameters: string): string {
  return parameters.replaceAll(/, (Version|Energy|Cost): [^,\n]*/g, '');
}

function isOurs(present: string | undefined, kind: 'txt' | 'json', text: string, jobId: string): boolean {
  if (present === undefined) return false;
  if (kind === 'txt') return requestIn(present) === requestIn(text);
  try {
    const parsed: unknown = JSON.parse(present);
    return typeof parsed === 'object' && parsed !== null && 'job' in parsed && parsed.job === jobId;
  } catch {
    return false; // no JSON: somebody else's file
  }
}
