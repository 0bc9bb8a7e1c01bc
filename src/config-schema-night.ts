import { z } from 'zod';
import { deviceNameFault } from './batch/hours.ts';
import { complaining } from './config-complaint.ts';
import { bodyFault, NOTICE_KINDS, noticeKindsOf, noticeUrlFault } from './config-notify.ts';
import { hoursFault } from './hours.ts';

const HOURS_FORM = 'expected 22:00-07:00, or { "cuda:0": "22:00-07:00" }';
const hoursOfOne = z.string().superRefine(complaining(hoursFault));
const hoursByDevice = z
  .record(z.string(), z.string())
  .superRefine(complaining((hours) => first(Object.keys(hours), deviceNameFault)))
  .superRefine(complaining((hours) => first(Object.values(hours), hoursFault)));

export const hoursSetting = z
  .union([hoursOfOne, hoursByDevice], { error: unionComplaint(HOURS_FORM) })
  .nullable()
  .default(null)
  .describe(
    'Local time in which devices work: 22:00-07:00, several with commas between them, or { "cuda:0": "22:00-07:00" } ' +
      'for those that are named; not set: always',
  );

const KINDS_FORM = `expected some of ${NOTICE_KINDS.join(', ')}`;

export const notifySettings = z
  .strictObject({
    url: z
      .string()
      .superRefine(complaining(noticeUrlFault))
      .nullable()
      .default(null)
      .describe('Where notices are sent with POST; may hold a token, and is shown nowhere; not set: nowhere'),
    preset: z
      .enum(['plain', 'ntfy', 'discord'])
      .default('plain')
      .describe('What receives them: plain takes a line of text; ntfy a topic; discord a webhook'),
    body: z
      .string()
      .min(1)
      .superRefine(complaining(bodyFault))
      .nullable()
      .default(null)
      .describe(
        'Template of what is sent, with {line} {run} {kind} {json_line} (the line with quotes); JSON stays JSON; ' +
          'not set: as the preset has it',
      ),
    on: z
      .union(
        [
          z.array(z.enum(NOTICE_KINDS)),
          z.string().superRefine(complaining((text) => (noticeKindsOf(text) === undefined ? KINDS_FORM : undefined))),
        ],
        { error: KINDS_FORM },
      )
      .transform((said) => (typeof said === 'string' ? (noticeKindsOf(said) ?? []) : said))
      .default([...NOTICE_KINDS])
      .describe('What is told: a list, or names with commas between them'),
    stalled_minutes: z
      .number()
      .positive()
      .default(30)
      .describe('Minutes without a settled job, while there are some to make, that are a stall'),
  })
  .prefault({})
  .describe('Notices for a user who is away');

function first(texts: readonly string[], fault: (text: string) => string | undefined): string | undefined {
  return texts.map(fault).find((found) => found !== undefined);
}

/** What the fitting form complains of says more than that no form fits. */
function unionComplaint(form: string) {
  return ({ errors }: { readonly errors: readonly (readonly { code?: string; message: string }[])[] }): string =>
    errors.flat().find(({ code }) => code === 'custom')?.message ?? form;
}
