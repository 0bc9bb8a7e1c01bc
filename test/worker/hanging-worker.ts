import { join } from 'node:path';
import type { WorkerCommand } from '../../src/worker/incarnation.ts';
import { PYTHON, WORKER_DIR, WORKERS } from '../support/python.ts';

/** The real worker, with an engine that prints `hangs` and does so in this phase. */
export function hangingWorker(phase: string, lock: 'with' | 'without'): WorkerCommand {
  return {
    command: PYTHON,
    args: ['-P', '-u', join(WORKERS, 'hangs-in-a-phase.py'), '--engine', 'fake'],
    env: { PYTHONPATH: WORKER_DIR, PYTHONDONTWRITEBYTECODE: '1', KW_HANG: `${phase} ${lock}` },
  };
}
