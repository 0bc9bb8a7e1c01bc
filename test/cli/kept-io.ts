import type { Io } from '../../src/cli/io.ts';

export interface KeptIo extends Io {
  /** What was written, line by line. */
  readonly written: readonly string[];
  readonly errors: readonly string[];
}

/** Keeps what a command writes. */
export function keptIo(options: { readonly color?: boolean } = {}): KeptIo {
  const written: string[] = [];
  const errors: string[] = [];
  return {
    written,
    errors,
    out: (line) => void written.push(line),
    err: (line) => void errors.push(line),
    live: () => {},
    isTTY: false,
    color: options.color ?? false,
    columns: 80,
  };
}
