/** So many pictures of a run in a row that stayed black say that it is not the prompts. */
const BLACKS_IN_A_ROW = 3;

/** Counts, for each run, the pictures in a row that failed for good because they were black. */
export class BlackStreak {
  readonly #streaks = new Map<string, number>();

  /** True when the run is to be held: its streak has become too long. It begins anew then. */
  note(runId: string, outcome: 'made' | 'black' | 'other'): boolean {
    if (outcome === 'other') return false;
    const streak = outcome === 'made' ? 0 : (this.#streaks.get(runId) ?? 0) + 1;
    if (streak === 0 || streak >= BLACKS_IN_A_ROW) this.#streaks.delete(runId);
    else this.#streaks.set(runId, streak);
    return streak >= BLACKS_IN_A_ROW;
  }
}
