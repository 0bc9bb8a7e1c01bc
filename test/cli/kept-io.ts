import type { Io } from '../../src/cli/io.ts';

export interface KeptIo extends Io {
  /** What was written, line by line. */
  readonly written: readonly string[];
  readonly errors: readonly string[];
  /** What stood at the bottom of the terminal, one after the other. */
  readonly shown: readonly string[];
}

/** Keeps what a command writes. @param options.terminal its width, where there is one */
export function keptIo(options: { readonly color?: boolean; readonly terminal?: number } = {}): KeptIo {
  const written: string[] = [];
  const errors: string[] = [];
  const shown: string[] = [];
  return {
    written,
    errors,
    shown,
    out: (line) => void written.push(line),
    err: (line) => void errors.push(line),
    live: (line) => void shown.push(line),
    isTTY: options.terminal !== undefined,
    color: options.color ?? false,
    columns: options.terminal ?? 80,
  };
}
