import type { JobRow, JobState, Store } from '../../src/ports.ts';
import { runWrite } from '../store/samples.ts';

/** An open, empty store and what the suites ask of it again and again. */
export class StoreBench {
  readonly store: Store;
  /** What the store's clock said last. */
  readonly now: () => number;

  constructor(store: Store, now: () => number) {
    this.store = store;
    this.now = now;
  }

  async startRun(id: string, jobs: number): Promise<void> {
    await this.store.writeRun(runWrite(id, jobs));
    await this.store.markQueued(id);
  }

  async statesOf(runId: string): Promise<readonly JobState[]> {
    return (await this.store.jobsOf(runId)).map((row) => row.state);
  }

  async rowOf(jobId: string): Promise<JobRow> {
    const rows = await this.store.jobsOf(jobId.slice(0, jobId.lastIndexOf('-')));
    const row = rows.find((candidate) => candidate.id === jobId);
    if (row === undefined) throw new Error(`no job ${jobId}`);
    return row;
  }
}
