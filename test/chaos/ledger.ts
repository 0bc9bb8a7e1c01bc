import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';

/** What was acknowledged: the program said that it has these jobs and will see to them. */
export interface Acknowledged {
  readonly run: string;
  readonly jobs: number;
}

type Line =
  | Acknowledged
  /** Somebody is about to ask for these to be cancelled. */
  | { readonly asked: readonly string[] }
  /** The program said that these are. */
  | { readonly cancelled: readonly string[] };

/** The harness's own record, on disk before anybody counts on it. It knows nothing of what became of the jobs. */
export class Ledger {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  acknowledge({ run, jobs }: Acknowledged): void {
    this.#write({ run, jobs });
  }

  askToCancel(jobs: readonly string[]): void {
    this.#write({ asked: jobs });
  }

  cancelled(jobs: readonly string[]): void {
    this.#write({ cancelled: jobs });
  }

  /** Of all jobs that were acknowledged; a run that was acknowledged twice is one. */
  get ids(): ReadonlySet<string> {
    const runs = this.#lines().flatMap((line) => ('run' in line ? [line] : []));
    return new Set(runs.flatMap(({ run, jobs }) => Array.from({ length: jobs }, (_, at) => jobId(run, at + 1))));
  }

  get askedToCancel(): ReadonlySet<string> {
    return new Set(this.#lines().flatMap((line) => ('asked' in line ? line.asked : [])));
  }

  get saidToBeCancelled(): ReadonlySet<string> {
    return new Set(this.#lines().flatMap((line) => ('cancelled' in line ? line.cancelled : [])));
  }

  #lines(): readonly Line[] {
    if (!existsSync(this.#path)) return [];
    const lines = readFileSync(this.#path, 'utf8').split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as Line);
  }

  #write(line: Line): void {
    const file = openSync(this.#path, 'a');
    try {
      writeSync(file, `${JSON.stringify(line)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  }
}

/** As the design writes it: `<run id>-<index, 6 digits>`; the first job of a run is number 1. */
export function jobId(run: string, index: number): string {
  return `${run}-${String(index).padStart(6, '0')}`;
}
