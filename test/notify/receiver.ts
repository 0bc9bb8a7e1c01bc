import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Received {
  readonly path: string | undefined;
  readonly method: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** What it was answered; null: nothing. */
  readonly status: number | null;
}

export interface Receiver {
  readonly host: string;
  readonly received: readonly Received[];
  /** What it answers next, one after the other, the last one for ever; null: nothing at all. */
  answer(...statuses: readonly (number | null)[]): void;
  close(): Promise<void>;
}

/** A real server on this host, which takes what is sent to it. */
export async function startReceiver(): Promise<Receiver> {
  const received: Received[] = [];
  let answers: readonly (number | null)[] = [204];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method, headers, url: path } = request;
      const [status = 204, ...later] = answers;
      received.push({ path, method, headers, body: Buffer.concat(chunks).toString('utf8'), status });
      if (later.length > 0) answers = later;
      if (status !== null) response.writeHead(status, { location: '/elsewhere' }).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    answer: (...statuses) => {
      answers = statuses;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
