import { fileURLToPath } from 'node:url';

/** The interpreter of the one environment that the set-up makes. */
export const python = fileURLToPath(new URL('../../.venv/bin/python', import.meta.url));
