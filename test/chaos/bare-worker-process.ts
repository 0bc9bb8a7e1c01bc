/**
 * What a BullMQ tutorial ends with: one Worker, and a handler that makes a picture. Started by `bare.ts`, with the socket
 * of Redis, the folder of the pictures, the file that each start of a handler is written to, and the worker's options.
 */
import { appendFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Job, Worker } from 'bullmq';
import { gradientPng } from '../../src/provider/gradient-png.ts';
import { BARE_QUEUE, type BareJob, PICTURE_MS } from './bare-queue.ts';

const [socketPath = '', folder = '', tally = '', options = '{}'] = process.argv.slice(2);

const worker = new Worker<BareJob>(BARE_QUEUE, make, { connection: { path: socketPath }, ...JSON.parse(options) });
// A lost connection comes back by itself.
worker.on('error', () => {});

async function make(job: Job<BareJob>): Promise<void> {
  appendFileSync(tally, `${JSON.stringify({ job: job.id, start: `${job.id} ${job.attemptsStarted}` })}\n`);
  if (job.data.poisoned) process.kill(process.pid, 'SIGSEGV');
  await pause(PICTURE_MS);
  await writeFile(join(folder, `${job.id}.png`), gradientPng(job.data.seed, 128, 128));
}
