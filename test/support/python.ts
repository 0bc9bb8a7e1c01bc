import { resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');

/** The interpreter of the one environment, which the set-up makes. */
export const PYTHON = resolve(ROOT, '.venv/bin/python');
/** The folder that holds the package of the worker. */
export const WORKER_DIR = resolve(ROOT, 'python-worker');
/** Small real programs that behave in one way each. */
export const WORKERS = resolve(ROOT, 'test/fixtures/workers');
