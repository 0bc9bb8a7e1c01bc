/** So many pictures of a run in a row that stayed black say that it is not the prompts. */
const BLACKS_IN_A_ROW = 3;

/** What came of a job: a picture at the first try or with the safe settings; black for the first time, or for good. */
export type Light = 'made' | 'lightened' | 'dark' | 'black';

interface Streak {
  /** Pictures that were black once and have not had their second try. */
  readonly dark: number;
  /** Those that stayed black since one was made. */
  readonly black: number;
  /** Pictures that were made since the first of these. */
  readonly made: number;
}

const NONE: Streak = { dark: 0, black: 0, made: 0 };

/** Counts, for each run, the pictures in a row that stayed black; second tries come in a row, so what was made since the first counts too. */
export class BlackStreak {
  readonly #streaks = new Map<string, Streak>();

  /** True when the run is to be held. Its streak begins anew then. */
  note(runId: string, light: Light): boolean {
    const next = after(this.#streaks.get(runId) ?? NONE, light);
    const held = next.black >= BLACKS_IN_A_ROW && next.made === 0;
    if (held || (next.dark === 0 && next.black === 0)) this.#streaks.delete(runId);
    else this.#streaks.set(runId, next);
    return held;
  }
}

function after({ dark, black, made }: Streak, light: Light): Streak {
  switch (light) {
    case 'dark':
      return { dark: dark + 1, black, made };
    case 'black':
      return { dark: Math.max(0, dark - 1), black: black + 1, made };
    case 'lightened':
      return { dark: Math.max(0, dark - 1), black: 0, made: made + 1 };
    case 'made':
      // With none on its way to a second try, the streak is over.
      return dark === 0 ? NONE : { dark, black, made: made + 1 };
  }
}
