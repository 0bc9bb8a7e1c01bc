import { Redis } from 'ioredis';
import { parseRedisUrl, type RedisAddress, redisUrlFault } from '../config-redis-url.ts';
import { AppError, ConfigError, sentenceOf, UnavailableError } from '../errors.ts';
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
    const sentence = `redis_url: cannot be used: ${redisUrlFault(connection.url)}.`;
    throw new ConfigError(sentence, { code: 'redis_url_broken' });
  }
  const { path, host = '', port } = options;
  return { name: path ?? `${host.includes(':') ? `[${host}]` : host}:${port}`, options };
}

export interface ConnectLimits {
  readonly clock: Clock;
  /** Until the server answers for the first time. */
  readonly patience: Millis;
  /** For each answer. */
  readonly answer?: Millis;
}

/**
 * A connection that answers, or fails within `patience`, and at once where waiting cannot help. Its commands fail at
 * once while the server is away, and it reconnects for ever; whoever holds it decides about another try.
 * @throws UnavailableError `redis_unavailable`; ConfigError `redis_login`, `redis_url_broken`
 */
export async function connectTo(
  server: RedisServer,
  { clock, patience, answer: limit = ANSWER_LIMIT_MS }: ConnectLimits,
): Promise<Redis> {
  let trouble: unknown = new Error(`no answer within ${Math.round(patience)} ms`);
  const redis = new Redis({
    ...server.options,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: limit,
    // A connection may be dead without a word: the other end is gone, or a router has forgotten it.
    socketTimeout: limit,
    retryStrategy: reconnectDelay,
  });
  const { promise: answer, resolve: answered } = Promise.withResolvers<void>();
  let refused: ConfigError | undefined;
  // Also after this function: a lost connection shows in the command that needed it.
  redis.on('error', (error) => {
    trouble = error;
    refused ??= refusal(server, error);
    if (refused !== undefined) answered();
  });
  redis.once('ready', answered);
  try {
    if (!(await settlesWithin(clock, patience, answer)) || refused !== undefined) throw unavailable(server, trouble);
    // ioredis itself would go on in database 0 where there is none of this number.
    if (server.options.db) await redis.select(server.options.db);
    return redis;
  } catch (error) {
    redis.disconnect();
    throw refused ?? unavailable(server, error);
  }
}

/** The error to throw: the refusal where the server gave one, else that it is not to be had. */
export function unavailable(server: RedisServer, cause: unknown): AppError {
  if (cause instanceof AppError) return cause;
  const mend = server.options.tls === undefined ? 'correct redis_url' : 'write redis:// if it speaks no TLS';
  const sentence =
    isReply(cause) && TAKES_NO_WRITES.test(sentenceOf(cause))
      ? `Redis at ${server.name} takes no writes (${saidBy(cause)}); look at its disk and memory.`
      : `Redis at ${server.name} is not to be had (${sentenceOf(cause)}); start it, or ${mend}.`;
  return (
    refusal(server, cause) ?? new UnavailableError(sentence, { code: 'redis_unavailable', retryable: true, cause })
  );
}

/** What the server answered, without the place in a script of BullMQ's that it adds. */
export function saidBy(error: unknown): string {
  return sentenceOf(error).replace(/\.? script: .*$/s, '');
}

/** What another try of the same address will not mend; undefined for all else. */
function refusal({ name, options }: RedisServer, error: unknown): ConfigError | undefined {
  const said = error instanceof Error ? error.message : '';
  const refused = (sentence: string, code: string) => new ConfigError(sentence, { code, cause: error });
  if (/^(NOAUTH|WRONGPASS|ERR invalid password)\b/.test(said)) {
    const what = options.password === undefined ? 'asks for a password' : 'does not take the password of redis_url';
    return refused(`Redis at ${name} ${what}; ${loginMend(name, options)}.`, 'redis_login');
  }
  if (/^NOPERM\b/.test(said)) {
    const what = 'does not let the user of redis_url do all that a queue needs';
    return refused(`Redis at ${name} ${what}; allow it every command and key, or name another.`, 'redis_login');
  }
  if (/DB index is out of range/.test(said)) {
    return refused(`Redis at ${name} has no database ${options.db}; correct the end of redis_url.`, 'redis_url_broken');
  }
  if (/wrong version number|SSL routines/.test(said)) {
    return refused(`What answers at ${name} speaks no TLS; write redis:// in redis_url.`, 'redis_url_broken');
  }
  if (!/Unknown RESP type|Protocol error/.test(said)) return undefined;
  return refused(`What answers at ${name} is no Redis; correct redis_url.`, 'redis_url_broken');
}

function loginMend(name: string, { path, tls, username }: RedisAddress): string {
  if (path !== undefined) return 'a unix:// address has no place for one, so give redis://:PASSWORD@host:port';
  const user = username === undefined ? '' : 'USER';
  return `write it into redis_url, as in ${tls === undefined ? 'redis' : 'rediss'}://${user}:PASSWORD@${name}`;
}

/** Whether an error speaks of the server or the way to it and not of what was asked of it; another try may help. */
export function isConnectionTrouble(error: unknown): boolean {
  if (error instanceof UnavailableError) return true;
  if (!(error instanceof Error)) return false;
  if (error.name === 'MaxRetriesPerRequestError') return true;
  if (isReply(error)) return TAKES_NO_WRITES.test(error.message) || NOT_NOW.test(error.message);
  return CONNECTION_TROUBLE.test(error.message);
}

/** An answer of the server that says no. */
export function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}

/** Soon again at first, since our own server is back within a second; never rarer than every second. */
export function reconnectDelay(times: number): Millis {
  return Math.min(20 * 2 ** Math.min(times, 6), 1_000);
}

const ANSWER_LIMIT_MS = 10_000;
/** It cannot save, has no memory left, became a replica, or lost its own. */
const TAKES_NO_WRITES = /^(MISCONF|OOM|READONLY|NOREPLICAS)\b/;
const NOT_NOW = /^(LOADING|MASTERDOWN|TRYAGAIN|CLUSTERDOWN|BUSY)\b/;
const CONNECTION_TROUBLE =
  /Connection is closed|enableOfflineQueue|Command timed out|ECONN|EPIPE|ENOENT|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/;
