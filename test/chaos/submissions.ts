import type { Running } from '../support/kiln.ts';
import type { Chunk, Driver } from './driver.ts';
import { jobId, type Ledger } from './ledger.ts';
import type { Planted } from './prompts.ts';

const CHUNKS = 5;
/** A chunk is submitted when so much of the ones before is settled, so that the queue never runs dry. */
const NEXT_AT_SHARE = 0.5;

/** The jobs in the order of their prompts, cut into what is submitted at once. */
export function chunksOf(prompts: readonly string[], driver: 'one' | 'many'): readonly Chunk[] {
  const size = driver === 'one' ? prompts.length : Math.ceil(prompts.length / CHUNKS);
  return Array.from({ length: Math.ceil(prompts.length / size) }, (_, at) => ({
    name: `chaos-${at + 1}`,
    prompts: prompts.slice(at * size, (at + 1) * size),
  }));
}

/** Submits one chunk after the other, each until it is acknowledged, and keeps the ledger. */
export class Submissions {
  /** Ids of acknowledged jobs, as their prompts were {@link Planted}. */
  readonly poison = new Set<string>();
  readonly black = new Set<string>();
  readonly #chunks: readonly Chunk[];
  readonly #planted: Planted;
  readonly #ledger: Ledger;
  #next = 0;
  #acknowledged = 0;
  #underWay = false;

  constructor(planted: Planted, driver: Driver, ledger: Ledger) {
    this.#planted = planted;
    this.#chunks = chunksOf(planted.prompts, driver.chunks);
    this.#ledger = ledger;
  }

  get areOver(): boolean {
    return this.#next === this.#chunks.length;
  }

  /** How many jobs were acknowledged. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Submits what is due, unless a submission is under way. */
  tend(settled: number, driver: Driver, working: Running): void {
    const chunk = this.#chunks[this.#next];
    if (chunk === undefined || this.#underWay || settled < this.#acknowledged * NEXT_AT_SHARE) return;
    this.#underWay = true;
    void this.#submit(chunk, driver, working).finally(() => {
      this.#underWay = false;
    });
  }

  async #submit(chunk: Chunk, driver: Driver, working: Running): Promise<void> {
    const said = await driver.submit(chunk, working);
    if (said === null) return;
    this.#ledger.acknowledge(said);
    const before = this.#chunks.slice(0, this.#next).reduce((sum, { prompts }) => sum + prompts.length, 0);
    for (const kind of ['poison', 'black'] as const) {
      const places = this.#planted[kind].filter((place) => place >= before && place < before + chunk.prompts.length);
      for (const place of places) this[kind].add(jobId(said.run, place - before + 1));
    }
    this.#acknowledged += said.jobs;
    this.#next += 1;
  }
}
