/** Where a Redis or Valkey listens and how to log in, in ioredis's words. */
export interface RedisAddress {
  readonly path?: string;
  readonly host?: string;
  readonly port?: number;
  readonly db?: number;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: { readonly servername: string };
}

/** What may be written; in messages instead of the URL, which may hold a password even where it is broken. */
export const REDIS_URL_FORMS = 'redis://:PASSWORD@host:port/database, rediss://… or unix:///path/to/socket';

const DEFAULT_PORT = 6_379;

/** Reads `redis://[user:password@]host[:port][/database]`, `rediss://…` (TLS) or `unix:///path`; undefined for anything else. */
export function parseRedisUrl(text: string): RedisAddress | undefined {
  const url = URL.parse(text);
  // What stands behind a question mark would be ignored, a password or a database among it.
  if (url === null || url.search !== '' || url.hash !== '') return undefined;
  try {
    return url.protocol === 'unix:' ? socketOf(url) : hostOf(url);
  } catch (error) {
    // An escape such as %zz, which no character has.
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

function socketOf(url: URL): RedisAddress | undefined {
  if (url.host !== '' || url.pathname.length < 2) return undefined;
  return { path: decodeURIComponent(url.pathname) };
}

function hostOf(url: URL): RedisAddress | undefined {
  const database = url.pathname.slice(1);
  if (!['redis:', 'rediss:'].includes(url.protocol) || url.hostname === '' || !/^\d*$/.test(database)) return undefined;
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = Number(url.port || DEFAULT_PORT);
  const tls = url.protocol === 'rediss:' ? { tls: { servername: host } } : {};
  return { host, port, db: Number(database), ...tls, ...loginOf(url) };
}

function loginOf(url: URL): RedisAddress {
  return {
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
  };
}
