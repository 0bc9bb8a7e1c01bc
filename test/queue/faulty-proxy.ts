import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

interface Line {
  readonly client: Socket;
  readonly server: Socket;
  /** Nothing gets through any more, and nobody is told. */
  deaf: boolean;
}

/** Stands between a client and a server, and fails as networks and killed servers do. */
export class FaultyProxy {
  readonly #lines = new Set<Line>();
  readonly #socketPath: string;
  readonly #target: string;
  #server: Server | undefined;
  #doom: { readonly pattern: RegExp; done(): void } | undefined;

  constructor(target: string) {
    this.#target = target;
    this.#socketPath = `${target}.proxy`;
  }

  get socketPath(): string {
    return this.#socketPath;
  }

  async start(): Promise<void> {
    this.#server = createServer((client) => this.#join(client)).listen(this.#socketPath);
    await once(this.#server, 'listening');
  }

  /** The next answer that matches does not get through, and its connection is lost: what was asked has been done. */
  loseAnswer(pattern: RegExp): Promise<void> {
    return new Promise((done) => {
      this.#doom = { pattern, done };
    });
  }

  /** The connections that there are now are dead, and neither end is told; new ones are well. */
  deafen(): void {
    for (const line of this.#lines) line.deaf = true;
  }

  close(): void {
    this.#server?.close();
    for (const line of this.#lines) end(line);
  }

  #join(client: Socket): void {
    const line: Line = { client, server: connect(this.#target), deaf: false };
    this.#lines.add(line);
    client.on('data', (bytes) => {
      if (!line.deaf) line.server.write(bytes);
    });
    line.server.on('data', (bytes) => {
      if (line.deaf) return;
      if (!this.#doom?.pattern.test(bytes.toString('latin1'))) return void client.write(bytes);
      end(line);
      this.#doom.done();
      this.#doom = undefined;
    });
    for (const socket of [client, line.server]) {
      socket.on('error', () => {});
      socket.on('close', () => {
        if (!line.deaf) end(line);
      });
    }
  }
}

function end({ client, server }: Line): void {
  client.destroy();
  server.destroy();
}
