import type { Io } from './io.ts';
import type { Reporter, RunSummary } from './run-events.ts';

/** NDJSON on stdout for programs; sentences, and which figures of the bill are assumed, go to stderr. */
export function jsonReporter(io: Io, assumptions: (bill: RunSummary) => readonly string[]): Reporter {
  return {
    event: (event) => {
      io.out(JSON.stringify(event));
      if (event.event === 'summary' && event.images > 0) for (const line of assumptions(event)) io.err(line);
    },
    note: (text) => io.err(text),
    rests: () => {},
    tick: () => {},
    close: () => {},
  };
}
