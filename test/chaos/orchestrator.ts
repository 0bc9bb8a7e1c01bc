import type { Millis } from '../../src/units.ts';
import type { Ended, Running } from '../support/kiln.ts';
import type { Rng } from '../support/rng.ts';
import { type Driver, endedWell } from './driver.ts';
import { Ear, type Heard } from './ear.ts';

export interface OrchestratorParts {
  readonly driver: Driver;
  readonly rng: Rng;
  /** Whether a process was asked to leave. */
  asked(pid: number): boolean;
  onStart(pid: number): void;
  onEnd(end: { readonly asked: boolean }): void;
  onHeard(heard: Heard): void;
}

const LONGEST_ABSENCE_MS: Millis = 500;
/** Longer than the batch that is under way, and all that has to be closed. */
const LEAVE_MS: Millis = 60_000;

/** The process that works: there is always one, a little after the last one has gone. */
export class Orchestrator {
  /** A sentence for each end that nobody had asked for, and that was no SIGKILL. */
  readonly faults: string[] = [];
  readonly #parts: OrchestratorParts;
  #working: Running | null = null;
  #ended: Ended | null = null;
  #launches = 0;
  #startAt: Millis = 0;

  constructor(parts: OrchestratorParts) {
    this.#parts = parts;
  }

  get working(): Running | null {
    return this.#working;
  }

  get pid(): number | null {
    return this.#working?.process.pid ?? null;
  }

  look(at: Millis): void {
    if (this.#working !== null && this.#ended !== null) {
      const asked = this.#parts.asked(this.pid ?? 0);
      // Before it listens, whoever is asked to leave just leaves.
      const isFine = asked
        ? endedWell(this.#ended) || this.#ended.signal === 'SIGTERM'
        : this.#ended.signal === 'SIGKILL';
      if (!isFine) this.#complain(this.#ended);
      this.#parts.onEnd({ asked });
      this.#working = null;
      this.#startAt = at + Math.floor(this.#parts.rng() * LONGEST_ABSENCE_MS);
    }
    if (this.#working === null && at >= this.#startAt) this.#start();
  }

  /** Nothing of it may be left running when the evidence is gathered. */
  async leave(): Promise<void> {
    const working = this.#working;
    if (working === null) return;
    const killer = setTimeout(() => working.process.kill('SIGKILL'), LEAVE_MS);
    const well = await this.#parts.driver.finish(working);
    clearTimeout(killer);
    if (!well) this.#complain(await working.ended);
  }

  #start(): void {
    const working = this.#parts.driver.start(this.#launches);
    this.#launches += 1;
    this.#working = working;
    this.#ended = null;
    this.#parts.onStart(working.process.pid ?? 0);
    const ear = new Ear();
    working.process.stderr?.on('data', (text: string) => {
      for (const heard of ear.hear(text)) this.#parts.onHeard(heard);
    });
    void working.ended.then((ended) => {
      if (this.#working === working) this.#ended = ended;
    });
  }

  #complain({ code, signal, stderr }: Ended): void {
    const said = stderr.trimEnd().split('\n');
    const last = said.filter((line) => !SERVER_LINE.test(line)).at(-1);
    this.faults.push(`it ended by itself with ${code ?? signal}: ${last}`);
  }
}

/** What Valkey says while it leaves, and what is said of the bill. */
const SERVER_LINE = /^(\d+:\S+ |~ )/;
