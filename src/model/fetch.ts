import { execa } from 'execa';
import { z } from 'zod';
import { UnavailableError } from '../errors.ts';

export interface HubOptions {
  readonly python: string;
  /** The folder that holds the package `kilnwatt_worker`. */
  readonly workerDir: string;
}

const answerSchema = z.object({ path: z.string().min(1) });

/**
 * Brings the files of a hub id onto this disk, by the worker's own environment; its progress goes to stderr.
 * Only safetensors, configurations and tokenizers are asked for.
 * @returns for {@link DiskRegistry}: hub id → folder
 * @throws UnavailableError `model_unreachable`
 */
export function hubFetcher(options: HubOptions): (hubId: string) => Promise<string> {
  return async (hubId) => {
    const result = await execa(options.python, ['-P', '-m', 'kilnwatt_worker.fetch', hubId], {
      env: { PYTHONPATH: options.workerDir },
      stdin: 'ignore',
      stderr: ['inherit', 'pipe'],
      reject: false,
      maxBuffer: 10_000_000,
    });
    if (result.exitCode !== 0) {
      const reason =
        result.stderr
          .trim()
          .split(/[\r\n]+/)
          .at(-1) ||
        result.shortMessage ||
        'no reason given';
      throw new UnavailableError(reason, { code: 'model_unreachable' });
    }
    return answerSchema.parse(JSON.parse(result.stdout.trim().split('\n').at(-1) ?? '')).path;
  };
}
