import { delimiter, join } from 'node:path';
import type { GaugeProgram } from '../../src/telemetry/gauge.ts';
import { PYTHON, WORKER_DIR } from '../support/python.ts';

const NVML = join(import.meta.dirname, '../fixtures/nvml');

/**
 * The real gauge, which finds the NVML of `test/fixtures/nvml`; that plays the given host.
 * @param powercap where its processors are; none by default
 */
export function gaugeOn(host: string, powercap = '/nowhere'): GaugeProgram {
  const env = { PYTHONPATH: `${NVML}${delimiter}${WORKER_DIR}`, FAKE_NVML: host, KW_POWERCAP: powercap };
  return { python: PYTHON, workerDir: WORKER_DIR, env, every: 20 };
}
