import { Redis } from 'ioredis';
import { parseRedisUrl, REDIS_URL_FORMS, type RedisAddress } from '../config-redis-url.ts';
import { ConfigError, sentenceOf, UnavailableError } from '../errors.ts';
import type { Clock } from '../ports.ts';
import { settlesWithin } from '../process/clock.ts';
import type { Millis } from '../units.ts';

/** Where the queue's server is: the user's Redis or Valkey, or our own one. */
export type RedisConnection = { readonly url: string } | { readonly socketPath: string };

export interface RedisServer {
  /** How messages name it; never with a password. */
  readonly name: string;
  readonly options: RedisAddress;
}

/** @throws ConfigError `redis_url_broken` */
export function redisServer(connection: RedisConnection): RedisServer {
  if ('socketPath' in connection) return { name: connection.socketPath, options: { path: connection.socketPath } };
  const options = parseRedisUrl(connection.url);
  if (options === undefined) {
    throw new ConfigError(`redis_url: cannot be read; write ${REDIS_URL_FORMS}.`, { code: 'redis_url_broken' });
  }
  const { path, host = '', port } = options;
  return { name: path ?? `${host.includes(':') ? `[${host}]` : host}:${port}`, options };
}

/**
 * A connection that answers, or fails within `patience`. Its commands fail at once while the server is
 * away, and it reconnects for ever; whoever holds it decides about another try.
 * @throws UnavailableError `redis_unavailable`
 */
export async function connectTo(
  server: RedisServer,
  { clock, patience, signal }: { readonly clock: Clock; readonly patience: Millis; readonly signal?: AbortSignal },
): Promise<Redis> {
  signal?.throwIfAborted();
  let trouble: unknown = new Error(`no answer within ${Math.round(patience)} ms`);
  const redis = new Redis({
    ...server.options,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: COMMAND_TIMEOUT_MS,
    retryStrategy: reconnectDelay,
  });
  // Also after this function: a lost connection shows in the command that needed it.
  redis.on('error', (error) => {
    trouble = error;
  });
  const ready = new Promise<void>((resolve) => redis.once('ready', () => resolve()));
  const aborted = new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true }));
  const answered = await settlesWithin(clock, patience, Promise.race([ready, aborted]));
  if (answered && !signal?.aborted) return redis;
  redis.disconnect();
  signal?.throwIfAborted();
  throw unavailable(server, trouble);
}

export function unavailable(server: RedisServer, cause: unknown): UnavailableError {
  return new UnavailableError(
    `Redis at ${server.name} is not to be had (${sentenceOf(cause)}); start it, or correct redis_url.`,
    { code: 'redis_unavailable', retryable: true, cause },
  );
}

/** Whether an error speaks of the way to the server and not of what was asked of it. */
export function isConnectionTrouble(error: unknown): boolean {
  if (error instanceof UnavailableError) return true;
  if (!(error instanceof Error)) return false;
  if (error.name === 'MaxRetriesPerRequestError') return true;
  if (error.name === 'ReplyError') return /^(LOADING|MASTERDOWN|READONLY|TRYAGAIN|CLUSTERDOWN)/.test(error.message);
  return CONNECTION_TROUBLE.test(error.message);
}

/** Soon again at first, since our own server is back within a second; never rarer than every second. */
export function reconnectDelay(times: number): Millis {
  return Math.min(20 * 2 ** Math.min(times, 6), 1_000);
}

const COMMAND_TIMEOUT_MS = 10_000;
const CONNECTION_TROUBLE =
  /Connection is closed|enableOfflineQueue|Command timed out|ECONN|EPIPE|ENOENT|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/;
