import type { Model } from '../ports.ts';
import type { Request, ScheduleName, SchedulerName } from './request.ts';
import type { Said } from './said.ts';
import { a1111Sampler, schedulesOf } from './sampler.ts';

/**
 * A sampler and the schedule named with it are one choice: a line with a sampler of its own does not
 * take the schedule that the command line named for another one, nor the model's.
 */
export function resolveSampler(said: Said, model: Model): Pick<Request, 'scheduler' | 'schedule'> {
  const scheduler = schedulerOf(said, model);
  const schedule = scheduleOf(said, model, scheduler);
  const possible = schedulesOf(scheduler);
  if (possible.includes(schedule)) return { scheduler, schedule };
  const what = `the sampler ${a1111Sampler({ scheduler, schedule }).sampler} cannot follow the schedule ${schedule} (it can: ${possible.join(', ')})`;
  throw said.refuse(said.draft.scheduler === undefined ? 'schedule' : 'scheduler', what, 'bad_schedule');
}

function schedulerOf(said: Said, model: Model): SchedulerName {
  const asked = said.get('scheduler') ?? model.defaults.scheduler;
  if (model.schedulers.includes(asked)) return asked;
  // A1111's people say Euler to flow-matching models too, and mean theirs.
  if (asked === 'euler' && model.schedulers.includes('flow_match_euler')) return 'flow_match_euler';
  const what = `${model.name} cannot be sampled with ${asked} (it can: ${model.schedulers.join(', ')})`;
  throw said.refuse('scheduler', what, 'unknown_scheduler');
}

function scheduleOf({ draft, flags }: Said, model: Model, scheduler: SchedulerName): ScheduleName {
  if (draft.schedule !== undefined) return draft.schedule;
  const forAnother = draft.scheduler !== undefined && flags.scheduler !== undefined;
  if (flags.schedule !== undefined && !forAnother) return flags.schedule;
  return scheduler === model.defaults.scheduler ? model.defaults.schedule : 'normal';
}
