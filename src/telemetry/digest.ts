import { createHash, randomBytes } from 'node:crypto';

/** What a server asked for with status 401. */
export interface Challenge {
  readonly realm: string;
  readonly nonce: string;
}

/** Shelly knows no other. */
const USER = 'admin';

/** Of a `WWW-Authenticate` header that asks for a digest by SHA-256 over the request; null for any other. */
export function challengeOf(header: string | null): Challenge | null {
  if (header === null || !/^digest\s/i.test(header)) return null;
  const told = new Map(
    [...header.matchAll(/(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))/g)].map(
      ([, name = '', quoted, plain]) => [name.toLowerCase(), quoted ?? plain ?? ''] as const,
    ),
  );
  const [realm, nonce] = [told.get('realm'), told.get('nonce')];
  const ways = (told.get('qop') ?? '').split(',').map((way) => way.trim());
  if (realm === undefined || nonce === undefined || !ways.includes('auth')) return null;
  return told.get('algorithm')?.toUpperCase() === 'SHA-256' ? { realm, nonce } : null;
}

/**
 * The `Authorization` of a GET (RFC 7616), as Shelly's plugs of the second generation have it.
 * @param count how often this challenge was answered, this time included
 */
export function digestFor(
  { realm, nonce }: Challenge,
  {
    uri,
    password,
    count,
    user = USER,
  }: { readonly uri: string; readonly password: string; readonly count: number; readonly user?: string },
  cnonce = randomBytes(16).toString('hex'),
): string {
  const nc = count.toString(16).padStart(8, '0');
  const who = sha256(`${user}:${realm}:${password}`);
  const response = sha256(`${who}:${nonce}:${nc}:${cnonce}:auth:${sha256(`GET:${uri}`)}`);
  return (
    `Digest username="${user}", realm="${realm}", nonce="${nonce}", uri="${uri}", algorithm=SHA-256, ` +
    `qop=auth, nc=${nc}, cnonce="${cnonce}", response="${response}"`
  );
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
