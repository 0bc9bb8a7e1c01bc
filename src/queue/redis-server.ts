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
 * A connection that answers, or fails within `patience`, and at once where waiting cannot help. Its commands fail at
 * once while the server is away, and it reconnects for ever; whoever holds it decides about another try.
 * @throws UnavailableError `redis_unavailable`; ConfigError `redis_login`, `redis_url_broken`
 */
export async function connectTo(
  server: RedisServer,
  { clock, patience }: { readonly clock: Clock; readonly patience: Millis },
): Promise<Redis> {
  let trouble: unknown = new Error(`no answer within ${Math.round(patience)} ms`);
  const redis = new Redis({
    ...server.options,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: COMMAND_TIMEOUT_MS,
    retryStrategy: reconnectDelay,
  });
  // Also after this function: a lost connection shows in the command that needed it.
  const { promise: answer, resolve: answered } = Promise.withResolvers<void>();
  let hopeless: ConfigError | undefined;
  redis.on('error', (error) => {
    trouble = error;
    hopeless ??= hopelessly(server, error);
    if (hopeless !== undefined) answered();
  });
  redis.once('ready', answered);
  if ((await settlesWithin(clock, patience, answer)) && hopeless === undefined) return redis;
  redis.disconnect();
  throw hopeless ?? unavailable(server, trouble);
}

/** What another try of the same address will not mend; undefined for all else. */
function hopelessly({ name, options }: RedisServer, error: Error): ConfigError | undefined {
  if (/^(NOAUTH|WRONGPASS|NOPERM)\b/.test(error.message)) {
    const given = options.password === undefined ? 'asks for a password' : 'does not take the password';
    return new ConfigError(`Redis at ${name} ${given}; write it into redis_url, as in redis://:PASSWORD@${name}.`, {
      code: 'redis_login',
    });
  }
  if (!/Unknown RESP type|Protocol error/.test(error.message)) return undefined;
  return new ConfigError(`What answers at ${name} is no Redis; correct redis_url.`, { code: 'redis_url_broken' });
}

export function unavailable(server: RedisServer, cause: unknown): UnavailableError {
  const mend = server.options.tls === undefined ? 'correct redis_url' : 'write redis:// if it speaks no TLS';
  return new UnavailableError(
    `Redis at ${server.name} is not to be had (${sentenceOf(cause)}); start it, or ${mend}.`,
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
