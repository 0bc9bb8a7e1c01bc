import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { PresetSettings } from '../../src/preset/settings.ts';
import { PYTHON, WORKER_DIR } from '../support/python.ts';

export interface Case {
  /** Folder of the model. */
  readonly model: string;
  readonly settings: Partial<PresetSettings>;
  readonly width: number;
  readonly height: number;
  readonly batch: number;
  readonly guided: boolean;
  /** Bytes of tensors, at which the program fails as a device would. */
  readonly limit: number | null;
}

export interface Truth {
  /** Bytes by phase, `load` among them. */
  readonly peaks: Readonly<Record<string, number>>;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly ran_out: boolean;
}

/** The program that makes pictures and counts the storages that are alive; one case after the other. */
export class LiveMemory {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor() {
    const env = { ...process.env, OMP_NUM_THREADS: '1', HF_HUB_OFFLINE: '1' };
    this.#child = spawn(PYTHON, ['-m', 'tests.live_memory'], {
      cwd: WORKER_DIR,
      env,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    if (this.#child.stdout === null) throw new Error('it has no output');
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** Null for a preset that the worker refuses. */
  async measure(one: Case): Promise<Truth | null> {
    this.#child.stdin?.write(`${JSON.stringify(one)}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`it ended at ${JSON.stringify(one)}`);
    const answer = JSON.parse(value);
    return 'refused' in answer ? null : answer;
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.stdin?.end();
    await once(this.#child, 'exit');
  }
}
