import { describe, expect, it } from 'vitest';
import { SCHEDULERS, SCHEDULES } from '../../src/job/request.ts';
import { a1111Sampler, parseSampler, parseSchedule, schedulesOf } from '../../src/job/sampler.ts';
import { refusal } from './samples.ts';

describe('sampler names', () => {
  it.each([
    ['DPM++ 2M', { scheduler: 'dpmpp_2m' }],
    ['dpm++ 2m karras', { scheduler: 'dpmpp_2m', schedule: 'karras' }],
    ['DPM++ 2M SDE', { scheduler: 'dpmpp_2m_sde' }],
    ['DPM++ 2M SDE Exponential', { scheduler: 'dpmpp_2m_sde', schedule: 'exponential' }],
    ['DPM++ SDE Karras', { scheduler: 'dpmpp_sde', schedule: 'karras' }],
    ['Euler', { scheduler: 'euler' }],
    ['EULER A', { scheduler: 'euler_a' }],
    ['euler ancestral', { scheduler: 'euler_a' }],
    ['Heun', { scheduler: 'heun' }],
    ['UniPC', { scheduler: 'unipc' }],
    ['uni_pc', { scheduler: 'unipc' }],
    ['DDIM', { scheduler: 'ddim' }],
    ['LCM', { scheduler: 'lcm' }],
    ['PLMS', { scheduler: 'pndm' }],
    ['pndm', { scheduler: 'pndm' }],
    ['k_dpmpp_2m', { scheduler: 'dpmpp_2m' }],
    ['k_dpmpp_2m_ka', { scheduler: 'dpmpp_2m', schedule: 'karras' }],
    ['k_euler_ancestral', { scheduler: 'euler_a' }],
    ['dpmpp-2m-sgm-uniform', { scheduler: 'dpmpp_2m', schedule: 'sgm_uniform' }],
    ['flow_match_euler', { scheduler: 'flow_match_euler' }],
  ])('understands %s', (text, sampler) => {
    expect(parseSampler(text)).toEqual(sampler);
  });

  it('understands every name of our own and every name that it shows', () => {
    for (const scheduler of SCHEDULERS) {
      expect(parseSampler(scheduler)).toEqual({ scheduler });
      const { sampler } = a1111Sampler({ scheduler, schedule: 'normal' });
      expect(parseSampler(sampler).scheduler).toBe(scheduler === 'flow_match_euler' ? 'euler' : scheduler);
    }
    for (const schedule of SCHEDULES) {
      expect(parseSchedule(schedule)).toBe(schedule);
      expect(parseSchedule(a1111Sampler({ scheduler: 'euler', schedule }).schedule)).toBe(schedule);
      expect(SCHEDULERS.some((scheduler) => schedulesOf(scheduler).includes(schedule))).toBe(true);
    }
  });

  it('refuses what it does not know, lists the names, and suggests the nearest', () => {
    const refused = refusal(() => parseSampler('DPM+ 2M', 'p.txt:3'));
    expect(refused.code).toBe('unknown_scheduler');
    expect(refused.message).toMatch(
      /^p\.txt:3: there is no sampler "DPM\+ 2M"; did you mean DPM\+\+ 2M\? \(known: DPM\+\+ 2M, .*LCM/,
    );
    for (const name of ['', 'a', 'k', 'karras', 'DPM++ 3M SDE', 'constructor'])
      expect(refusal(() => parseSampler(name)).code).toBe('unknown_scheduler');
    expect(refusal(() => parseSchedule('karas'))).toEqual({
      code: 'unknown_schedule',
      message: expect.stringContaining('did you mean Karras?'),
    });
  });

  it('takes Automatic for nothing said', () => {
    expect(parseSchedule('Automatic')).toBeUndefined();
  });
});
