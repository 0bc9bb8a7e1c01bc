import type { Io } from './io.ts';
import type { Reporter } from './run-events.ts';

/** NDJSON on stdout for programs; sentences go to stderr. */
export function jsonReporter(io: Io): Reporter {
  return {
    event: (event) => io.out(JSON.stringify(event)),
    note: (text) => io.err(text),
    tick: () => {},
    close: () => {},
  };
}
