import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';

/** What was acknowledged: the program said that it has these jobs and will see to them. */
export interface Acknowledged {
  readonly run: string;
  readonly jobs: number;
}

/** The harness's own record, on disk before anybody counts on it. It knows nothing of what became of the jobs. */
export class Ledger {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  acknowledge({ run, jobs }: Acknowledged): void {
    const file = openSync(this.#path, 'a');
    try {
      writeSync(file, `${JSON.stringify({ run, jobs })}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  }

  get entries(): readonly Acknowledged[] {
    if (!existsSync(this.#path)) return [];
    const lines = readFileSync(this.#path, 'utf8').split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as Acknowledged);
  }

  /** Of all jobs that were acknowledged; a run that was acknowledged twice is one. */
  get ids(): ReadonlySet<string> {
    return new Set(
      this.entries.flatMap(({ run, jobs }) => Array.from({ length: jobs }, (_, at) => jobId(run, at + 1))),
    );
  }
}

/** As the design writes it: `<run id>-<index, 6 digits>`; the first job of a run is number 1. */
export function jobId(run: string, index: number): string {
  return `${run}-${String(index).padStart(6, '0')}`;
}
