import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export interface PlugServer {
  readonly url: string;
  /** Path and query of each request, and what it had to prove who asks. */
  readonly asked: { readonly path: string; readonly authorization: string | undefined }[];
  answer: Answer;
  close(): Promise<void>;
}

/** A plug on loopback that answers as it is told to. */
export async function plugServer(answer: Answer): Promise<PlugServer> {
  const server = createServer((request, response) => {
    plug.asked.push({ path: request.url ?? '', authorization: request.headers.authorization });
    plug.answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const plug: PlugServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: [],
    answer,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return plug;
}

export function json(body: unknown): Answer {
  return (_, response) => response.end(JSON.stringify(body));
}

/** As a Shelly of the second generation with this password; a nonce is good for so many requests. */
export function digested(password: string, body: unknown, uses = Number.POSITIVE_INFINITY): Answer {
  let issued = 0;
  let left = 0;
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
  return (request, response) => {
    const given = new Map(
      [...(request.headers.authorization ?? '').matchAll(/(\w+)="?([^",]+)/g)].map(([, name, value]) => [name, value]),
    );
    const who = sha256(`admin:shellyplugs-a8032ab:${password}`);
    const what = sha256(`GET:${request.url}`);
    const proof = [who, `nonce${issued}`, given.get('nc'), given.get('cnonce'), 'auth', what].join(':');
    if (left > 0 && given.get('response') === sha256(proof)) {
      left -= 1;
      json(body)(request, response);
      return;
    }
    issued += 1;
    left = uses;
    const challenge = `Digest qop="auth", realm="shellyplugs-a8032ab", nonce="nonce${issued}", algorithm=SHA-256`;
    response.writeHead(401, { 'WWW-Authenticate': challenge }).end('Unauthorized');
  };
}
