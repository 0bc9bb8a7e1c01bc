import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { sentenceOf } from '../errors.ts';
import type { Check } from '../ports.ts';
import type { Bytes } from '../units.ts';
import { gibibytes } from './gibibytes.ts';

export interface HostFacts {
  /** For example `24.11.0`. */
  readonly nodeVersion: string;
  readonly availableMemory: Bytes;
  /** Folders that are written to, by what they hold; they need not exist yet. */
  readonly folders: Readonly<Record<string, string>>;
  /** What must stay free. */
  readonly reserve: Bytes;
}

const NODE_NEEDED = 24;
const MEMORY_WANTED: Bytes = 4 * 1024 ** 3;
/** Above the reserve; a night of pictures and a model. */
const DISK_WANTED: Bytes = 5 * 1024 ** 3;

/** What any host must have, whatever makes the pictures. */
export async function hostChecks(facts: HostFacts): Promise<readonly Check[]> {
  const disks = await Promise.all(
    Object.entries(facts.folders).map(([holds, path]) => diskCheck(holds, path, facts.reserve)),
  );
  return [nodeCheck(facts.nodeVersion), memoryCheck(facts.availableMemory), ...disks];
}

function nodeCheck(version: string): Check {
  if (Number(version.split('.')[0]) >= NODE_NEEDED) return { name: 'node', status: 'ok', detail: version };
  const mend = 'run ./scripts/quickstart, which brings its own Node, and then ./scripts/kilnwatt';
  return { name: 'node', status: 'fail', detail: `${version}; ${NODE_NEEDED} or newer is needed`, mend };
}

function memoryCheck(available: Bytes): Check {
  const detail = `${gibibytes(available)} available`;
  if (available >= MEMORY_WANTED) return { name: 'memory', status: 'ok', detail };
  return {
    name: 'memory',
    status: 'warn',
    detail,
    mend: `close other programs; most models need ${gibibytes(MEMORY_WANTED)} or more to load`,
  };
}

async function diskCheck(holds: string, path: string, reserve: Bytes): Promise<Check> {
  const name = `disk (${holds})`;
  try {
    const folder = await nearestFolder(path);
    await access(folder, constants.W_OK | constants.X_OK);
    const disk = await statfs(folder);
    return spaceCheck(name, path, disk.bavail * disk.bsize, reserve);
  } catch (error) {
    return {
      name,
      status: 'fail',
      detail: `${path} cannot be written (${sentenceOf(error)})`,
      mend: 'name another folder, or give yourself the right to write there',
    };
  }
}

function spaceCheck(name: string, path: string, free: Bytes, reserve: Bytes): Check {
  const detail = `${gibibytes(free)} free at ${path}`;
  const mend = 'make room, or name a folder on another disk';
  if (free <= reserve)
    return {
      name,
      status: 'fail',
      detail: `${detail}, of which ${gibibytes(reserve)} are kept free (disk_reserve_mb)`,
      mend,
    };
  return free < reserve + DISK_WANTED ? { name, status: 'warn', detail, mend } : { name, status: 'ok', detail };
}

/** The folder itself, or the one it would be made in. */
async function nearestFolder(path: string): Promise<string> {
  try {
    const found = await stat(path);
    if (!found.isDirectory()) throw new Error('it is not a folder');
    return path;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT') || dirname(path) === path) throw error;
    return nearestFolder(dirname(path));
  }
}
