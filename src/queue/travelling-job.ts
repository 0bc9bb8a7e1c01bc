import { z } from 'zod';
import { InputError } from '../errors.ts';
import { requestSchema } from '../job/request.ts';
import { shared } from '../job/shared.ts';
import type { Job } from '../ports.ts';
import { anatomySchema } from '../preset/anatomy.ts';

/** A job as Redis carries it, checked when it is read back: another version may have written it. */
export const travellingJob = z
  .strictObject({
    id: z.string().min(1),
    runId: z.string().min(1),
    request: requestSchema,
    modelPath: z.string(),
    // The version before knew none of these.
    family: z.enum(['sd', 'sdxl', 'flux', 'other']).default('other'),
    anatomy: anatomySchema.nullable().default(null),
    loraPaths: z.array(z.string()).readonly().default([]),
    loraBytes: z.int().min(0).default(0),
    preset: z.string(),
    target: z.string(),
    format: z.enum(['png', 'jpeg', 'webp']),
    sidecar: z.enum(['txt', 'json']).nullable(),
    // The version before had no priorities, and counted attempts in the job.
    priority: z.enum(['interactive', 'bulk']).default('bulk'),
    when: z.enum(['now', 'cheap']).exactOptional(),
    attempt: z.unknown().optional(),
  })
  .transform(({ attempt: _attempt, anatomy, loraPaths, ...job }): Job => {
    // The window holds hundreds of jobs with one model.
    const model = { anatomy: anatomy === null ? null : shared(anatomy), loraPaths: shared(loraPaths) };
    return { ...job, ...model };
  });

/** Redis holds every waiting job in memory, so none may be large. */
export const JOB_BYTES = 65_536;

/**
 * The fields that travel, and nothing else that the object may carry.
 * @throws InputError `job_too_large`
 */
export function packed(job: Job): Job {
  const {
    id,
    runId,
    request,
    modelPath,
    family,
    anatomy,
    loraPaths,
    loraBytes,
    preset,
    target,
    format,
    sidecar,
    priority,
    when,
  } = job;
  const model = { modelPath, family, anatomy, loraPaths, loraBytes };
  const wish = when === undefined ? {} : { when };
  const travelling = { id, runId, request, ...model, preset, target, format, sidecar, priority, ...wish };
  const bytes = Buffer.byteLength(JSON.stringify(travelling));
  if (bytes > JOB_BYTES) {
    throw new InputError(
      `the job ${id} is too large for the queue (${bytes} of ${JOB_BYTES} bytes); shorten its prompt.`,
      {
        code: 'job_too_large',
      },
    );
  }
  return travelling;
}
