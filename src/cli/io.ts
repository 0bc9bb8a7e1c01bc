import { styleText } from 'node:util';

/** Where a command writes. Data goes to `out`, all else to `err`; a line is given without its end. */
export interface Io {
  out(line: string): void;
  err(line: string): void;
  /**
   * Shows or replaces what stands at the bottom of a terminal, a line or several of at most its width; '' takes it away.
   * Does nothing elsewhere.
   */
  live(text: string): void;
  /** Of stdout: may a line be rewritten? */
  readonly isTTY: boolean;
  readonly color: boolean;
  /** Width of the terminal now. */
  readonly columns: number;
}

const COLUMNS_WITHOUT_TERMINAL = 80;

/** The process's own streams, with the colours of the terminal; FORCE_COLOR has them also where there is none. NO_COLOR is a setting. */
export function processIo(): Io {
  const { stdout, stderr } = process;
  const isTTY = stdout.isTTY === true;
  const out = writerTo(stdout);
  const err = writerTo(stderr);
  let shown = '';
  const live = (text: string) => {
    if (!isTTY || text === shown) return;
    out(`${erasing(shown)}${text}`);
    shown = text;
  };
  const above = (write: (text: string) => void) => (line: string) => {
    const kept = shown;
    live('');
    write(`${line}\n`);
    live(kept);
  };
  return {
    out: above(out),
    err: above(err),
    live,
    isTTY,
    color: styleText('bold', 'x', { stream: stdout }) !== 'x',
    get columns() {
      return stdout.columns || COLUMNS_WITHOUT_TERMINAL;
    },
  };
}

/** What takes lines that stand above the cursor, and its own, off a terminal. */
export function erasing(shown: string): string {
  if (shown === '') return '';
  const above = shown.split('\n').length - 1;
  return above === 0 ? '\r\x1b[2K' : `\r\x1b[${above}A\x1b[J`;
}

/** What a write says once nobody can read it: the end of a pipe was closed, or the terminal. */
const READER_GONE = new Set(['EPIPE', 'EIO']);

/** A reader that left (`kilnwatt config show | head -1`, a closed window) is no error: what comes after it is dropped. */
export function writerTo(stream: Pick<NodeJS.WritableStream, 'on' | 'write'>): (text: string) => void {
  let open = true;
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (!READER_GONE.has(error.code ?? '')) throw error;
    open = false;
  });
  return (text) => {
    if (open) stream.write(text);
  };
}
