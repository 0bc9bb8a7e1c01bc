import { UnavailableError } from '../errors.ts';
import { isMendable } from '../gate.ts';

/**
 * One of many looks: where the disk or a server refuses it, and waiting mends that, the next look finds the same.
 * Who cannot go on without them waits, and says so.
 * @returns whether it was done
 */
export async function onceItCan(look: () => Promise<void>): Promise<boolean> {
  try {
    await look();
    return true;
  } catch (error) {
    if (error instanceof UnavailableError || isMendable(error)) return false;
    throw error;
  }
}
