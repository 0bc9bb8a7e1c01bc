import { createHash } from 'node:crypto';
import type { Request } from '../job/request.ts';

/** What jobs must agree on to share GPU passes. Prompt, negative prompt and seed are free. */
export function batchKey(job: { readonly request: Request; readonly preset: string; readonly format: string }): string {
  const r = job.request;
  const shared = [
    r.modelHash,
    job.preset,
    r.loras.map((lora) => [lora.hash, lora.weight]),
    r.vae,
    r.width,
    r.height,
    r.steps,
    r.scheduler,
    r.schedule,
    r.guidance,
    r.distilledGuidance,
    r.clipSkip,
    r.initImage !== null,
    r.strength,
    job.format,
  ];
  return createHash('sha256').update(JSON.stringify(shared)).digest('hex').slice(0, 16);
}
