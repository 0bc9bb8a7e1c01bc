import { isIP } from 'node:net';

/** Where a Redis or Valkey listens and how to log in, in ioredis's words. */
export interface RedisAddress {
  readonly path?: string;
  readonly host?: string;
  readonly port?: number;
  readonly db?: number;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: { readonly servername?: string };
}

/** Why an address cannot be used, and what may be written. Never repeats it: it may hold a password even where it is broken. */
export function redisUrlFault(text: string): string | undefined {
  if (parseRedisUrl(text) !== undefined) return undefined;
  const ignored = /[?#]/.test(text) ? 'what stands behind a ? or # would be ignored; ' : '';
  return `${ignored}expected ${FORMS}`;
}

const FORMS = 'redis://:PASSWORD@host:6379/3 (3 is the database), rediss://… for TLS, or unix:///path/to/socket';

const DEFAULT_PORT = 6_379;

/** Reads `redis://[user:password@]host[:port][/database]`, `rediss://…` (TLS) or `unix:///path`; undefined for anything else. */
export function parseRedisUrl(text: string): RedisAddress | undefined {
  const url = URL.parse(text);
  // Some clients read a password or a database there; what would be ignored is refused.
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
  // Servers are told the name that was asked for, which an IP address is not.
  const tls = url.protocol === 'rediss:' ? { tls: isIP(host) === 0 ? { servername: host } : {} } : {};
  return { host, port, db: Number(database), ...tls, ...loginOf(url) };
}

function loginOf(url: URL): RedisAddress {
  return {
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
  };
}
