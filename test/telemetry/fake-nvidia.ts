import { join } from 'node:path';
import { programRunner, type Run } from '../../src/process/program.ts';

const BIN = join(import.meta.dirname, '../fixtures/bin');

/** What programs find in their environment: the nvidia-smi of `test/fixtures/bin` first, which plays the given host. */
export function hostEnvironment(host: string): Readonly<Record<string, string>> {
  return { PATH: `${BIN}:/usr/local/bin:/usr/bin:/bin`, FAKE_NVIDIA_SMI: host };
}

export function onHost(host: string): Run {
  return programRunner(hostEnvironment(host));
}
