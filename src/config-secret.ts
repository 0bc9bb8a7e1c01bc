/** How much of a setting nobody else may see: the password of an address, all behind its host, or everything. */
const SECRETS: ReadonlyMap<string, 'password' | 'path' | 'everything'> = new Map([
  ['redis_url', 'password'],
  ['energy.plug_url', 'password'],
  ['energy.plug_token', 'everything'],
  ['notify.url', 'path'],
  ['notify.body', 'everything'],
]);

/** Whether the setting may hold a password or a token, so that its value is not repeated. */
export function isSecret(path: string): boolean {
  return SECRETS.has(path);
}

/** The value as it may be shown. */
export function withoutSecret(path: string, value: unknown): unknown {
  const secret = SECRETS.get(path);
  if (secret === undefined || typeof value !== 'string') return value;
  const url = secret === 'everything' ? null : URL.parse(value);
  if (url === null) return '***';
  if (secret === 'path') return `${url.protocol}//${url.host}/***`;
  if (url.password === '') return value;
  url.password = '***';
  return url.href;
}
