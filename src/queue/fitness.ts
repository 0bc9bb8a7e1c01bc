import type { Redis } from 'ioredis';
import { ConfigError } from '../errors.ts';
import type { Check } from '../ports.ts';
import type { RedisServer } from './redis-server.ts';

/** What a server says of itself. */
export interface ServerFacts {
  /** Its own name and version: `Valkey 9.1.2`, `Redis 7.0.15`. */
  readonly title: string;
  /** The version of Redis that it is compatible with. */
  readonly version: string;
  /** Null where the server does not tell. */
  readonly policy: string | null;
  readonly appendOnly: boolean;
}

const OLDEST = { major: 6, minor: 2 };
const KEEPS = 'noeviction';
const MEND_POLICY = 'redis-cli CONFIG SET maxmemory-policy noeviction, and the same line in its configuration file';

export async function factsOf(redis: Redis): Promise<ServerFacts> {
  const info = fieldsOf(await redis.info());
  const version = info.get('redis_version') ?? '0.0.0';
  const valkey = info.get('valkey_version');
  return {
    title: valkey === undefined ? `Redis ${version}` : `Valkey ${valkey}`,
    version,
    policy: info.get('maxmemory_policy') ?? null,
    appendOnly: info.get('aof_enabled') === '1',
  };
}

/** The lines of `doctor`. */
export function checksOf(server: RedisServer, facts: ServerFacts): readonly Check[] {
  return [versionCheck(server, facts), policyCheck(facts), persistenceCheck(facts)];
}

/**
 * A server that may throw waiting jobs away, or one that BullMQ's scripts are not made for, is refused.
 * @throws ConfigError `redis_evicts`, `redis_too_old`
 */
export function requireFit(server: RedisServer, facts: ServerFacts): void {
  if (!isNewEnough(facts.version)) {
    throw new ConfigError(`${facts.title} at ${server.name} is too old; use 6.2 or newer.`, { code: 'redis_too_old' });
  }
  if (facts.policy === null || facts.policy === KEEPS) return;
  throw new ConfigError(
    `Redis at ${server.name} may throw waiting jobs away (maxmemory-policy ${facts.policy}); set it: ${MEND_POLICY}.`,
    { code: 'redis_evicts' },
  );
}

export function isNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > OLDEST.major || (major === OLDEST.major && minor >= OLDEST.minor);
}

function versionCheck(server: RedisServer, facts: ServerFacts): Check {
  const name = 'redis';
  const detail = `${facts.title} at ${server.name}`;
  if (isNewEnough(facts.version)) return { name, status: 'ok', detail };
  return { name, status: 'fail', detail: `${detail} is too old`, mend: 'install Valkey, or Redis 6.2 or newer' };
}

function policyCheck({ policy }: ServerFacts): Check {
  const name = 'redis maxmemory-policy';
  if (policy === KEEPS) return { name, status: 'ok', detail: policy };
  if (policy === null)
    return { name, status: 'warn', detail: 'the server does not tell', mend: `see that it is ${KEEPS}` };
  return { name, status: 'fail', detail: `${policy}: waiting jobs may be thrown away`, mend: MEND_POLICY };
}

function persistenceCheck({ appendOnly }: ServerFacts): Check {
  const name = 'redis persistence';
  if (appendOnly) return { name, status: 'ok', detail: 'append-only file' };
  return {
    name,
    status: 'warn',
    detail: 'no append-only file: a crash of the server loses waiting jobs, which the next start adds again',
    mend: 'redis-cli CONFIG SET appendonly yes, and the same line in its configuration file',
  };
}

function fieldsOf(info: string): ReadonlyMap<string, string> {
  const pairs = info.split(/\r?\n/).flatMap((line): [string, string][] => {
    const colon = line.indexOf(':');
    return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1)]];
  });
  return new Map(pairs);
}
